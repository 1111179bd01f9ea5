"""The forecast of whole runs: ImageNet-shaped sets planted at published accuracies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.measure.fake_run import FakeSet, write_run
from tests.probes.robustness.test_baselines import one_hot
from tests.report.samples import report
from tuiprobe.catalog.accuracies import SHIFTS, published_row
from tuiprobe.catalog.forecast import peers
from tuiprobe.probes.forecast.probe import ForecastFromPeers
from tuiprobe.probes.forecast.result import Expectation, Forecast
from tuiprobe.probes.protocol import Options
from tuiprobe.probes.reader import RunReader
from tuiprobe.probes.robustness.probe import AccuracyUnderShift
from tuiprobe.probes.robustness.result import Robustness
from tuiprobe.report.terminal import summary
from tuiprobe.results import NotRun, Weights, given
from tuiprobe.run.directory import RunDir

OPENAI = {
    "training": "zero-shot", "name": "vitb16_openai", "architecture": "ViT-B-16-quickgelu",
    "weights": Weights(kind="pretrained", source="openai", digest="0" * 64),
}  # fmt: skip
ROW = published_row("open_clip:ViT-B-16-quickgelu/openai")
N = 1000


def planted(
    path: Path, x: float | None, shifts: dict[str, float], about: dict[str, Any] = OPENAI
) -> tuple[Robustness | NotRun, Forecast | NotRun]:
    """Asks a run whose accuracies are these; without x, one whose first set has no labels."""
    first, labels = one_hot(0.5 if x is None else x, N)
    known = None if x is None else labels
    sets = {"val": FakeSet(first, known, more={"published": "imagenet"})}
    for name, value in shifts.items():
        h, labels = one_hot(value, N)
        sets[name] = FakeSet(h, labels, more={"published": name})
    return asked(write_run(path, sets, None if x is None else np.eye(40), about=about))


def asked(directory: RunDir) -> tuple[Robustness | NotRun, Forecast | NotRun]:
    """Asks the two probes alone, which is quicker than a whole report."""
    run = RunReader(directory)
    result: dict[str, Any] = {}
    for probe in (AccuracyUnderShift(), ForecastFromPeers()):
        inputs: Any = probe.inputs(run, Options(), result)
        no_inputs = isinstance(inputs, NotRun)
        result[probe.id] = inputs if no_inputs else probe.compute(inputs, Options())
    return result["robustness"], result["forecast"]


def told(found: tuple[Robustness | NotRun, Forecast | NotRun]) -> tuple[Forecast, str]:
    """Returns a forecast, which must be there, and the card of its report."""
    robustness, forecast = found
    assert isinstance(forecast, Forecast), forecast
    text = summary(report(robustness=robustness, forecast=forecast))
    return forecast, " ".join(text.split())


def refused(found: tuple[Robustness | NotRun, Forecast | NotRun]) -> str:
    """Returns why there is no forecast."""
    assert isinstance(found[1], NotRun)
    return found[1].reason


def published() -> tuple[float, dict[str, float]]:
    assert ROW is not None
    assert ROW.imagenet is not None
    return ROW.imagenet, {name: value for name, value in ROW.shifts.items() if value is not None}


def of(found: Forecast, *target: str) -> Expectation:
    return next(one for one in found.expectations if one.target == target)


def test_measured_stands_beside_the_forecast_for_every_shift(tmp_path: Path) -> None:
    x, shifts = published()
    result, text = told(planted(tmp_path / "run", x, shifts))
    assert (result.source, result.kind, result.without) == ("measured", "zero-shot", "openai")
    assert (result.models, result.families) == (101, 11)
    assert [one.target for one in result.expectations] == [SHIFTS, *((s,) for s in SHIFTS)]
    assert {one.side for one in result.expectations} == {"within"}
    for one in result.expectations:
        expected = peers("zero-shot", one.target, "openai").expected(round(x * N) / N, N)
        assert given(one.forecast)
        assert one.forecast.value == pytest.approx(expected.value)
        assert (one.forecast.low, one.forecast.high) == expected.intervals[0.95]
        assert (one.low_80, one.high_80) == expected.intervals[0.80]
        assert given(one.measured)
        assert given(one.beyond)
        assert one.beyond.value == pytest.approx(one.measured.value - one.forecast.value)
    mean = of(result, *SHIFTS)
    assert given(mean.beyond)
    assert mean.beyond.value == pytest.approx(-0.016, abs=0.002)
    assert "Forecast from zero-shot models of its accuracy: mean of 5 shifts 60 % (" in text
    assert "; off by 4.1 points on average over families left out (nllb 12.2)." in text
    assert ", within what its peers reach." in text


def test_the_difference_is_effective_robustness_by_zero_shot(tmp_path: Path) -> None:
    robustness, forecast = planted(tmp_path / "run", *published())
    assert isinstance(robustness, Robustness)
    assert isinstance(forecast, Forecast)
    effective = robustness.effective
    assert not isinstance(effective, NotRun)
    by = {one.target: one for one in effective if one.baseline == "zero_shot"}
    assert len(by) == 6
    for one in forecast.expectations:
        assert by[one.target].models == 101
        assert given(one.beyond)
        wide = by[one.target].prediction
        assert given(wide)
        assert (wide.value, wide.low, wide.high) == (
            one.beyond.value, one.beyond.low, one.beyond.high
        )  # fmt: skip
        assert by[one.target].above is (one.side == "above")


@pytest.mark.parametrize(("moved", "side"), [(0.25, "above"), (-0.25, "below"), (0.0, "within")])
def test_beyond_its_peers_only_outside_the_interval(
    moved: float, side: str, tmp_path: Path
) -> None:
    x = 0.7
    expected = peers("zero-shot", SHIFTS, "openai").expected(x).value
    result, text = told(planted(tmp_path / "run", x, dict.fromkeys(SHIFTS, expected + moved)))
    assert of(result, *SHIFTS).side == side
    assert f", {side} what its peers reach." in text


def test_shifts_that_were_not_measured_are_forecast_all_the_same(tmp_path: Path) -> None:
    x, shifts = published()
    two = {name: shifts[name] for name in ("imagenet_v2", "imagenet_r")}
    result, text = told(planted(tmp_path / "run", x, two))
    targets = [one.target for one in result.expectations]
    assert targets == [SHIFTS, ("imagenet_v2", "imagenet_r"), *((s,) for s in SHIFTS)]
    whole = of(result, *SHIFTS)
    assert whole.side is None
    assert isinstance(whole.measured, NotRun)
    assert "imagenet_sketch" in whole.measured.reason
    assert of(result, *targets[1]).side == "within"
    assert "Measured minus forecast, mean of 2 shifts: " in text


def test_without_labels_the_published_accuracy_is_used_and_named(tmp_path: Path) -> None:
    result, text = told(planted(tmp_path / "run", None, {}))
    assert (result.source, result.published_as) == (
        "published", "open_clip:ViT-B-16-quickgelu/openai"
    )  # fmt: skip
    mean = of(result, *SHIFTS)
    assert given(mean.forecast)
    assert mean.forecast.value == pytest.approx(0.6026, abs=1e-4)
    assert mean.side is None
    assert "its published ImageNet accuracy (68.3 %, not measured here)" in text


def test_a_checkpoint_of_the_users_leaves_no_family_out(tmp_path: Path) -> None:
    own = {**OPENAI, "weights": Weights(kind="checkpoint", source="x.pt", digest="0" * 64)}
    result, _ = told(planted(tmp_path / "run", *published(), own))
    assert (result.without, result.models, result.families) == ("", 110, 12)


@pytest.mark.parametrize(
    ("changes", "x", "reason"),
    [
        ({"training": "finetuned"}, 0.7, "this model's is finetuned"),
        ({"training": "captions"}, 0.7, "this model's is captions"),
        ({"ablated": ("channel 3",)}, 0.7, "channels are ablated"),
        ({}, 0.95, "an ImageNet accuracy of 95.0 % lies outside those of the 101 published"),
        (
            {"weights": Weights(kind="untrained", source="seed 0", digest="0" * 64)}, 0.5,
            "random weights",
        ),
        (
            {"weights": Weights(kind="checkpoint", source="x.pt", digest="0" * 64)}, None,
            "neither measured here nor published",
        ),
    ],
)  # fmt: skip
def test_it_is_refused_with_the_reason(
    changes: dict[str, Any], x: float | None, reason: str, tmp_path: Path
) -> None:
    assert reason in refused(planted(tmp_path / "run", x, {}, {**OPENAI, **changes}))


def test_the_miniature_has_too_few_published_models(tmp_path: Path) -> None:
    h, labels = one_hot(0.7, 200)
    sets = {"val": FakeSet(h, labels, source="miniature:val")}
    run = write_run(tmp_path / "run", sets, np.eye(40), about={"training": "zero-shot"})
    assert refused(asked(run)) == (
        "accuracies of 12 models (6 families) are known for these sets, and a forecast needs 20 "
        "models of 5 families"
    )
