"""Channel ablation: what accuracy, calibration and logits lose without the channels that stand out.

Three controls say whether that is much: as many random channels, as many channels of energy as near
as attainable, and as many random orthonormal directions.

Replacing the part of h in a few dimensions changes logits by a product of few columns, so every
ablation after the first product costs little. Zero-shot heads divide by the norm of what is left.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tuiprobe.errors import DataError, UsageError
from tuiprobe.probes.ablation.result import (
    Ablation,
    Change,
    ChannelAblations,
    Mode,
    SetAblation,
    Sides,
    Top1,
)
from tuiprobe.probes.channels import NO_CHANNEL, Chosen
from tuiprobe.probes.confidence import UNKNOWN_SCALE, ece, scale_known
from tuiprobe.probes.directions.compute import decompose
from tuiprobe.probes.heads import ROWS, SetFeatures, answers_of, first_images
from tuiprobe.probes.inputs import Bool, Float32, Float64, Int64
from tuiprobe.probes.intervals import band, mean_interval
from tuiprobe.probes.proportions import paired_difference, wilson, wilson_bounds
from tuiprobe.results import Estimate, Figure, NotRun, given
from tuiprobe.run.checked_arrays import HeadArrays

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


def ablate_channels(
    head: HeadArrays, sets: Sequence[SetFeatures], chosen: Chosen, seed: int
) -> ChannelAblations | NotRun:
    """Ablates channels on every labelled set, to zero and to their mean, with three controls.

    Args:
        head: The head.
        sets: Sets of usable images, the in-distribution one first; it gives means and energies.
        chosen: The channels.
        seed: Seed of the controls.
    """
    labelled = [images for images in sets if images.labels is not None and images.features.shape[0]]
    if not chosen.channels:
        return NO_CHANNEL
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
    """Yields what a set loses in each mode.

    Args:
        head: The head.
        images: A labelled set.
        channels: The channels.
        matched: Other channels of nearest energy.
        mean: float32 [C], mean of the in-distribution set.
        seed: Seed of subsamples and controls.
    """
    answers_of(images, head.weight.shape[0])  # refuses wrong labels first
    width, count = mean.size, len(channels)
    others = np.setdiff1d(np.arange(width), channels)
    random, bases = [], []
    for number in range(DRAWS):
        rng = np.random.default_rng([seed, number])
        random.append(rng.choice(others, count, replace=False).tolist())
        rng = np.random.default_rng([seed, number, 1])
        bases.append(np.linalg.qr(rng.standard_normal((width, count)))[0].astype(np.float32))
    few = first_images(images, CONTROL_IMAGES, seed)
    whole: list[Removal | None] = [None]
    controls: dict[Mode, list[Removal]] = {}
    for mode in MODES:
        centre = mean if mode == "mean" else np.zeros_like(mean)
        whole += [Removal(centre[group], group) for group in (channels, matched)]
        controls[mode] = [Removal(centre[group], group) for group in random]
        controls[mode] += [Removal(centre @ basis, basis=basis) for basis in bases]
    before, *rest = predict_without(head, images, whole)
    n = before.right.size
    for mode, after, without_matched in zip(MODES, rest[::2], rest[1::2], strict=True):
        plain, *drawn = predict_without(head, few, [None, *controls[mode]])
        of_channels, of_directions = drawn[:DRAWS], drawn[DRAWS:]
        rate, count = plain.right.mean(), plain.right.size
        rates, turned = (
            np.array([prediction.right.mean() for prediction in group])
            for group in (of_channels, of_directions)
        )
        yield Ablation(
            data=images.name,
            mode=mode,
            before=wilson(int(before.right.sum()), n),
            after=wilson(int(after.right.sum()), n),
            difference=_paired(before.right, after.right),
            random=band(rates, count),
            random_difference=band(rates - rate, count),
            matched=wilson(int(without_matched.right.sum()), n),
            matched_difference=_paired(before.right, without_matched.right),
            directions=band(turned, count),
            directions_difference=band(turned - rate, count),
            ece=Sides(
                before=_calibration_error(head, [before]),
                after=_calibration_error(head, [after]),
                random=_calibration_error(head, of_channels),
                directions=_calibration_error(head, of_directions),
            ),
            spread=Sides(
                before=_mean(before.spread),
                after=_mean(after.spread),
                random=band([each.spread.mean() for each in of_channels], count),
                directions=band([each.spread.mean() for each in of_directions], count),
            ),
        )


def _paired(before: Bool, after: Bool) -> Estimate:
    gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
    return paired_difference(gained, lost, before.size)


def _mean(values: Float64) -> Figure:
    return mean_interval(float(values.sum()), float(values @ values), values.size)


def _calibration_error(head: HeadArrays, drawn: Sequence[Predictions]) -> Figure:
    """Returns the calibration error of one prediction, or the band of several."""
    if not scale_known(head):
        return UNKNOWN_SCALE
    figures = [ece(each.confidence, each.right) for each in drawn]
    values = [figure for figure in figures if given(figure)]
    if len(figures) == 1 or len(values) < len(figures):
        return figures[0]
    return band([figure.value for figure in values], values[0].n, values[0].unit)


def predict_without(
    head: HeadArrays, images: SetFeatures, removals: Sequence[Removal | None]
) -> list[Predictions]:
    """Answers every image without each of several parts of its representation.

    Args:
        head: The head.
        images: A labelled set; representations are finite and not zero.
        removals: What to replace; None for nothing.

    Raises:
        DataError: If the set has no labels.
    """
    if images.labels is None:
        raise DataError(f"{images.name} has no labels")
    answers = images.classes_of_rows(head.weight.shape[0])
    rows = np.flatnonzero(answers >= 0)
    classes = answers[rows].astype(np.int64)
    single = np.unique(classes).size == classes.size
    weight = head.weight[rows]
    across = np.ascontiguousarray(weight.T)
    of_weights = [None if removal is None else removal.of(weight) for removal in removals]
    n = images.features.shape[0]
    results = [Predictions(np.zeros(n, dtype=bool), np.zeros(n), np.zeros(n)) for _ in removals]
    for start in range(0, n, ROWS):
        place = slice(start, min(start + ROWS, n))
        block, labels = images.features[place], np.asarray(images.labels)[place]
        products = block @ across
        squares = np.einsum("ij,ij->i", block, block, dtype=np.float64)
        for result, removal, of_weight in zip(results, removals, of_weights, strict=True):
            if removal is None or of_weight is None:
                values, left = products.copy(), squares
            else:
                taken, centre = removal.of(block), removal.centre
                centre = centre[place] if centre.ndim == 2 else centre
                values = products - (taken - centre) @ of_weight.T
                left = squares - np.einsum("ij,ij->i", taken, taken, dtype=np.float64)
                left = left + np.einsum("...j,...j->...", centre.astype(np.float64), centre)
            _finish(values, left, head, rows)
            right, confidence, spread = _predict(values, classes, labels, single=single)
            result.right[place], result.confidence[place] = right, confidence
            result.spread[place] = spread
    return results


def _finish(values: Float32, squares: Float64, head: HeadArrays, rows: Int64) -> None:
    """Turns products into logits in place, by the definition of `confidence.logit_blocks`."""
    if head.normalize:
        scale = 1.0 if head.logit_scale is None else head.logit_scale
        norms = np.sqrt(np.maximum(squares, 0))
        factor = np.divide(scale, norms, out=np.zeros_like(norms), where=norms > 0)
        values *= factor[:, None].astype(np.float32)
        values += np.float32(head.logit_bias)
    if head.bias is not None:
        values += head.bias[rows]


def _predict(
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
        of_answer = np.where(classes[None, :] == answer[:, None], values, 0)
        own = of_answer.sum(axis=1, dtype=np.float64)
    return answer == labels, np.asarray(own / total), spread


def span_of(
    head: HeadArrays, channels: Sequence[int], directions: Sequence[int], *, centred: bool
) -> Float32:
    """Returns an orthonormal basis [C, m] of the span of the named channels and directions.

    Args:
        head: The linear head.
        channels: Numbers of channels.
        directions: Numbers of right singular vectors of W, by singular value, from 0.
        centred: Take those of W minus its mean row.

    Raises:
        UsageError: If a channel or direction does not exist.
    """
    weight = head.weight.astype(np.float64)
    units = np.eye(weight.shape[1])
    v = decompose(weight - weight.mean(axis=0) if centred else weight)[2]
    for kind, numbers, count in (
        ("channel", channels, len(units)),
        ("direction", directions, v.shape[1]),
    ):
        for number in numbers:
            if number >= count:
                raise UsageError(f"{kind}:{number} does not exist: there are 0 to {count - 1}")
    rest = v[:, list(directions)]
    rest[list(channels)] = 0  # the channels are removed exactly already
    u, s, _ = np.linalg.svd(rest, full_matrices=False)
    return np.hstack([units[:, list(channels)], u[:, s > 1e-6]]).astype(np.float32)


def ablate_span(
    head: HeadArrays, images: SetFeatures, span: Float32, centre: Float32, nonfinite: int
) -> SetAblation:
    """Computes the accuracy of one labelled set before and after the ablation of a span.

    A representation of length 0 in float32 counts as wrong, before or after.

    Args:
        head: The linear head.
        images: Finite representations with labels.
        span: [C, m], from `span_of`.
        centre: float32 [m], the coordinates in the span that replace those of every image, or
            [n, m] of each.
        nonfinite: Images that were left out.

    Raises:
        DataError: If no row of the head answers for a label.
    """
    answers_of(images, head.weight.shape[0])
    given = np.linalg.norm(images.features, axis=1) > 0
    left, centres = given.copy(), np.broadcast_to(centre, (given.size, span.shape[1]))
    for start in range(0, given.size, ROWS):
        place = slice(start, start + ROWS)
        block = images.features[place]
        rest = block - (block @ span - centres[place]) @ span.T
        left[place] &= np.linalg.norm(rest, axis=1) > 0
    predictions = predict_without(head, images, [None, Removal(centre, basis=span)])
    before, after = predictions[0].right & given, predictions[1].right & left
    n, change = given.size, _paired(before, after)
    assert change.low is not None
    assert change.high is not None
    return SetAblation(
        name=images.name,
        n=n,
        nonfinite=nonfinite,
        before=_top1(before),
        after=_top1(after),
        difference=Change(value=change.value, low=change.low, high=change.high),
        lost=int((before & ~after).sum()),
        gained=int((after & ~before).sum()),
    )


def _top1(right: Bool) -> Top1:
    low, high = wilson_bounds(int(right.sum()), right.size)
    return Top1(top1=float(right.mean()), low=float(low), high=float(high))
