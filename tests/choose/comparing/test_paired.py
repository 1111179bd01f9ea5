"""Paired differences: against standard errors of theory and a plain bootstrap over images."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.show.report.samples import estimate
from tuiprobe.choose.comparing.inference import METHOD, Pairing, second_minus_first
from tuiprobe.measure.run.per_image import SetValues
from tuiprobe.results import Estimate, NotRun
from tuiprobe.results.section import BaselineLine, MeanOf, NamedFigure

N = 2000
NOISE = 0.06
"""Three standard errors of a percentile interval's width from 2,000 draws, relative."""
LINE = BaselineLine(set="val", slope=1.1, intercept=-0.8, covariance=(0.0, 0.0, 0.0))


def values(kind: str, array: np.ndarray, **changes: str) -> SetValues:
    plain = SetValues("list", "contents", np.arange(len(array)), {kind: array})  # type: ignore[dict-item]
    return replace(plain, **changes)  # type: ignore[arg-type]


def answers(seed: int, rates: tuple[float, float] = (0.7, 0.6)) -> tuple[np.ndarray, np.ndarray]:
    """Returns correct answers of two models that agree on most images."""
    rng = np.random.default_rng(seed)
    hard = rng.random(N)
    return tuple((hard + rng.normal(0, 0.05, N) < rate).astype(np.uint8) for rate in rates)  # type: ignore[return-value]


def named(value: float | np.floating[Any], mean_of: MeanOf | None) -> NamedFigure:
    figure = estimate(float(value), 0.02)
    return NamedFigure(id="x", name="x", data="val", place="p", figure=figure, mean_of=mean_of)


def width(change: Estimate | None) -> float:
    assert change.low is not None
    assert change.high is not None
    return (change.high - change.low) / 2


def mcnemar(a: np.ndarray, b: np.ndarray) -> float:
    """Returns the standard error of a difference of paired proportions."""
    gained, lost = ((b > a).sum(), (a > b).sum())
    return float(np.sqrt(gained + lost - (gained - lost) ** 2 / len(a)) / len(a))


def test_accuracy_has_the_standard_error_of_mcnemar() -> None:
    a, b = answers(0)
    about = MeanOf(values="correct", sets=("val",))
    pairing = Pairing({"val": values("correct", a)}, {"val": values("correct", b)})
    change = pairing.second_minus_first(named(a.mean(), about), named(b.mean(), about))
    assert change.value == pytest.approx(b.mean() - a.mean())
    assert (change.n, change.method) == (N, METHOD)
    assert width(change) == pytest.approx(1.96 * mcnemar(a, b), rel=NOISE)
    separate = second_minus_first(named(a.mean(), None).figure, named(b.mean(), None).figure)
    assert width(change) < width(separate)  # type: ignore[arg-type]
    assert pairing.second_minus_first(named(a.mean(), about), named(b.mean(), about)) == change


def test_a_mean_of_shifts_is_resampled_within_each_set() -> None:
    sets = {name: answers(seed) for seed, name in enumerate(("r", "sketch", "a"))}
    about = MeanOf(values="correct", sets=tuple(sets))
    pairing = Pairing(
        {name: values("correct", a) for name, (a, _) in sets.items()},
        {name: values("correct", b) for name, (_, b) in sets.items()},
    )
    first, second = (float(np.mean([pair[i].mean() for pair in sets.values()])) for i in (0, 1))
    change = pairing.second_minus_first(named(first, about), named(second, about))
    error = np.sqrt(sum(mcnemar(a, b) ** 2 for a, b in sets.values())) / 3
    assert width(change) == pytest.approx(1.96 * error, rel=NOISE)
    assert change.n == 3 * N


@pytest.mark.parametrize("n", [N, 20_000])
def test_kurtosis_has_the_standard_error_of_the_paired_mean(n: int) -> None:
    rng = np.random.default_rng(1)
    common = rng.gamma(4, 1, n)
    a, b = common + rng.normal(3, 0.2, n), common + rng.normal(3.1, 0.2, n)
    a[5] = b[5] = np.nan  # an image without kurtosis in both runs
    about = MeanOf(values="kurtosis", sets=("val",))
    pairing = Pairing({"val": values("kurtosis", a)}, {"val": values("kurtosis", b)})
    change = pairing.second_minus_first(named(np.nanmean(a), about), named(np.nanmean(b), about))
    error = np.nanstd(b - a) / np.sqrt(n - 1)
    assert width(change) == pytest.approx(1.96 * error, rel=NOISE)
    b[6] = np.nan  # of one run alone: these are no longer the same images
    other = Pairing({"val": values("kurtosis", a)}, {"val": values("kurtosis", b)})
    assert (
        other.second_minus_first(named(np.nanmean(a), about), named(np.nanmean(b), about)) is None
    )


def robustness(val: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Returns effective robustness by `LINE` from means along the last axis."""
    x = val.mean(axis=-1)
    return shift.mean(axis=-1) - 1 / (
        1 + np.exp(-LINE.slope * np.log(x / (1 - x)) - LINE.intercept)
    )


def test_effective_robustness_is_that_of_a_plain_bootstrap() -> None:
    val, shift = answers(2, (0.9, 0.85)), answers(3, (0.5, 0.6))
    about = MeanOf(values="correct", sets=("r",), line=LINE)
    first, second = (
        {"val": values("correct", v), "r": values("correct", s)}
        for v, s in zip(val, shift, strict=True)
    )
    pairing = Pairing(first, second)
    a, b = (float(robustness(v, s)) for v, s in zip(val, shift, strict=True))
    change = pairing.second_minus_first(named(a, about), named(b, about))
    rng = np.random.default_rng(9)
    drawn = []
    for _ in range(2000):
        i, j = rng.integers(0, N, (2, N))
        drawn.append(robustness(val[1][i], shift[1][j]) - robustness(val[0][i], shift[0][j]))
    low, high = np.quantile(drawn, (0.025, 0.975))
    assert change.value == pytest.approx(b - a)
    assert width(change) == pytest.approx((high - low) / 2, rel=1.5 * NOISE)
    line = LINE.model_copy(update={"covariance": (0.02, 0.0, 0.02)})
    unsure = about.model_copy(update={"line": line})
    wider = pairing.second_minus_first(named(a, unsure), named(b, unsure))
    assert width(wider) > width(change)


def test_a_line_that_no_baseline_has_is_not_used() -> None:
    val = answers(2)
    first, second = ({"val": values("correct", v)} for v in val)
    for changes in ({"slope": 1e99}, {"covariance": (-1.0, 5.0, 1e100)}):
        line = LINE.model_copy(update=changes)
        about = MeanOf(values="correct", sets=("val",), line=line)
        x = [v.mean() for v in val]
        with np.errstate(over="ignore"):
            exponents = [line.slope * np.log(p / (1 - p)) + line.intercept for p in x]
            figures = [p - 1 / (1 + np.exp(-e)) for p, e in zip(x, exponents, strict=True)]
        change = Pairing(first, second).second_minus_first(
            named(figures[0], about), named(figures[1], about)
        )
        assert change is None or np.isfinite(width(change))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"samples": "else"}, "other images or labels"),
        ({"contents": "else"}, "images of other contents"),
        ({"contents": ""}, ""),
    ],
)
def test_other_images_are_not_paired(changes: dict[str, str], reason: str) -> None:
    a, b = answers(0)
    about = MeanOf(values="correct", sets=("val",))
    pairing = Pairing({"val": values("correct", a)}, {"val": values("correct", b, **changes)})
    assert pairing.why_not("val") == (NotRun(reason=reason) if reason else None)
    change = pairing.second_minus_first(named(a.mean(), about), named(b.mean(), about))
    assert (change is None) == bool(reason)


def test_what_is_no_mean_of_these_images_is_not_paired() -> None:
    a, b = answers(0)
    about = MeanOf(values="correct", sets=("val",))
    pairing = Pairing({"val": values("correct", a)}, {"val": values("correct", b)})
    second = named(b.mean(), about)
    lost = second.model_copy(update={"figure": NotRun(reason="none")})
    other = MeanOf(values="correct", sets=("val", "r"))
    assert (
        pairing.second_minus_first(named(a.mean() + 0.01, about), second) is None
    )  # of another head
    assert pairing.second_minus_first(named(a.mean(), None), named(b.mean(), None)) is None
    assert pairing.second_minus_first(named(a.mean(), about), named(b.mean(), other)) is None
    assert pairing.second_minus_first(named(a.mean(), about), lost) is None
    assert "reprobe" in pairing.why_not("r").remedy


def test_equal_answers_on_few_images_are_no_certainty() -> None:
    a = np.ones(20, dtype=np.uint8)
    about = MeanOf(values="correct", sets=("val",))
    pairing = Pairing({"val": values("correct", a)}, {"val": values("correct", a)})
    change = pairing.second_minus_first(named(1, about), named(1, about))
    assert width(change) > 0.05
