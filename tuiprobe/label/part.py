"""What labels say, as a part of a report: they are given after `results.json` was written.

Labels stay beside the runs. Whoever reads a report for people or programs gets them with it, so
that every format, comparison and screen shows the same.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from tuiprobe.errors import TuiprobeError
from tuiprobe.files import Entry
from tuiprobe.label.files import label_targets
from tuiprobe.manifest import MANIFEST
from tuiprobe.plaintext import plain
from tuiprobe.probes import LABELS
from tuiprobe.probes.content import listed, prose, several, table
from tuiprobe.results import Estimate, Frozen, NotRun, Part, ProbeResult, Report
from tuiprobe.results.base import Count, Many, Share
from tuiprobe.results.card import title
from tuiprobe.results.headlines import LABELLED, LABELLED_ID
from tuiprobe.results.section import Code, NamedFigure, Section, Text, Value
from tuiprobe.run.directory import RunDir

if TYPE_CHECKING:
    from tuiprobe.label.known import AccuracyBeside

METHOD: Final = "labels of pictures drawn by a plan; 95 % for a planned number of labels"
TITLE: Final = "Labels on your images"

READ: Final = (
    "The accuracy is that on all pictures of the set, from labels of pictures that a plan drew. It "
    "is not the share right among them: plans draw more of those on which models differ. "
    "Its range has 95 % for a number of labels that was planned, not for someone who watches and "
    "stops at will. Which of several models is ahead follows from the pictures on which they "
    "differ: compare says it."
)
UNKNOWN: Final = (
    "Where it is not known how the labelled pictures were chosen, no accuracy on all pictures "
    "follows from them: `tuiprobe label` draws pictures at random."
)


class LabelledSet(Frozen):
    """What labels say of one target set.

    Attributes:
        data: Name of the set.
        pictures: Pictures that the accuracy is about.
        labelled: Labelled pictures among those of the set.
        right: On how many of them the run is right.
        accuracy: On all pictures; the reason where there is none.
    """

    data: str
    pictures: Count
    labelled: Count
    right: Count
    accuracy: Share


class TargetLabels(ProbeResult):
    """What the labels beside a run say of it.

    Attributes:
        targets: In the order of the run.
    """

    probe: ClassVar[str] = LABELS

    targets: Many[LabelledSet]


def with_labels(report: Report, directory: RunDir) -> Report:
    """Returns a report with what the labels beside its run say: a part, the title, or a warning.

    Args:
        report: As it was written.
        directory: Its run.
    """
    targets = tuple(data.name for data in report.data if data.target)
    state = labels_state(directory)
    part, faults = _part(directory.path.resolve(), targets, state) if state else (None, ())
    if part is None:
        return report
    parts = _placed(part, report.parts)
    return report.model_copy(
        update={
            "parts": parts,
            "title": title(report.model, report.data, parts, partial=report.partial),
            "warnings": (*report.warnings, *faults),
        }
    )


def labels_beside(folder: Path) -> tuple[object, ...]:
    """Returns what changes where the labels in a folder of runs do; empty where there are none."""
    names = label_targets(folder)
    if not names:
        return ()
    files = (f"labels-{name}{end}" for name in names for end in (".csv", ".plan.json"))
    return (*names, *(Entry(folder, file).changed() for file in files), folder.stat().st_mtime_ns)


def labels_state(
    directory: RunDir, beside: Callable[[Path], tuple[object, ...]] = labels_beside
) -> tuple[object, ...]:
    """Returns what changes where the labels beside a run may say something else.

    It is empty where there are none.

    Args:
        directory: The run.
        beside: `labels_beside`, or what remembers it for the runs of one list.
    """
    state = beside(directory.path.resolve().parent)
    if not state:
        return ()
    return (*state, directory.results_file.changed(), directory.at(MANIFEST).changed())


@lru_cache(maxsize=256)
def _part(
    path: Path, targets: tuple[str, ...], state: tuple[object, ...]
) -> tuple[Part | None, tuple[str, ...]]:
    """Returns the part, if there are labels, and why labels do not count.

    Args:
        path: The run directory.
        targets: Its target sets.
        state: Changes where the result may.
    """
    from tuiprobe.label.known import accuracy_beside  # scipy, which runs without labels spare

    sets: list[AccuracyBeside] = []
    faults: dict[str, list[str]] = {}
    for target in targets:
        try:
            beside = accuracy_beside(RunDir(path), target)
        except TuiprobeError as error:
            message = plain(str(error).replace(f"{path.parent}/", ""))  # reports hold no folders
            faults.setdefault(message, []).append(target)
        else:
            sets += [beside] if beside is not None else []
    reasons = tuple(
        f"labels of {listed(names)} do not count: {message}" for message, names in faults.items()
    )
    if reasons and not sets:
        lost = Part(
            probe=LABELS,
            title=TITLE,
            block="your images",
            not_run="; ".join(reasons),
            applies=False,  # a warning says it
        )
        return lost, reasons
    return (labels_part(sets) if sets else None), reasons


def _placed(part: Part, parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """Returns all parts: what was measured before the estimate, anything weaker after it."""
    if part.section is not None and part.section.clause:
        return (part, *parts)
    after = 1 + max((n for n, one in enumerate(parts) if one.block == part.block), default=-1)
    return (*parts[:after], part, *parts[after:])


def labels_part(sets: list[AccuracyBeside]) -> Part:
    """Returns the part of a report about labelled sets.

    Labels are the headline, and name a figure, once the range of the accuracy leaves anything out.

    Args:
        sets: One or more.
    """
    result = TargetLabels(targets=tuple(map(_labelled_set, sets)))
    measured = [one for one in sets if one.accuracy is not None and one.accuracy.tells]
    lines = tuple(_line(one) for one in (*measured, *(s for s in sets if s not in measured)))
    return Part(
        probe=LABELS,
        title=TITLE,
        block="your images",
        result=result.model_dump(mode="json"),
        section=Section(
            title=TITLE,
            headline=lines[0],
            clause=_clause(measured[0]) if measured else "",
            clause_on=measured[0].target if measured else "",
            card=lines,
            content=(
                table(
                    "labels",
                    [
                        ("data", "data"),
                        ("accuracy", "accuracy"),
                        ("labelled", "labelled"),
                        ("right", "right among them"),
                        ("pictures", "pictures"),
                    ],
                    [_row(one) for one in result.targets],
                ),
                *([prose(READ)] if measured else []),
                *([prose(UNKNOWN)] if any(one.accuracy is None for one in sets) else []),
            ),
        ),
        figures=tuple(
            NamedFigure(
                id=LABELLED_ID,
                name="accuracy by labels",
                data=one.target,
                place="labels",
                figure=_labelled_set(one).accuracy,
                headline=LABELLED,
            )
            for one in measured
        ),
    )


def _labelled_set(beside: AccuracyBeside) -> LabelledSet:
    known = beside.accuracy
    accuracy: Estimate | NotRun = NotRun(reason=beside.sentence())
    if known is not None:
        accuracy = Estimate(
            value=known.share, low=known.low, high=known.high, n=known.labels, method=METHOD
        )
    return LabelledSet(
        data=beside.target,
        pictures=beside.pictures,
        labelled=beside.labelled,
        right=beside.right,
        accuracy=accuracy,
    )


def _line(beside: AccuracyBeside) -> Text:
    return (f"{beside.target}, {beside.sentence()}.",)


def _clause(beside: AccuracyBeside) -> str:
    """Returns the accuracy for the title: `58 % right (46 to 70), measured on 50 pictures`."""
    known = beside.accuracy
    if known is None:
        return ""
    value, bracket, ends = known.text().partition(" (")
    return f"{value} right{bracket}{ends}, measured on {several(known.labels, 'picture')}"


def _row(labelled: LabelledSet) -> list[Value]:
    accuracy = labelled.accuracy if isinstance(labelled.accuracy, Estimate) else "-"
    return [
        Code(code=labelled.data),
        accuracy,
        labelled.labelled,
        labelled.right,
        labelled.pictures,
    ]
