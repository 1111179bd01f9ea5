"""Channel ablation: what accuracy loses without the outlier channels, beside two controls."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from tuiprobe.probes.ablation.result import Ablation
from tuiprobe.probes.directions.pruning import SEED_IMAGES, SEEDS, band
from tuiprobe.probes.heads import (
    SetFeatures,
    allowed_rows,
    answered_right,
    answers_of,
    first_images,
    hits,
    logit_blocks,
)
from tuiprobe.probes.inputs import Float32, Float64, Int64
from tuiprobe.probes.intervals import paired_difference, wilson
from tuiprobe.results import NotRun
from tuiprobe.run.checked_arrays import HeadArrays

Mode = Literal["zero", "mean"]
MODES: tuple[Mode, ...] = ("zero", "mean")


def ablations(
    head: HeadArrays, sets: Sequence[SetFeatures], outlying: Sequence[int], seed: int
) -> tuple[Ablation, ...] | NotRun:
    """Ablates the outlier channels (to zero and to their mean), with two controls.

    Args:
        head: The head.
        sets: Labelled sets.
        outlying: Channels to ablate.
        seed: Seed of the random channels and of their subsample of images.
    """
    channels = sets[0].features.shape[1] if sets else 0
    if not outlying:
        return NotRun(reason="no outlier channel")
    if not sets:
        return NotRun(reason="no labelled set")
    if 2 * len(outlying) > channels:
        return NotRun(reason="too few other channels to compare with")
    return tuple(
        _ablation(head, one, list(outlying), mode, seed)
        for one in sets
        if one.features.shape[0]
        for mode in MODES
    )


def ablated(features: Float32, channels: Sequence[int], mode: Mode) -> Float32:
    """Returns a copy with these channels set to zero, or to their mean over the images."""
    copy = features.copy()
    chosen = list(channels)
    copy[:, chosen] = 0 if mode == "zero" else features[:, chosen].mean(axis=0, dtype=np.float64)
    return copy


def matched_channels(features: Float32, channels: Sequence[int]) -> list[int]:
    """Returns other channels of the nearest mean square, each used once, largest matched first."""
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
    before = answered_right(one.features, head, one)
    after = answered_right(ablated(one.features, channels, mode), head, one)
    matched = ablated(one.features, matched_channels(one.features, channels), mode)
    few = first_images(one, SEED_IMAGES, seed)
    return Ablation(
        data=one.name,
        mode=mode,
        channels=tuple(channels),
        before=wilson(int(before.sum()), n),
        after=wilson(int(after.sum()), n),
        difference=paired_difference(int((after & ~before).sum()), int((before & ~after).sum()), n),
        random=band(_random_rates(few, head, channels, mode, seed), few.features.shape[0]),
        matched=wilson(hits(matched, head, one), n),
    )


def _random_rates(
    few: SetFeatures, head: HeadArrays, channels: list[int], mode: Mode, seed: int
) -> Float64:
    others = np.setdiff1d(np.arange(few.features.shape[1]), channels)
    drawn = [
        np.random.default_rng([seed, number]).choice(others, len(channels), replace=False).tolist()
        for number in range(SEEDS)
    ]
    if head.normalize and head.bias is not None:  # the norm of what is left counts
        found = [hits(ablated(few.features, chosen, mode), head, few) for chosen in drawn]
    else:
        found = hits_without(few, head, drawn, mode).tolist()
    rates: Float64 = np.array(found, dtype=np.float64) / few.features.shape[0]
    return rates


def hits_without(
    one: SetFeatures, head: HeadArrays, drawn: Sequence[Sequence[int]], mode: Mode
) -> Int64:
    """Counts the images answered correctly without each of several groups of channels.

    Each group subtracts h_c W_c from logits that are computed once, so that twenty groups of a few
    channels cost little more than one pass. For heads whose logits are linear in h.

    Args:
        one: Representations, labels and answers.
        head: The head.
        drawn: Groups of channels.
        mode: Whether they are replaced by zero, or by the mean over the images.
    """
    answers, labels = answers_of(one, head.weight.shape[0]), np.asarray(one.labels)
    weight = allowed_rows(head.weight, one)
    centre = one.features.mean(axis=0, dtype=np.float64).astype(np.float32)
    found = np.zeros(len(drawn), dtype=np.int64)
    for place, logits in logit_blocks(one.features, head, one):
        for number, chosen in enumerate(drawn):
            taken = one.features[place][:, chosen]
            if mode == "mean":
                taken = taken - centre[chosen]
            left = logits - taken @ weight[:, chosen].T
            found[number] += int((answers[left.argmax(axis=1)] == labels[place]).sum())
    return found
