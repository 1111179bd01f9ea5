"""Lines and reaches with families left out, against numpy and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

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
