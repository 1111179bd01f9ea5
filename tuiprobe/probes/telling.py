"""Shorthands for writing a section: used by each probe's `describe`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tuiprobe.results import Estimate, Figure, given
from tuiprobe.results.section import (
    Column,
    Drawn,
    Heading,
    Mark,
    Points,
    Prose,
    RowSubject,
    Series,
    Table,
    Value,
)


def heading(*text: Value) -> Heading:
    """Returns a heading."""
    return Heading(text=text)


def prose(*text: Value) -> Prose:
    """Returns a paragraph."""
    return Prose(text=text)


def points(items: Iterable[Value | tuple[Value, ...]]) -> Points:
    """Returns a list of short sentences, each a string or the pieces of one."""
    return Points(items=tuple(one if isinstance(one, tuple) else (one,) for one in items))


def table(
    id: str,
    columns: Sequence[tuple[str, Value | tuple[Value, ...], *tuple[str, ...]]],
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
        columns: Id and title of each, and the unit of its plain numbers where they have one.
        rows: One value per column.
        title: The line above it.
        subjects: For each row what it is about and names; empty without.
        shown: See `tuiprobe.results.section.Table`.
        folded: Likewise.
        reading: Likewise.
        file: Likewise.
    """
    return Table(
        id=id,
        title=title,
        columns=tuple(
            Column(
                id=name, title=one if isinstance(one, tuple) else (one,), unit=(*unit, "none")[0]
            )
            for name, one, *unit in columns
        ),
        rows=tuple(tuple(row) for row in rows),
        subjects=tuple(tuple(row) for row in subjects),
        shown=shown,
        folded=folded,
        reading=reading,
        file=file,
    )


def known(figures: Sequence[Figure]) -> tuple[tuple[float, ...], list[Estimate]]:
    """Returns the figures that exist, and the index of each."""
    pairs = [(float(i), one) for i, one in enumerate(figures) if given(one)]
    return tuple(place for place, _ in pairs), [one for _, one in pairs]


def series(
    name: str,
    x: Sequence[float],
    figures: Sequence[Estimate],
    role: Drawn = "main",
    mark: Mark = "line",
) -> Series:
    """Returns a series of figures with their intervals."""
    return Series(
        name=name,
        x=tuple(x),
        y=tuple(one.value for one in figures),
        low=tuple(one.value if one.low is None else one.low for one in figures),
        high=tuple(one.value if one.high is None else one.high for one in figures),
        mark=mark,
        role=role,
    )


def several(count: int, one: str, more: str | None = None) -> str:
    """Returns a count with its noun.

    >>> several(1, "channel"), several(2_000, "image")
    ('1 channel', '2,000 images')
    """
    return f"{count:,} {one if count == 1 else more or one + 's'}"


def listed(parts: Sequence[str]) -> str:
    """Returns parts as one list.

    >>> listed([]), listed(["a"]), listed(["a", "b", "c"])
    ('', 'a', 'a, b and c')
    """
    return " and ".join(part for part in (", ".join(parts[:-1]), *parts[-1:]) if part)


def channels_in_words(channels: Sequence[int], most: int = 4) -> str:
    """Returns the numbers of channels as a phrase; of many, the first and a count.

    >>> channels_in_words([12]), channels_in_words([12, 11, 3])
    ('channel 12', 'channels 12, 11 and 3')
    >>> channels_in_words(range(9))
    'channels 0, 1, 2, 3 and 5 more'
    """
    named = [str(channel) for channel in channels[:most]]
    if len(channels) > most:
        named.append(f"{len(channels) - most:,} more")
    return f"{'channel' if len(named) < 2 else 'channels'} {listed(named)}"
