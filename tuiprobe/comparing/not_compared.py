"""Runs that a decision leaves out, each with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal, TypeAlias

from tuiprobe.comparing.runs import Run
from tuiprobe.comparing.same_pictures import OTHER_LABELS, MeasuredSet
from tuiprobe.plaintext import listed, plain
from tuiprobe.results import Frozen, NotRun
from tuiprobe.results.base import Count

Reason: TypeAlias = Literal[
    "same measurement", "other pictures", "other labels", "no such set", "no labels", "no accuracy"
]

_MOST_SETS: Final = 4
"""Sets that a reason names."""


class NotCompared(Frozen):
    """A run that a decision leaves out.

    Attributes:
        place: Its place among the runs as they were given, from 0.
        model: Its name; the directory of what is the same measurement.
        run: Its run directory as it was named.
        reason: Why.
        words: The reason in words, with the sets or the run that it is about.
    """

    place: Count
    model: str
    run: str
    reason: Reason
    words: str


def left_out(runs: Sequence[Run], place: int, reason: Reason, words: str) -> NotCompared:
    """Returns one of several runs as one that is left out."""
    run = runs[place]
    directory = plain(str(run.directory.path))
    name = directory if reason == "same measurement" else run.report.model.name
    return NotCompared(place=place, model=name, run=directory, reason=reason, words=words)


def without_evidence(
    runs: Sequence[Run], places: Iterable[int], reference: int, sets: Sequence[str]
) -> tuple[NotCompared, ...]:
    """Returns why runs have no evidence that compares with that of another run.

    Args:
        runs: The runs.
        places: Places of those that have none.
        reference: Place of the run that leads.
        sets: The sets that its evidence is of.
    """
    return tuple(
        left_out(runs, place, *_reason(runs[place], runs[reference], sets)) for place in places
    )


def _reason(run: Run, reference: Run, sets: Sequence[str]) -> tuple[Reason, str]:
    data = {data.name: data for data in run.report.data}
    targets = {data.name for data in reference.report.data if data.target}
    if missing := [name for name in sets if name not in data]:
        return "no such set", f"did not measure {listed(missing, _MOST_SETS)}"
    unlabelled = [name for name in sets if not data[name].labelled and name not in targets]
    if unlabelled:
        return "no labels", f"no labels in {listed(unlabelled, _MOST_SETS)}"
    differ = {name: why for name in sets if (why := _differ(run, reference, name)) is not None}
    if labels := [name for name, why in differ.items() if why == OTHER_LABELS]:
        return "other labels", f"other labels in {listed(labels, _MOST_SETS)}"
    if differ:
        return "other pictures", f"other pictures in {listed(list(differ), _MOST_SETS)}"
    return "no accuracy", f"no accuracy on {listed(list(sets), _MOST_SETS) or 'labelled sets'}"


def _differ(run: Run, reference: Run, name: str) -> NotRun | None:
    return MeasuredSet(run, name).differs_from(MeasuredSet(reference, name))


def in_words(models: Sequence[NotCompared], most: int) -> str:
    """Returns runs that are left out in a line, each reason once.

    Args:
        models: The runs.
        most: Names of one reason that are listed.
    """
    names: dict[str, list[str]] = {}
    for model in models:
        names.setdefault(model.words, []).append(model.model)
    return ", ".join(f"{listed(of, most)} ({words})" for words, of in names.items())
