"""Lines and reaches with families left out, against numpy and scipy."""

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from tuiprobe.catalog.accuracies import SHIFTS, ModelAccuracies, published_row, rows
from tuiprobe.catalog.effective_robustness import (
    bundled,
    bundled_models,
    effective_robustness,
    logit,
    mean_of,
    sigmoid,
)
from tuiprobe.catalog.leave_family_out import ModelPoint, reach, residuals, solve, sums_of, total


def points(models: int = 40, families: int = 8, seed: int = 0) -> list[ModelPoint]:
    rng = np.random.default_rng(seed)
    shift = rng.standard_normal(families) / 5
    drawn = []
    for i in range(models):
        x = float(rng.uniform(-2, 2))
        y = 0.9 * x - 0.4 + shift[i % families] + 0.05 * rng.standard_normal()
        drawn.append(ModelPoint(x, float(y), f"f{i % families}"))
    return drawn


@pytest.mark.parametrize("level", [0.5, 0.8, 0.95])
def test_a_reach_is_the_weighted_quantile(level: float) -> None:
    left_out = residuals(points(33, 7))
    sizes = np.concatenate([np.abs(v) for v in left_out.values()])
    weights = np.concatenate(
        [np.full(len(v), 1 / len(v) / len(left_out)) for v in left_out.values()]
    )
    half = reach(left_out, level)
    assert half in sizes
    assert weights[sizes <= half].sum() >= level - 1e-9
    assert weights[sizes < half].sum() < level


def test_a_family_counts_once_however_many_models_it_has() -> None:
    few = {"a": (0.1,), "b": (0.2,), "c": (0.3,), "d": (0.4,), "e": (0.5,)}
    many = {**few, "a": (0.1,) * 500}
    assert [reach(few, q) for q in (0.3, 0.7, 0.95)] == [reach(many, q) for q in (0.3, 0.7, 0.95)]


def test_intervals_hold_for_new_families_where_plain_ones_do_not() -> None:
    """Planted families with effects of their own: a new one is inside about as often as said."""
    inside, plain = [], []
    for seed in range(100):
        whole = points(60, 15, seed)
        known = [p for p in whole if p.family != "f14"]
        (new, *_) = [p for p in whole if p.family == "f14"]
        a, b = solve(total(list(sums_of(known).values())))
        off = abs(new.y - a * new.x - b)
        inside.append(off <= reach(residuals(known), 0.8))
        relatives = stats.linregress([p.x for p in whole], [p.y for p in whole])
        own = [abs(p.y - relatives.slope * p.x - relatives.intercept) for p in whole]
        plain.append(off <= float(np.quantile(own, 0.8)))
    # 14 families: the level lies between .8 - 1/15 and .8 + 1/14; three deviations of 100 draws.
    assert 0.8 - 0.067 - 0.12 < np.mean(inside) < 0.8 + 0.072 + 0.12
    assert np.mean(plain) < np.mean(inside)


def test_too_few_are_refused() -> None:
    with pytest.raises(ValueError, match="19 published models of 8 families"):
        residuals(points(19))
    with pytest.raises(ValueError, match="40 published models of 4 families"):
        residuals(points(40, 4))


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


def test_a_published_model_is_compared_without_its_family() -> None:
    row = published_row("open_clip:ViT-B-16-quickgelu/openai")
    assert row is not None
    assert row.imagenet is not None
    line = bundled("zero_shot", SHIFTS, row.pretraining)
    others = [model for model in bundled_models("zero_shot") if model.pretraining != "openai"]
    assert (line.n, len(line.families), line.without) == (101, 11, "openai")
    slope, intercept = np.polyfit(*axes(others), 1)
    assert line.expected(row.imagenet) == pytest.approx(
        sigmoid(slope * logit(row.imagenet) + intercept)
    )
    assert line.expected(row.imagenet) == pytest.approx(0.6026, abs=5e-4)
    er = effective_robustness(line, row.imagenet, row.shifts)
    assert er is not None
    assert er.value == pytest.approx(-0.016, abs=1e-3)
    assert not er.above


def test_the_interval_holds_for_families_that_were_left_out() -> None:
    # By brute force: the line of each family from the eleven others alone.
    rows = [row for row in bundled_models("zero_shot") if None not in row.shifts.values()]
    inside = {}
    for name in {row.pretraining for row in rows}:
        slope, intercept = np.polyfit(*axes([row for row in rows if row.pretraining != name]), 1)
        x, y = axes([row for row in rows if row.pretraining == name])
        width = bundled("zero_shot", SHIFTS, name).reach
        inside[name] = np.abs(y - slope * x - intercept) <= width
    assert np.concatenate([*inside.values()]).mean() == pytest.approx(0.97, abs=0.006)
    assert np.mean([one.mean() for one in inside.values()]) == pytest.approx(0.94, abs=0.006)
