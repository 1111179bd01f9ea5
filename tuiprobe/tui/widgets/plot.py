"""Kurtosis as images are measured: its line, both ends of the interval, an axis and a reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from tuiprobe.numbers import number
from tuiprobe.tui.text import braille, dot_bit, fitted

AXIS = 7
"""Cells of the axis: a number of up to 5 and its tick."""
SETTLED = 4
"""Intervals count for the scale from this fraction of the images on: 1 / SETTLED."""


@dataclass(frozen=True)
class Point:
    """One point of a line: position, value and interval."""

    x: float
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Scale:
    """The vertical range of a plot, in quarters of a line."""

    bottom: float
    top: float
    rows: int

    def row(self, value: float) -> int:
        """Returns the quarter line of a value, counted from the top; it may lie outside."""
        return (
            self.rows
            - 1
            - round((value - self.bottom) / (self.top - self.bottom) * (self.rows - 1))
        )

    def holds(self, value: float) -> bool:
        """Returns whether a value is on the plot."""
        return self.bottom <= value <= self.top


def scale_of(points: Sequence[Point], reference: float, lines: int) -> Scale:
    """Returns a scale that holds the reference, all values, and the intervals of later points.

    No kurtosis is below 1.
    """
    last = points[-1].x
    values = [reference, *(point.value for point in points)]
    for point in points:
        if SETTLED * point.x >= last:
            values += [point.low, point.high]
    low, high = min(values), max(values)
    room = max(high - low, 0.2 * abs(reference), 1e-9)
    return Scale(max(low - 0.1 * room, min(low, 1.0)), high + 0.1 * room, 4 * lines)


def dotted(points: Sequence[Point], scale: Scale, width: int) -> list[list[int]]:
    """Returns braille dots by line and cell: the line in full, the ends of its interval dotted."""
    cells = [[0] * width for _ in range(scale.rows // 4)]
    columns, (first, last) = 2 * width, (points[0].x, points[-1].x)

    def dot(x: int, y: int) -> None:
        if 0 <= y < scale.rows:
            cells[y // 4][x // 2] |= dot_bit(x, y)

    place, before = 0, None
    for x in range(columns if last > first else 1):
        target = first + (last - first) * x / (columns - 1)
        while place + 1 < len(points) and points[place + 1].x <= target:
            place += 1
        point = points[place]
        if x % 3 == 0:
            for end in (point.low, point.high):
                if scale.holds(end):
                    dot(x, scale.row(end))
        now = scale.row(point.value)
        start = now if before is None else before
        for y in range(min(start, now), max(start, now) + 1):
            dot(x, y)
        before = now
    return cells


Kind = str
"""`line`, `axis` or `reference`."""


def plotted(
    points: Sequence[Point], reference: float, width: int, height: int
) -> list[list[tuple[str, Kind]]]:
    """Returns the plot as lines of cells, each with its kind.

    Args:
        points: In order of x, at least one.
        reference: Where the dashed line is: the kurtosis after a random rotation.
        width: Cells, axis included.
        height: Lines.
    """
    room = width - AXIS
    if not points or room < 1 or height < 1:
        return []
    scale = scale_of(points, reference, height)
    cells = dotted(points, scale, room)
    ticks = _ticks(scale, (points[-1].value, reference))
    at = scale.row(reference) // 4
    lines = []
    for y, dots in enumerate(cells):
        line = [
            (c, "axis")
            for c in f"{ticks.get(y, ''):>{AXIS - 2}}" + ("┤" if y in ticks else "│") + " "
        ]
        blank = ("┄", "reference") if y == at else (" ", "line")
        line += [(braille(bits), "line") if bits else blank for bits in dots]
        lines.append(line)
    _label(lines, " random rotation ", at)
    return lines


def _ticks(scale: Scale, values: Sequence[float]) -> dict[int, str]:
    """Returns numbers by line: the values themselves, and the top where they share a line."""
    ticks = {scale.row(value) // 4: number(value) for value in values}
    if len(ticks) < len(values) and scale.rows > 4:
        line = 0 if 0 not in ticks else scale.rows // 4 - 1
        part = (4 * line + 1.5) / (scale.rows - 1)
        ticks[line] = number(scale.top - (scale.top - scale.bottom) * part)
    return ticks


def _label(lines: list[list[tuple[str, Kind]]], text: str, at: int) -> None:
    """Writes the words of the reference where no dot is: on its line, or else next to it."""
    for y in (at, at - 1, at + 1, at - 2, at + 2):
        if not 0 <= y < len(lines):
            continue
        line = lines[y]
        for start in range(len(line) - len(text), AXIS, -1):
            if all(line[x][0] in " ┄" for x in range(start, start + len(text))):
                line[start : start + len(text)] = [(c, "reference") for c in text]
                return


class KurtosisPlot(Widget):
    """Kurtosis over the images measured so far; updated in place."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {"plot--axis", "plot--reference"}
    DEFAULT_CSS = """
    KurtosisPlot { height: 1fr; min-height: 2; color: $accent; }
    KurtosisPlot > .plot--axis { color: $foreground 70%; }
    KurtosisPlot > .plot--reference { color: $secondary; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._points: list[Point] = []
        self._reference = 3.0
        self._lines: list[list[tuple[str, Kind]]] = []

    def explained(self) -> tuple[str, ...]:
        """Returns the terms of the plot."""
        return ("kurtosis", "random-rotation", "interval")

    def show(self, points: list[Point], reference: float) -> None:
        """Shows other points in place."""
        self._points, self._reference = points, reference
        self._lines = plotted(points, reference, *self.size)
        self.refresh()

    def on_resize(self) -> None:
        """Draws anew for the new size."""
        self.show(self._points, self._reference)

    def render_line(self, y: int) -> Strip:
        """Returns one line of the plot."""
        width = self.size.width
        if y >= len(self._lines):
            text = "needs two images" if y == 0 else ""
            style = self.get_component_rich_style("plot--axis")
            return Strip([Segment(fitted(text, width), style)], width)
        styles = {
            "line": self.rich_style,
            "axis": self.get_component_rich_style("plot--axis"),
            "reference": self.get_component_rich_style("plot--reference"),
        }
        return Strip([Segment(c, styles[kind]) for c, kind in self._lines[y]], width).simplify()
