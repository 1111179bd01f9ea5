"""Channel ablation: what accuracy, calibration and logits lose without the channels that stand out.

Three controls say whether that is much: as many random channels, as many channels of energy as near
as attainable, and as many random orthonormal directions.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tuiprobe.probes.ablation.result import Ablation, ChannelAblations, Mode, Sides
from tuiprobe.probes.ablation.without import Predictions, Removal, told_without
from tuiprobe.probes.channels import NO_CHANNEL, Chosen
from tuiprobe.probes.confidence import UNKNOWN_SCALE, ece, scale_known
from tuiprobe.probes.directions.pruning import band
from tuiprobe.probes.heads import SetFeatures, answers_of, first_images
from tuiprobe.probes.inputs import Bool, Float32, Float64
from tuiprobe.probes.intervals import mean_interval
from tuiprobe.probes.proportions import paired_difference, wilson
from tuiprobe.results import Figure, NotRun, given
from tuiprobe.run.checked_arrays import HeadArrays

MODES: tuple[Mode, ...] = ("zero", "mean")
DRAWS = 20
CONTROL_IMAGES = 1000
"""Images of a set, at most, on which random channels and directions are tried."""


@dataclass(frozen=True, eq=False)
class _Asked:
    """What is ablated on every set, and the draws of the controls.

    Attributes:
        channels: The channels.
        matched: Other channels of nearest energy.
        random: Groups of as many random channels.
        directions: As many orthonormal directions [C, k] per draw.
        mean: float32 [C], mean of the in-distribution set.
        seed: Seed of subsamples and intervals.
    """

    channels: list[int]
    matched: list[int]
    random: list[list[int]]
    directions: list[Float32]
    mean: Float32
    seed: int

    def removal(self, channels: list[int], mode: Mode) -> Removal:
        centre = self.mean[channels] if mode == "mean" else np.zeros(len(channels), np.float32)
        return Removal(centre, channels)

    def turned(self, basis: Float32, mode: Mode) -> Removal:
        centre = self.mean @ basis if mode == "mean" else np.zeros(basis.shape[1], np.float32)
        return Removal(centre, basis=basis)


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
    labelled = [one for one in sets if one.labels is not None and one.features.shape[0]]
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
    asked = _Asked(
        channels,
        matched,
        list(_random_channels(width, channels, seed)),
        list(_random_directions(width, len(channels), seed)),
        first.mean(axis=0, dtype=np.float64).astype(np.float32),
        seed,
    )
    total = float(energy[channels].sum())
    return ChannelAblations(
        channels=chosen.channels,
        why=chosen.why,
        stand_out=chosen.stand_out,
        mean_of=sets[0].name,
        matched=tuple(matched),
        matched_energy=float(energy[matched].sum()) / total if total else 0.0,
        ablations=tuple(one for each in labelled for one in _ablations(head, each, asked)),
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
    found = []
    for channel in sorted(channels, key=lambda c: -energy[c]):
        nearest = min(free, key=lambda c: abs(energy[c] - energy[channel]))
        free.remove(nearest)
        found.append(nearest)
    return found


def _random_channels(width: int, channels: list[int], seed: int) -> Iterator[list[int]]:
    others = np.setdiff1d(np.arange(width), channels)
    for number in range(DRAWS):
        rng = np.random.default_rng([seed, number])
        yield rng.choice(others, len(channels), replace=False).tolist()


def _random_directions(width: int, count: int, seed: int) -> Iterator[Float32]:
    for number in range(DRAWS):
        rng = np.random.default_rng([seed, number, 1])
        yield np.linalg.qr(rng.standard_normal((width, count)))[0].astype(np.float32)


def _ablations(head: HeadArrays, one: SetFeatures, asked: _Asked) -> Iterator[Ablation]:
    answers_of(one, head.weight.shape[0])  # refuses wrong labels first
    whole: list[Removal | None] = [None]
    for mode in MODES:
        whole += [asked.removal(asked.channels, mode), asked.removal(asked.matched, mode)]
    before, *rest = told_without(head, one, whole)
    few = first_images(one, CONTROL_IMAGES, asked.seed)
    for mode, after, matched in zip(MODES, rest[::2], rest[1::2], strict=True):
        drawn = [asked.removal(group, mode) for group in asked.random]
        drawn += [asked.turned(basis, mode) for basis in asked.directions]
        plain, *controls = told_without(head, few, [None, *drawn])
        random, directions = controls[:DRAWS], controls[DRAWS:]
        n, count = before.right.size, plain.right.size
        yield Ablation(
            data=one.name,
            mode=mode,
            before=wilson(int(before.right.sum()), n),
            after=wilson(int(after.right.sum()), n),
            difference=_paired(before.right, after.right),
            random=band(_rates(random), count),
            random_difference=band(_rates(random) - plain.right.mean(), count),
            matched=wilson(int(matched.right.sum()), n),
            matched_difference=_paired(before.right, matched.right),
            directions=band(_rates(directions), count),
            directions_difference=band(_rates(directions) - plain.right.mean(), count),
            ece=_calibration(head, (before, after), (random, directions)),
            spread=Sides(
                before=_mean(before.spread),
                after=_mean(after.spread),
                random=band(np.array([told.spread.mean() for told in random]), count),
                directions=band(np.array([told.spread.mean() for told in directions]), count),
            ),
        )


def _paired(before: Bool, after: Bool) -> Figure:
    gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
    return paired_difference(gained, lost, before.size)


def _mean(values: Float64) -> Figure:
    return mean_interval(float(values.sum()), float(values @ values), values.size)


def _rates(drawn: Sequence[Predictions]) -> Float64:
    return np.array([told.right.mean() for told in drawn])


def _calibration(
    head: HeadArrays,
    sides: tuple[Predictions, Predictions],
    controls: tuple[list[Predictions], list[Predictions]],
) -> Sides:
    if not scale_known(head):
        unknown = UNKNOWN_SCALE
        return Sides(before=unknown, after=unknown, random=unknown, directions=unknown)
    before, after = (ece(told.confidence, told.right) for told in sides)
    random, directions = (
        _band_of([ece(t.confidence, t.right) for t in drawn]) for drawn in controls
    )
    return Sides(before=before, after=after, random=random, directions=directions)


def _band_of(figures: Sequence[Figure]) -> Figure:
    values = [one for one in figures if given(one)]
    if len(values) < len(figures):
        return figures[0]
    return band(np.array([one.value for one in values]), values[0].n, values[0].unit)
