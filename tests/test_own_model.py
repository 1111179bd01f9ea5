"""An own module with own pictures: from Python and from a file the same run, resumed and typed."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.datasets import ImageFolder
from torchvision.transforms.functional import to_tensor

import tuiprobe
from tests.parts import part
from tools.typed_options import FILE, OWN, module
from tuiprobe import miniature
from tuiprobe.choose.robustness.compute import Robustness
from tuiprobe.errors import DataError, TuiprobeError, UsageError, WeightsError
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.records import read_plan
from tuiprobe.models.checks import trial
from tuiprobe.models.encoder import Encoder
from tuiprobe.results import Report
from tuiprobe.results.reproduce import command, command_note
from tuiprobe.show.cli.app import run_cli
from tuiprobe.show.tui.child import resuming_arguments
from tuiprobe.spec import RunOptions, run_options

NAMES = ("red", "green", "blue")
EACH = 12
ALIKE: RunOptions = {"sample": 0, "workers": 0, "threads": 1}


class Colors(nn.Module):
    """Answers with the strongest colour, behind a few layers."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.last = nn.Linear(3, 3, bias=False)
        self.last.weight.data = torch.eye(3)

    def forward(self, images: Tensor) -> Tensor:
        return self.last(self.mean(images).flatten(1))


def preprocess(image: Image.Image) -> Tensor:
    return to_tensor(image.resize((6, 6)))


ASKED: dict[str, Any] = {"preprocess": preprocess, "classes": NAMES, **ALIKE}


CODE = f"""
import sys
sys.path.insert(0, {str(Path(__file__).resolve().parent.parent)!r})
from tests.test_own_model import NAMES, Colors, preprocess
import tuiprobe
model = tuiprobe.Encoder.from_module(Colors(), preprocess=preprocess, classes=NAMES)
"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns class folders in which one picture of each class is of the next colour."""
    folder = tmp_path_factory.mktemp("photos")
    draw = np.random.default_rng(0)
    for label, name in enumerate(NAMES):
        (folder / name).mkdir()
        for i in range(EACH):
            pixels = draw.integers(0, 120, (8, 8, 3), dtype=np.uint8)
            pixels[..., (label + (i == 0)) % 3] += 100
            Image.fromarray(pixels).save(folder / name / f"{i:02}.png")
    return folder


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets runs go to the test's own folder."""
    monkeypatch.chdir(tmp_path)


def pairs(photos: Path) -> list[tuple[Path, str]]:
    return [(path, path.parent.name) for path in sorted(photos.rglob("*.png"))]


@pytest.mark.slow
def test_a_module_with_a_folder_and_the_file_that_holds_it_are_the_same_run(
    photos: Path, tmp_path: Path
) -> None:
    report = tuiprobe.probe(Colors(), photos, output="python", **ASKED)
    (tmp_path / "net.py").write_text(CODE)
    words = ["--headless", "--model", "py:net.py:model", "--data", str(photos), "--output", "file"]
    assert run_cli([*words, "--sample", "0", "--workers", "0", "--threads", "1"]) == 0
    other = Report.read(tmp_path / "file" / "results.json")
    assert (report.key, report.parts) == (other.key, other.parts)
    assert "92 % right" in report.title
    assert str(report).splitlines()[1:] == ["run directory: python", "report: python/report.html"]
    assert report.directory == Path("python")
    assert "head rows" not in str(report.warnings)
    # No command has the object; the file has one.
    assert command(other).startswith("tuiprobe --headless --model py:net.py:model")
    assert command(report) == ""
    assert "objects of Python" in command_note(report)
    with pytest.raises(UsageError, match="objects of Python"):
        resuming_arguments(tmp_path / "python")


@pytest.mark.slow
def test_images_of_python_give_the_figures_of_their_folder(photos, tmp_path):
    data = ImageFolder(str(photos))
    tensors = ImageFolder(str(photos), transform=preprocess)
    reports = [
        tuiprobe.probe(Colors(), data, **ASKED),
        tuiprobe.probe(Colors(), tensors, classes=NAMES, **ALIKE),
    ]
    assert ["92 % right" in report.title for report in reports] == [True] * 2
    assert "taken as preprocessed" in str(reports[1].warnings)
    assert "in label order" not in str([report.warnings for report in reports])
    others = tuiprobe.probe(Colors(), data, **{**ASKED, "classes": ["ant", "bee", "cow"]})
    assert part(others, Robustness).accuracies[0].left_out  # knows no class: a head is fitted
    assert [warning for warning in others.warnings if "a head is fitted" in warning]
    encoder = tuiprobe.Encoder.from_module(Colors(), preprocess=preprocess, classes=NAMES)
    unlabelled = [Image.open(path) for path, _ in pairs(photos)]
    report = tuiprobe.probe(encoder, data, target=[*unlabelled], **ALIKE)
    target = next(dataset for dataset in report.data if dataset.target)
    assert (target.source, target.images, target.labelled) == ("py:images", 3 * EACH, False)
    with pytest.raises(UsageError, match="pass a module"):
        tuiprobe.probe(encoder, data, dtype="bfloat16")


@pytest.mark.slow
def test_several_models_see_what_is_read_once_and_have_a_folder_each(photos, tmp_path):
    encoder = tuiprobe.Encoder.from_module(Colors(), preprocess=preprocess, classes=NAMES)
    named = ((Image.open(path), name) for path, name in pairs(photos))
    reports = tuiprobe.probe_several(
        [encoder, "mini_clip"], named, output=tmp_path / "both", **ALIKE
    )
    assert [report.data[0].measured for report in reports] == [3 * EACH] * 2
    assert len({report.directory for report in reports}) == 2
    assert {report.directory.parent for report in reports} == {tmp_path / "both"}
    alone = tuiprobe.probe(encoder, pairs(photos), output=tmp_path / "one", **ALIKE)
    assert reports[0].accuracies == alone.accuracies
    assert tuiprobe.compare(reports).models[0].run in {str(each.directory) for each in reports}
    with pytest.raises(UsageError, match="takes a list of models"):
        tuiprobe.probe_several("mini_clip", "miniature:val")
    with pytest.raises(UsageError, match="probe_several"):
        tuiprobe.probe(["mini_clip"], "miniature:val")  # type: ignore[arg-type]


@pytest.mark.slow
def test_what_is_read_once_resumes_with_the_same_images_alone(photos, tmp_path):

    def run(change: Callable[[Image.Image], Image.Image], *, fresh: bool = False) -> Report:
        images = ((change(Image.open(path)), name) for path, name in pairs(photos))
        return tuiprobe.probe(Colors(), images, output="run", fresh=fresh, **ASKED)

    first = run(lambda image: image)
    shard = tmp_path / "run/shards/images-00000.safetensors"
    written = shard.stat().st_mtime_ns
    assert run(lambda image: image).key == first.key
    assert shard.stat().st_mtime_ns == written
    with pytest.raises(DataError, match="its content has changed since run was begun"):
        run(lambda image: image.rotate(90))
    assert run(lambda image: image.rotate(90), fresh=True).key != first.key


class Turned(Colors):
    """Has the weights of `Colors`, and answers with the next colour."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images.roll(1, 1))


def test_another_forward_with_the_same_weights_is_another_run(photos, tmp_path):
    first = tuiprobe.probe(Colors(), photos, **ASKED)
    encoder = tuiprobe.Encoder.from_module(Turned(), preprocess=preprocess, classes=NAMES)
    encoder.name = "py:Colors"  # as where the code of a file changes
    second = tuiprobe.probe(encoder, photos, **ALIKE)
    assert (first.model.weights.digest, first.model.name) == (
        second.model.weights.digest, second.model.name
    )  # fmt: skip
    assert first.key != second.key
    assert ("92 % right" in first.title, "92 % right" in second.title) == (True, False)
    assert first.directory != second.directory
    with pytest.raises(DataError, match=r"holds another run .*code of the model"):
        tuiprobe.probe(encoder, photos, output=first.directory, **ALIKE)
    assert tuiprobe.probe(Colors(), photos, **ASKED).directory == first.directory


@pytest.mark.parametrize("named", [False, True])
def test_other_rounding_on_another_node_resumes_the_same_run(named, photos, tmp_path, monkeypatch):
    own = {**ASKED, "output": "run" if named else None}
    first = tuiprobe.probe(Colors(), photos, **own)
    assert first.directory is not None
    place = first.directory
    shard = next(place.glob("shards/*.safetensors"))
    written = shard.stat().st_mtime_ns
    exact, digits = trial.signature, trial.rounded

    def elsewhere(encoder: Encoder) -> tuple[float, ...]:
        return tuple(1.00002 * value + 1e-5 for value in exact(encoder))

    def other_digits(values: Sequence[float]) -> list[str]:
        here = tuple(values) == read_plan(RunDir(place)).signature
        return digits(values) if here else ["another", *digits(values)]

    monkeypatch.setattr("tuiprobe.measure.engine.plan.signature", elsewhere)
    monkeypatch.setattr("tuiprobe.measure.engine.plan.rounded", other_digits)
    again = tuiprobe.probe(Colors(), photos, **own)
    assert (again.key, again.directory) == (first.key, first.directory)
    assert shard.stat().st_mtime_ns == written


def test_pictures_of_one_size_need_no_resize(photos, tmp_path):
    own: dict[str, Any] = {"classes": NAMES, **ALIKE}
    for data in (photos, pairs(photos)):
        report = tuiprobe.probe(Colors(), data, preprocess=to_tensor, **own)
        assert "92 % right" in report.title
        assert report.model.preprocessing.size == (8, 8)
    code = CODE.replace("preprocess=preprocess", "preprocess=to_tensor")
    (tmp_path / "net.py").write_text(f"from torchvision.transforms.functional import *\n{code}")
    words = ["--model", "py:net.py:model", "--data", str(photos)]
    assert run_cli(["doctor", *words]) == 0
    assert run_cli(["--headless", *words, "--workers", "0", "--threads", "1", "--sample", "0"]) == 0
    shutil.copytree(photos, tmp_path / "mixed")
    Image.new("RGB", (9, 9)).save(tmp_path / "mixed" / "blue" / "00.png")
    with pytest.raises(TuiprobeError, match="Resize"):
        tuiprobe.probe(Colors(), tmp_path / "mixed", preprocess=to_tensor, **own)
    with pytest.raises(UsageError, match="Resize"):
        tuiprobe.Encoder.from_module(Colors(), preprocess=to_tensor)


def test_models_that_are_not_what_they_seem_are_refused_or_said(photos, tmp_path):

    class Dropping(Colors):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(nn.functional.dropout(images, 0.5))

    class Broken(Colors):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images) if len(images) == 2 else {}["stem"]

    with pytest.raises(WeightsError, match=r"each time; .*dropout"):
        tuiprobe.probe(Dropping(), photos, **ASKED)
    assert not list(tmp_path.iterdir())  # it has no key, so each attempt would make a directory
    with pytest.raises(WeightsError, match=r"KeyError: 'stem' \(test_own_model.py, line"):
        tuiprobe.probe(Broken(), photos, **ASKED)
    probabilities = nn.Sequential(Ensemble(), nn.Identity())
    report = tuiprobe.probe(probabilities, photos, **ASKED)
    assert "92 % right" in report.title
    assert "are probabilities (they sum to 1)" in str(report.warnings)
    zero = Colors()
    zero.last.weight.data.zero_()
    report = tuiprobe.probe(zero, photos, **ASKED)
    assert "nothing but zeros" in report.why_not("robustness")
    one = Colors()
    one.last.weight.data[:] = torch.tensor([[1.0, 0, 0], [2.0, 9, 9], [0, 1.0, 0]])
    report = tuiprobe.probe(one, photos, **ASKED)
    assert [doubt.data for doubt in report.doubts if doubt.id == "one-answer"]


@pytest.mark.slow
@pytest.mark.parametrize("trained", [False, True])
def test_random_weights_at_chance_look_untrained_and_trained_ones_do_not(trained, tmp_path):
    torch.manual_seed(0)
    model = timm.create_model("test_resnet", pretrained=False, num_classes=40)
    if trained:  # a step on noise
        model(torch.randn(4, 3, 64, 64)).square().sum().backward()
        torch.optim.SGD(model.parameters(), 1e-3).step()
    save_file(model.state_dict(), tmp_path / "random.safetensors")
    miniature.export(tmp_path / "val", sets=("val",), layouts=("imagefolder",), images=80)
    report = tuiprobe.probe(
        "timm:test_resnet", tmp_path / "val/imagefolder/val", output=tmp_path / "run",
        checkpoint=tmp_path / "random.safetensors", classes=miniature.class_names(),
        sample=0, workers=0, threads=1,
    )  # fmt: skip
    top1 = report.figure("top1")
    assert top1.low <= 1 / 40 <= top1.high
    (doubt,) = (of for of in report.doubts if of.id in ("at-chance", "one-answer"))
    assert (report.model.weights.initial_norms == 0) == trained
    assert ("look untrained" in doubt.sentence) != trained


def test_a_picture_in_two_classes_is_said(photos, tmp_path):
    shutil.copytree(photos, "data")
    for copy in (f"{NAMES[1]}/copy.png", f"{NAMES[2]}/copy.png", f"{NAMES[0]}/again.png"):
        shutil.copy(photos / NAMES[0] / "03.png", Path("data") / copy)
    Path("data", NAMES[0], "empty.png").touch()  # unreadable images have no label that counts
    Path("data", NAMES[1], "empty.png").touch()
    report = tuiprobe.probe(Colors(), "data", **ASKED)
    (doubt,) = (doubt for doubt in report.doubts if doubt.id == "copies")
    assert doubt.figures["contradicting"] == 4
    assert doubt.sentence.count(".png") == 2
    assert report.figure("top1").n == 3 * EACH - 1  # none of the four
    for path in (*Path("data").rglob("copy.png"), *Path("data").rglob("empty.png")):
        path.unlink()
    report = tuiprobe.probe(Colors(), "data", **ASKED)
    (doubt,) = (doubt for doubt in report.doubts if doubt.id == "copies")
    assert doubt.figures == {"copies": 1, "pictures": 3 * EACH + 1}
    assert report.figure("top1").n == 3 * EACH


class Ensemble(nn.Module):
    """The mean of the softmax of two networks."""

    def __init__(self) -> None:
        super().__init__()
        self.nets = nn.ModuleList([Colors(), Colors()])
        self.nets[1].last.weight.data *= 5

    def forward(self, images: Tensor) -> Tensor:
        return torch.stack([net(images).softmax(1) for net in self.nets]).mean(0)


def test_a_file_of_the_model_that_ends_itself_is_a_failure_with_its_name(tmp_path, program):
    file = tmp_path / "training.py"
    file.write_text("import sys\nsys.exit('name a config')\n")
    model = f"py:{file}:model"
    err = program("--headless", "--model", model, "--output", str(tmp_path / "run"), code=5).err
    assert f"{model} failed: SystemExit: name a config" in err


def test_the_options_are_typed_from_their_one_declaration(tmp_path: Path) -> None:
    mypy = pytest.importorskip("mypy.api", reason="needs the extra dev: mypy")
    assert FILE.read_text("utf-8") == module(), "python -m tools.typed_options"
    assert {option.name for option in run_options()} > set(OWN)
    (tmp_path / "mypy.ini").write_text(
        "[mypy]\n[mypy-torch.*,PIL.*,tuiprobe.choose.comparing.*,tuiprobe.datasets.*,tuiprobe.miniature.*,"
        "tuiprobe.models.*,tuiprobe.probes.*,tuiprobe.results.*,tuiprobe.stats.*,"
        "tuiprobe.watching.*]\nfollow_imports = skip\n"
    )
    calls = {
        'sample=64, layers=["a*", "b*"], dtype="bfloat16", offline=True': None,
        "smaple=64": 'Unexpected keyword argument "smaple" for "probe"; did you mean "sample"?',
        'dtype="float8"': "incompatible type",
        'sample="64"': "incompatible type",
        "layers=3": "incompatible type",
    }
    calls = {f'probe("mini_clip", "miniature", {each})': of for each, of in calls.items()} | {
        "compare(['a', 'b']), tuiprobe.datasets.Sample, tuiprobe.Encoder": None,
        "lable(['a', 'b'])": 'Module has no attribute "lable"',
    }
    for number, call in enumerate(calls):
        lines = f"import tuiprobe\ntuiprobe.{call}\n"
        (tmp_path / f"call{number}.py").write_text(lines)
    files = [str(path) for path in sorted(tmp_path.glob("call*.py"))]
    cache = ["--config-file", f"{tmp_path}/mypy.ini", "--cache-dir", f"{tmp_path}/cache"]
    printed, problems, _ = mypy.run([*cache, "--output", "json", *files])
    assert problems == ""
    errors = [json.loads(line) for line in printed.splitlines()]
    messages = {
        Path(error["file"]).stem: error["message"]
        for error in errors
        if error["severity"] == "error"
    }
    for number, message in enumerate(calls.values()):
        assert (message is None) == (f"call{number}" not in messages), messages
        assert message is None or message in messages[f"call{number}"]
