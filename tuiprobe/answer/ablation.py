"""`tuiprobe reprobe RUN --ablate`: accuracies without named channels and directions.

Reads the stored representations of the run in blocks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tuiprobe.errors import DataError, UsageError
from tuiprobe.files import DamagedFileError
from tuiprobe.manifest import require_manifest
from tuiprobe.options import validated
from tuiprobe.probes.ablation.targeted import BlockedSet, ablate_set, ablation_span, mean_in
from tuiprobe.probes.ablation.targeted_result import SetAblation, SetNotRun, TargetedAblation
from tuiprobe.probes.algebra import fixed_threads
from tuiprobe.results import NotRun
from tuiprobe.run.arrays import BlockReader
from tuiprobe.run.checked_arrays import HeadArrays
from tuiprobe.run.directory import RunDir
from tuiprobe.run.head_file import read_head
from tuiprobe.run.records import MeasuredRecord, SetRecord, read_measured, read_plan
from tuiprobe.run.samples import SampleRecord, read_samples
from tuiprobe.spec import AblateMode, RunSpec

ROWS = 2048
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
    head_file = read_head(directory)
    if isinstance(head_file, NotRun):
        raise DataError(
            f"{directory.path} has no head, so nothing can be ablated: {head_file.reason}"
        )
    head, answers = head_file
    span = ablation_span(head, question.channels, question.directions, centred=question.centred)
    plan, samples = read_plan(directory), read_samples(directory)
    measured = read_measured(directory).sets
    centre = _centre(directory, measured, plan.sets[0].name, span, question.replaced_by)
    sets: list[SetAblation] = []
    not_run: list[SetNotRun] = []
    for planned in plan.sets:
        name, reason = planned.name, _reason(measured, planned, answers)
        if reason is not None:
            not_run.append(SetNotRun(name=name, reason=reason))
            continue
        with BlockReader(directory.features_file(name)) as file:
            blocked = _blocked(file, name, head, samples[name], answers[name])
            answer = ablate_set(head, blocked, span, centre)
        if isinstance(answer, SetNotRun):
            not_run.append(answer)
        else:
            sets.append(answer)
    return TargetedAblation(
        key=plan.key,
        channels=question.channels,
        directions=question.directions,
        matrix="W minus its mean row" if question.centred else "W",
        replaced_by=question.replaced_by,
        sets=tuple(sets),
        not_run=tuple(not_run),
    )


def _centre(
    directory: RunDir,
    measured: Mapping[str, MeasuredRecord],
    first: str,
    span: NDArray[np.float32],
    mode: AblateMode,
) -> NDArray[np.float32] | None:
    """Returns the coordinates that replace those of every image; None for another image's."""
    if mode == "shuffle":
        return None
    if mode == "zero":
        return np.zeros(span.shape[1], dtype=np.float32)
    if first not in measured:
        raise DataError(f"no image of {first} was measured yet, so there is no mean to set to")
    with BlockReader(directory.features_file(first)) as file:
        _checked_shape(file, span.shape[0])
        return mean_in(span, file.blocks("features", ROWS))


def _reason(
    measured: Mapping[str, MeasuredRecord],
    planned: SetRecord,
    answers: Mapping[str, NDArray[np.int64]],
) -> str | None:
    """Returns why a set has no accuracy; None where it has one."""
    if planned.name not in measured:
        return "no image was measured yet"
    if not planned.classes:
        return "the images carry no labels"
    if planned.name not in answers:
        return "its classes are not among those of the head"
    return None


def _blocked(
    file: BlockReader,
    name: str,
    head: HeadArrays,
    samples: Mapping[int, SampleRecord],
    answers: NDArray[np.int64],
) -> BlockedSet:
    shape = _checked_shape(file, head.weight.shape[1])
    try:
        labels = np.array([samples[i].label for i in file.read("ids").tolist()], dtype=np.int64)
    except (KeyError, TypeError) as error:
        raise DamagedFileError(f"{file.entry}: an image has no label in samples.jsonl") from error
    if labels.shape != shape[:1]:
        raise DamagedFileError(f"{file.entry}: {labels.size} ids for {shape[0]} images")
    return BlockedSet(name, partial(file.blocks, "features", ROWS), labels, answers)


def _checked_shape(file: BlockReader, width: int) -> tuple[int, ...]:
    shape = file.shape("features")
    if len(shape) != 2 or shape[1] != width or shape[0] == 0:
        raise DamagedFileError(
            f"{file.entry}: representations of shape {shape} do not fit a head of {width} channels"
        )
    return shape
