"""A linear head and labelled representations, as arrays; accuracy in bounded memory."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.linalg.blas import sgemm

from tuiprobe.errors import DataError
from tuiprobe.probes.inputs import Float32, Int64

ROWS = 2048
Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class HeadArrays:
    """A linear head.

    Attributes:
        weight: float32 [K, C], W.
        bias: float32 [K]; None without.
        normalize: whether logits are W h / |h| (zero-shot) or W h + bias.
        source: where it came from, for the report.
    """

    weight: Float32
    bias: Float32 | None = None
    normalize: bool = False
    source: str = ""


@dataclass(frozen=True, eq=False)
class SetFeatures:
    """Final representations of one set.

    Attributes:
        name: of the set.
        features: float32 [n, C].
        labels: int64 [n], rows of the head; None if unlabelled.
        allowed: bool [K], classes an answer may be of (ImageNet-A and -R); None for all.
    """

    name: str
    features: Float32
    labels: Int64 | None = None
    allowed: Bool | None = None


def usable_images(one: SetFeatures) -> SetFeatures:
    """The set without images whose representation is not finite or zero."""
    norms = np.linalg.norm(one.features, axis=1)
    keep = np.isfinite(norms) & (norms > 0)
    if keep.all():
        return one
    labels = None if one.labels is None else one.labels[keep]
    return replace(one, features=one.features[keep], labels=labels)


def first_images(one: SetFeatures, count: int, seed: int) -> SetFeatures:
    """A seeded subsample of at most `count` images."""
    n = one.features.shape[0]
    if n <= count:
        return one
    chosen = np.sort(np.random.default_rng(seed).choice(n, count, replace=False))
    labels = None if one.labels is None else one.labels[chosen]
    return replace(one, features=one.features[chosen], labels=labels)


def check_labels(one: SetFeatures, classes: int) -> Int64:
    """The labels, as positions among the allowed classes.

    Raises:
        DataError: a label is no row of the head, or of a class that is not allowed.
    """
    if one.labels is None:
        raise DataError(f"{one.name} has no labels")
    labels = np.asarray(one.labels, dtype=np.int64)
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        raise DataError(
            f"{one.name} has labels from {labels.min()} to {labels.max()}; the head has rows 0 to "
            f"{classes - 1}"
        )
    if one.allowed is None:
        return labels
    if not one.allowed[labels].all():
        raise DataError(f"{one.name} has images of classes outside its own class list")
    return np.asarray(np.cumsum(one.allowed) - 1)[labels]


def allowed_rows(matrix: Float32, one: SetFeatures) -> Float32:
    """Rows of a [K, ...] array that belong to classes an answer may be of."""
    return matrix if one.allowed is None else matrix[one.allowed]


def nested_hits(
    left: Float32, right: Float32, constant: Float32, labels: Int64, kept: Sequence[int]
) -> Int64:
    """Right answers from the first k components, for each k of a rising list.

    Logits are constant + left[:, :k] @ right[:k], summed up from k to k, so that the whole curve
    costs one product and memory for 2,048 rows.

    Args:
        left: [n, r], coordinates of the images.
        right: [r, K], what each coordinate adds to the logits.
        constant: [K].
        labels: [n].
        kept: numbers of components, rising.

    Returns:
        [len(kept)].
    """
    hits = np.zeros(len(kept), dtype=np.int64)
    right = np.ascontiguousarray(right, dtype=np.float32)
    for start in range(0, left.shape[0], ROWS):
        rows = left[start : start + ROWS]
        truth = labels[start : start + ROWS]
        logits = np.tile(constant.astype(np.float32), (rows.shape[0], 1))
        done = 0
        for place, k in enumerate(kept):
            if k > done:
                # logits += rows[:, done:k] @ right[done:k], without a temporary as large as they.
                sgemm(
                    1,
                    right[done:k].T,
                    rows[:, done:k].T,
                    beta=1,
                    c=logits.T,
                    overwrite_c=1,
                )
                done = k
            hits[place] += int((logits.argmax(axis=1) == truth).sum())
    return hits


def hits(features: Float32, head: HeadArrays, one: SetFeatures) -> int:
    """Images that the head answers right.

    Args:
        features: [n, C], in place of the set's own.
        head: the head.
        one: labels and allowed classes.
    """
    labels = check_labels(one, head.weight.shape[0])
    weight = np.ascontiguousarray(allowed_rows(head.weight, one).T)
    bias = None if head.bias is None else allowed_rows(head.bias, one)
    right = 0
    for start in range(0, features.shape[0], ROWS):
        rows = features[start : start + ROWS]
        logits = rows @ weight
        if bias is not None:
            # Without a bias |h| changes no argmax.
            if head.normalize:
                logits /= np.linalg.norm(rows, axis=1, keepdims=True)
            logits += bias
        right += int((logits.argmax(axis=1) == labels[start : start + ROWS]).sum())
    return right
