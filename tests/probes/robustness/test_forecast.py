"""The forecast of whole runs: ImageNet-shaped sets planted at published accuracies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.engine.fake_run import FakeSet, write_run
from tests.probes.robustness.test_baselines import one_hot
from tests.report.samples import model, report
from tuiprobe.catalog.accuracies import SHIFTS, published_row
from tuiprobe.catalog.forecast import errors, peers
from tuiprobe.probes.protocol import Options, Subject
from tuiprobe.probes.reader import RunReader
from tuiprobe.probes.robustness.compute import Robustness
from tuiprobe.probes.robustness.describe import AccuracyUnderShift
from tuiprobe.report.terminal import section_text, summary
from tuiprobe.results import NotRun, Weights, is_known

OPENAI = {
    "training": "zero-shot", "name": "vitb16_openai", "architecture": "ViT-B-16-quickgelu",
    "weights": Weights(kind="pretrained", source="openai", digest="0" * 64),
}  # fmt: skip
ROW = published_row("open_clip:ViT-B-16-quickgelu/openai")
N = 1000


def planted(
    path: Path,
    x: float,
    shifts: dict[str, float],
    about: dict[str, Any] = OPENAI,
    first: dict[str, object] | None = None,
) -> Robustness:
    """Asks a run whose accuracies are these; `first` says what its first set is."""
    sets = {}
    for name, value in {"val": x, **shifts}.items():
        h, labels = one_hot(value, N)
        of: dict[str, object] = {"published": "imagenet" if name == "val" else name}
        sets[name] = FakeSet(h, labels, more=of if name != "val" or first is None else first)
    probe = AccuracyUnderShift()
    run = write_run(path, sets, np.eye(40), about=about)
    inputs = probe.inputs(RunReader(run), Options(), {})
    assert not isinstance(inputs, NotRun)
    return probe.compute(inputs, Options())


def published() -> tuple[float, dict[str, float]]:
    assert ROW.imagenet is not None
    return ROW.imagenet, {name: value for name, value in ROW.shifts.items() if value is not None}


def test_the_forecast_is_of_peers_without_the_family_and_its_difference_effective_robustness(
    tmp_path: Path,
) -> None:
    x, shifts = published()
    result = planted(tmp_path / "run", x, shifts)
    forecast = result.forecast
    assert (forecast.kind, forecast.without, forecast.published_as) == ("zero-shot", "openai", "")
    assert (forecast.models, forecast.families, forecast.target) == (101, 11, SHIFTS)
    expected = peers("zero-shot", SHIFTS, "openai").expected(round(x * N) / N, N)
    assert is_known(forecast.expected)
    assert forecast.expected.value == pytest.approx(expected.value)
    assert (forecast.expected.low, forecast.expected.high) == expected.intervals[0.95]
    left_out = errors("zero-shot")
    assert forecast.mean_error == pytest.approx(np.mean([one.error for one in left_out]))
    assert (forecast.worst_family, forecast.worst_error) == ("nllb", left_out[0].error)
    assert not isinstance(result.effective, NotRun)
    (mean,) = (
        one for one in result.effective if one.baseline == "zero_shot" and one.target == SHIFTS
    )
    assert is_known(mean.value)
    assert is_known(result.mean_shift)
    assert mean.models == forecast.models
    assert mean.value.value == pytest.approx(result.mean_shift.value - forecast.expected.value)
    named = {one.id: one for one in AccuracyUnderShift().named(result).figures}["forecast"]
    assert (named.figure, named.place) == (forecast.expected, "published zero-shot models")
    text = " ".join(summary(report(robustness=result)).split())
    assert ", mean of 5 shifts: 60 % (" in text
    assert "off by 4.1 points on average over families left out (nllb 12.2)" in text


def test_on_other_images_the_published_accuracy_is_used_and_named(tmp_path: Path) -> None:
    result = planted(tmp_path / "run", 0.5, {}, first={})
    forecast = result.forecast
    assert (forecast.published_as, forecast.imagenet) == (
        "open_clip:ViT-B-16-quickgelu/openai", published()[0]
    )  # fmt: skip
    assert is_known(forecast.expected)
    assert forecast.expected.value == pytest.approx(0.6026, abs=1e-4)
    section = AccuracyUnderShift().describe(result, Subject(model(), ()))
    text = section_text(section)
    assert "its published ImageNet accuracy (68.3 %, not measured here)" in " ".join(text.split())
    assert "Forecast" not in summary(report(robustness=result))


def test_a_checkpoint_of_the_users_leaves_no_family_out(tmp_path: Path) -> None:
    own = {**OPENAI, "weights": Weights(kind="checkpoint", source="x.pt", digest="0" * 64)}
    forecast = planted(tmp_path / "run", *published(), own).forecast
    assert (forecast.without, forecast.models, forecast.families) == ("", 110, 12)


UNTRAINED = {"weights": Weights(kind="untrained", source="seed 0", digest="0" * 64)}
CHECKPOINT = {"weights": Weights(kind="checkpoint", source="x.pt", digest="0" * 64)}


@pytest.mark.parametrize(
    ("changes", "x", "first", "reason"),
    [
        ({"training": "finetuned"}, 0.7, None, "the training of this one is finetuned"),
        ({}, 0.95, None, "an ImageNet accuracy of 95.0 % lies outside those of the 101 published"),
        (UNTRAINED, 0.5, None, "random weights"),
        (CHECKPOINT, 0.5, {}, "neither measured here nor published"),
    ],
)
def test_it_is_refused_with_the_reason(changes, x, first, reason, tmp_path):
    forecast = planted(tmp_path / "run", x, {}, {**OPENAI, **changes}, first).forecast
    assert reason in forecast.reason


def test_the_miniature_has_too_few_published_models(tmp_path: Path) -> None:
    h, labels = one_hot(0.7, 200)
    sets = {"val": FakeSet(h, labels, source="miniature:val")}
    run = write_run(tmp_path / "run", sets, np.eye(40), about={"training": "zero-shot"})
    probe = AccuracyUnderShift()
    inputs = probe.inputs(RunReader(run), Options(), {})
    assert not isinstance(inputs, NotRun)
    assert probe.compute(inputs, Options()).forecast == NotRun(
        reason="too few models are published on these sets"
    )
