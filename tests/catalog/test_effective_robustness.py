"""Effective robustness: the fits of the published tables, and the intervals' coverage."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import linregress

from tuiprobe.catalog.accuracies import SHIFTS, ModelAccuracies, published_row, rows
from tuiprobe.catalog.effective_robustness import (
    BASELINES,
    bundled,
    default_target,
    effective_robustness,
    fit,
    logit,
    mean_of,
    on_classes_of_shift,
    sigmoid,
)

FITS = [
    ("standard", SHIFTS, 80, 1.0439, -1.8918, 0.948),
    ("standard_and_low", SHIFTS, 188, 0.7858, -1.6014, 0.995),
    ("standard", ("imagenet_v2",), 80, 0.9316, -0.5087, 0.996),
    ("standard", ("imagenet_r",), 80, 0.9116, -1.5999, 0.877),
    ("standard", ("imagenet_sketch",), 80, 1.1212, -2.4381, 0.892),
    ("standard", ("objectnet",), 80, 1.2311, -2.0674, 0.949),
    # One row has no image of ImageNet-A right: left out, and counted.
    ("standard", ("imagenet_a",), 79, 3.1884, -6.4477, 0.792),
    ("timm_imagenet1k", default_target("timm_imagenet1k"), 1097, 1.1363, -1.9881, 0.892),
]


@pytest.mark.parametrize(("baseline", "target", "n", "a", "b", "r2"), FITS)
def test_published_coefficients(baseline, target, n, a, b, r2):
    line = bundled(baseline, target)
    assert line.n == n
    assert line.left_out == (1 if target == ("imagenet_a",) else 0)
    assert (line.a, line.b) == pytest.approx((a, b), abs=2e-4)
    assert line.r2 == pytest.approx(r2, abs=6e-4)


@pytest.mark.parametrize("baseline", BASELINES)
def test_fit_is_that_of_scipy(baseline: str) -> None:
    line = bundled(baseline)
    chosen = [row for row in rows() if baseline in row.baselines]
    pairs = [(row.imagenet, mean_of(line.target, row.shifts)) for row in chosen]
    x, y = np.array([(logit(i), logit(m)) for i, m in pairs if i and m]).T
    expected = linregress(x, y)
    assert line.a == pytest.approx(expected.slope, rel=1e-9)
    assert line.b == pytest.approx(expected.intercept, rel=1e-9)
    assert line.r2 == pytest.approx(expected.rvalue**2, rel=1e-9)


@pytest.mark.parametrize(
    ("spec", "baseline", "value", "extrapolated"),
    [
        ("open_clip:ViT-B-16-quickgelu/openai", "standard", 0.33, False),
        ("open_clip:RN50-quickgelu/cc12m", "standard_and_low", 0.15, False),
        ("open_clip:RN50-quickgelu/cc12m", "standard", 0.18, True),
    ],
)
def test_known_models(spec: str, baseline: str, value: float, extrapolated: bool) -> None:
    row = published_row(spec)
    result = effective_robustness(bundled(baseline), row.imagenet, row.shifts)
    ends = (result.prediction[0], result.precision[0], result.value)
    assert [*ends, result.precision[1], result.prediction[1]] == sorted(
        [*ends, result.precision[1], result.prediction[1]]
    )
    assert (result.above, result.extrapolated) == (True, extrapolated)
    assert result.value == pytest.approx(value, abs=0.01)


def test_no_figure_without_all_accuracies() -> None:
    line = bundled("standard")
    some = dict.fromkeys(SHIFTS, 0.5)
    assert effective_robustness(line, None, some) is None
    assert effective_robustness(line, 1.0, some) is None
    assert effective_robustness(line, 0.7, {**some, "objectnet": None}) is None
    assert effective_robustness(line, 0.7, {"imagenet_v2": 0.5}) is None


def models(seed: int, count: int, scatter: float) -> list[ModelAccuracies]:
    """Returns models of twelve families around a known line, in logits."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 2, count)
    y = 1.1 * x - 1.5 + rng.normal(0, scatter, count)
    return [
        ModelAccuracies(
            table="t",
            model=f"{'abcdefghijkl'[i % 12]}net{i}",
            imagenet=sigmoid(float(x[i])),
            shifts={"imagenet_v2": sigmoid(float(y[i]))},
        )
        for i in range(count)
    ]


@pytest.mark.slow
def test_prediction_interval_covers_new_models() -> None:
    """95 % nominal; over 200 draws a correct interval stays within 90.5 to 99.5 %."""
    hits = 0
    for seed in range(200):
        *known, new = models(seed, 61, 0.2)
        line = fit("t", known, ("imagenet_v2",))
        result = effective_robustness(line, new.imagenet, new.shifts)
        hits += result.prediction[0] <= 0 <= result.prediction[1]
    assert 0.905 <= hits / 200 <= 0.995


def test_too_few_models_are_an_error() -> None:
    with pytest.raises(ValueError, match="6 models have the accuracies; a line needs 7"):
        fit("mine", models(0, 6, 0.1), ("imagenet_v2",))
    assert fit("mine", models(0, 7, 0.1), ("imagenet_v2",)).n == 7
    alike = [replace(row, imagenet=0.5) for row in models(0, 9, 0.1)]
    with pytest.raises(ValueError, match="same in-distribution accuracy"):
        fit("mine", alike, ("imagenet_v2",))
    with pytest.raises(ValueError, match="unknown baseline"):
        bundled("nothing")


def test_lines_on_a_shifts_own_classes_are_those_of_the_table() -> None:
    chosen = [row for row in rows() if "standard" in row.baselines]
    moved = on_classes_of_shift(chosen, "imagenet_r")
    line = fit("standard", moved, ("imagenet_r",))
    kept = [r for r in chosen if r.on_shift_classes["imagenet_r"] and r.shifts["imagenet_r"]]
    expected = linregress(
        [logit(r.on_shift_classes["imagenet_r"]) for r in kept],  # type: ignore[arg-type]
        [logit(r.shifts["imagenet_r"]) for r in kept],  # type: ignore[arg-type]
    )
    assert line.n == len(kept) > 60
    assert (line.a, line.b) == pytest.approx((expected.slope, expected.intercept))
    assert line.low > bundled("standard", ("imagenet_r",)).low  # easier on fewer classes
    assert on_classes_of_shift(chosen, "imagenet_v2") == []
