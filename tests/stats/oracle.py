"""Straightforward float64 answers, two passes, one channel or image at a time."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np
import scipy.stats
import torch
from hypothesis import settings

from tuiprobe.stats import ChannelMoments

Floats = np.ndarray[Any, np.dtype[np.float64]]

MORE = int(os.environ.get("TUIPROBE_EXAMPLES", "1"))


def examples(count: int) -> settings:
    """Returns settings of a property test: so many examples, and many times as many nightly."""
    return settings(max_examples=count * MORE, deadline=None)


U = 2.0**-24  # what one rounding of float32 leaves, at most
ROUNDINGS = (10, 12, 23, 25)  # in sums of the first four powers: csrc/PROOF.md, step 2
NEAR = 0.25  # of sigma: a shift further from the mean is not used


def moment_bounds(z: Floats, distance: Floats | float) -> Floats:
    """Returns the proven errors of mean, variance, skewness and kurtosis (csrc/PROOF.md).

    Args:
        z: Values of a channel about their mean, in sigma.
        distance: Of the shift of each value from the mean, in sigma; one number or one a value.

    Returns:
        Errors in sigma, relative, absolute, absolute.
    """
    w = np.abs(z) + 2 * distance
    first, second, third, fourth = ((w**k).mean() for k in range(1, 5))
    skewness, kurtosis = abs((z**3).mean()), (z**4).mean()
    r1, r2, r3, r4 = ROUNDINGS
    bounds: Floats = np.array(
        [
            r1 * first,
            r2 * second,
            r3 * third + 3 * r1 * first + 1.5 * r2 * skewness * second,
            r4 * fourth + 4 * r1 * skewness * first + 2 * r2 * kurtosis * second,
        ]
    ) * (U * 1.0001)
    return bounds


def moment_errors(result: Any, c: int, values: Floats) -> tuple[Floats, Floats]:
    """Returns the errors of one channel as `moment_bounds` bounds them, and `z`."""
    # Scaled by a power of two, so that the oracle's own fourth powers stay in range.
    unit = 2.0 ** np.floor(np.log2(np.abs(values - values.mean()).max()))
    z = (values - values.mean()) / unit
    mean = z.mean()  # what rounding left of it
    z -= mean
    var = (z * z).mean()
    z /= np.sqrt(var)
    seen = (result.mean[c] - values.mean()) / unit - mean
    errors = np.abs(
        [
            seen / np.sqrt(var),
            result.var[c] / unit / unit / var - 1,
            result.skewness[c] - (z**3).mean(),
            result.kurtosis[c] - (z**4).mean(),
        ]
    )
    return errors, z


class Tracked:
    """A `ChannelMoments` with all its values, and how far the shift of each was from the mean."""

    def __init__(self, channels: int) -> None:
        self.stats = ChannelMoments(channels)
        self.values = np.empty((0, channels))
        self.centres = np.empty((0, 2, channels))  # mean and sigma after the update of each row

    def update(self, x: Any) -> None:
        """Adds rows `[n, C]`."""
        self.stats.update(x)
        self.values = np.concatenate([self.values, as_rows(x)[:, 0]])
        finite = np.isfinite(self.values)
        values = np.where(finite, self.values, 0)
        count = np.maximum(finite.sum(0), 1)
        mean = values.sum(0) / count
        square = np.where(finite, (values - mean) ** 2, 0).sum(0)
        after = np.broadcast_to([mean, np.sqrt(square / count)], (len(x), 2, len(mean)))
        self.centres = np.concatenate([self.centres, after])

    def merge(self, other: Tracked) -> None:
        """Adds what another one has seen."""
        self.stats.merge(other.stats)
        self.values = np.concatenate([self.values, other.values])
        self.centres = np.concatenate([self.centres, other.centres])

    def check(self) -> None:
        """Holds the moments against what is proven."""
        check_moments(self.stats.compute(), self.values[:, None], self.centres)


def check_errors(errors: Floats, z: Floats, centres: Floats | None, values: Floats) -> Floats:
    """Compares the errors of one channel with the proven bounds; returns their ratios."""
    sigma = values.std()
    distance: Floats | float = NEAR
    if centres is not None:
        distance = (np.abs(centres[:, 0] - values.mean()) + NEAR * centres[:, 1]) / sigma
    # Roundings of float64, here and there: csrc/PROOF.md.
    slack = 1e-9 + 1e-13 * abs(values.mean()) / sigma * (1 + np.abs(z).max())
    ratios: Floats = errors / (moment_bounds(z, distance) + slack)
    return ratios


def as_rows(x: Any, channel_dim: int = -1) -> Floats:
    """float64 [B, P, C] of a tensor or an array."""
    rows: Floats = np.moveaxis(torch.as_tensor(x).double().numpy(), channel_dim, -1)
    return rows.reshape(len(rows), int(np.prod(rows.shape[1:-1])), rows.shape[-1])


def check_moments(result: Any, rows: Floats, centres: Floats | None = None) -> None:
    """Holds a Moments record against the guarantee, channel by channel.

    Args:
        result: The record.
        rows: float64 `[B, P, C]`.
        centres: As of `Tracked`; None for shifts near the mean of all rows.
    """
    flat = rows.reshape(-1, rows.shape[-1])
    for c in range(flat.shape[1]):
        finite = flat[np.isfinite(flat[:, c]), c]
        assert result.count[c] == len(finite)
        assert result.nonfinite[c] == len(flat) - len(finite)
        if len(finite) == 0:
            figures = (result.mean, result.var, result.skewness, result.kurtosis, result.min)
            assert all(np.isnan(f[c]) for f in (*figures, result.max))
            continue
        assert result.min[c] == finite.min()
        assert result.max[c] == finite.max()
        if finite.min() == finite.max():
            assert result.mean[c] == finite[0]
            assert result.var[c] == 0
            assert np.isnan(result.skewness[c])
            assert np.isnan(result.kurtosis[c])
            continue
        errors, z = moment_errors(result, c, finite)
        places = np.isfinite(flat[:, c])
        known = None if centres is None else centres[places, :, c]
        assert (check_errors(errors, z, known, finite) <= 1).all()


def check_topk(result: Any, rows: Floats, ids: Iterable[int], k: int, largest: bool = True) -> None:
    """Exact comparison under the total order; ids may repeat across images."""
    for c in range(rows.shape[2]):
        best: dict[int, Any] = {}
        for image, positions in zip(ids, rows[:, :, c], strict=True):
            for p, value in enumerate(positions):
                if np.isfinite(value):
                    entry = (-value if largest else value, image, p)
                    best[image] = min(best.get(image, entry), entry)
        expected = sorted(best.values())[:k]
        values = [(-v if largest else v) for v, _, _ in expected]
        n = len(expected)
        assert result.values[c, :n].tolist() == values
        assert result.sample_ids[c, :n].tolist() == [i for _, i, _ in expected]
        assert result.positions[c, :n].tolist() == [p for _, _, p in expected]
        assert np.isnan(result.values[c, n:]).all()
        assert (result.sample_ids[c, n:] == -1).all()
        assert (result.positions[c, n:] == -1).all()


def check_samples(result: Any, rows: Floats, ids: Iterable[int], tolerance: float = 1e-5) -> None:
    """Per-image figures to `tolerance` relative (float32 sums over the channels), counts exact."""
    images, per_image, channels = rows.shape
    shares = np.full((images, channels), np.nan)
    kurtosis = np.full(images, np.nan)
    for n, image in enumerate(rows):
        spread = np.isfinite(image).all() and (image.min(1) < image.max(1)).all()
        if not spread:
            continue
        unit = np.abs(image).max(1, keepdims=True)
        z = image / unit
        fourth = (z - z.mean(1, keepdims=True)) ** 4
        shares[n] = (fourth / fourth.sum(1, keepdims=True)).mean(0)
        kurtosis[n] = scipy.stats.kurtosis(z, axis=1, fisher=False).mean()
    valid = ~np.isnan(kurtosis)
    assert result.sample_ids.tolist() == list(ids)
    assert result.rows == images * per_image
    assert result.degenerate == (~valid).sum()
    np.testing.assert_allclose(result.kurtosis, kurtosis, rtol=tolerance)
    np.testing.assert_allclose(result.self_share, (shares**2).sum(1), rtol=2 * tolerance)
    np.testing.assert_allclose(
        result.share_sum, shares[valid].sum(0), rtol=2 * tolerance, atol=tolerance
    )
    np.testing.assert_allclose(
        result.share_square_sum, (shares[valid] ** 2).sum(), rtol=2 * tolerance
    )
    assert (result.leading[~valid] == -1).all()
    lead = result.leading[valid]
    # The channel named must carry (to rounding) the largest share.
    np.testing.assert_allclose(
        shares[valid, lead], shares[valid].max(1, initial=0), rtol=2 * tolerance
    )
    assert result.leading_count.tolist() == np.bincount(lead, minlength=channels).tolist()
    squares = (rows**2).sum(-1).ravel()
    squares = squares[np.isfinite(squares)]
    with np.errstate(divide="ignore"):
        bins = np.clip(np.floor(2 * np.log2(squares)) + 32, 0, 95).astype(int)
    # A norm within rounding of an edge may fall on either side.
    difference = result.norm_histogram - np.bincount(bins, minlength=96)
    near = np.abs(2 * np.log2(np.maximum(squares, 1e-300)) % 1)
    edges = ((near < 1e-5) | (near > 1 - 1e-5)).sum()
    assert np.abs(difference).sum() <= 2 * edges
