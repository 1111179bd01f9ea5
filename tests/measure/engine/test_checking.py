"""The preflight of a run: what it refuses, warns of, keeps, and the known answer on ImageNet."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import binomtest
from skimage import data
from torch import nn
from torchvision.transforms.functional import pil_to_tensor

from tests.measure.engine.conftest import SMALL
from tests.measure.engine.fake_plan import fake_plan
from tuiprobe import probe
from tuiprobe.catalog.accuracies import published_row
from tuiprobe.catalog.class_names import imagenet_names, imagenet_wnids
from tuiprobe.choose.comparing.decide import decide
from tuiprobe.choose.comparing.runs import read_runs
from tuiprobe.datasets.imagefolder import ImageFolder
from tuiprobe.datasets.sample import Content, Sample, Stamp
from tuiprobe.errors import DataError, TuiprobeError, WeightsError
from tuiprobe.measure.engine import checking
from tuiprobe.measure.engine.checking import preflight
from tuiprobe.measure.engine.plan import Plan
from tuiprobe.measure.engine.shards import Rank
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.preview import Preview
from tuiprobe.measure.run.records import read_preflight
from tuiprobe.measure.run.status import Event
from tuiprobe.models.checks import trial
from tuiprobe.models.checks.known_answer import SAMPLE, sample_of
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.heads import Head
from tuiprobe.models.info import PreprocessingInfo, WeightsInfo
from tuiprobe.results.subject import TYPES
from tuiprobe.show.cli.app import run_cli

NAME = "timm:resnet50.a1_in1k"
SIZE = 224


class ImageNet:
    """50,000 images whose colour says what a stand-in encoder answers, right or wrong."""

    source, notes = "imagefolder:/imagenet", ()

    def __init__(self, accuracy: float) -> None:
        self.classes = imagenet_wnids()
        self.samples = [Sample(i, f"{i}.png", i % 1000) for i in range(50_000)]
        self._right = np.random.default_rng(0).random(50_000) < accuracy
        self.opened = 0

    def answer(self, sample: Sample) -> int:
        assert sample.label is not None
        return sample.label if self._right[sample.id] else (sample.label + 1) % 1000

    def read(self, sample: Sample) -> Content:
        def decode(content: bytes) -> Image.Image:
            self.opened += 1
            answer = self.answer(sample)
            return Image.new("RGB", (2, 2), (answer // 256, answer % 256, 0))

        return Content(b"", Stamp(None, None), decode=decode)


def encoder() -> Encoder:
    """Returns an encoder under a published name, which reads its answer from the colour."""

    def preprocess(image: Image.Image) -> torch.Tensor:
        tensor = pil_to_tensor(image)[:, :1, :1].float() / 255
        return tensor.expand(3, SIZE, SIZE)

    def forward(images: torch.Tensor) -> torch.Tensor:
        codes = (images[:, :, 0, 0] * 255).round()
        rows = (codes[:, 0] * 256 + codes[:, 1]).long().clamp(max=999)
        return nn.functional.one_hot(rows, 1000).float()

    return Encoder(
        name=NAME, architecture="resnet50", representation="pooled", width=1000, loader="timm",
        tag="a1_in1k", weights=WeightsInfo(kind="pretrained", source="hub", digest="d"),
        preprocessing=PreprocessingInfo(
            size=(SIZE, SIZE), mean=(0.0,) * 3, std=(1.0,) * 3, interpolation="bicubic", source="t"
        ),
        module=nn.Linear(1, 1), preprocess=preprocess, forward=forward,
        classifier=Head(torch.eye(1000), None, imagenet_names(), source="classifier"),
    )  # fmt: skip


def plan(model: Encoder, data: Any) -> Plan:
    return fake_plan(model, data, model=NAME)


@pytest.fixture
def published() -> float:
    row = published_row(NAME, SIZE)
    assert row.imagenet is not None
    return row.imagenet


def test_the_published_accuracy_is_found_again(published: float, tmp_path: Path) -> None:
    data = ImageNet(published)
    directory = RunDir(tmp_path)
    preflight(replace(plan(encoder(), data), directory=directory), lambda event: None)
    assert SAMPLE == 500 <= data.opened < 600  # other checks read a few
    checks = {check.name: check for check in read_preflight(directory)}
    answer = checks["known answer"]
    hits = sum(data.answer(s) == s.label for s in sample_of(data))  # type: ignore[arg-type]
    interval = binomtest(hits, 500).proportion_ci(0.95, method="wilson")
    assert answer.status == "pass"
    low, high = 100 * interval.low, 100 * interval.high
    assert f"accuracy {hits / 5:.1f} % ({low:.1f} to {high:.1f}) on 500" in answer.detail
    assert f"published {100 * published:.1f} %" in answer.detail
    assert "as ImageNet validation has" in checks["image count"].detail
    # It agreed once: a resumed run does not ask again, and keeps what was found.
    preflight(replace(plan(encoder(), data), directory=directory), lambda event: None)
    assert data.opened < 600
    assert {check.name: check for check in read_preflight(directory)} == checks


def test_another_accuracy_ends_the_run(published: float, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"known answer of val: accuracy .* published") as error:
        preflight(
            replace(plan(encoder(), ImageNet(published - 0.15)), directory=RunDir(tmp_path)),
            lambda e: None,
        )
    assert error.value.exit_code == 3
    assert "none of the parts that differ explains it" in str(error.value)


def test_a_broken_encoder_ends_the_run_before_the_first_image(tmp_path: Path) -> None:
    model, data, sound = encoder(), ImageNet(0.8), encoder().preprocess
    model.preprocess = lambda image: sound(image) * 2
    with pytest.raises(WeightsError, match="preflight, normalisation"):
        preflight(replace(plan(model, data), directory=RunDir(tmp_path)), lambda event: None)
    assert data.opened == 0


def test_weights_of_zeros_are_warned_of_in_events_and_report(tmp_path: Path) -> None:
    from tuiprobe.measure.run.records import warnings_of

    model = encoder()
    model.module = model.tower = nn.Linear(4, 4, bias=False)
    model.module.requires_grad_(False).eval().weight.zero_()
    events: list[Event] = []
    second = replace(plan(model, ImageNet(0.8)), directory=RunDir(tmp_path), rank=Rank(1, 2))
    preflight(second, events.append)
    assert read_preflight(RunDir(tmp_path)) == ()  # the first rank writes it
    preflight(replace(plan(model, ImageNet(0.8)), directory=RunDir(tmp_path)), events.append)
    message = "preflight, zero weights: 1 of 1 matrices of the vision tower hold nothing but zeros"
    assert any(e.kind == "warning" and e.message.startswith(message) for e in events)
    assert any(w.startswith(message) for w in warnings_of(read_preflight(RunDir(tmp_path))))


def test_labels_that_do_not_fit_end_the_run_with_the_code_of_data(published, tmp_path, monkeypatch):
    """Where only restoring the label map restores the answer, the data are to blame."""
    from tuiprobe.models.checks.known_answer import KnownAnswer

    failed = KnownAnswer(0.5, 50, 500, ("label map",)).check()
    monkeypatch.setattr("tuiprobe.measure.engine.checking.check_answer", lambda *a: failed)
    chosen = replace(plan(encoder(), ImageNet(published)), directory=RunDir(tmp_path))
    with pytest.raises(DataError, match="restoring the label map") as error:
        preflight(chosen, lambda event: None)
    assert error.value.exit_code == 4


def test_a_diverged_checkpoint_is_refused_by_a_run(small_checkpoint, pictures, tmp_path):
    from safetensors.torch import load_file, save_file

    state = load_file(small_checkpoint)
    name = next(n for n, t in state.items() if t.ndim > 1)
    state[name].view(-1)[0] = float("nan")
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(TuiprobeError, match=rf"{name} holds values that are not finite") as error:
        probe(
            SMALL, f"imagefolder:{pictures}", checkpoint=str(tmp_path / "w.safetensors"),
            output=str(tmp_path / "run"), threads=1, workers=0, sample=8,
        )  # fmt: skip
    assert error.value.exit_code == 3
    assert "preflight, weights" in (tmp_path / "run" / "status" / "0.json").read_text()
    assert not (tmp_path / "run" / "results.json").exists()


def deep_pictures(folder: Path, white: int, suffix: str) -> Path:
    """Writes 12 photographs of 16 bits whose brightest value is `white`."""
    pictures = data.camera()[: 480 // 4 * 4].reshape(12, 40, 512)
    (folder / "a").mkdir(parents=True)
    for number, picture in enumerate(pictures):
        values = (picture.astype(np.uint32) * white // 255).astype(np.uint16)
        Image.fromarray(values).save(folder / "a" / f"{number:02d}.{suffix}")
    return folder


@pytest.mark.parametrize(
    ("white", "fits", "suffix"), [(255, False, "png"), (4095, False, "tif"), (65535, True, "png")]
)
def test_a_16_bit_set_far_below_white_stops_the_run(white, fits, suffix, tmp_path):
    images = ImageFolder(deep_pictures(tmp_path / "deep", white, suffix))
    directory = RunDir(tmp_path / "run")
    directory.path.mkdir()
    if fits:
        preflight(replace(plan(encoder(), images), directory=directory), lambda event: None)
        checks = {check.name: check.status for check in read_preflight(directory)}
        assert checks["value range"] == "pass"
        return
    with pytest.raises(DataError, match=r"value range of val: 99.9 %.*measured as black") as error:
        preflight(replace(plan(encoder(), images), directory=directory), lambda event: None)
    names = [f"a/{number:02d}.{suffix}" for number in range(12)]
    assert sum(name in str(error.value) for name in names) == 3
    assert "by one factor" in str(error.value)


def test_a_file_of_several_sets_of_weights_is_named_in_the_warnings(
    small_checkpoint: Path, pictures: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    state = load_file(small_checkpoint)
    other = {name: torch.zeros_like(tensor) for name, tensor in state.items()}
    torch.save({"model": other, "model_ema": state}, tmp_path / "w.pt")
    report = probe(
        SMALL, f"imagefolder:{pictures}", checkpoint=str(tmp_path / "w.pt"),
        output=str(tmp_path / "run"), threads=1, workers=0, sample=8,
    )  # fmt: skip
    assert report.model.weights.entries == ("model_ema", "model")
    assert any("model_ema" in warning for warning in report.warnings)


def test_a_run_says_what_bfloat16_saves_and_so_do_its_dry_run_and_comparisons(
    small_checkpoint, pictures, tmp_path, monkeypatch, program
):
    monkeypatch.chdir(tmp_path)
    words = ["--headless", "--model", SMALL, "--checkpoint", str(small_checkpoint)]
    words += ["--data", f"imagefolder:{pictures}", "--sample", "0", "--workers", "0"]
    words += ["--threads", "1"]
    assert run_cli([*words, "--output", "runs/untried"]) == 0
    untried = read_preflight(RunDir(tmp_path / "runs" / "untried"))
    monkeypatch.setattr(checking, "has_bfloat16", lambda device: True)
    monkeypatch.setattr(checking, "TIMED_IMAGES", 1)
    monkeypatch.setattr(trial, "_FEW_PARAMETERS", 0)
    seconds = iter([0, 2.3, 0, 1.0])
    monkeypatch.setattr(trial, "perf_counter", lambda: next(seconds))
    printed = program(*words, "--output", "runs/tried", "--json")
    (types,) = (c for c in read_preflight(RunDir(tmp_path / "runs" / "tried")) if c.name == TYPES)
    assert types.detail.startswith("bfloat16 is 2.3 times as fast here and ")
    assert types.detail.endswith(": --dtype bfloat16")
    assert printed.err.count(types.detail) == 1
    assert types.detail in printed.out
    assert TYPES not in {check.name for check in untried}
    features = [
        [file.read_bytes() for file in sorted((tmp_path / "runs" / run).rglob("features/*/*"))]
        for run in ("untried", "tried")
    ]
    assert features[0] == features[1] != []  # the trial changed no bit
    preview = Preview.model_validate_json(program(*words, "--dry-run", "--json").out)
    assert preview.types.startswith(types.detail)
    assert "tried" in preview.types
    assert types.detail not in program(*words, "--dtype", "bfloat16", "--dry-run").out
    assert run_cli([*words, "--dtype", "bfloat16", "--output", "runs/half"]) == 0
    runs = [tmp_path / "runs" / run for run in ("untried", "half")]
    notes = decide(read_runs(runs)).notes
    in_types = [note for note in notes if "computed in" in note]
    assert [note.rpartition(" ")[2] for note in in_types] == ["float32", "bfloat16"]
    again = decide(read_runs([runs[0], tmp_path / "runs" / "tried"])).notes
    assert not any("computed in" in note for note in again)
