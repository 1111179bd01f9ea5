"""`tuiprobe reprobe RUN --ablate`: accuracies without named channels and directions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tuiprobe.errors import DataError, UsageError
from tuiprobe.options import validated
from tuiprobe.probes.ablation.compute import ablate_span, span_of
from tuiprobe.probes.ablation.result import SetAblation, SetNotRun, TargetedAblation
from tuiprobe.probes.algebra import fixed_threads
from tuiprobe.probes.reader import RunReader
from tuiprobe.results import NotRun
from tuiprobe.run.directory import RunDir
from tuiprobe.run.manifest import require_manifest
from tuiprobe.spec import AblateMode, RunSpec

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
    replaced_by: AblateMode = RunSpec.ablate_mode


def parse_question(
    texts: Sequence[str], *, centred: bool = False, mode: str | None = None
) -> Question:
    """Reads `channel:17,direction:3`; several texts add up.

    Raises:
        UsageError: If a part is neither, or there is no such mode.

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
    given = {} if mode is None else {"replaced_by": mode}
    values = {"channels": channels, "directions": directions, "centred": centred, **given}
    return validated(Question, values, called=lambda _: "--ablate-mode")


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
        reason = run.head.reason
        raise DataError(f"{directory.path} has no head, so nothing can be ablated: {reason}")
    head, mode = run.head, question.replaced_by
    span = span_of(head, question.channels, question.directions, centred=question.centred)
    centre = np.zeros(span.shape[1], dtype=np.float32)
    first = run.plan.sets[0].name
    if mode == "mean":
        if first not in run.measured.sets:
            raise DataError(f"no image of {first} was measured yet, so there is no mean to set to")
        features = run.features(first)["features"]
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
