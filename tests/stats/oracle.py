"""Straightforward float64 answers, two passes, one channel or image at a time."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import scipy.stats
import torch
from hypothesis import settings

MORE = int(os.environ.get("TUIPROBE_EXAMPLES", "1"))


def examples(count):
    """Returns settings of a property test: so many examples, and many times as many nightly."""
    return settings(max_examples=count * MORE, deadline=None)


MEAN_TOL = 2e-6  # of sigma
TOL = 2e-6  # relative


def as_rows(x, channel_dim=-1):
    """float64 [B, P, C] of a tensor or an array."""
    x = torch.as_tensor(x).double().numpy()
    x = np.moveaxis(x, channel_dim, -1)
    return x.reshape(len(x), int(np.prod(x.shape[1:-1])), x.shape[-1])


def check_moments(result, rows):
    """Holds a Moments record against the guarantee, channel by channel."""
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
        # Scaled by a power of two, so that the oracle's own fourth powers stay in range.
        unit = 2.0 ** np.floor(np.log2(np.abs(finite - finite.mean()).max()))
        z = (finite - finite.mean()) / unit
        var = z.var()
        skewness = scipy.stats.skew(z)
        kurtosis = scipy.stats.kurtosis(z, fisher=False)
        assert abs(result.mean[c] - finite.mean()) <= MEAN_TOL * np.sqrt(var) * unit
        assert abs(result.var[c] / unit / unit - var) <= TOL * var
        assert abs(result.skewness[c] - skewness) <= TOL * max(1, abs(skewness))
        assert abs(result.kurtosis[c] - kurtosis) <= TOL * kurtosis


def check_topk(result, rows, ids, k, largest=True):
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


def check_samples(result, rows, ids, tolerance=1e-5):
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
    exceeding = (np.abs(rows) >= 6) & np.isfinite(rows)
    assert result.exceed_count.tolist() == exceeding.sum((0, 1)).tolist()
    squares = (rows**2).sum(-1).ravel()
    squares = squares[np.isfinite(squares)]
    with np.errstate(divide="ignore"):
        bins = np.clip(np.floor(2 * np.log2(squares)) + 32, 0, 95).astype(int)
    # A norm within rounding of an edge may fall on either side.
    difference = result.norm_histogram - np.bincount(bins, minlength=96)
    near = np.abs(2 * np.log2(np.maximum(squares, 1e-300)) % 1)
    edges = ((near < 1e-5) | (near > 1 - 1e-5)).sum()
    assert np.abs(difference).sum() <= 2 * edges
