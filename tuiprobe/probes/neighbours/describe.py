"""The description of accuracy by nearest neighbours."""

from __future__ import annotations

from collections.abc import Iterator

from tuiprobe.probes.neighbours import TITLE
from tuiprobe.probes.neighbours.result import Neighbours
from tuiprobe.probes.telling import prose, table
from tuiprobe.results import given
from tuiprobe.results.section import Code, Section, Text, Value

NOTE = (
    "An image gets the class that most of its {k} nearest labelled images have, by cosine between "
    "representations; in distribution, images other than itself. No head is fitted, so this says "
    "how far classes lie apart, not what a head would reach."
)


def describe(result: Neighbours) -> Section:
    """Describes the accuracy of every set."""
    return Section(
        title=TITLE,
        headline=_headline(result),
        clause=_clause(result),
        clause_on=result.sets[0].data,
        content=(
            prose(NOTE.format(k=result.k)),
            table(
                "neighbours",
                [("data", "data"), ("accuracy", "accuracy by neighbours"), ("classes", "classes"),
                 ("among", "among images")],
                [[Code(code=one.data), one.accuracy, one.classes, one.among]
                 for one in result.sets],
                f"Accuracy by the {result.k} nearest labelled images",
            ),
        ),
    )  # fmt: skip


def _clause(result: Neighbours) -> str:
    accuracy = result.sets[0].accuracy
    return f"{accuracy.alone()} right by nearest neighbours" if given(accuracy) else ""


def _headline(result: Neighbours) -> Text:
    return tuple(_sentence(result))


def _sentence(result: Neighbours) -> Iterator[Value]:
    first, *shifts = result.sets
    yield from (f"By the labels of the {result.k} nearest images, ", first.accuracy,
                " right on ", Code(code=first.data))  # fmt: skip
    for one in shifts:
        if given(one.accuracy):
            yield from (", ", one.accuracy, " on ", Code(code=one.data))
    yield "."
