"""Channel ablation: what accuracy loses without the channels that stand out.

Three controls say whether that is much: as many random channels, as many channels of energy as near
as attainable, and as many random orthonormal directions.

Replacing the part of h in a few dimensions changes logits by a product of few columns, so every
ablation after the first product costs little. Zero-shot heads divide by the norm of what is left.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np

from tuiprobe.channels.array_types import Bool, Float32, Float64, Int64
from tuiprobe.errors import DataError
from tuiprobe.inside.outliers.result import Outcome, RowFigures
from tuiprobe.measure.arrays.head_arrays import (
    FITTED_TO_THEM,
    LOGIT_ROWS,
    SetFeatures,
    answers_of,
    subsample,
)
from tuiprobe.measure.run.arrays import HeadArrays
from tuiprobe.probes.intervals import band, paired_difference
from tuiprobe.results import Estimate, NotRun
from tuiprobe.results.base import Channel, Frozen, Many, PerChannel, Points, Real, Share
from tuiprobe.results.figures import Fig
from tuiprobe.results.proportions import wilson
from tuiprobe.results.report import ProbeResult

Mode = Literal["zero", "mean"]
Why = Literal["outlier", "offset"]


class Ablation(Frozen):
    """What one set loses without the channels, and what three controls lose.

    Attributes:
        data: Data set.
        mode: Whether the channels are set to zero, or to their mean over the in-distribution set.
        before: Accuracy with all channels.
        after: Accuracy without them.
        difference: After minus before, paired over the images.
        random_difference: Change of accuracy without as many random channels; mean and band over
            draws.
        matched_difference: Change without as many other channels of nearest energy, paired.
        directions_difference: Change without as many random orthonormal directions; mean and
            band over draws.
    """

    data: str
    mode: Mode
    before: Annotated[Share, Fig("before", "top-1 before", "ablation")]
    after: Annotated[Share, Fig("after", "top-1 after", "ablation")]
    difference: Annotated[Points, Fig("difference", "change of top-1", "ablation")]
    random_difference: Annotated[
        Points,
        Fig(
            "random_difference",
            "change of top-1 without as many random channels",
            "random-channels",
        ),
    ]
    matched_difference: Annotated[
        Points,
        Fig(
            "matched_difference",
            "change of top-1 without as many channels of nearest energy",
            "random-channels",
        ),
    ]
    directions_difference: Annotated[
        Points,
        Fig(
            "directions_difference",
            "change of top-1 without as many random directions",
            "random-channels",
        ),
    ]

    @property
    def place(self) -> str:
        """What was done to the channels."""
        return f"channels set to {self.mode}"


class ChannelAblations(ProbeResult):
    """The ablation probe.

    Attributes:
        channels: The ablated channels.
        why: Whether they are outlier channels, or the fewest that carry half of the offset.
        stand_out: Whether the outcome of the outlier probe says that a channel stands out.
        mean_of: Set whose means replace the channels.
        matched: Other channels whose energy on that set is as near as attainable.
        matched_energy: Their energy on that set as a fraction of the ablated channels'.
        ablations: One entry per labelled set and mode.
    """

    probe: ClassVar[str] = "ablation"

    channels: PerChannel[Channel]
    why: Why
    stand_out: bool = True
    mean_of: str
    matched: PerChannel[Channel]
    matched_energy: Real
    ablations: Annotated[Many[Ablation], Fig("ablation")]


WHY = {"outlier": "outlier channels", "offset": "half of the offset"}
"""The kinds of channels that probes act on, in words."""


NO_CHANNEL = NotRun(reason="no channel stands out")


_STANDING_OUT = (Outcome.CHANNELS, Outcome.OFFSET, Outcome.MOVING_AND_CONSTANT)


@dataclass(frozen=True)
class Chosen:
    """Channels of the final representation that other probes act on.

    Attributes:
        channels: Their indices; empty where there is neither an outlier channel nor an offset.
        why: Whether they are outlier channels, or the fewest that carry half of the offset.
        stand_out: Whether the outcome of the outlier probe says that a channel stands out.
    """

    channels: tuple[int, ...]
    why: Why
    stand_out: bool = True

    @property
    def named(self) -> str:
        """What one of them is called.

        >>> Chosen((3,), "outlier").named
        'outlier channel'
        """
        return "outlier channel" if self.why == "outlier" else "channel of the offset"


def acted_on(figures: RowFigures) -> Chosen:
    """Returns the channels of a set of rows to act on."""
    if figures.outlier_channels:
        return Chosen(tuple(row.channel for row in figures.outlier_channels), "outlier")
    return Chosen(figures.offset.half, "offset", figures.outcome in _STANDING_OUT)


MODES: tuple[Mode, ...] = ("zero", "mean")


DRAWS = 20


CONTROL_IMAGES = 1000
"""Images of a set, at most, on which random channels and directions are tried."""


@dataclass(frozen=True, eq=False)
class Removal:
    """A part of h, and what replaces it.

    Attributes:
        centre: float32 [k], the coordinates that replace those of every image, or [n, k] of each.
        channels: The k channels.
        basis: float32 [C, k], orthonormal directions in place of channels.
    """

    centre: Float32
    channels: Sequence[int] = ()
    basis: Float32 | None = None

    def of(self, matrix: Float32) -> Float32:
        """Returns the coordinates [n, k] of the rows of a matrix [n, C]."""
        return matrix[:, list(self.channels)] if self.basis is None else matrix @ self.basis


def ablate_channels(
    head: HeadArrays, sets: Sequence[SetFeatures], chosen: Chosen, seed: int
) -> ChannelAblations | NotRun:
    """Ablates channels on every labelled set, to zero and to their mean, with three controls.

    Args:
        head: The head.
        sets: Sets of usable images, the in-distribution one first; it gives means and energies.
            One that the head was fitted to gives nothing else.
        chosen: The channels.
        seed: Seed of the controls.
    """
    labelled = [images for images in sets if images.labels is not None and images.features.shape[0]]
    if not chosen.channels:
        return NO_CHANNEL
    if labelled and all(images.left_out is not None for images in labelled):
        return FITTED_TO_THEM
    labelled = [images for images in labelled if images.left_out is None]
    if not labelled:
        return NotRun(reason="no labelled set")
    first, width = sets[0].features, sets[0].features.shape[1]
    if 2 * len(chosen.channels) > width:
        return NotRun(reason="too few other channels to compare with")
    energy = np.einsum("ij,ij->j", first, first, dtype=np.float64)
    channels = list(chosen.channels)
    matched = matched_channels(energy, channels)
    mean = first.mean(axis=0, dtype=np.float64).astype(np.float32)
    ablations: list[Ablation] = []
    for images in labelled:
        ablations += _ablations(head, images, channels, matched, mean, seed)
    total = float(energy[channels].sum())
    return ChannelAblations(
        channels=chosen.channels,
        why=chosen.why,
        stand_out=chosen.stand_out,
        mean_of=sets[0].name,
        matched=tuple(matched),
        matched_energy=float(energy[matched].sum()) / total if total else 0.0,
        ablations=tuple(ablations),
    )


def matched_channels(energy: Float64, channels: Sequence[int]) -> list[int]:
    """Returns other channels of the nearest energy, each used once, largest matched first.

    Args:
        energy: [C].
        channels: The channels to match.

    >>> matched_channels(np.array([1.0, 5.0, 9.0, 8.0]), [2])
    [3]
    """
    free = [c for c in range(energy.size) if c not in set(channels)]
    matched = []
    for channel in sorted(channels, key=lambda c: -energy[c]):
        nearest = min(free, key=lambda c: abs(energy[c] - energy[channel]))
        free.remove(nearest)
        matched.append(nearest)
    return matched


def _ablations(
    head: HeadArrays,
    images: SetFeatures,
    channels: list[int],
    matched: list[int],
    mean: Float32,
    seed: int,
) -> Iterator[Ablation]:
    """Yields the ablations of a set, one per mode.

    Args:
        head: The head.
        images: A labelled set.
        channels: The channels.
        matched: Other channels of nearest energy.
        mean: float32 [C], mean of the in-distribution set.
        seed: Seed of subsamples and controls.
    """
    answers_of(images, head.weight.shape[0])  # refuses labels without a row
    width, count = mean.size, len(channels)
    others = np.setdiff1d(np.arange(width), channels)
    random, bases = [], []
    for number in range(DRAWS):
        rng = np.random.default_rng([seed, number])
        random.append(rng.choice(others, count, replace=False).tolist())
        rng = np.random.default_rng([seed, number, 1])
        bases.append(np.linalg.qr(rng.standard_normal((width, count)))[0].astype(np.float32))
    few = subsample(images, CONTROL_IMAGES, seed)
    removals: list[Removal | None] = [None]
    controls: dict[Mode, list[Removal]] = {}
    for mode in MODES:
        centre = mean if mode == "mean" else np.zeros_like(mean)
        removals += [Removal(centre[group], group) for group in (channels, matched)]
        controls[mode] = [Removal(centre[group], group) for group in random]
        controls[mode] += [Removal(centre @ basis, basis=basis) for basis in bases]
    before, *after_each = right_without(head, images, removals)
    for mode, after, without_matched in zip(MODES, after_each[::2], after_each[1::2], strict=True):
        plain, *drawn = right_without(head, few, [None, *controls[mode]])
        changes = np.array([right.mean() for right in drawn]) - plain.mean()
        yield Ablation(
            data=images.name,
            mode=mode,
            before=wilson(int(before.sum()), before.size),
            after=wilson(int(after.sum()), before.size),
            difference=paired(before, after),
            random_difference=band(changes[:DRAWS], plain.size),
            matched_difference=paired(before, without_matched),
            directions_difference=band(changes[DRAWS:], plain.size),
        )


def paired(before: Bool, after: Bool) -> Estimate:
    """Returns by how much the share of right answers changes on the same images."""
    gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
    return paired_difference(gained, lost, before.size)


def right_without(
    head: HeadArrays, images: SetFeatures, removals: Sequence[Removal | None]
) -> list[Bool]:
    """Returns which images are right without each of several parts of their representation.

    Args:
        head: The head.
        images: A labelled set; representations are finite and not zero.
        removals: What to replace.

    Raises:
        DataError: If the set has no labels.
    """
    if images.labels is None:
        raise DataError(f"{images.name} has no labels")
    answers = images.classes_of_rows(head.weight.shape[0])
    rows = np.flatnonzero(answers >= 0)
    classes, weight = answers[rows], head.weight[rows]
    across = np.ascontiguousarray(weight.T)
    of_weights = [None if removal is None else removal.of(weight) for removal in removals]
    n = images.features.shape[0]
    results = [np.zeros(n, dtype=bool) for _ in removals]
    for start in range(0, n, LOGIT_ROWS):
        span = slice(start, min(start + LOGIT_ROWS, n))
        block, labels = images.features[span], np.asarray(images.labels)[span]
        products = block @ across
        squares = np.einsum("ij,ij->i", block, block, dtype=np.float64)
        for right, removal, of_weight in zip(results, removals, of_weights, strict=True):
            values, left = products, squares
            if removal is not None and of_weight is not None:
                removed, centre = removal.of(block), removal.centre
                centre = centre[span] if centre.ndim == 2 else centre
                values = products - (removed - centre) @ of_weight.T
                left = squares - np.einsum("ij,ij->i", removed, removed, dtype=np.float64)
                left = left + np.einsum("...j,...j->...", centre.astype(np.float64), centre)
            best = _logits(values, left, head, rows).argmax(axis=1)
            right[span] = classes[best] == labels
    return results


def _logits(values: Float32, squares: Float64, head: HeadArrays, rows: Int64) -> Float32:
    """Returns the logits of products, by the definition of `logit_blocks`."""
    if head.normalize:
        scale = 1.0 if head.logit_scale is None else head.logit_scale
        norms = np.sqrt(np.maximum(squares, 0))
        factor = np.divide(scale, norms, out=np.zeros_like(norms), where=norms > 0)
        values = values * factor[:, None].astype(np.float32) + np.float32(head.logit_bias)
    return values if head.bias is None else values + head.bias[rows]
