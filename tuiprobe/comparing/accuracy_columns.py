"""Columns of accuracies in the table of a decision: one for each set of pictures, never for two."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from tuiprobe.comparing.runs import Run
from tuiprobe.comparing.same_pictures import (
    MeasuredSet,
    means_of_shifts,
    pictures_groups,
    shifts_groups,
)
from tuiprobe.plaintext import listed
from tuiprobe.results.accuracy import Accuracy, Evidence, brief
from tuiprobe.results.section import Value

MOST_SETS: Final = 4
"""Columns of one kind of evidence, those of the most runs."""

_NAMED: Final = 3
"""Shifts that the heading of a mean names."""


class TableColumn(NamedTuple):
    """A column of a table.

    Attributes:
        id: Its id, which no other column has.
        heading: Its heading.
        cells: A cell for each run; None where the run has no figure of these pictures.
    """

    id: str
    heading: str
    cells: list[Value]


def accuracy_columns(
    runs: Sequence[Run],
    accuracies: Sequence[Mapping[Evidence, Accuracy]],
    evidence: Evidence,
    headings: tuple[str, str],
) -> Iterator[TableColumn]:
    """Yields the columns of accuracies of one kind of evidence.

    Args:
        runs: The runs, in the order of the rows.
        accuracies: What is known of each, by evidence.
        evidence: The kind of evidence.
        headings: Of the only column, and of one of several, where {} stands for the set.
    """
    known = [(n, of[evidence]) for n, of in enumerate(accuracies) if evidence in of]
    sets = {n: MeasuredSet(runs[n], accuracy.data) for n, accuracy in known}
    cells = {n: brief(accuracy) for n, accuracy in known}
    groups = pictures_groups(sets)[:MOST_SETS]
    names = _set_names([[sets[n] for n in group] for group in groups])
    for number, (group, name) in enumerate(zip(groups, names, strict=True), 1):
        of_set = headings[1].replace("{}", name) if len(groups) > 1 else headings[0]
        id = evidence if number == 1 else f"{evidence}_{number}"
        yield _column(id, of_set, runs, group, cells.__getitem__)


def mean_columns(runs: Sequence[Run], heading: str) -> Iterator[TableColumn]:
    """Yields the columns of means over labelled shifts, one for each set of shifts.

    Args:
        runs: The runs, in the order of the rows.
        heading: Of the only column; of several the shifts follow.
    """
    means = means_of_shifts(runs)
    groups = shifts_groups(runs, means)[:MOST_SETS]
    for number, group in enumerate(groups, 1):
        about = means[group[0]].mean_of
        sets = listed(list(about.sets), _NAMED) if about is not None else ""
        of_sets = f"{heading}: {sets}" if len(groups) > 1 else heading
        id = "mean_shift" if number == 1 else f"mean_shift_{number}"
        yield _column(id, of_sets, runs, group, lambda n: means[n].figure)


def _column(
    id: str, heading: str, runs: Sequence[Run], group: Sequence[int], cell: Callable[[int], Value]
) -> TableColumn:
    return TableColumn(id, heading, [cell(n) if n in group else None for n in range(len(runs))])


def _set_names(groups: Sequence[Sequence[MeasuredSet]]) -> list[str]:
    """Returns a name of each group of sets: that of the set, with what differs from its namesakes.

    That is the number of pictures, "other" for the second of two, or else the model that measured
    them.
    """
    firsts = [group[0] for group in groups]
    names = [of.name for of in firsts]
    for alike in {name for name in names if names.count(name) > 1}:
        places = [n for n, name in enumerate(names) if name == alike]
        data = [of.summary for of in (firsts[n] for n in places)]
        counts = [f"{alike} ({0 if of is None else of.measured:,})" for of in data]
        others = [alike, f"other {alike}"]
        models = [f"{alike} of {firsts[n].run.report.model.name}" for n in places]
        telling = (texts for texts in (counts, others) if len({*texts}) == len(places))
        for n, text in zip(places, next(telling, models), strict=True):
            names[n] = text
    return names
