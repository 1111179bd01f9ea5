"""Shorthands for the content of a section: paragraphs, tables, series, lists in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from tuiprobe.numbers import number
from tuiprobe.plaintext import joined
from tuiprobe.results import Figure, is_known
from tuiprobe.results.section import (
    AnsweredImage,
    Bullets,
    Column,
    Heading,
    Mark,
    Prose,
    RowSubject,
    Series,
    SeriesRole,
    StripEnd,
    Table,
    TopImage,
    Value,
)

ColumnOf: TypeAlias = "str | Column | tuple[str, Value | tuple[Value, ...], *tuple[str, ...]]"
"""A column: of a declared figure, or id and title, then the unit of its plain numbers where they
have one; a string is both id and title."""


def heading(*text: Value) -> Heading:
    """Returns a heading."""
    return Heading(text=text)


def prose(*text: Value) -> Prose:
    """Returns a paragraph."""
    return Prose(text=text)


def bullets(items: Iterable[Value | tuple[Value, ...]]) -> Bullets:
    """Returns a list of short sentences, each a string or the pieces of one."""
    return Bullets(items=tuple(item if isinstance(item, tuple) else (item,) for item in items))


def table(
    id: str,
    columns: Sequence[ColumnOf],
    rows: Iterable[Sequence[Value]],
    *title: Value,
    subjects: Iterable[Sequence[RowSubject]] = (),
    shown: int | None = None,
    folded: bool = False,
    reading: bool = True,
    file: bool = True,
) -> Table:
    """Returns a table.

    Args:
        id: Identifies it; also the name of its file.
        columns: The columns.
        rows: One value per column.
        title: The line above it.
        subjects: For each row what it is about and names; empty without.
        shown: As `folded`, `reading` and `file` an attribute of `tuiprobe.results.section.Table`.
        folded: See there.
        reading: See there.
        file: See there.
    """
    return Table(
        id=id,
        title=title,
        columns=tuple(map(_column, columns)),
        rows=tuple(tuple(row) for row in rows),
        subjects=tuple(tuple(row) for row in subjects),
        shown=shown,
        folded=folded,
        reading=reading,
        file=file,
    )


def _column(column: ColumnOf) -> Column:
    if isinstance(column, Column):
        return column
    name, text, *unit = (column, column) if isinstance(column, str) else column
    title = text if isinstance(text, tuple) else (text,)
    return Column(id=name, title=title, unit=(*unit, "none")[0])


def series(
    name: str,
    figures: Iterable[Figure],
    role: SeriesRole = "main",
    mark: Mark = "line",
    x: Sequence[float] | None = None,
) -> Series:
    """Returns a series of the figures that exist, with their intervals.

    Args:
        name: For the legend.
        figures: One per set and place; those that could not be computed are left out.
        role: What it stands for.
        mark: How it is drawn.
        x: Where each figure stands; None for its index.
    """
    drawn = [(index, figure) for index, figure in enumerate(figures) if is_known(figure)]
    values = [figure for _, figure in drawn]
    return Series(
        name=name,
        x=tuple(float(index) if x is None else x[index] for index, _ in drawn),
        y=tuple(figure.value for figure in values),
        low=tuple(figure.value if figure.low is None else figure.low for figure in values),
        high=tuple(figure.value if figure.high is None else figure.high for figure in values),
        mark=mark,
        role=role,
    )


def answered(label: str, images: Iterable[AnsweredImage]) -> StripEnd:
    """Returns images with the answers that they got and how sure these were."""
    images = tuple(images)
    return StripEnd(
        label=label,
        images=tuple(
            TopImage(sample_id=one.sample_id, path=one.path, value=one.confidence, position=0)
            for one in images
        ),
        captions=tuple(
            f"{one.answer}, {number(one.confidence, 'share', 0.0, 0.1)}" for one in images
        ),
    )


def value_or_dash(figure: Figure) -> Value:
    """Returns a figure as the cell of a table; None, shown as a dash, where there is none."""
    return figure if is_known(figure) else None


def channels_in_words(channels: Sequence[int], most: int = 4) -> str:
    """Returns the numbers of channels as a phrase; of many, the first and a count.

    >>> channels_in_words([12]), channels_in_words([12, 11, 3])
    ('channel 12', 'channels 12, 11 and 3')
    >>> channels_in_words(range(9))
    'channels 0, 1, 2, 3 and 5 more'
    """
    noun = "channel" if len(channels) < 2 else "channels"
    return f"{noun} {joined([str(channel) for channel in channels], most)}"
