"""INT8 rounding against torch's fake quantisation, and what channels cost."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.probes.planted import gaussian, persistent, sparse
from tuiprobe.probes.quantisation.compute import LEVELS, ROWS, TapRows, quantise
from tuiprobe.probes.quantisation.result import Quantised
from tuiprobe.results import Estimate, NotRun, given


def tap(rows: np.ndarray, apart: tuple[int, ...] = ()) -> TapRows:
    rows = rows.astype(np.float32)
    return TapRows(
        "val", "embedding", True, rows, np.abs(rows).max(axis=0).astype(np.float64), apart,
        "outlier" if apart else None,
    )  # fmt: skip


def quantised(rows: np.ndarray, apart: tuple[int, ...] = ()) -> Quantised:
    return quantise(tap(rows, apart), seed=0)


def fake(rows: np.ndarray, scheme: str) -> np.ndarray:
    """Rounds with torch."""
    x = torch.from_numpy(rows.astype(np.float32))
    if scheme == "tensor":
        scale = float(x.abs().max()) / LEVELS
        return torch.fake_quantize_per_tensor_affine(x, scale, 0, -LEVELS, LEVELS).numpy()
    axis = 0 if scheme == "token" else 1
    scales = (x.abs().amax(1 - axis) / LEVELS).clamp_min(1e-30)
    zero = torch.zeros(x.shape[axis], dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(x, scales, zero, axis, -LEVELS, LEVELS).numpy()


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


@pytest.mark.parametrize("scheme", ["tensor", "token", "channel"])
@pytest.mark.parametrize("name", PLANTED)
def test_equals_fake_quantisation_of_torch(name: str, scheme: str) -> None:
    rows = PLANTED[name]
    found = getattr(quantised(rows), scheme)
    for figure, centred in ((found.energy, False), (found.variance, True)):
        assert given(figure)
        assert figure.value == pytest.approx(decibels(rows, scheme, centred=centred), abs=0.02)
        assert figure.low is not None
        assert figure.low <= figure.value <= figure.high  # type: ignore[operator]


def test_the_usual_formula_of_the_noise_is_far_off_on_sparse_rows() -> None:
    """Which is why the rows are rounded: step^2 / 12 knows no zeros."""
    rows = PLANTED["sparser"].astype(np.float64)
    step = rows.max() / LEVELS
    formula = 10 * np.log10((rows**2).mean() / (step**2 / 12))
    assert value(quantised(rows).tensor.energy) - formula > 9


def test_channels_kept_apart_give_back_what_they_cost() -> None:
    found = quantised(persistent(1, n=600, offset=100.0), apart=(5,))
    without = np.delete(persistent(1, n=600, offset=100.0), 5, axis=1)
    assert value(found.gain) == pytest.approx(
        value(found.apart.energy) - value(found.tensor.energy), abs=1e-9
    )
    # 256 channels: the noise falls by (max with / max without)^2, but for the channel itself
    expected = 20 * np.log10(104 / np.abs(without).max())
    assert 0.5 * expected < value(found.gain) < expected
    # the offset flatters the energy, not the variance
    assert value(found.tensor.energy) - value(found.tensor.variance) > 10


def test_the_largest_value_of_all_positions_sets_the_scale() -> None:
    rows = gaussian(300)
    far = 10 * float(np.abs(rows).max())
    wide = TapRows("val", "blocks.3", False, rows, np.full(rows.shape[1], far))
    lost = value(quantised(rows).tensor.energy) - value(quantise(wide, 0).tensor.energy)
    assert lost == pytest.approx(20, abs=0.5)  # a step ten times as long


def test_more_rows_than_are_rounded_are_drawn_by_seed() -> None:
    rows = gaussian(ROWS + 500, channels=16)
    found = quantised(rows)
    assert found.rows == ROWS
    assert found == quantised(rows)
    assert found != quantise(tap(rows), seed=1)
    assert value(found.tensor.energy) == pytest.approx(
        decibels(rows, "tensor", centred=False), abs=0.1
    )


def test_nothing_to_round() -> None:
    assert quantised(np.zeros((5, 4))).tensor.energy == NotRun(reason="there is no signal")
    assert isinstance(quantised(np.full((5, 4), 127.0)).tensor.energy, NotRun)
    assert isinstance(quantised(gaussian(50)).gain, NotRun)
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
        found = quantise(TapRows("v", "t", False, few, largest), number).tensor.energy
        assert isinstance(found, Estimate)
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= truth <= found.high
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
