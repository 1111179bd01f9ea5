"""Channel ablation: what accuracy loses without the persistent channels, beside two controls."""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from tuiprobe.probes.heads import HeadArrays, SetFeatures, answered_right, first_images, hits
from tuiprobe.probes.inputs import Float32, Float64
from tuiprobe.probes.intervals import paired_difference, wilson
from tuiprobe.probes.pruning import SEED_IMAGES, SEEDS, band
from tuiprobe.results import Ablation, NotRun

Mode = Literal["zero", "mean"]
Without = Callable[[SetFeatures, Sequence[int]], int]
MODES: tuple[Mode, ...] = ("zero", "mean")


def ablations(
    head: HeadArrays, sets: Sequence[SetFeatures], persistent: Sequence[int], seed: int
) -> tuple[Ablation, ...] | NotRun:
    """Zero or mean-replace the persistent channels; random and matched channels as controls.

    Args:
        head: the head.
        sets: labelled sets.
        persistent: channels to ablate.
        seed: of the random channels and of the subsample they are tried on.
    """
    channels = sets[0].features.shape[1] if sets else 0
    if not persistent:
        return NotRun(reason="no persistent channel")
    if not sets:
        return NotRun(reason="no labelled set")
    if 2 * len(persistent) > channels:
        return NotRun(reason="too few other channels to compare with")
    return tuple(
        _ablation(head, one, list(persistent), mode, seed)
        for one in sets
        if one.features.shape[0]
        for mode in MODES
    )


def ablated(features: Float32, channels: Sequence[int], mode: Mode) -> Float32:
    """A copy with these channels set to zero, or to their mean over the images."""
    copy = features.copy()
    chosen = list(channels)
    copy[:, chosen] = 0 if mode == "zero" else features[:, chosen].mean(axis=0, dtype=np.float64)
    return copy


def matched_channels(features: Float32, channels: Sequence[int]) -> list[int]:
    """Other channels of nearest mean square, each taken once, largest matched first."""
    square = np.einsum("ij,ij->j", features, features, dtype=np.float64) / features.shape[0]
    free = [c for c in range(features.shape[1]) if c not in set(channels)]
    found = []
    for channel in sorted(channels, key=lambda c: -square[c]):
        nearest = min(free, key=lambda c: abs(square[c] - square[channel]))
        free.remove(nearest)
        found.append(nearest)
    return found


def _ablation(
    head: HeadArrays, one: SetFeatures, channels: list[int], mode: Mode, seed: int
) -> Ablation:
    n = one.features.shape[0]

    def without(some: SetFeatures, chosen: Sequence[int]) -> int:
        return hits(ablated(some.features, chosen, mode), head, some)

    before = answered_right(one.features, head, one)
    after = answered_right(ablated(one.features, channels, mode), head, one)
    few = first_images(one, SEED_IMAGES, seed)
    return Ablation(
        data=one.name,
        mode=mode,
        channels=tuple(channels),
        before=wilson(int(before.sum()), n),
        after=wilson(int(after.sum()), n),
        difference=paired_difference(int((after & ~before).sum()), int((before & ~after).sum()), n),
        random=band(_random_rates(few, channels, without, seed), few.features.shape[0]),
        matched=wilson(without(one, matched_channels(one.features, channels)), n),
    )


def _random_rates(few: SetFeatures, channels: list[int], without: Without, seed: int) -> Float64:
    others = np.setdiff1d(np.arange(few.features.shape[1]), channels)
    rates = []
    for number in range(SEEDS):
        chosen = np.random.default_rng([seed, number]).choice(others, len(channels), replace=False)
        rates.append(without(few, chosen.tolist()) / few.features.shape[0])
    return np.array(rates)
