"""Sums over rows, one an image, against NumPy in float64: heights are counted exactly."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tuiprobe.channels.heights import cut_sigma
from tuiprobe.stats._native import native

BINS = 108


def summed(rows: NDArray[np.float32], threads: int) -> dict[str, NDArray[np.float64]]:
    core = native.RowAccumulator(rows.shape[1])
    shape, strides = (len(rows), 1, 1, rows.shape[1]), (rows.shape[1], 0, 0, 1)
    core.update(rows.ctypes.data, 0, shape, strides, np.arange(len(rows)), threads)
    return core.state()


def heights(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns distances from the centre and, in the last column, the scale of each row."""
    channels = x.shape[1]
    inner = channels - channels // 20
    ranked = np.sort(x, axis=1)
    middle = (ranked[:, [(channels - 1) // 2]] + ranked[:, [channels // 2]]) / 2
    ranked -= middle
    first = (-ranked[:, : channels - inner] > ranked[:, inner:]).sum(axis=1)
    kept = np.take_along_axis(ranked, first[:, None] + np.arange(inner), axis=1)
    centre = (kept[:, [(inner - 1) // 2]] + kept[:, [inner // 2]]) / 2 + middle
    return np.hstack([np.abs(x - centre), kept.std(axis=1, keepdims=True) / cut_sigma(channels)])


@pytest.mark.parametrize("channels", [20, 37, 64, 768])
@pytest.mark.parametrize("scale", [1e-30, 1, 1e30])
def test_heights_are_counted_exactly_and_sums_are_those_of_float64(
    channels: int, scale: float
) -> None:
    rng = np.random.default_rng(channels)
    rows = (rng.standard_t(3, (150, channels)) * scale).astype(np.float32)
    rows[:, 3] += np.float32(9 * scale)
    x = rows.astype(np.float64)
    found = heights(x)
    edges = np.array(native.height_edges())
    bins = (found[:, :-1, None] > edges * found[:, -1:, None]).sum(axis=2)
    expected = np.stack([np.bincount(column, minlength=BINS) for column in bins.T])
    state, again = summed(rows, 1), summed(rows, 2)
    assert (state["height_histogram"].reshape(channels, BINS) == expected).all()
    energy = x**2 / (x**2).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(state["energy_sum"], energy.sum(axis=0), rtol=1e-12)
    np.testing.assert_allclose(state["energy_square_sum"], (energy**2).sum(axis=0), rtol=1e-12)
    z = (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True)
    np.testing.assert_allclose(
        state["z_sum"].reshape(16, channels).sum(axis=0), z.sum(axis=0), atol=1e-9
    )
    assert state["group_rows"].sum() == len(rows)
    assert state["without_heights"][0] == 0
    assert all((state[name] == again[name]).all() for name in state)
