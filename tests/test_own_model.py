"""An own module with own pictures: from Python and from a file the same run, resumed and typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.datasets import ImageFolder
from torchvision.transforms.functional import to_tensor

import tuiprobe
from tools.typed_options import FILE, OWN, module
from tuiprobe.cli.app import run_cli
from tuiprobe.errors import DataError, UsageError
from tuiprobe.results import Report
from tuiprobe.results.reproduce import command, command_note
from tuiprobe.run_options import RunOptions
from tuiprobe.spec import run_options
from tuiprobe.tui.child import resuming_arguments

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


def pairs(photos: Path) -> list[tuple[Path, str]]:
    return [(path, path.parent.name) for path in sorted(photos.rglob("*.png"))]


@pytest.mark.slow
def test_a_module_with_a_folder_and_the_file_that_holds_it_are_the_same_run(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    report = tuiprobe.probe(
        Colors(), photos, preprocess=preprocess, classes=NAMES, output="python", **ALIKE
    )
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
def test_images_of_python_give_the_figures_of_their_folder(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own: dict[str, Any] = {"preprocess": preprocess, "classes": NAMES, **ALIKE}
    data = ImageFolder(str(photos))
    tensors = ImageFolder(str(photos), transform=preprocess)
    named = [(Image.open(path), name) for path, name in pairs(photos)]
    reports = [
        tuiprobe.probe(Colors(), data, **own),
        tuiprobe.probe(Colors(), tensors, classes=NAMES, **ALIKE),
        tuiprobe.probe(Colors(), (pair for pair in named), **own),
        tuiprobe.probe(Colors(), pairs(photos), **{**own, "workers": 2}),
    ]
    assert ["92 % right" in report.title for report in reports] == [True] * 4
    assert "taken as preprocessed" in str(reports[1].warnings)
    assert "in label order" not in str([report.warnings for report in reports])
    others = tuiprobe.probe(Colors(), data, **{**own, "classes": ["ant", "bee", "cow"]})
    assert "none of the classes (blue, …) has the name of an output (ant, …)" in str(
        others.warnings
    )
    encoder = tuiprobe.Encoder.from_module(Colors(), preprocess=preprocess, classes=NAMES)
    unlabelled = [image for image, _ in named]
    report = tuiprobe.probe(encoder, data, target=[*unlabelled], **ALIKE)
    target = next(dataset for dataset in report.data if dataset.target)
    assert (target.source, target.images, target.labelled) == ("py:images", 3 * EACH, False)
    with pytest.raises(UsageError, match="pass a module"):
        tuiprobe.probe(encoder, data, dtype="bfloat16")


@pytest.mark.slow
def test_what_is_read_once_resumes_with_the_same_images_alone(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def run(change: Callable[[Image.Image], Image.Image], *, fresh: bool = False) -> Report:
        images = ((change(Image.open(path)), name) for path, name in pairs(photos))
        return tuiprobe.probe(
            Colors(),
            images,
            preprocess=preprocess,
            classes=NAMES,
            output="run",
            fresh=fresh,
            **ALIKE,
        )

    first = run(lambda image: image)
    shard = tmp_path / "run/shards/images-00000.safetensors"
    written = shard.stat().st_mtime_ns
    assert run(lambda image: image).key == first.key
    assert shard.stat().st_mtime_ns == written
    with pytest.raises(DataError, match="is not the image that run was begun with"):
        run(lambda image: image.rotate(90))
    assert run(lambda image: image.rotate(90), fresh=True).key != first.key


def test_a_file_of_the_model_that_ends_itself_is_a_failure_with_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "training.py"
    file.write_text("import sys\nsys.exit('name a config')\n")
    model = f"py:{file}:model"
    assert run_cli(["--headless", "--model", model, "--output", str(tmp_path / "run")]) == 5
    assert f"{model} failed: SystemExit: name a config" in capsys.readouterr().err


def test_the_options_are_typed_from_their_one_declaration(tmp_path: Path) -> None:
    mypy = pytest.importorskip("mypy.api", reason="needs the extra dev: mypy")
    assert FILE.read_text("utf-8") == module(), "python -m tools.typed_options"
    assert {option.name for option in run_options()} > set(OWN)
    (tmp_path / "mypy.ini").write_text(
        "[mypy]\n[mypy-torch.*,PIL.*,tuiprobe.models.*,tuiprobe.results.*,tuiprobe.watching.*]\n"
        "follow_imports = skip\n"
    )
    calls = {
        'sample=64, layers=["a*", "b*"], dtype="bfloat16", offline=True': None,
        "smaple=64": 'Unexpected keyword argument "smaple" for "probe"; did you mean "sample"?',
        'dtype="float8"': "incompatible type",
        'sample="64"': "incompatible type",
        "layers=3": "incompatible type",
    }
    for number, options in enumerate(calls):
        lines = f'import tuiprobe\ntuiprobe.probe("mini_clip", "miniature", {options})\n'
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
