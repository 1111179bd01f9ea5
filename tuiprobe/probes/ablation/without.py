"""A head's answers without parts of the representation, from one product per block of images.

Replacing the part of h in a few dimensions changes logits by a product of few columns, so every
ablation after the first product costs little. Zero-shot heads divide by the norm of what is left.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tuiprobe.errors import DataError
from tuiprobe.probes.confidence import allowed, classes_of
from tuiprobe.probes.heads import ROWS, SetFeatures
from tuiprobe.probes.inputs import Bool, Float32, Float64, Int64
from tuiprobe.run.checked_arrays import HeadArrays


@dataclass(frozen=True, eq=False)
class Removal:
    """A part of h, and what replaces it.

    Attributes:
        centre: float32 [k], the coordinates that replace those of every image.
        channels: The k channels.
        basis: float32 [C, k], orthonormal directions in place of channels.
    """

    centre: Float32
    channels: Sequence[int] = ()
    basis: Float32 | None = None

    def of(self, matrix: Float32) -> Float32:
        """Returns the coordinates [n, k] of the rows of a matrix [n, C]."""
        return matrix[:, list(self.channels)] if self.basis is None else matrix @ self.basis


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a head says of each image.

    Attributes:
        right: bool [n], whether the answer is the label.
        confidence: float64 [n], probability of the answer, at the head's logit scale or at 1.
        spread: float64 [n], standard deviation of the logits over the rows that may answer.
    """

    right: Bool
    confidence: Float64
    spread: Float64

    @classmethod
    def empty(cls, n: int) -> "Predictions":
        """Returns room for n images."""
        return cls(np.zeros(n, dtype=bool), np.zeros(n), np.zeros(n))


def told_without(
    head: HeadArrays, one: SetFeatures, removals: Sequence[Removal | None]
) -> list[Predictions]:
    """Answers every image without each of several parts of its representation.

    Args:
        head: The head.
        one: A labelled set; representations are finite and not zero.
        removals: What to replace; None for nothing.

    Raises:
        DataError: If the set has no labels.
    """
    if one.labels is None:
        raise DataError(f"{one.name} has no labels")
    rows, classes = allowed(head, one), classes_of(head, one)
    single = np.unique(classes).size == classes.size
    weight = head.weight[rows]
    across = np.ascontiguousarray(weight.T)
    along = [None if removal is None else removal.of(weight) for removal in removals]
    n = one.features.shape[0]
    found = [Predictions.empty(n) for _ in removals]
    for start in range(0, n, ROWS):
        place = slice(start, min(start + ROWS, n))
        block, labels = one.features[place], np.asarray(one.labels)[place]
        products = block @ across
        squares = np.einsum("ij,ij->i", block, block, dtype=np.float64)
        for told, removal, theirs in zip(found, removals, along, strict=True):
            if removal is None or theirs is None:
                values, left = products.copy(), squares
            else:
                taken = removal.of(block)
                values = products - (taken - removal.centre) @ theirs.T
                left = squares - np.einsum("ij,ij->i", taken, taken, dtype=np.float64)
                left = left + float(removal.centre.astype(np.float64) @ removal.centre)
            _finish(values, left, head, rows)
            right, confidence, spread = _tell(values, classes, labels, single=single)
            told.right[place], told.confidence[place] = right, confidence
            told.spread[place] = spread
    return found


def _finish(values: Float32, squares: Float64, head: HeadArrays, rows: Int64) -> None:
    """Turns products into logits in place, as `tuiprobe.probes.confidence.logits` defines them."""
    if head.normalize:
        scale = 1.0 if head.logit_scale is None else head.logit_scale
        norms = np.sqrt(np.maximum(squares, 0))
        factor = np.divide(scale, norms, out=np.zeros_like(norms), where=norms > 0)
        values *= factor[:, None].astype(np.float32)
        values += np.float32(head.logit_bias)
    if head.bias is not None:
        values += head.bias[rows]


def _tell(
    values: Float32, classes: Int64, labels: Int64, *, single: bool
) -> tuple[Bool, Float64, Float32]:
    """Returns the fields of `Predictions` for a block of logits, which is overwritten.

    Args:
        values: [b, K'].
        classes: [K'], the class of each row.
        labels: [b].
        single: Whether one row answers for each class.
    """
    best = values.argmax(axis=1)
    answer = classes[best]
    values -= values.mean(axis=1, keepdims=True)
    spread = np.sqrt(np.einsum("ij,ij->i", values, values) / values.shape[1])
    values -= values[np.arange(len(best)), best][:, None]
    np.exp(values, out=values)
    total = values.sum(axis=1, dtype=np.float64)
    own = 1.0
    if not single:
        theirs = np.where(classes[None, :] == answer[:, None], values, 0)
        own = theirs.sum(axis=1, dtype=np.float64)
    return answer == labels, np.asarray(own / total), spread
