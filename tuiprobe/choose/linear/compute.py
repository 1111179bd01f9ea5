"""Accuracy of a head fitted to the labels, by their number, compared with the head in use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final

import numpy as np

from tuiprobe.channels.array_types import Bool, Float64, Int64
from tuiprobe.measure.arrays.head_arrays import SetFeatures, answered_right, fit_head, right_counted
from tuiprobe.measure.run.arrays import HeadArrays
from tuiprobe.numbers import NORMAL_95
from tuiprobe.probes.intervals import paired_difference
from tuiprobe.results import Estimate, Figure, Inapplicable, NotRun, is_known
from tuiprobe.results.base import Count, Frozen, Many, Points, Real, Share
from tuiprobe.results.figures import FIGURES, Fig
from tuiprobe.results.proportions import LEFT_OUT_REACH, wilson
from tuiprobe.results.report import ProbeResult

PARTS: Final = (16, 8, 4, 2)
"""The curve has heads fitted to one of so many images, then that fitted to all."""

DRAWS: Final = 5
"""Subsets of each size; of large ones fewer."""

MOST_DRAWN: Final = 10_000
"""Images of all subsets of a size that have more than one: larger subsets differ little."""

MOST_TESTED: Final = 10_000
"""Images that a head fitted to a subset is tested on."""

SAME_HEAD: Final = Inapplicable(reason="it is the head in use")


class LinearAccuracy(Frozen):
    """Accuracy of the fitted head on one set.

    Attributes:
        data: Name of the set.
        images: That it answered.
        accuracy: In distribution each image is answered by a head fitted to the others; shifts are
            answered by the head fitted to all.
    """

    data: str
    images: Count
    accuracy: Annotated[Share, Fig("linear", "accuracy of a head fitted to the labels", "linear")]


class CurvePoint(Frozen):
    """Heads fitted to so many images, on average over subsets of that size.

    Attributes:
        images: Fitted to.
        accuracy: On images that they were not fitted to, with the range of one of them.
    """

    images: Count
    accuracy: Share


class Linear(ProbeResult):
    """A head fitted to the labels of the in-distribution set.

    Attributes:
        data: The in-distribution set.
        found: Images of the source, if the run has a sample of them; else those fitted to.
        images: Fitted to: distinct, labelled and finite.
        classes: Number of their classes.
        single: Classes with one of these images, which no head without it can answer.
        largest: Share of the largest class: what its name alone would have right.
        in_use: Whether it is the head that answers in this run.
        train: Whether the images are a train part, and accuracies elsewhere are of a test part.
        sets: The in-distribution set, then labelled shifts of the same classes.
        curve: By the number of images, ascending; the last one is fitted to all.
        gain: From half of the images to all, on the same images.
        difference: To the head in use, on the same images.
    """

    probe: ClassVar[str] = "linear"

    data: str
    found: Count
    images: Count
    classes: Count
    single: Count
    largest: Real
    in_use: bool
    train: bool = False
    sets: Annotated[Many[LinearAccuracy], FIGURES]
    curve: Many[CurvePoint]
    gain: Annotated[Points, Fig("linear.gain", "gain from half of the labels to all", "linear")]
    difference: Annotated[
        Points, Fig("linear.difference", "fitted head minus the head in use", "linear")
    ]


@dataclass(frozen=True, eq=False)
class Labelled:
    """What a head is fitted to, and what it answers besides.

    Attributes:
        head: Fitted to the images.
        images: Distinct labelled images of the in-distribution set, to be answered without each;
            labels are rows of the head.
        found: Images of the source, if the run has a sample of them; else those fitted to.
        shifts: Labelled sets whose labels are rows of the head, with the rows that may answer.
        in_use: Whether it is the head that answers in this run.
        other: The head in use and the same images as it answers them, where it is another one.
        train: Whether the images are a train part.
    """

    head: HeadArrays
    images: SetFeatures
    found: int
    shifts: Sequence[SetFeatures] = ()
    in_use: bool = False
    other: tuple[HeadArrays, SetFeatures] | None = None
    train: bool = False


def linear_accuracy(labelled: Labelled, seed: int) -> Linear:
    """Says how right the head fitted to all images is, and fits others to subsets of them.

    Args:
        labelled: The head and the images.
        seed: Seed of the subsets.
    """
    images, head = labelled.images, labelled.head
    labels = np.asarray(images.labels)
    n, right = len(labels), right_counted(head, images)
    overall = wilson(int(right.sum()), n, images.reach, images.unanswerable)
    curve, half = _curve(images, len(head.weight), seed)
    counts = np.bincount(labels)
    return Linear(
        data=images.name,
        found=labelled.found,
        images=n,
        classes=int((counts > 0).sum()),
        single=int((counts == 1).sum()),
        largest=float(counts.max() / n),
        in_use=labelled.in_use,
        train=labelled.train,
        sets=(
            LinearAccuracy(data=images.name, images=n, accuracy=overall),
            *(_on_shift(head, shift) for shift in labelled.shifts),
        ),
        curve=(*curve, CurvePoint(images=n, accuracy=overall)),
        gain=_gain(right, half),
        difference=_difference(right, labelled.other),
    )


def _on_shift(head: HeadArrays, shift: SetFeatures) -> LinearAccuracy:
    n = len(shift.features)
    accuracy = wilson(int(answered_right(head, shift).sum()), n)
    return LinearAccuracy(data=shift.name, images=n, accuracy=accuracy)


def _curve(images: SetFeatures, classes: int, seed: int) -> tuple[list[CurvePoint], Float64]:
    """Returns the curve without its last point, and how often half of the images had each right.

    Returns:
        The points, and the share right [n] of the heads fitted to half of the images among those
        that were tested on each image; NaN where none was.
    """
    labels = np.asarray(images.labels)
    n, points, half = len(labels), list[CurvePoint](), np.full(len(labels), np.nan)
    for parts in PARTS:
        if n < 2 * parts * len(np.unique(labels)):
            continue
        right, tested, fitted = np.zeros(n), np.zeros(n), list[int]()
        for draw in range(min(DRAWS, max(1, MOST_DRAWN * parts // n))):
            rng = np.random.default_rng([seed, parts, draw])
            chosen = stratified(labels, parts, rng)
            fit = fit_head(images.select(chosen), classes)
            rest = np.flatnonzero(~chosen)
            if isinstance(fit, NotRun) or not rest.size:
                continue
            if rest.size > MOST_TESTED:
                rest = np.sort(rng.choice(rest, MOST_TESTED, replace=False))
            others = SetFeatures(images.name, images.features[rest], labels[rest])
            right[rest] += answered_right(fit[0], others)
            tested[rest] += 1
            fitted.append(int(chosen.sum()))
        if not fitted:
            continue
        each = round(tested.sum() / len(fitted))  # tested on by one head
        accuracy = wilson(round(each * right.sum() / tested.sum()), each)
        assert is_known(accuracy)
        value = float(right.sum() / tested.sum())
        shown = accuracy.model_copy(update={"value": value})
        points.append(CurvePoint(images=round(sum(fitted) / len(fitted)), accuracy=shown))
        if parts == min(PARTS):
            np.divide(right, tested, out=half, where=tested > 0)
    return points, half


def stratified(labels: Int64, parts: int, rng: np.random.Generator) -> Bool:
    """Draws one of so many images of each class, at least two where a class has them.

    >>> chosen = stratified(np.repeat([0, 1, 2], [40, 5, 1]), 4, np.random.default_rng(0))
    >>> int(chosen[:40].sum()), int(chosen[40:45].sum()), bool(chosen[45])
    (10, 2, True)
    """
    order = np.lexsort((rng.random(len(labels)), labels))
    _, starts, counts = np.unique(labels[order], return_index=True, return_counts=True)
    rank = np.arange(len(labels)) - np.repeat(starts, counts)
    wanted = np.maximum(np.floor(counts / parts + rng.random(len(counts))), 2)
    chosen = np.zeros(len(labels), dtype=np.bool_)
    chosen[order] = rank < np.repeat(wanted, counts)
    return chosen


def _gain(right: Bool, half: Float64) -> Figure:
    """Returns how much more often all images are right than by heads fitted to half of them."""
    tested = ~np.isnan(half)
    n = int(tested.sum())
    if n < 2:
        return NotRun(reason="too few images for heads fitted to half of them")
    gains = right[tested] - half[tested]
    value = float(gains.mean())
    reach = LEFT_OUT_REACH * NORMAL_95 * float(gains.std(ddof=1)) / n**0.5
    low, high = max(-1.0, value - reach), min(1.0, value + reach)
    method = f"by image, {LEFT_OUT_REACH:g} times as wide"
    return Estimate(value=value, low=low, high=high, unit="points", n=n, method=method)


def _difference(right: Bool, other: tuple[HeadArrays, SetFeatures] | None) -> Figure:
    """Returns how much more often the fitted head is right than another one, on the same images."""
    if other is None:
        return SAME_HEAD
    head, images = other
    if images.labels is None:
        return images.unlabelled
    theirs = right_counted(head, images)
    gained, lost = int((right & ~theirs).sum()), int((theirs & ~right).sum())
    return paired_difference(gained, lost, len(right), LEFT_OUT_REACH * NORMAL_95)
