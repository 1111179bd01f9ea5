"""INT8 rounding against torch's fake quantisation, and what it changes against plain numpy."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.probes.planted import gaussian, persistent, sparse
from tuiprobe.probes.base.head_arrays import SetFeatures
from tuiprobe.probes.quantisation.compute import (
    LEVELS,
    NEIGHBOURS,
    SAMPLED_ROWS,
    Quantised,
    TapRows,
    answers_changed,
    neighbours_after_rounding,
    quantise,
)
from tuiprobe.results import Estimate, NotRun, is_known
from tuiprobe.run.checked_arrays import HeadArrays


def tap(rows: np.ndarray) -> TapRows:
    rows = rows.astype(np.float32)
    largest = np.abs(rows).max(axis=0).astype(np.float64)
    return TapRows("val", "embedding", True, rows, largest)


def quantised(rows: np.ndarray) -> Quantised:
    return quantise(tap(rows), seed=0)


def fake(rows: np.ndarray, scheme: str) -> np.ndarray:
    """Rounds with torch."""
    x = torch.from_numpy(rows.astype(np.float32))
    if scheme == "tensor":
        scale = float(x.abs().max()) / LEVELS
        return torch.fake_quantize_per_tensor_affine(x, scale, 0, -LEVELS, LEVELS).numpy()
    scales = (x.abs().amax(0) / LEVELS).clamp_min(1e-30)
    zero = torch.zeros(x.shape[1], dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(x, scales, zero, 1, -LEVELS, LEVELS).numpy()


def decibels(rows: np.ndarray, scheme: str, *, centred: bool) -> float:
    x = rows.astype(np.float64)
    signal = x - x.mean(0) if centred else x
    return float(10 * np.log10((signal**2).sum() / ((x - fake(rows, scheme)) ** 2).sum()))


def thousand_sigma() -> np.ndarray:
    h = gaussian(600)
    h[:, 7] += 1000
    return h


PLANTED = {
    "gaussian": gaussian(600),
    "sparse": sparse(10, n=600)[0],
    "sparser": np.maximum(gaussian(600) - 1.75, 0),  # 96 % zeros
    "channel at 1,000 sigma": thousand_sigma(),
    "persistent": persistent(2, n=600),
}


@pytest.mark.parametrize("scheme", ["tensor", "channel"])
@pytest.mark.parametrize("name", PLANTED)
def test_equals_fake_quantisation_of_torch(name: str, scheme: str) -> None:
    rows = PLANTED[name]
    result = getattr(quantised(rows), scheme)
    for figure, centred in ((result.energy, False), (result.variance, True)):
        assert is_known(figure)
        assert figure.value == pytest.approx(decibels(rows, scheme, centred=centred), abs=0.02)
        assert figure.low is not None
        assert figure.low <= figure.value <= figure.high  # type: ignore[operator]


REAL = os.environ.get("TUIPROBE_REAL_ARRAYS", "")


@pytest.mark.skipif(not REAL, reason="TUIPROBE_REAL_ARRAYS is not set")
@pytest.mark.parametrize("name", ["vitl14_openai__things", "vitb32_openai__posters"])
def test_published_encoders_round_as_torch_does(name: str) -> None:
    rows = np.load(Path(REAL) / f"{name}.npy")
    result = quantised(rows)
    for scheme in ("tensor", "channel"):
        expected = decibels(rows, scheme, centred=False)
        assert value(getattr(result, scheme).energy) == pytest.approx(expected, abs=0.02)


def test_a_scale_per_channel_gives_back_what_one_large_channel_costs() -> None:
    rows = persistent(1, n=600, offset=100.0)
    result = quantised(rows)
    # 256 channels: all but one are rounded by steps of their own maximum
    expected = 20 * np.log10(104 / np.abs(np.delete(rows, 5, axis=1)).max())
    assert value(result.channel.energy) - value(result.tensor.energy) > 0.5 * expected
    # the offset flatters the energy, not the variance
    assert value(result.tensor.energy) - value(result.tensor.variance) > 10


def test_the_largest_value_of_all_positions_sets_the_scale() -> None:
    rows = gaussian(300)
    far = 10 * float(np.abs(rows).max())
    wide = TapRows("val", "blocks.3", False, rows, np.full(rows.shape[1], far))
    lost = value(quantised(rows).tensor.energy) - value(quantise(wide, 0).tensor.energy)
    assert lost == pytest.approx(20, abs=0.5)  # a step ten times as long


def test_more_rows_than_are_rounded_are_drawn_by_seed() -> None:
    rows = gaussian(SAMPLED_ROWS + 500, channels=16)
    result = quantised(rows)
    assert result.rows == SAMPLED_ROWS
    assert result == quantised(rows)
    assert result != quantise(tap(rows), seed=1)
    assert value(result.tensor.energy) == pytest.approx(
        decibels(rows, "tensor", centred=False), abs=0.1
    )


def test_nothing_to_round() -> None:
    assert quantised(np.zeros((5, 4))).tensor.energy == NotRun(reason="there is no signal")
    assert isinstance(quantised(np.full((5, 4), 127.0)).tensor.energy, NotRun)
    with_bad = gaussian(50)
    with_bad[3, 2] = np.nan
    assert quantise(TapRows("val", "x", False, with_bad, np.zeros(256)), 0).rows == 49


def test_the_interval_covers() -> None:
    """Nominal 95 % over draws of 200 rows from a population with known ratio at a fixed scale."""
    rng = np.random.default_rng(0)
    many = (rng.standard_t(5, (40_000, 8)) * np.linspace(0.2, 3, 8)).astype(np.float32)
    largest = np.abs(many).max(axis=0).astype(np.float64)
    truth = value(quantise_all(many, largest))
    hits = 0
    for number in range(100):
        few = many[rng.choice(len(many), 200)]
        result = quantise(TapRows("v", "t", False, few, largest), number).tensor.energy
        assert isinstance(result, Estimate)
        assert result.low is not None
        assert result.high is not None
        hits += result.low <= truth <= result.high
    assert hits >= 86  # 3 sigma below 93 of 100


def quantise_all(rows: np.ndarray, largest: np.ndarray) -> Estimate:
    x = rows.astype(np.float64)
    step = largest.max() / LEVELS
    noise = ((x - np.rint(x / step) * step) ** 2).sum()
    ratio = float(10 * np.log10((x**2).sum() / noise))
    return Estimate(value=ratio, low=None, high=None, n=len(x), method="all rows")


def value(figure: object) -> float:
    assert isinstance(figure, Estimate)
    return figure.value


CHANNELS, CLASSES = 64, 12


def images_of(name: str, seed: int, labelled: bool = True) -> SetFeatures:
    """Returns images of classes whose directions are close, with one channel far from the rest."""
    rng = np.random.default_rng(seed)
    rows = persistent(1, n=800, channels=CHANNELS, offset=40.0, seed=seed).astype(np.float32)
    labels = rng.integers(0, CLASSES, len(rows))
    rows += 0.4 * HEAD.weight[labels]
    return SetFeatures(name, rows, labels if labelled else None)


HEAD = HeadArrays(gaussian(CLASSES, CHANNELS, seed=3).astype(np.float32))


def rounded_by_hand(rows: np.ndarray, largest: np.ndarray) -> np.ndarray:
    step = largest / 127
    return np.clip(np.round(rows.astype(np.float64) / step), -127, 127) * step


def scales(largest: np.ndarray, scheme: str) -> np.ndarray:
    if scheme == "tensor":
        return np.full(CHANNELS, largest.max())
    return largest


@pytest.mark.parametrize("scheme", ["tensor", "channel"])
def test_answers_equal_those_rounded_by_hand(scheme: str) -> None:
    sets = [images_of("val", 1), images_of("shift", 2), images_of("street", 4, labelled=False)]
    largest = np.abs(sets[0].features).max(axis=0).astype(np.float64)
    result = {(one.data, one.scheme): one for one in answers_changed(HEAD, sets, largest)}
    assert len(result) == 6
    for one in sets:
        before = (one.features @ HEAD.weight.T).argmax(axis=1)
        rounded = rounded_by_hand(one.features, scales(largest, scheme)).astype(np.float32)
        after = (rounded @ HEAD.weight.T).argmax(axis=1)
        figures = result[one.name, scheme]
        assert value(figures.changed) == pytest.approx((before != after).mean(), abs=0.003)
        if one.labels is None:
            assert figures.top1 == NotRun(reason="no labels")
        else:
            gain = (after == one.labels).mean() - (before == one.labels).mean()
            assert value(figures.top1) == pytest.approx(gain, abs=0.003)


def test_neighbours_equal_those_rounded_by_hand() -> None:
    one = images_of("rows", 1, labelled=False)
    largest = np.abs(one.features).max(axis=0).astype(np.float64)
    (whole, finer) = neighbours_after_rounding([one], largest, seed=0)
    for figures in (whole, finer):
        rounded = rounded_by_hand(one.features, scales(largest, figures.scheme))
        same = [
            len(set(a) & set(b)) / NEIGHBOURS
            for a, b in zip(nearest(one.features), nearest(rounded), strict=True)
        ]
        assert value(figures.kept) == pytest.approx(np.mean(same), abs=0.003)
        assert figures.kept.unit == "share"  # type: ignore[union-attr]
    assert value(finer.kept) > value(whole.kept)


def nearest(rows: np.ndarray) -> np.ndarray:
    unit = rows.astype(np.float64) / np.linalg.norm(rows, axis=1)[:, None]
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -2)
    return np.argsort(-cosines, axis=1)[:, :NEIGHBOURS]


def test_too_few_rows_have_no_neighbours() -> None:
    few = SetFeatures("rows", gaussian(NEIGHBOURS, 8).astype(np.float32))
    assert neighbours_after_rounding([few], np.ones(8), seed=0) == ()
