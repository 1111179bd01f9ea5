"""What labels say, as a part of a report: they are given after `results.json` was written.

Labels stay beside the runs. Whoever reads a report for people or programs gets them with it, so
that every format, comparison and screen shows the same.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Final

from tuiprobe.errors import TuiprobeError
from tuiprobe.files import Entry
from tuiprobe.label.files import label_targets
from tuiprobe.label.result import LabelledSet, TargetLabels
from tuiprobe.manifest import MANIFEST
from tuiprobe.numbers import MISSING
from tuiprobe.plaintext import listed, plain
from tuiprobe.probes import LABELS
from tuiprobe.probes.content import ColumnOf, prose, several, table
from tuiprobe.results import Part, Report, given
from tuiprobe.results.card import title
from tuiprobe.results.headlines import LABELLED, LABELLED_ID
from tuiprobe.results.section import Code, NamedFigure, Section, Text, Value
from tuiprobe.run.directory import RunDir

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
    # What was measured comes before the estimate, anything weaker after it.
    measured = part.section is not None and part.section.clause
    blocks = [other.block for other in report.parts]
    last = max((n for n, block in enumerate(blocks) if block == part.block), default=-1)
    at = 0 if measured else last + 1
    parts = (*report.parts[:at], part, *report.parts[at:])
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
    from tuiprobe.label.accuracy import labelled_accuracy  # scipy, which runs without labels spare

    sets: list[LabelledSet] = []
    faults: dict[str, list[str]] = {}
    for target in targets:
        try:
            labelled = labelled_accuracy(RunDir(path), target)
        except TuiprobeError as error:
            message = plain(str(error).replace(f"{path.parent}/", ""))  # reports hold no folders
            faults.setdefault(message, []).append(target)
        else:
            sets += [labelled] if labelled is not None else []
    reasons = tuple(
        f"labels of {listed(names)} do not count: {message}" for message, names in faults.items()
    )
    if sets:
        return labels_part(sets), reasons
    if not reasons:
        return None, ()
    part = Part(
        probe=LABELS,
        title=TITLE,
        block="your images",
        not_run="; ".join(reasons),
        applies=False,  # a warning says it
    )
    return part, reasons


def labels_part(sets: list[LabelledSet]) -> Part:
    """Returns the part of a report about labelled sets.

    Labels are the headline, and name a figure, once the range of the accuracy leaves anything out.

    Args:
        sets: One or more.
    """
    measured = [data for data in sets if data.measured]
    ordered = (*measured, *(data for data in sets if not data.measured))
    lines: tuple[Text, ...] = tuple((f"{data.data}, {data.sentence()}.",) for data in ordered)
    clause = ""
    if measured and given(first := measured[0].accuracy):
        # For the title: `58 % right (46 to 70), measured on 50 pictures`.
        value, bracket, ends = first.with_interval().partition(" (")
        clause = f"{value} right{bracket}{ends}, measured on {several(first.n, 'picture')}"
    right: ColumnOf = ("right", "right among them")
    rows: list[list[Value]] = [
        [
            Code(code=data.data),
            data.accuracy if given(data.accuracy) else MISSING,
            data.labelled,
            data.right,
            data.pictures,
        ]
        for data in sets
    ]
    return Part(
        probe=LABELS,
        title=TITLE,
        block="your images",
        result=TargetLabels(targets=tuple(sets)).model_dump(mode="json"),
        section=Section(
            title=TITLE,
            headline=lines[0],
            clause=clause,
            clause_on=measured[0].data if measured else "",
            card=lines,
            content=(
                table("labels", ["data", "accuracy", "labelled", right, "pictures"], rows),
                *([prose(READ)] if measured else []),
                *([prose(UNKNOWN)] if not all(given(data.accuracy) for data in sets) else []),
            ),
        ),
        figures=tuple(
            NamedFigure(
                id=LABELLED_ID,
                name="accuracy by labels",
                data=data.data,
                place="labels",
                figure=data.accuracy,
                headline=LABELLED,
            )
            for data in measured
        ),
    )
