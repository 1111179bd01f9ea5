"""What INT8 changes, against rounding, logits and neighbours in plain numpy."""

from __future__ import annotations

import numpy as np
import pytest

from tests.probes.planted import gaussian, persistent
from tuiprobe.probes.heads import SetFeatures
from tuiprobe.probes.quantisation.compute import NEIGHBOURS, answers_changed, neighbours_kept
from tuiprobe.results import Estimate, NotRun
from tuiprobe.run.checked_arrays import HeadArrays

CHANNELS, CLASSES = 64, 12
APART = (5,)


def planted(name: str, seed: int, labelled: bool = True) -> SetFeatures:
    """Returns images of classes whose directions are close, with one channel far from the rest."""
    rng = np.random.default_rng(seed)
    rows = persistent(1, n=800, channels=CHANNELS, offset=40.0, seed=seed).astype(np.float32)
    labels = rng.integers(0, CLASSES, len(rows))
    rows += 0.4 * HEAD.weight[labels]
    return SetFeatures(name, rows, labels if labelled else None)


HEAD = HeadArrays(gaussian(CLASSES, CHANNELS, seed=3).astype(np.float32))


def by_hand(rows: np.ndarray, largest: np.ndarray) -> np.ndarray:
    step = largest / 127
    return np.clip(np.round(rows.astype(np.float64) / step), -127, 127) * step


def scales(largest: np.ndarray, scheme: str) -> np.ndarray:
    if scheme == "tensor":
        return np.full(CHANNELS, largest.max())
    others = np.full(CHANNELS, np.delete(largest, list(APART)).max())
    others[list(APART)] = largest[list(APART)]
    return others


@pytest.mark.parametrize("scheme", ["tensor", "apart"])
def test_answers_equal_those_by_hand(scheme: str) -> None:
    sets = [planted("val", 1), planted("shift", 2), planted("street", 4, labelled=False)]
    largest = np.abs(sets[0].features).max(axis=0).astype(np.float64)
    found = {(one.data, one.scheme): one for one in answers_changed(HEAD, sets, largest, APART)}
    assert len(found) == 6
    for one in sets:
        before = (one.features @ HEAD.weight.T).argmax(axis=1)
        rounded = by_hand(one.features, scales(largest, scheme)).astype(np.float32)
        after = (rounded @ HEAD.weight.T).argmax(axis=1)
        figures = found[one.name, scheme]
        assert value(figures.changed) == pytest.approx((before != after).mean(), abs=0.003)
        if one.labels is None:
            assert figures.top1 == NotRun(reason="no labels")
        else:
            gain = (after == one.labels).mean() - (before == one.labels).mean()
            assert value(figures.top1) == pytest.approx(gain, abs=0.003)


def test_channels_with_scales_of_their_own_change_fewer_answers() -> None:
    one = planted("val", 1)
    largest = np.abs(one.features).max(axis=0).astype(np.float64)
    whole, apart = answers_changed(HEAD, [one], largest, APART)
    assert value(whole.changed) > 2 * value(apart.changed)
    assert [each.scheme for each in answers_changed(HEAD, [one], largest, ())] == ["tensor"]


def test_neighbours_equal_those_by_hand() -> None:
    one = planted("rows", 1, labelled=False)
    largest = np.abs(one.features).max(axis=0).astype(np.float64)
    (whole, apart) = neighbours_kept([one], largest, APART, seed=0)
    for figures in (whole, apart):
        rounded = by_hand(one.features, scales(largest, figures.scheme))
        same = [
            len(set(a) & set(b)) / NEIGHBOURS
            for a, b in zip(nearest(one.features), nearest(rounded), strict=True)
        ]
        assert value(figures.kept) == pytest.approx(np.mean(same), abs=0.003)
        assert figures.kept.unit == "share"  # type: ignore[union-attr]
    assert value(apart.kept) > value(whole.kept)


def nearest(rows: np.ndarray) -> np.ndarray:
    unit = rows.astype(np.float64) / np.linalg.norm(rows, axis=1)[:, None]
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -2)
    return np.argsort(-cosines, axis=1)[:, :NEIGHBOURS]


def test_too_few_rows_have_no_neighbours() -> None:
    few = SetFeatures("rows", gaussian(NEIGHBOURS, 8).astype(np.float32))
    assert neighbours_kept([few], np.ones(8), (), seed=0) == ()


def value(figure: object) -> float:
    assert isinstance(figure, Estimate)
    return figure.value
