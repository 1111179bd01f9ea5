"""What INT8 rounding of the representation changes: answers of the head, or nearest neighbours.

The scales are those of the in-distribution set, as after a calibration pass; values beyond them are
clipped. The head stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from tuiprobe.probes.confidence import Logits
from tuiprobe.probes.heads import SetFeatures
from tuiprobe.probes.inputs import Float32, Float64, Int64
from tuiprobe.probes.intervals import bootstrap_mean
from tuiprobe.probes.proportions import paired_difference, wilson
from tuiprobe.probes.quantisation.compute import rounded, separate, some_rows
from tuiprobe.probes.quantisation.result import AnswersChanged, NeighboursKept, Scheme
from tuiprobe.probes.rows import blocks, unit_rows
from tuiprobe.results import Figure, NotRun
from tuiprobe.run.checked_arrays import HeadArrays

NEIGHBOURS = 10
"""Nearest other rows that are compared."""

NO_LABELS = NotRun(reason="no labels")


def schemes(largest: Float64, apart: Sequence[int]) -> Iterator[tuple[Scheme, Float64]]:
    """Yields the largest value under each scale of every channel, [C], by scheme.

    Args:
        largest: [C], largest absolute value of each channel of the in-distribution set.
        apart: Channels with scales of their own; without any there is one scheme.
    """
    yield "tensor", np.full(largest.size, largest.max(initial=0))
    if apart:
        yield "apart", separate(largest, apart)


def answers_changed(
    head: HeadArrays, sets: Sequence[SetFeatures], largest: Float64, apart: Sequence[int]
) -> tuple[AnswersChanged, ...]:
    """Returns how many answers change on every set, under every scheme.

    Args:
        head: The head.
        sets: Images with a finite representation, with labels or without; empty ones are left out.
        largest: As for `schemes`.
        apart: As for `schemes`.
    """
    found = []
    for one in (one for one in sets if one.features.shape[0]):
        before = _answers(head, one, one.features)
        for scheme, scale in schemes(largest, apart):
            after = _answers(head, one, _rounded(one.features, scale))
            changed = int((before != after).sum())
            found.append(
                AnswersChanged(
                    data=one.name,
                    scheme=scheme,
                    changed=wilson(changed, before.size),
                    top1=_difference(one, before, after),
                )
            )
    return tuple(found)


def _answers(head: HeadArrays, one: SetFeatures, features: Float32) -> Int64:
    logits = Logits(head, replace(one, features=features))
    answer = np.zeros(features.shape[0], dtype=np.int64)
    for place, block in logits.blocks():
        answer[place] = logits.classes[block.argmax(axis=1)]
    return answer


def _rounded(features: Float32, scale: Float64) -> Float32:
    result = np.empty_like(features)
    for place, block in blocks(features):
        result[place] = rounded(block, scale)
    return result


def _difference(one: SetFeatures, before: Int64, after: Int64) -> Figure:
    if one.labels is None:
        return NO_LABELS
    was, now = before == one.labels, after == one.labels
    return paired_difference(int((now & ~was).sum()), int((was & ~now).sum()), was.size)


def neighbours_kept(
    sets: Sequence[SetFeatures], largest: Float64, apart: Sequence[int], seed: int
) -> tuple[NeighboursKept, ...]:
    """Returns which part of each row's nearest neighbours by cosine stays, on every set.

    A seeded sample of at most `ROWS` rows of a set stands for it. Arguments as for
    `answers_changed`.
    """
    found = []
    for one in sets:
        rows = some_rows(one.features, seed)
        if rows.shape[0] <= NEIGHBOURS:
            continue
        before = _nearest(rows)
        for scheme, scale in schemes(largest, apart):
            after = _nearest(_rounded(rows, scale))
            kept = [np.intersect1d(a, b).size for a, b in zip(before, after, strict=True)]
            share = bootstrap_mean(np.array(kept) / NEIGHBOURS, seed)
            found.append(NeighboursKept(data=one.name, scheme=scheme, kept=share))
    return tuple(found)


def _nearest(rows: Float32) -> Int64:
    """Returns the nearest other rows of each row by cosine, int64 [n, NEIGHBOURS]."""
    unit = unit_rows(rows)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -np.inf)
    return np.argpartition(-cosines, NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS]
