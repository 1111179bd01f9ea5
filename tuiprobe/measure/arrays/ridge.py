"""A linear head fitted to labelled representations, and its answers on each of them without it.

Ridge regression of one-hot labels, the intercept without penalty. The penalty is chosen by
generalised cross-validation (Golub, Heath and Wahba 1979) over powers of ten times the largest
eigenvalue of `Xc Xcᵀ`. With the hat matrix `H = 11ᵀ/n + Xc (XcᵀXc + λI)⁻¹ Xcᵀ`, the scores of the
head fitted without image i follow from those of the head fitted to all (Allen 1974): they are
`(s_i - h_ii e_y) / (1 - h_ii)`. So one number an image, `1 - h_ii`, is all that leaving it out
takes.

Everything is float64, in blocks of images: no array of images times classes, and one of channels
times channels (or images times images, where there are fewer of them).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from tuiprobe.channels.array_types import Bool, Float32, Float64, Int64
from tuiprobe.results import NotRun

if TYPE_CHECKING:
    from scipy.sparse import csr_array

POWERS: Final = range(-6, 0)
"""Penalties that are tried: ten to these powers, times the largest eigenvalue of `Xc Xcᵀ`."""

MOST_LEVERAGE: Final = 0.99
"""A penalty that gives any image a higher leverage is not tried: dividing by 1 - h would then
amplify what float32 weights round."""

_BLOCK = 2048  # images at once

CONSTANT: Final = NotRun(reason="the representations of these images do not vary")


@dataclass(frozen=True, eq=False)
class LeaveOneOut:
    """Turns scores of a head on images that it was fitted to into those of heads without them.

    Attributes:
        rows: int64 [n], the row of the head that each image was fitted as.
        remainders: float64 [n], 1 - h_ii: one minus the leverage of each image.
        shift: float64 [K], what every image adds to its scores besides `1 / (m - 1)` for its
            class, of m images fitted to: `-shares / (m - 1)`. None where class counts differ by
            more than one.
        fitted: m.
        single: bool [n], images whose class no other image has: no head without one answers it.
    """

    rows: Int64
    remainders: Float64
    shift: Float64 | None
    fitted: int
    single: Bool

    @classmethod
    def of(cls, labels: Int64, remainders: Float64, classes: int) -> LeaveOneOut:
        """Returns the corrections for all images that a head was fitted to.

        Leaving an image out lowers the base rate of its class, by which a head of equally
        common classes would answer it wrongly. The intercept of the refit corrects this, so that
        the mean score of the others is the share of each class among all.

        Args:
            labels: [n], the row that each image was fitted as.
            remainders: [n], 1 - h_ii.
            classes: K.
        """
        counts = np.bincount(labels, minlength=classes)
        present = counts[counts > 0]
        n = len(labels)
        balanced = present.min() > 1 and np.ptp(present) <= 1
        shift = -counts / (n * (n - 1)) if balanced else None
        return cls(labels, remainders, shift, n, counts[labels] == 1)

    def __getitem__(self, images: slice | Bool | Int64) -> LeaveOneOut:
        """Returns the corrections for some of the images."""
        return replace(
            self,
            rows=self.rows[images],
            remainders=self.remainders[images],
            single=self.single[images],
        )

    def correct(self, scores: Float32, span: slice, rows: Int64) -> None:
        """Turns the scores of a block of images into those of heads fitted without each, in place.

        Args:
            scores: [b, K'], of the head fitted to all.
            span: Which images.
            rows: [K'], the rows of the head that the scores are of, ascending.
        """
        remainders = self.remainders[span].astype(np.float32)
        column = np.searchsorted(rows, self.rows[span]).clip(max=len(rows) - 1)
        image = np.flatnonzero(rows[column] == self.rows[span])
        column = column[image]
        scores[image, column] -= 1 - remainders[image]
        scores /= remainders[:, None]
        if self.shift is not None:
            scores += self.shift[rows].astype(np.float32)
            scores[image, column] += np.float32(1 / (self.fitted - 1))


@dataclass(frozen=True, eq=False)
class RidgeFit:
    """A linear head, and how far each image determines its score (leverage).

    Attributes:
        weight: float64 [K, C].
        bias: float64 [K].
        penalty: λ.
        remainders: float64 [n], 1 - h_ii.
    """

    weight: Float64
    bias: Float64
    penalty: float
    remainders: Float64


def fit_ridge(features: Float32, labels: Int64, classes: int) -> RidgeFit | NotRun:
    """Fits a head to labelled images; within `fixed_threads`, always to the same bits.

    Args:
        features: [n, C], finite.
        labels: [n], the row of the head of each image; a row may have none.
        classes: K, rows of the head.

    Returns:
        The head; or why there is none.
    """
    from scipy.sparse import csr_array  # late: `label` reads runs and fits nothing

    n, channels = features.shape
    if len(np.unique(labels)) < 2:
        return NotRun(
            reason="a head needs images of two classes; equal images with different labels are none"
        )
    centre = features.mean(axis=0, dtype=np.float64)
    onehot = csr_array((np.ones(n), (labels, np.arange(n))), (classes, n))
    shares = np.bincount(labels, minlength=classes) / n
    parts = _fewer_images if n <= channels else _fewer_channels
    decomposed = parts(features, centre, onehot)
    largest = float(decomposed.values.max(initial=0.0))
    if not largest > 0:
        return CONSTANT
    penalties = largest * 10.0 ** np.array(POWERS)
    remainders = decomposed.remainders(penalties)
    errors = decomposed.cross_validated(penalties, n * (1 - float(shares @ shares)))
    usable = np.flatnonzero(remainders.min(axis=0) >= 1 - MOST_LEVERAGE)
    if not usable.size:
        return CONSTANT
    best = int(usable[errors[usable].argmin()])
    weight = decomposed.weight(float(penalties[best]))
    return RidgeFit(
        weight, shares - weight @ centre, float(penalties[best]), remainders[:, best].copy()
    )


@dataclass(frozen=True, eq=False)
class _FewerChannels:
    """Eigenvalues s and eigenvectors of XcᵀXc, [C] and [C, C], and the classes along them, [C, K].

    Attributes:
        features: [n, C], not centred.
        centre: [C].
    """

    features: Float32
    centre: Float64
    values: Float64
    vectors: Float64
    along: Float64

    def remainders(self, penalties: Float64) -> Float64:
        """Returns 1 - 1/n - Σ u² s/(s + λ) of each image under each penalty, [n, P]."""
        inverse = 1 / (self.values[:, None] + penalties)
        n = len(self.features)
        remainders = np.empty((n, len(penalties)))
        for span, block in _centred(self.features, self.centre):
            remainders[span] = 1 - 1 / n - (block @ self.vectors) ** 2 @ inverse
        return remainders

    def cross_validated(self, penalties: Float64, total: float) -> Float64:
        """Returns ‖Y - HY‖² / (n - tr H)² under each penalty, [P]; `total` is ‖Y - Ȳ‖²."""
        s, energy = self.values[:, None], (self.along**2).sum(axis=1)
        left = total - energy @ ((s + 2 * penalties) / (s + penalties) ** 2)
        free = len(self.features) - 1 - (s / (s + penalties)).sum(axis=0)
        return np.asarray(left.clip(min=0) / free**2)

    def weight(self, penalty: float) -> Float64:
        """Returns the weights of a penalty, [K, C]."""
        return np.asarray((self.vectors @ (self.along / (self.values + penalty)[:, None])).T)


def _fewer_channels(features: Float32, centre: Float64, onehot: csr_array) -> _FewerChannels:
    gram = np.zeros((features.shape[1],) * 2)
    sums = np.zeros((onehot.shape[0], features.shape[1]))
    columns = onehot.tocsc()
    for span, block in _centred(features, centre):
        gram += block.T @ block
        sums += columns[:, span] @ block
    values, vectors = _eigh(gram)
    return _FewerChannels(features, centre, values.clip(min=0), vectors, vectors.T @ sums.T)


@dataclass(frozen=True, eq=False)
class _FewerImages:
    """Eigenvalues s and eigenvectors of XcXcᵀ, [n] and [n, n], and the classes along them, [n, K].

    Attributes:
        centred: Xc, [n, C].
    """

    centred: Float64
    values: Float64
    vectors: Float64
    along: Float64

    def remainders(self, penalties: Float64) -> Float64:
        """Computes the same as `_FewerChannels.remainders`."""
        s = self.values[:, None]
        return np.asarray(1 - 1 / len(self.vectors) - self.vectors**2 @ (s / (s + penalties)))

    def cross_validated(self, penalties: Float64, total: float) -> Float64:
        """Computes the same as `_FewerChannels.cross_validated`.

        Residuals are summed, not subtracted: where the head fits all images, both ends of the ratio
        vanish with the penalty.
        """
        left = penalties / (self.values[:, None] + penalties)
        free = left.sum(axis=0) - 1  # the direction of equal scores has no penalty
        return np.asarray(((self.along**2).sum(axis=1) @ left**2) / free**2)

    def weight(self, penalty: float) -> Float64:
        """Returns the weights of a penalty, [K, C]."""
        dual = self.vectors @ (self.along / (self.values + penalty)[:, None])
        return np.asarray(dual.T @ self.centred)


def _fewer_images(features: Float32, centre: Float64, onehot: csr_array) -> _FewerImages:
    centred = features.astype(np.float64)
    centred -= centre
    gram = centred @ centred.T
    values, vectors = _eigh(gram)
    mean = onehot.sum(axis=1) / len(features)
    along = (onehot @ vectors).T - vectors.sum(axis=0)[:, None] * mean
    return _FewerImages(centred, values.clip(min=0), vectors, along)


def _eigh(gram: Float64) -> tuple[Float64, Float64]:
    import scipy.linalg

    found: tuple[Float64, Float64] = scipy.linalg.eigh(
        gram, overwrite_a=True, driver="evd", check_finite=False
    )
    return found


def _centred(features: Float32, centre: Float64) -> Iterator[tuple[slice, Float64]]:
    for start in range(0, len(features), _BLOCK):
        span = slice(start, start + _BLOCK)
        yield span, features[span] - centre
