"""`tuiprobe reprobe RUN --ablate`: accuracies without named channels and directions.

docs/inside.md has the definitions.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np

from tuiprobe.channels.array_types import Bool, Float32
from tuiprobe.errors import DataError, UsageError
from tuiprobe.inside.ablation.compute import Removal, paired, right_without
from tuiprobe.inside.directions.compute import decompose
from tuiprobe.measure.arrays.head_arrays import FITTED_TO_THEM, LOGIT_ROWS, SetFeatures, answers_of
from tuiprobe.measure.arrays.row_statistics import fixed_threads
from tuiprobe.measure.run.arrays import HeadArrays
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.manifest import require_manifest
from tuiprobe.numbers import interval
from tuiprobe.plaintext import plain
from tuiprobe.probes.reader import RunReader
from tuiprobe.results import NotRun
from tuiprobe.results.base import Channel, Count, Frozen, Many, PerChannel, Real
from tuiprobe.results.proportions import wilson_bounds

ABLATION_VERSION: Final = 3

AblateMode: TypeAlias = Literal["mean", "zero", "shuffle"]
"""What replaces an ablated part: its mean, zero, or that of another image."""


class Top1(Frozen):
    """Top-1 accuracy with Wilson's 95 % interval."""

    top1: Real
    low: Real
    high: Real


class Change(Frozen):
    """After minus before on the same images, with the paired 95 % interval of Bonett and Price."""

    value: Real
    low: Real
    high: Real


class SetAblation(Frozen):
    """The cells of one set, before and after.

    Attributes:
        name: Name of the set.
        n: Labelled images with a finite representation.
        nonfinite: Labelled images without one, which are left out.
        before: Accuracy with everything.
        after: Accuracy without what was ablated.
        difference: After minus before.
        lost: Images that were right before and are wrong after.
        gained: Images that were wrong before and are right after.
    """

    name: str
    n: Count
    nonfinite: Count = 0
    before: Top1
    after: Top1
    difference: Change
    lost: Count
    gained: Count


class SetNotRun(NotRun):
    """Why a set has no accuracy."""

    name: str


REPLACED: Final[dict[AblateMode, str]] = {
    "mean": "set to the mean of the first set",
    "zero": "set to zero",
    "shuffle": "replaced by that of another image",
}
"""What an ablated part is replaced by, in words."""


class TargetedAblation(Frozen):
    """The answer to `tuiprobe reprobe RUN --ablate ...` (schema: docs/inside.md).

    Attributes:
        schema_version: Version of this schema.
        key: Key of the run.
        channels: Ablated channels of the final representation.
        directions: Ablated right singular vectors, by singular value, from 0.
        matrix: Whose singular vectors: `W`, or `W minus its mean row`.
        replaced_by: What the part of h in the span of all of them was set to: `mean` of the first
            set, `zero`, or `shuffle`, the part of another image of the set.
        sets: One entry per set, in the order of the run.
        not_run: Sets without an answer.
    """

    schema_version: Literal[3] = ABLATION_VERSION
    key: str
    channels: PerChannel[Channel]
    directions: PerChannel[Channel]
    matrix: Literal["W", "W minus its mean row"]
    replaced_by: AblateMode
    sets: Many[SetAblation]
    not_run: Many[SetNotRun] = ()

    def lines(self) -> list[str]:
        """Returns what was ablated, the accuracy on each set, and why some have none."""
        parts = [f"channel {channel}" for channel in self.channels]
        parts += [f"direction {direction} of {self.matrix}" for direction in self.directions]
        lines = [f"without {', '.join(parts)} ({REPLACED[self.replaced_by]}), top-1:"]
        for ablated in self.sets:
            before, after, change = ablated.before, ablated.after, ablated.difference
            left_out = f", {ablated.nonfinite} not finite and left out" if ablated.nonfinite else ""
            lines.append(
                f"{ablated.name}: {interval(before.top1, before.low, before.high, 'share')} → "
                f"{interval(after.top1, after.low, after.high, 'share')}, difference "
                f"{interval(change.value, change.low, change.high, 'points', signed=True)}, "
                f"n {ablated.n:,}{left_out}, {ablated.lost:,} lost, {ablated.gained:,} gained"
            )
        reasons: dict[str, list[str]] = {}
        for skipped in self.not_run:
            reasons.setdefault(skipped.reason, []).append(skipped.name)
        lines += [f"{', '.join(names)}: not run, because {why}" for why, names in reasons.items()]
        return [plain(text) for text in lines]


SHUFFLE_SEED = 0


_PART = re.compile(r"(channel|direction):([0-9]{1,9})")


@dataclass(frozen=True)
class Question:
    """What to ablate.

    Attributes:
        channels: Numbers of channels of the final representation.
        directions: Numbers of right singular vectors of the head, by singular value, from 0.
        centred: Whether those are of W minus its mean row.
        replaced_by: `mean` over the images of the first set, `zero`, or `shuffle`.
    """

    channels: tuple[int, ...]
    directions: tuple[int, ...]
    centred: bool = False
    replaced_by: AblateMode = "mean"


def parse_question(
    texts: Sequence[str], centred: bool = False, mode: AblateMode = "mean"
) -> Question:
    """Reads `channel:17,direction:3`; several texts add up.

    Raises:
        UsageError: If a part is neither.

    >>> parse_question(["channel:17,direction:3", "channel:2"]).channels
    (2, 17)
    """
    numbers: dict[str, set[int]] = {"channel": set(), "direction": set()}
    for part in (part.strip() for text in texts for part in text.split(",")):
        match = _PART.fullmatch(part)
        if match is None:
            raise UsageError(
                f"--ablate: {part!r} is neither channel:NUMBER nor direction:NUMBER; "
                "separate several by commas"
            )
        numbers[match.group(1)].add(int(match.group(2)))
    channels, directions = (tuple(sorted(numbers[kind])) for kind in ("channel", "direction"))
    return Question(channels, directions, centred, mode)


@fixed_threads()
def ablate(directory: RunDir, question: Question) -> TargetedAblation:
    """Answers a question.

    Raises:
        UsageError: If a channel or direction does not exist.
        DataError: If the run has no head or no labelled set, or a file is missing or damaged.
    """
    require_manifest(directory.path)
    run = RunReader(directory)
    if isinstance(run.head, NotRun):
        raise DataError(f"{directory.path} has no head, so nothing can be ablated: {run.head.why}")
    head, mode = run.head, question.replaced_by
    span = span_of(head, question.channels, question.directions, centred=question.centred)
    centre = np.zeros(span.shape[1], dtype=np.float32)
    id_set = run.plan.sets[0].name
    if mode == "mean":
        if id_set not in run.measured.sets:
            raise DataError(f"no image of {id_set} was measured yet, so there is no mean to set to")
        features = run.features(id_set)["features"]
        inside = features[np.linalg.norm(features, axis=1) > 0] @ span
        centre = (inside.sum(axis=0, dtype=np.float64) / max(1, len(inside))).astype(np.float32)
    images = {each.name: each for each in run.head_sets}
    sets: list[SetAblation] = []
    not_run: list[SetNotRun] = []
    for planned in run.plan.sets:
        name, reason = planned.name, ""
        if name not in run.measured.sets:
            reason = "no image was measured yet"
        elif not planned.classes:
            reason = "the images carry no labels"
        elif images[name].labels is None:
            reason = "its classes are not among those of the head"
        elif not len(images[name].features):
            reason = "no image has a finite representation"
        elif images[name].left_out is not None:
            reason = FITTED_TO_THEM.reason
        if reason:
            not_run.append(SetNotRun(name=name, reason=reason))
            continue
        features = images[name].features
        if mode == "shuffle":
            order = np.random.default_rng(SHUFFLE_SEED).permutation(len(features))
            centre = features[order] @ span
        nonfinite = len(run.all_features(name)["ids"]) - len(features)
        sets.append(ablate_span(head, images[name], span, centre, nonfinite))
    return TargetedAblation(
        key=run.plan.key,
        channels=question.channels,
        directions=question.directions,
        matrix="W minus its mean row" if question.centred else "W",
        replaced_by=mode,
        sets=tuple(sets),
        not_run=tuple(not_run),
    )


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
    residual = v[:, list(directions)]
    residual[list(channels)] = 0  # the channels are removed exactly already
    u, s, _ = np.linalg.svd(residual, full_matrices=False)
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
    answers_of(images, head.weight.shape[0])  # refuses labels without a row
    given = np.linalg.norm(images.features, axis=1) > 0
    left, centres = given.copy(), np.broadcast_to(centre, (given.size, span.shape[1]))
    for start in range(0, given.size, LOGIT_ROWS):
        part = slice(start, start + LOGIT_ROWS)
        block = images.features[part]
        residual = block - (block @ span - centres[part]) @ span.T
        left[part] &= np.linalg.norm(residual, axis=1) > 0
    before, after = right_without(head, images, [None, Removal(centre, basis=span)])
    before, after = before & given, after & left
    n, change = given.size, paired(before, after)
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
