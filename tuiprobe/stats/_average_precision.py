"""Average precision of many directions for many sparse concepts."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse
import torch

from tuiprobe.stats._native import describe, native

_MAX_GROUPS = 64


def average_precision(
    scores: Any,
    labels: Any,
    candidates: tuple[Any, Any] | None = None,
    prevalence: float | None = None,
    both_signs: bool = False,
) -> npt.NDArray[np.float64]:
    """Computes the average precision of every direction for every concept, with exact ties.

    AP = sum_n (R_n - R_{n-1}) P_n over the distinct scores. The defaults agree with
    `sklearn.metrics.average_precision_score`, which gives 0 for a concept without positives.
    With `prevalence` p, precision is calibrated from all negatives:
    P = p TPR / (p TPR + (1 - p) FPR).

    Args:
        scores: float32, float16 or bfloat16 `[N, D]`, tensor or array on the CPU, any strides.
        labels: `[N, K]`, non-zero if concept k is present in image n: a scipy sparse matrix, a
            sparse or dense torch tensor, or a NumPy array.
        candidates: `(mask, group)`: bool `[N, G]`, the images annotated for each of at most 64
            groups, and int `[K]`, the group of each concept. Only candidates count as positives and
            negatives of a concept.
        prevalence: Between 0 and 1, both excluded; None to use the prevalence of the images.
        both_signs: Whether to take the larger AP of the score and its negative.

    Returns:
        float64 `[D, K]`.

    Raises:
        TypeError: If dtype or kind of the scores is not supported.
        ValueError: If shapes do not fit, prevalence is out of range, or a score is NaN.

    >>> scores = np.array([[0.9], [0.8], [0.1]], dtype=np.float32)
    >>> average_precision(scores, np.array([[1], [0], [1]]))
    array([[0.83333333]])
    """
    _memory, data, dtype, shape, strides = describe(scores, torch.device("cpu"), "scores")
    if len(shape) != 2:
        raise ValueError(f"scores must be [images, directions], got shape {shape}")
    if prevalence is not None and not 0 < prevalence < 1:
        raise ValueError(f"prevalence must lie between 0 and 1, got {prevalence}")
    rows = _compressed_rows(labels)
    if rows.shape[0] != shape[0]:
        raise ValueError(f"labels have {rows.shape[0]} images, scores {shape[0]}")
    concepts = rows.shape[1]
    groups, group_of = np.empty(0, np.uint64), np.zeros(concepts, np.int32)
    available = np.full(concepts, shape[0], np.float64)
    if candidates is not None:
        mask, group_of = _groups(candidates, shape[0], concepts)
        coo = rows.tocoo()
        positives = mask[coo.row, group_of[coo.col]]  # those that are candidates of their concept
        where = (coo.row[positives], coo.col[positives])
        rows = scipy.sparse.csr_array((np.ones(positives.sum(), bool), where), shape=rows.shape)
        groups = mask @ (np.uint64(1) << np.arange(mask.shape[1], dtype=np.uint64))
        available = mask.sum(0)[group_of].astype(np.float64)
    positives = np.bincount(rows.indices, minlength=concepts).astype(np.float64)
    # The weight of a false positive that makes positives a share of `prevalence`.
    weight = np.ones_like(positives)
    if prevalence is not None:
        negatives = np.maximum(available - positives, 1)
        weight = (1 - prevalence) / prevalence * positives / negatives
    result, bad = native.average_precision(
        data,
        dtype,
        shape,
        strides,
        rows.indptr.astype(np.int64),
        rows.indices.astype(np.int32),
        positives,
        weight,
        groups,
        group_of,
        bool(both_signs),
        torch.get_num_threads(),
    )
    if bad >= 0:
        raise ValueError(f"scores of direction {bad} hold NaN; leave those images out first")
    return np.asarray(result)


def _compressed_rows(labels: Any) -> Any:
    """Returns `[N, K]` labels as a canonical CSR matrix of ones."""
    if isinstance(labels, torch.Tensor):
        if labels.layout != torch.strided:
            coo = labels.detach().cpu().to_sparse(layout=torch.sparse_coo).coalesce()
            nonzero = coo.values() != 0
            i, k = coo.indices()[:, nonzero].numpy()
            labels = scipy.sparse.coo_array((np.ones(len(i), bool), (i, k)), shape=coo.shape)
        else:
            labels = labels.detach().cpu().numpy()
    if not scipy.sparse.issparse(labels):
        labels = np.asarray(labels)
    if labels.ndim != 2:
        raise ValueError(f"labels must be [images, concepts], got shape {labels.shape}")
    rows = scipy.sparse.csr_array(labels != 0)
    rows.sum_duplicates()
    return rows


def _groups(
    candidates: tuple[Any, Any], images: int, concepts: int
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int32]]:
    mask, group_of = (np.asarray(a) for a in candidates)
    if mask.ndim != 2 or mask.shape[0] != images or not 1 <= mask.shape[1] <= _MAX_GROUPS:
        raise ValueError(
            f"candidates[0] must be [{images}, 1 to {_MAX_GROUPS} groups], got shape {mask.shape}"
        )
    if group_of.shape != (concepts,) or group_of.dtype.kind not in "iu":
        raise ValueError(f"candidates[1] must hold {concepts} integers, got {group_of.shape}")
    if concepts and not 0 <= group_of.min() <= group_of.max() < mask.shape[1]:
        raise ValueError(f"candidates[1] must lie in [0, {mask.shape[1]})")
    return mask.astype(bool), np.ascontiguousarray(group_of, dtype=np.int32)
