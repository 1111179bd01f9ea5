"""A line with its interval in braille dots: two by four dots a cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from tuiprobe.tui.text import braille, dot_bit, fitted


@dataclass(frozen=True)
class Point:
    """One point of a line: position, value and interval."""

    x: float
    value: float
    low: float
    high: float


def line_with_band(points: Sequence[Point], width: int, height: int) -> list[str]:
    """Returns a plot of the points: the line in full dots, the interval in every other dot.

    Args:
        points: In order of x.
        width: Cells.
        height: Lines.

    >>> line_with_band([Point(0, 0, 0, 0), Point(1, 1, 1, 1)], 2, 1)
    ['⣀⣸']
    """
    if not points or width < 1 or height < 1:
        return [" " * width] * height
    cells = [[0] * width for _ in range(height)]
    columns, rows = 2 * width, 4 * height
    first, last = points[0].x, points[-1].x
    bottom = min(point.low for point in points)
    span = max(point.high for point in points) - bottom or 1.0

    def row(value: float) -> int:
        return rows - 1 - round((value - bottom) / span * (rows - 1))

    def dot(x: int, y: int) -> None:
        cells[y // 4][x // 2] |= dot_bit(x, y)

    place, before = 0, None
    for x in range(columns if last > first else 1):
        target = first + (last - first) * x / (columns - 1)
        while place + 1 < len(points) and points[place + 1].x <= target:
            place += 1
        point = points[place]
        for y in range(row(point.high), row(point.low) + 1):
            if (x + y) % 2 == 0:
                dot(x, y)
        now = row(point.value)
        start = now if before is None else before
        for y in range(min(start, now), max(start, now) + 1):
            dot(x, y)
        before = now
    return ["".join(braille(cell) if cell else " " for cell in line) for line in cells]


class LinePlot(Widget):
    """A line with its interval, updated in place."""

    ALLOW_SELECT = False
    DEFAULT_CSS = "LinePlot { height: 1fr; min-height: 2; color: $accent; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._points: list[Point] = []
        self._lines: list[str] = []

    def show(self, points: list[Point]) -> None:
        """Shows other points in place."""
        self._points = points
        self._lines = line_with_band(points, *self.size)
        self.refresh()

    def on_resize(self) -> None:
        """Draws anew for the new size."""
        self.show(self._points)

    def render_line(self, y: int) -> Strip:
        """Returns one line of the plot."""
        text = self._lines[y] if y < len(self._lines) else ""
        return Strip([Segment(fitted(text, self.size.width), self.rich_style)], self.size.width)
