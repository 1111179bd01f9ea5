"""The same statistics in plain torch and float64, for CUDA tensors without native kernels.

This path is correct but slow: it copies chunks of the activations and waits for the device in every
update. Duplicate ids follow the same rule as everywhere: one image to the top k.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

StateArrays = dict[str, npt.NDArray[Any]]

_CHUNK_ELEMENTS = 2**24
_NORM_BINS = 96


def partial_states(
    x: torch.Tensor, ids: torch.Tensor, parts: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Yields the state of each chunk of images, in the native core's layout.

    Args:
        x: `[B, P, C]` on any device.
        ids: int64 `[B]` on the CPU.
        parts: The requested statistics: `moments`, `largest` and `smallest` (k), `samples`.
    """
    step = max(1, _CHUNK_ELEMENTS // max(1, x.shape[1] * x.shape[2]))
    for start in range(0, len(x), step):
        rows = x[start : start + step].detach().to(torch.float64)
        chunk_ids = ids[start : start + step]
        state: dict[str, Any] = {"images": np.array([len(rows)])}
        if parts.get("moments"):
            state["moments"] = _moments(rows)
        for end in ("largest", "smallest"):
            if parts.get(end):
                state[end] = _topk(rows, chunk_ids.to(rows.device), parts[end], end == "smallest")
        if parts.get("samples"):
            state["samples"] = _samples(rows, chunk_ids)
        yield state


def _numpy(**tensors: torch.Tensor) -> StateArrays:
    return {name: np.ascontiguousarray(t.cpu().numpy()) for name, t in tensors.items()}


def _moments(rows: torch.Tensor) -> StateArrays:
    flat = rows.flatten(0, 1)
    finite = flat.isfinite()
    count = finite.sum(0)
    mean = torch.where(finite, flat, 0.0).sum(0) / count.clamp(min=1)
    low = torch.where(finite, flat, torch.inf).amin(0)
    high = torch.where(finite, flat, -torch.inf).amax(0)
    mean = torch.where(low == high, low, mean)  # a constant has no spread
    d = torch.where(finite, flat - mean, 0.0)
    d2 = d * d
    return _numpy(
        count=count,
        nonfinite=len(flat) - count,
        mean=torch.where(count > 0, mean, 0.0),
        m2=d2.sum(0),
        m3=(d2 * d).sum(0),
        m4=(d2 * d2).sum(0),
        min=low,
        max=high,
    )


def _topk(rows: torch.Tensor, ids: torch.Tensor, k: int, smallest: bool) -> StateArrays:
    key = torch.where(rows.isfinite(), -rows if smallest else rows, -torch.inf) + 0.0
    # Images of equal id are one image.
    ids, of_image = torch.unique(ids, return_inverse=True)
    best, lowest = _best_of_each_id(key, of_image, len(ids))
    ranked = best.sort(dim=0, descending=True, stable=True)  # equal ones in the order of their ids
    n = min(k, len(ids))
    channels = rows.shape[2]
    values = torch.full((channels, k), torch.nan, dtype=torch.float32)
    sample_ids = torch.full((channels, k), -1, dtype=torch.int64)
    positions = torch.full((channels, k), -1, dtype=torch.int32)
    top, index = ranked.values[:n].T.cpu(), ranked.indices[:n].T.cpu()
    given = top > -torch.inf
    values[:, :n] = torch.where(given, -top if smallest else top, torch.nan).float() + 0.0
    sample_ids[:, :n] = torch.where(given, ids.cpu()[index], -1)
    chosen = lowest.cpu().gather(0, index.T).T
    positions[:, :n] = torch.where(given, chosen, -1).int()
    return {
        name: np.ascontiguousarray(t.numpy().ravel())
        for name, t in {"values": values, "sample_ids": sample_ids, "positions": positions}.items()
    }


def _best_of_each_id(
    key: torch.Tensor, of_image: torch.Tensor, count: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the largest key of each id and channel and its lowest position, `[ids, C]`."""
    _, width, channels = key.shape
    where = of_image[:, None].expand(-1, channels)
    highest = key.amax(1)
    best = torch.full((count, channels), -torch.inf, dtype=key.dtype, device=key.device)
    best.scatter_reduce_(0, where, highest, "amax")
    # Take the first of equal positions; max() does not guarantee that.
    positions_along = torch.arange(width, device=key.device)[None, :, None]
    first = torch.where(key == best[of_image][:, None], positions_along, width).amin(1)
    positions = torch.full((count, channels), width, dtype=first.dtype, device=key.device)
    return best, positions.scatter_reduce_(0, where, first, "amin")


def _samples(rows: torch.Tensor, ids: torch.Tensor) -> StateArrays:
    finite_rows = rows.isfinite().all(-1)
    d = rows - rows.mean(-1, keepdim=True)
    d2 = d * d
    valid = finite_rows & (rows.amin(-1) < rows.amax(-1))
    m2, m4 = d2.sum(-1), (d2 * d2).sum(-1)
    shares = (d2 * d2 / m4.unsqueeze(-1)).mean(1)
    kurtosis = (rows.shape[2] * m4 / (m2 * m2)).mean(1)
    counted = valid.all(1)
    shares = torch.where(counted[:, None], shares, 0.0)
    self_share = (shares * shares).sum(-1)
    # The first of equal shares, which argmax does not guarantee.
    positions = torch.arange(shares.shape[-1], device=shares.device)
    is_best = shares == shares.amax(-1, keepdim=True)
    first = torch.where(is_best, positions, shares.shape[-1]).amin(-1)
    leading = torch.where(counted, first, -1)
    squares = (rows * rows).sum(-1)[finite_rows]
    bins = (2 * squares.log2()).floor() + 32
    bins = bins.clamp(0, _NORM_BINS - 1).to(torch.int64)
    arrays = _numpy(
        sample_ids=ids,
        kurtosis=torch.where(counted, kurtosis, torch.nan),
        self_share=torch.where(counted, self_share, torch.nan),
        leading=leading.to(torch.int32),
        share_sum=shares.sum(0),
        share_square_sum=self_share.sum().reshape(1),
        leading_count=torch.bincount(leading[counted], minlength=rows.shape[2]),
        norm_histogram=torch.bincount(bins, minlength=_NORM_BINS),
        degenerate=(~counted).sum().reshape(1),
    )
    arrays["rows"] = np.array([rows.shape[0] * rows.shape[1]])
    return arrays
