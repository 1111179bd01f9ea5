"""What labels say, as a part of a report: they are given after `results.json` was written.

Labels stay in files next to the runs. Every reader of a report adds them, so that all formats,
comparisons and screens show the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Final, Literal

from tuiprobe.choose.labelling.label_log import UNSURE, label_targets
from tuiprobe.errors import TuiprobeError
from tuiprobe.files import DamagedFileError, Entry
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.manifest import MANIFEST
from tuiprobe.plaintext import joined, plain
from tuiprobe.probes import LABELS
from tuiprobe.probes.content import ColumnOf, prose, table
from tuiprobe.results import Figure, Frozen, NotRun, Part, ProbeResult, Report, is_known
from tuiprobe.results.accuracy import Accuracy, accuracy_from, best_accuracy, sentence
from tuiprobe.results.base import Count, Many, Share
from tuiprobe.results.card import title
from tuiprobe.results.doubt import Doubt, ordered
from tuiprobe.results.figures import LABELLED
from tuiprobe.results.section import Code, Range, Section, Text, Value

TITLE: Final = "Labels on your images"
BLOCK: Final = "your images"

ESTIMATES: Final = "targets"
"""The probe of estimates without labels."""

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


class LabelledSet(Frozen):
    """What labels say of one target set.

    Attributes:
        data: Name of the set.
        pictures: Different readable pictures, which the accuracy is about.
        labelled: Labelled pictures among them.
        unsure: Pictures among those on which the labeller was not sure.
        right: On how many of them the run is right.
        accuracy: On all pictures; the reason where there is none.
        evidence: Whether it rests on a `sample` or on what labels prove; `open` without one.
        classes: Among how many classes the run answered; 0 where that is not known.
        of_classes: How many classes its head has.
    """

    data: str
    pictures: Count
    labelled: Count
    unsure: Count
    right: Count
    accuracy: Share
    evidence: Literal["sample", "proof", "open"]
    classes: Count = 0
    of_classes: Count = 0

    @property
    def proven(self) -> tuple[float, float]:
        """The least and the largest accuracy that labels leave possible."""
        unknown = self.pictures - self.labelled + self.unsure
        return self.right / self.pictures, (self.right + unknown) / self.pictures

    def cut(self, figure: Figure) -> Figure:
        """Returns an estimate of the accuracy, cut to what labels prove.

        Args:
            figure: Made without labels.

        Returns:
            The reason why there is none where what labels prove is no wider a range.
        """
        if isinstance(figure, NotRun) or figure.low is None or figure.high is None:
            return figure
        least, most = self.proven
        low, high = max(figure.low, least), min(figure.high, most)
        if low > high or most - least <= figure.high - figure.low:
            return NotRun(reason=f"{self.labelled:,} labels prove more")
        value = min(max(figure.value, low), high)
        return figure.model_copy(update={"value": value, "low": low, "high": high})

    def known(self) -> Accuracy | NotRun:
        """Returns the accuracy with what its range is."""
        if isinstance(self.accuracy, NotRun):
            return self.accuracy
        among = (self.classes, self.of_classes)
        return accuracy_from(self.accuracy, self.data, "labels", self.range, among)

    @property
    def range(self) -> Range:
        """What the range of the accuracy is."""
        return "proven" if self.evidence == "proof" else "labels"


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
    others = [cut_estimates(other, report, sets) for other in report.parts]
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


def cut_estimates(part: Part, report: Report, sets: Sequence[LabelledSet]) -> Part:
    """Returns the part of estimates without labels, cut to what labels prove."""
    from tuiprobe.choose.targets.compute import Targets, TargetSet
    from tuiprobe.choose.targets.describe import ExpectedAccuracy, describe

    if part.probe != ESTIMATES or part.section is None:
        return part
    labelled = {data.data: data for data in sets}

    def cut(target: TargetSet) -> TargetSet:
        if (known := labelled.get(target.data)) is None:
            return target
        bound = target.most_right
        refuted = is_known(bound) and bound.value < known.proven[0]
        if refuted or is_known(known.accuracy):
            mix = NotRun(reason=f"{known.labelled:,} labels say how often it is right")
            target = target.model_copy(update={"class_mix": mix})
        headline = known.cut(target.headline)
        if isinstance(headline, NotRun):
            nothing = {"scaled": (), "expected": (), "uncalibrated": headline}
            return target.model_copy(update=nothing)
        if not target.scaled and is_known(known.accuracy):  # confidence is no accuracy to be cut
            uncalibrated = NotRun(reason=f"{known.labelled:,} labels say how often it is right")
            return target.model_copy(update={"uncalibrated": uncalibrated})
        scaled = [
            each.model_copy(update={"accuracy": known.cut(each.accuracy)}) for each in target.scaled
        ]
        return target.model_copy(update={"scaled": tuple(scaled)})

    with suppress(DamagedFileError):  # what another version wrote stays as it is
        result = report.part(Targets)
        if result is not None:
            result = result.model_copy(update={"targets": tuple(map(cut, result.targets))})
            update = {
                "result": result.model_dump(mode="json"),
                "section": describe(result, {data.data: data.labelled for data in sets}),
                "figures": ExpectedAccuracy().named(result).figures,
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
