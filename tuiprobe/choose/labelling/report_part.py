"""What labels say, as a part of a report: they are given after `results.json` was written.

Labels stay in files next to the runs. Every reader of a report adds them, so that all formats,
comparisons and screens show the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Final

from tuiprobe.choose.labelling.label_log import UNSURE, label_targets
from tuiprobe.errors import TuiprobeError
from tuiprobe.files import DamagedFileError, Entry
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.manifest import MANIFEST
from tuiprobe.plaintext import joined, plain
from tuiprobe.probes import LABELS, hooked
from tuiprobe.probes.content import ColumnOf, prose, table
from tuiprobe.results import NotRun, Part, ProbeResult, Report, is_known
from tuiprobe.results.accuracy import best_accuracy, sentence
from tuiprobe.results.base import Many
from tuiprobe.results.card import title
from tuiprobe.results.doubt import Doubt, ordered
from tuiprobe.results.figures import LABELLED
from tuiprobe.results.labelled_set import LabelledSet
from tuiprobe.results.section import Code, Section, Text, Value

TITLE: Final = "Labels on your images"
BLOCK: Final = "your images"

READ: Final = (
    "This is the accuracy on all pictures of the set, from labels of random ones. It is not "
    "the share of labelled pictures that are right, because pictures on which models differ "
    "are drawn more often. Its range has 95 % at the decision. Which of several models leads "
    "follows from the pictures on which they differ: see compare."
)
UNKNOWN: Final = (
    "If few labelled pictures were drawn at random for a run, only what labels prove is "
    "stated; `tuiprobe label` draws more."
)


class TargetLabels(ProbeResult):
    """What labels say of a run.

    Attributes:
        targets: In the order of the run.
    """

    probe: ClassVar[str] = LABELS

    targets: Many[LabelledSet]


def with_labels(report: Report, directory: RunDir) -> Report:
    """Adds to a report what labels say of its run: a part, the title, or a warning.

    Args:
        report: As it was written.
        directory: Its run.
    """
    targets = tuple(data.name for data in report.data if data.target)
    state = labels_state(directory)
    if not state:
        return report
    sets, faults, doubts = _labelled_sets(directory.path.resolve(), targets, state)
    trust = report.spec.get("trust")
    trusted = [*map(str, trust)] if isinstance(trust, list) else []
    doubts = ordered((*report.doubts, *doubts), trusted)
    sets = tuple(_among_classes(data, report) for data in sets)
    if sets:
        part = labels_part(sets)
    elif faults:  # a warning says it too
        why = NotRun(reason="; ".join(faults))
        part = Part(probe=LABELS, title=TITLE, block=BLOCK, not_run=why, applies=False)
    else:
        return report
    # What was measured comes before the estimate, anything weaker after it.
    measured = part.section is not None and part.section.clause
    labelled = {data.data: data for data in sets}
    others = [_cut_to_labels(other, report, labelled) for other in report.parts]
    blocks = [other.block for other in others]
    last = max((n for n, block in enumerate(blocks) if block == part.block), default=-1)
    at = 0 if measured else last + 1
    parts = (*others[:at], part, *others[at:])
    return report.model_copy(
        update={
            "parts": parts,
            "title": title(report.model, report.data, parts, doubts, partial=report.partial),
            "doubts": doubts,
            "warnings": (*report.warnings, *faults),
        }
    )


def label_file_states(folder: Path) -> tuple[object, ...]:
    """Returns a state that changes with the labels in a folder of runs."""
    names = label_targets(folder)
    if not names:
        return ()
    files = (f"labels-{name}{end}" for name in names for end in (".csv", ".questions.json"))
    return (*names, *(Entry(folder, file).changed() for file in files), folder.stat().st_mtime_ns)


def labels_state(
    directory: RunDir, folder_state: Callable[[Path], tuple[object, ...]] = label_file_states
) -> tuple[object, ...]:
    """Returns a state that changes with a run and its labels.

    Args:
        directory: The run.
        folder_state: `label_file_states`, or a cache of it for the runs of one list.
    """
    state = folder_state(directory.path.resolve().parent)
    if not state:
        return ()
    return (*state, directory.results_file.changed(), directory.at(MANIFEST).changed())


@lru_cache(maxsize=256)
def _labelled_sets(
    path: Path, targets: tuple[str, ...], state: tuple[object, ...]
) -> tuple[tuple[LabelledSet, ...], tuple[str, ...], tuple[Doubt, ...]]:
    """Returns the sets with labels, why labels do not count, and doubts about them.

    Args:
        path: The run directory.
        targets: Its target sets.
        state: Changes where the result may.
    """
    from tuiprobe.choose.labelling.candidates import NoCandidateError
    from tuiprobe.choose.labelling.doubts import label_doubts
    from tuiprobe.choose.labelling.session import (
        open_labelling,  # scipy, which runs without labels spare
    )

    sets: list[LabelledSet] = []
    doubts: list[Doubt] = []
    faults: dict[str, list[str]] = {}
    for target in targets:
        try:
            labelling = open_labelling([path], target, asking=False)
        except NoCandidateError:
            continue
        except TuiprobeError as error:
            message = plain(str(error).replace(f"{path.parent}/", ""))  # reports hold no folders
            faults.setdefault(message, []).append(target)
            continue
        labels, (accuracy,) = labelling.survey.labels, labelling.accuracies()
        if labels:
            doubts += label_doubts(labelling)
            sets.append(
                LabelledSet(
                    data=target,
                    pictures=len(labelling.matched.digests),
                    labelled=len(labels),
                    unsure=len(labels) - accuracy.sure,
                    right=accuracy.right,
                    accuracy=accuracy.figure,
                    evidence=accuracy.evidence,
                )
            )
    reasons = (
        f"labels of {joined(names)} do not count: {message}" for message, names in faults.items()
    )
    return tuple(sets), tuple(reasons), tuple(doubts)


def labels_by_digest(path: Path, target: str) -> dict[str, str]:
    """Returns the class of each labelled picture of a target, by its SHA-256.

    Without those that are unsure, and empty where labels do not count, which reports say.

    Args:
        path: The run directory.
        target: Name of the set.
    """
    from tuiprobe.choose.labelling.session import open_labelling

    try:
        labelling = open_labelling([path], target, asking=False)
    except TuiprobeError:
        return {}
    lines = (row.line for row in labelling.counted)
    return {line.digest: line.label for line in lines if line.label not in ("", UNSURE)}


def certified_by_digest(path: Path, target: str) -> dict[str, float]:
    """Returns the least share of errors with which each picture of a target is certified.

    Only certificates count that were asked for this run as it is now.

    Args:
        path: The run directory.
        target: Name of the set.
    """
    from tuiprobe.choose.labelling.certificate import question_digest
    from tuiprobe.choose.labelling.session import open_labelling

    certified: dict[str, float] = {}
    try:
        known = open_labelling([path], target, asking=False)
        matched, records = known.matched, known.files.certificates()
        asked = {
            question.tolerated
            for record in records
            if record.pictures == matched.pictures_digest
            for question in record.asked
            if question.digest == question_digest(matched, question.tolerated)
        }
        for tolerated in sorted(asked, reverse=True):
            labelling = open_labelling([path], target, asking=False, tolerated=tolerated)
            assert labelling.certificate is not None
            for index in labelling.certificate.unattended.tolist():
                certified[matched.digests[index]] = tolerated
    except TuiprobeError:
        return {}
    return certified


def _among_classes(data: LabelledSet, report: Report) -> LabelledSet:
    """Returns a labelled set with the number of classes among which the run answered."""
    known = best_accuracy(report, data.data)
    if isinstance(known, NotRun):
        return data
    return data.model_copy(update={"classes": known.classes, "of_classes": known.of_classes})


def _cut_to_labels(part: Part, report: Report, labelled: Mapping[str, LabelledSet]) -> Part:
    """Cuts the estimates in a part to what labels prove, if its probe estimates without labels."""
    kind = hooked("labels").get(part.probe)
    if kind is None or part.section is None:
        return part
    with suppress(DamagedFileError):  # what another version wrote stays as it is
        result = report.part(kind.Result)
        if result is not None:
            probe = kind()
            cut, section = probe.cut_to_labels(result, labelled)
            update = {
                "result": cut.model_dump(mode="json"),
                "section": section,
                "figures": probe.named(cut).figures,
            }
            return part.model_copy(update=update)
    return part


def labels_part(sets: Sequence[LabelledSet]) -> Part:
    """Returns the part of a report about labelled sets.

    Labels are the headline, and name a figure, once an accuracy is stated.

    Args:
        sets: One or more.
    """
    measured = [data for data in sets if is_known(data.accuracy)]
    ordered = (*measured, *(data for data in sets if not is_known(data.accuracy)))
    lines: list[Text] = []
    clause = ""
    for data in ordered:
        known = data.known()
        words = known.reason if isinstance(known, NotRun) else sentence(known)
        lines.append((f"{data.data}: {words}.",))
        clause = clause or ("" if isinstance(known, NotRun) else words)
    right: ColumnOf = ("right", "right among them")
    rows: list[list[Value]] = [
        [
            Code(code=data.data),
            data.accuracy if is_known(data.accuracy) else None,
            data.labelled,
            data.right,
            data.pictures,
        ]
        for data in sets
    ]
    return Part(
        probe=LABELS,
        title=TITLE,
        block=BLOCK,
        result=TargetLabels(targets=tuple(sets)).model_dump(mode="json"),
        section=Section(
            title=TITLE,
            headline=lines[0],
            clause=clause,
            clause_on=measured[0].data if measured else "",
            card=tuple(lines),
            content=(
                table("labels", ["data", "accuracy", "labelled", right, "pictures"], rows),
                *([prose(READ)] if measured else []),
                *([prose(UNKNOWN)] if not all(is_known(data.accuracy) for data in sets) else []),
            ),
        ),
        figures=tuple(
            LABELLED.named(
                data.accuracy,
                data.data,
                "labels",
                range=data.range,
                classes=data.classes,
                of_classes=data.of_classes,
            )
            for data in measured
        ),
    )
