"""The forecast from published models: against numpy, by brute force, and where it is refused."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tuiprobe.catalog.accuracies import SHIFTS, ModelAccuracies, published_row, rows
from tuiprobe.catalog.effective_robustness import (
    bundled,
    bundled_models,
    effective_robustness,
    family,
    family_of_row,
    logit,
    mean_of,
    sigmoid,
)
from tuiprobe.catalog.forecast import errors, family_of_model, kind_of, peers

OPENAI = "open_clip:ViT-B-16-quickgelu/openai"


def axes(models: Sequence[ModelAccuracies]) -> tuple[np.ndarray, np.ndarray]:
    """Returns ImageNet accuracy and the mean of the shifts, in logits."""
    pairs = [(row.imagenet, mean_of(SHIFTS, row.shifts)) for row in models]
    x, y = np.array(pairs, dtype=float).T
    return np.log(x / (1 - x)), np.log(y / (1 - y))


def test_peers_are_each_set_of_weights_once_without_those_measured_wrongly() -> None:
    models = bundled_models("zero_shot")
    assert len(models) == 110
    assert len({(r.imagenet, *r.shifts.values()) for r in models}) == 110
    assert not any(row.note for row in models)
    assert {row.training for row in models} == {"zero-shot"}
    left = [r for r in rows() if r.table == "open_clip" and r not in models]
    assert len(left) == 11
    assert all(row.note for row in left)
    assert {row.pretraining for row in models} == {
        "openai", "webli", "datacomp", "commonpool", "dfn", "metaclip", "merged2b", "laion400m",
        "laion2b", "yfcc15m", "cc12m", "nllb",
    }  # fmt: skip
    assert len(bundled_models("standard")) == 80


def test_a_published_model_is_forecast_without_its_family() -> None:
    row = published_row(OPENAI)
    assert row.imagenet is not None
    chosen = peers("zero-shot", SHIFTS, family_of_model("zero-shot", row, row.model))
    kept = [model for model in bundled_models("zero_shot") if model.pretraining != "openai"]
    assert (chosen.line.n, chosen.families, chosen.line.without) == (101, 11, "openai")
    slope, intercept = np.polyfit(*axes(kept), 1)
    forecast = chosen.expected(row.imagenet)
    assert forecast.value == pytest.approx(sigmoid(slope * logit(row.imagenet) + intercept))
    assert forecast.value == pytest.approx(0.6026, abs=5e-4)
    low, high = forecast.intervals[0.95]
    assert (low, high) == pytest.approx((0.474, 0.719), abs=1e-3)
    er = effective_robustness(chosen.line, row.imagenet, row.shifts)
    assert er.value == pytest.approx(-0.016, abs=1e-3)
    assert not er.above
    standard = effective_robustness(bundled("standard"), row.imagenet, row.shifts)
    assert standard.value == pytest.approx(0.334, abs=1e-3)


@pytest.mark.parametrize(
    ("kind", "families", "mean", "worst", "size"),
    [("zero-shot", 12, 0.041, "nllb", 0.122), ("supervised", 26, 0.011, "googlenet", 0.032)],
)
def test_errors_are_those_of_refits_without_each_family(kind, families, mean, worst, size):
    baseline = {"zero-shot": "zero_shot", "supervised": "standard"}[kind]
    models = bundled_models(baseline)
    expected = {}
    for name in {family_of_row(row) for row in models}:
        kept = [row for row in models if family_of_row(row) != name]
        x, y = axes([row for row in models if family_of_row(row) == name])
        slope, intercept = np.polyfit(*axes(kept), 1)
        forecast, truth = (1 / (1 + np.exp(-v)) for v in (slope * x + intercept, y))
        expected[name] = np.abs(forecast - truth).mean()
    by_family = errors(kind)  # type: ignore[arg-type]
    assert {family.family: family.error for family in by_family} == pytest.approx(expected)
    assert len(by_family) == families
    assert np.mean([family.error for family in by_family]) == pytest.approx(mean, abs=5e-4)
    assert by_family[0].family == worst
    assert by_family[0].error == pytest.approx(size, abs=5e-4)


@pytest.mark.parametrize(
    ("level", "models", "mean_of_families"), [(0.80, 0.87, 0.79), (0.95, 0.97, 0.94)]
)
def test_intervals_hold_for_families_that_were_left_out(level, models, mean_of_families):
    # By brute force: the line of each family from the eleven others alone.
    rows = [row for row in bundled_models("zero_shot") if None not in row.shifts.values()]
    inside = {}
    for name in {row.pretraining for row in rows}:
        slope, intercept = np.polyfit(*axes([row for row in rows if row.pretraining != name]), 1)
        x, y = axes([row for row in rows if row.pretraining == name])
        width = peers("zero-shot", SHIFTS, name).reach[level]
        inside[name] = np.abs(y - slope * x - intercept) <= width
    assert np.concatenate([*inside.values()]).mean() == pytest.approx(models, abs=0.006)
    assert np.mean([one.mean() for one in inside.values()]) == pytest.approx(
        mean_of_families, abs=0.006
    )


def test_it_is_refused_outside_the_range_of_accuracies() -> None:
    chosen = peers("supervised")
    for x in (0.3, 0.9, 0.0, 1.0):
        with pytest.raises(ValueError, match=r"lies outside those of the 80 published supervised"):
            chosen.expected(x)
    with pytest.raises(ValueError, match=r"outside the family dfn, 2\.7 % to 83\.1 %"):
        peers("zero-shot", SHIFTS, "dfn").expected(0.8437)


def test_a_sampled_accuracy_widens_the_interval() -> None:
    chosen = peers("supervised")
    published, sampled = chosen.expected(0.7), chosen.expected(0.7, 500)
    (low, high), (lower, higher) = (forecast.intervals[0.95] for forecast in (published, sampled))
    assert lower < low < high < higher
    se = (0.7 * 0.3 / 500) ** 0.5 / (0.7 * 0.3)  # of the logit
    wide = np.hypot(chosen.reach[0.95], 1.959964 * chosen.line.a * se)
    centre = chosen.line.a * logit(0.7) + chosen.line.b
    assert (lower, higher) == pytest.approx((sigmoid(centre - wide), sigmoid(centre + wide)))


def test_kinds_without_published_models_are_refused() -> None:
    only, more = (
        published_row("timm:resnet50.a1_in1k", 224),
        published_row("timm:beit3_base_patch16_224.in22k_ft_in1k", 224),
    )
    assert kind_of("unknown", only) == "supervised"
    assert kind_of("supervised", more) == "supervised"  # as a preset says
    assert kind_of("supervised", None) == "supervised"
    assert kind_of("zero-shot", None) == "zero-shot"
    with pytest.raises(ValueError, match="not listed as trained on ImageNet-1k"):
        kind_of("unknown", more)
    for training in ("finetuned", "captions", "unknown"):
        with pytest.raises(ValueError, match=f"the training of this one is {training}"):
            kind_of(training, None)
    assert family_of_model("supervised", only, "resnet50") == family("resnet50")
    assert family_of_model("zero-shot", None, "ViT-B-16") == ""
