"""INT8 rounding of stored rows: signal over noise, and what it changes of answers or neighbours.

Rounding is symmetric and by the largest absolute value: x becomes s * round(x / s) with
s = max|x| / 127, so no value is clipped. The largest values are those of all measured positions, as
a calibration pass would find them; the noise is measured by rounding the rows that the run keeps.
Answers and neighbours take the scales of the in-distribution set, beyond which values are clipped.
The head stays as it is.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from tuiprobe.probes.base.confidence import Logits
from tuiprobe.probes.base.head_arrays import SetFeatures
from tuiprobe.probes.base.inputs import Float32, Float64, Int64
from tuiprobe.probes.base.row_statistics import blocks, unit_rows
from tuiprobe.probes.intervals import (
    around_draws,
    bootstrap_mean,
    draws,
    exact,
    paired_difference,
    wilson,
)
from tuiprobe.results import Figure, NotRun
from tuiprobe.results.base import (
    MOST_CHANNELS,
    Count,
    Decibels,
    Frozen,
    Many,
    OfTap,
    Points,
    Share,
)
from tuiprobe.results.figures import FIGURES, Fig
from tuiprobe.results.headlines import INT8, INT8_NEIGHBOURS
from tuiprobe.results.report import ProbeResult
from tuiprobe.run.checked_arrays import HeadArrays

Scheme = Literal["tensor", "channel"]
"""One scale for all values, or one per channel."""


class Sqnr(Frozen):
    """Signal over rounding noise, in dB.

    Attributes:
        energy: The signal is the mean square of the values.
        variance: The signal is the mean square about the channel means; without the offset, which
            is the same in every image.
    """

    energy: Annotated[Decibels, Fig("energy", "{outer}", "sqnr")]
    variance: Annotated[Decibels, Fig("variance", "{outer}, without the offset", "sqnr")]


class Quantised(OfTap):
    """INT8 rounding of one set at one tap.

    Attributes:
        channels: Width C.
        rows: Rows that were rounded.
        tensor: One scale for all values.
        channel: One scale a channel.
    """

    channels: Annotated[int, Field(ge=0, le=MOST_CHANNELS)]
    rows: Count
    tensor: Annotated[Sqnr, Fig("int8.tensor", "INT8 noise")]
    channel: Annotated[Sqnr, Fig("int8.channel", "INT8 noise, a scale a channel")]


class AnswersChanged(Frozen):
    """Answers of the head from the rounded representation of one set.

    Attributes:
        data: Name of the data set.
        scheme: Scales of the rounding.
        changed: Share of images with another answer.
        top1: Accuracy after rounding less that before, on the same images.
    """

    data: str
    scheme: Scheme
    changed: Annotated[Share, INT8]
    top1: Annotated[Points, Fig("int8.top1", "accuracy that INT8 changes", "quantisation")]

    @property
    def place(self) -> str:
        """The scales."""
        return self.scheme


class NeighbourOverlap(Frozen):
    """Nearest neighbours in the rounded representation of one set.

    Attributes:
        data: Name of the data set.
        scheme: Scales of the rounding.
        kept: Share of the ten nearest other images by cosine that stay among the ten.
    """

    data: str
    scheme: Scheme
    kept: Annotated[Share, INT8_NEIGHBOURS]

    @property
    def place(self) -> str:
        """The scales."""
        return self.scheme


class Quantisation(ProbeResult):
    """The quantisation probe.

    Attributes:
        taps: Figures, one entry per set and tap, the taps of a set in the order of the encoder.
        answers: With a head: its answers, one entry per set and scheme.
        neighbours: Without a head: nearest neighbours, one entry per set and scheme.
    """

    probe: ClassVar[str] = "quantisation"

    taps: Annotated[Many[Quantised], FIGURES]
    answers: Annotated[Many[AnswersChanged], FIGURES] = ()
    neighbours: Annotated[Many[NeighbourOverlap], FIGURES] = ()

    def final(self) -> Quantised:
        """Returns the figures of the final representation on the first set."""
        return next(tap for tap in self.taps if tap.final)

    def profile(self) -> list[Quantised]:
        """Returns the figures of the first set, the final representation last."""
        name = self.final().data
        first = [tap for tap in self.taps if tap.data == name]
        return sorted(first, key=lambda tap: tap.final)


LEVELS = 127
"""Steps of INT8 on either side of zero."""


SAMPLED_ROWS = 4096
"""Rows that are rounded at most; inner taps keep no more."""


NEIGHBOURS = 10
"""Nearest other rows that are compared."""


SILENT = NotRun(reason="rounding changes nothing")


EMPTY = NotRun(reason="there is no signal")


NO_LABELS = NotRun(reason="no labels")


@dataclass(frozen=True, eq=False)
class TapRows:
    """Rows of one set at one tap.

    Attributes:
        data: Name of the set.
        tap: Name of the layer.
        final: Whether it is the final representation.
        rows: float32 [m, C], one position per image.
        largest: float64 [C], largest absolute value of each channel over all positions of all
            images.
    """

    data: str
    tap: str
    final: bool
    rows: Float32
    largest: Float64


def quantise(tap: TapRows, seed: int) -> Quantised:
    """Rounds the rows of one tap with one scale, and with one a channel.

    Args:
        tap: The rows.
        seed: Seed of the bootstrap and of the subsample of rows.
    """
    rows = some_rows(tap.rows, seed)
    largest = np.maximum(tap.largest, np.abs(rows).max(axis=0, initial=0).astype(np.float64))
    signal = np.stack([_energy(rows, lambda x: x), _energy(rows - rows.mean(axis=0), lambda x: x)])
    drawn = draws(rows.shape[0], seed)

    def ratio(scale: Float64) -> Sqnr:
        noise = _energy(rows, lambda x: x - rounded(x, scale))
        return Sqnr(
            energy=decibels(signal[0], noise, drawn), variance=decibels(signal[1], noise, drawn)
        )

    ratios = {name: ratio(scale) for name, scale in schemes(largest).items()}
    return Quantised(
        data=tap.data,
        tap=tap.tap,
        final=tap.final,
        channels=rows.shape[1],
        rows=rows.shape[0],
        tensor=ratios["tensor"],
        channel=ratios["channel"],
    )


def some_rows(rows: Float32, seed: int) -> Float32:
    """Returns a seeded subsample of the finite rows, at most `SAMPLED_ROWS`, in their order."""
    finite = np.flatnonzero(np.isfinite(rows).all(axis=1))
    if finite.size > SAMPLED_ROWS:
        finite = np.sort(np.random.default_rng(seed).choice(finite, SAMPLED_ROWS, replace=False))
    return rows if finite.size == rows.shape[0] else rows[finite]


def rounded(values: Float64, largest: Float64) -> Float64:
    """Returns the values after rounding to INT8 and back.

    Args:
        values: Any shape.
        largest: Largest absolute value under each scale; broadcast against `values`.

    >>> rounded(np.array([0.4, 126.6, 127.0]), np.array(127.0)).tolist()
    [0.0, 127.0, 127.0]
    """
    step = np.where(largest > 0, largest / LEVELS, 1.0)
    return np.asarray(np.clip(np.rint(values / step), -LEVELS, LEVELS) * step)


def _energy(rows: Float32, change: Callable[[Float64], Float64]) -> Float64:
    """Returns the sum of squares of each row after a change, [m]."""
    energy = np.zeros(rows.shape[0])
    for span, block in blocks(rows):
        changed = change(block)
        energy[span] = np.einsum("ij,ij->i", changed, changed)
    return energy


def decibels(signal: Float64, noise: Float64, drawn: Float32) -> Figure:
    """Returns 10 log10 of the ratio of two sums over rows, with its bootstrap interval.

    Scales and channel means stay as they are in every draw: they belong to the calibration.

    Args:
        signal: [m].
        noise: [m].
        drawn: [draws, m], from `draws`.
    """
    if not signal.sum() > 0:
        return EMPTY
    if not noise.sum() > 0:
        return SILENT
    value = 10 * float(np.log10(signal.sum() / noise.sum()))
    n = signal.size
    if n < 2:
        return exact(value, n, "no interval: one row")
    sums = drawn @ np.stack([signal / signal.mean(), noise / noise.mean()], axis=1)
    positive = sums[(sums > 0).all(axis=1)]
    spread = value + 10 * np.log10(positive[:, 0] / positive[:, 1])
    return around_draws(value, spread, n, "bootstrap over rows")


def schemes(largest: Float64) -> Mapping[Scheme, Float64]:
    """Returns the largest value under each scale of every channel, [C], by scheme.

    Args:
        largest: [C], largest absolute value of each channel of the in-distribution set.
    """
    return {"tensor": np.full(largest.size, largest.max(initial=0)), "channel": largest}


def answers_changed(
    head: HeadArrays, sets: Sequence[SetFeatures], largest: Float64
) -> tuple[AnswersChanged, ...]:
    """Returns how many answers change on every set, under every scheme.

    Args:
        head: The head.
        sets: Images with a finite representation, with labels or without; empty ones are left out.
        largest: As for `schemes`.
    """
    results = []
    for images in sets:
        n = images.features.shape[0]
        if not n:
            continue
        before = _answers(head, images)
        for scheme, scale in schemes(largest).items():
            after = _answers(head, replace(images, features=_rounded(images.features, scale)))
            top1: Figure = NO_LABELS
            if images.labels is not None:
                was, now = before == images.labels, after == images.labels
                top1 = paired_difference(int((now & ~was).sum()), int((was & ~now).sum()), n)
            changed = wilson(int((before != after).sum()), n)
            results.append(
                AnswersChanged(data=images.name, scheme=scheme, changed=changed, top1=top1)
            )
    return tuple(results)


def _answers(head: HeadArrays, images: SetFeatures) -> Int64:
    logits = Logits(head, images)
    answer = np.zeros(images.features.shape[0], dtype=np.int64)
    for span, block in logits.blocks():
        answer[span] = logits.classes[block.argmax(axis=1)]
    return answer


def _rounded(features: Float32, scale: Float64) -> Float32:
    result = np.empty_like(features)
    for span, block in blocks(features):
        result[span] = rounded(block, scale)
    return result


def neighbours_after_rounding(
    sets: Sequence[SetFeatures], largest: Float64, seed: int
) -> tuple[NeighbourOverlap, ...]:
    """Returns which part of each row's nearest neighbours by cosine stays, on every set.

    A seeded sample of at most `SAMPLED_ROWS` rows of a set stands for it. Arguments as for
    `answers_changed`.
    """
    results = []
    for images in sets:
        rows = some_rows(images.features, seed)
        if rows.shape[0] <= NEIGHBOURS:
            continue
        before = _nearest(rows)
        for scheme, scale in schemes(largest).items():
            after = _nearest(_rounded(rows, scale))
            shared = [np.intersect1d(a, b).size for a, b in zip(before, after, strict=True)]
            share = bootstrap_mean(np.array(shared) / NEIGHBOURS, seed)
            results.append(NeighbourOverlap(data=images.name, scheme=scheme, kept=share))
    return tuple(results)


def _nearest(rows: Float32) -> Int64:
    """Returns the nearest other rows of each row by cosine, int64 [n, NEIGHBOURS]."""
    unit = unit_rows(rows)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -np.inf)
    nearest = np.empty((rows.shape[0], NEIGHBOURS), dtype=np.int64)
    for start in range(0, rows.shape[0], 256):  # the places of all have twice the size of cosines
        order = np.argpartition(-cosines[start : start + 256], NEIGHBOURS - 1, axis=1)
        nearest[start : start + 256] = order[:, :NEIGHBOURS]
    return nearest
