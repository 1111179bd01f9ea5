"""Charts in characters: braille lines, block bars, shaded bands, intervals; and their widget.

Colour never carries meaning alone: each series has a sign of its own, which the legend explains.
Not textual-plot: it tells lines apart by colour alone, has no bands and no names of points, takes
numpy into screens that do without, and imports private parts of Textual.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tuiprobe.numbers import interval
from tuiprobe.plaintext import plain
from tuiprobe.results.section import Chart, Series
from tuiprobe.show.report.svg import round_ticks, tick_text
from tuiprobe.show.tui.text import braille, dot_bit, fitted, inert

PlotLine = list[tuple[str, str]]
"""Runs of text, each with its kind: the role of a series, `axis`, `text`, `cursor` or `blank`."""

MIN_SIZE = (16, 7)
_EIGHTHS = " ▁▂▃▄▅▆▇█"
_LETTERS = "abcdefghijklmnop"
_POINTS, _CLOUDS = "◆+○□▽△", "·:,;'"
_CLOUD = 12
"""Points of a series above which each has a small sign."""


@dataclass(frozen=True)
class Viewport:
    """The part of a chart that is drawn, in its own units."""

    left: float
    right: float
    bottom: float
    top: float

    @classmethod
    def full(cls, chart: Chart) -> Viewport:
        """Returns the view of all that is drawn; intervals that are not drawn take no room."""
        ends = [y for series in chart.series for y in series.y]
        for series in filter(_has_ends, chart.series):
            ends += [*series.low, *series.high]
        low, high = min(ends, default=0.0), max(ends, default=1.0)
        if any(series.mark == "bars" for series in chart.series):
            low = min(low, 0.0)
        low, high = (low, high) if high > low else (low - 0.5, high + 0.5)
        return cls(*chart.x_range(), low, high)


def _has_ends(series: Series) -> bool:
    """Returns whether the intervals of a series are drawn; those of companions would hide it."""
    return bool(series.low) and (series.mark != "line" or series.banded)


def signs(chart: Chart) -> list[str]:
    """Returns the sign of each series: letters for several lines, shapes for points."""
    letters, bars = iter(_LETTERS * 8), iter("█▒" * 50)
    shapes, clouds = iter(_POINTS * 20), iter(_CLOUDS * 20)
    several = sum(series.mark == "line" for series in chart.series) > 1
    by_place = {}
    for i, series in sorted(enumerate(chart.series), key=lambda pair: pair[1].role != "main"):
        if series.mark == "line":
            by_place[i] = next(letters) if several else "⠒"
        elif series.mark == "bars":
            by_place[i] = next(bars)
        else:
            by_place[i] = next(clouds if len(series.x) > _CLOUD else shapes)
    return [by_place[i] for i in range(len(chart.series))]


@dataclass
class _Canvas:
    """Cells of the plotted area, each a character or braille dots, with a kind."""

    view: Viewport
    width: int
    height: int
    cells: dict[tuple[int, int], tuple[str, str]] = field(default_factory=dict)
    dots: dict[tuple[int, int], tuple[int, str]] = field(default_factory=dict)

    def column(self, x: float, parts: int = 1) -> int:
        """Returns the cell of an x, or one of `parts` parts of it."""
        view = self.view
        return round((x - view.left) / (view.right - view.left) * (self.width * parts - 1))

    def row(self, y: float, parts: int = 1) -> int:
        """Returns the line of a y, or one of `parts` parts of it."""
        view = self.view
        return round((view.top - y) / (view.top - view.bottom) * (self.height * parts - 1))

    def put(self, x: int, y: int, character: str, kind: str) -> None:
        """Writes a character."""
        if 0 <= x < self.width and 0 <= y < self.height:
            self.cells[x, y] = (character, kind)

    def dot(self, x: int, y: int, kind: str) -> None:
        """Sets one braille dot, in half columns and quarter rows."""
        column, row = x // 2, y // 4
        if 0 <= column < self.width and 0 <= row < self.height:
            before = self.dots.get((column, row), (0, kind))[0]
            self.dots[column, row] = (before | dot_bit(x, y), kind)

    def line(self, y: int) -> PlotLine:
        """Returns the cells of one row as runs of one kind."""
        cells = []
        for x in range(self.width):
            character, kind = self.cells.get((x, y), (" ", "blank"))
            if (x, y) in self.dots and character in " ░│":
                bits, kind = self.dots[x, y]
                character = braille(bits)
            cells.append((character, kind))
        return [
            ("".join(character for character, _ in run), kind)
            for kind, run in groupby(cells, key=lambda cell: cell[1])
        ]


def plot(
    chart: Chart,
    width: int,
    height: int,
    cursor: int | None = None,
) -> list[PlotLine]:
    """Draws a chart into `height` lines of `width` cells; nothing where that is too small.

    Args:
        chart: What to draw.
        width: Cells.
        height: Lines, legend and axes included.
        cursor: Which of `points` is named; None for none.
    """
    if width < MIN_SIZE[0] or height < MIN_SIZE[1] or not chart.series:
        return []
    view = Viewport.full(chart)
    at = points(chart)[cursor] if cursor is not None else None
    cursor_line = [[(fitted(at.words, width), "cursor")]] if at is not None else []
    legend = cursor_line + _legend(chart, width, max(height // 4, 1) - len(cursor_line))
    rows = height - len(legend) - 4
    y_ticks = round_ticks(view.bottom, view.top, max(rows // 3, 1))
    margin = max(len(tick_text(value, chart.y_unit)) for value in y_ticks) + 1
    canvas = _Canvas(view, width - margin, rows)
    for sign, series in zip(signs(chart), chart.series, strict=True):
        _intervals(canvas, series, sign)
    drawn = zip(signs(chart), chart.series, strict=True)
    for sign, series in sorted(drawn, key=lambda p: (p[1].mark != "bars", p[1].role == "main")):
        _draw(canvas, series, sign)
    if at is not None:
        canvas.put(canvas.column(at.x), canvas.row(at.y), at.sign, "cursor")
    texts = {canvas.row(value): tick_text(value, chart.y_unit) for value in y_ticks}
    lines: list[PlotLine] = [[(fitted(plain(chart.y_label), width), "axis")]]
    for y in range(rows):
        tick = f"{texts.get(y, ''):>{margin - 1}}{'┤' if y in texts else '│'}"
        lines.append([(tick, "axis"), *canvas.line(y)])
    lines.append([(" " * (margin - 1) + "└" + "─" * canvas.width, "axis")])
    lines.append([(" " * margin + _x_ticks(chart, canvas), "axis")])
    lines.append([(f"{fitted(plain(chart.x_label), min(len(chart.x_label), width)):>{width}}",
                   "axis")])  # fmt: skip
    return [*lines, *legend]


# Marks.


def _draw(canvas: _Canvas, series: Series, sign: str) -> None:
    if series.mark == "bars":
        _bars(canvas, series, sign)
        return
    if series.mark == "points":
        for x, y in zip(series.x, series.y, strict=True):
            canvas.put(canvas.column(x), canvas.row(y), sign, series.role)
        if series.labelled:
            _label(canvas, series)
        return
    pairs = zip(series.x, series.y, strict=True)
    places = [(canvas.column(x, 2), canvas.row(y, 4)) for x, y in pairs]
    for (x0, y0), (x1, y1) in pairwise(places):
        steps = max(abs(x1 - x0), abs(y1 - y0), 1)
        for i in range(steps + 1):
            canvas.dot(x0 + (x1 - x0) * i // steps, y0 + (y1 - y0) * i // steps, series.role)
    if places and sign in _LETTERS:
        # Letters of several lines are at different points, so that none hides another.
        x, y = places[(1 + 2 * _LETTERS.index(sign)) % len(places)]
        canvas.put(x // 2, y // 4, sign, series.role)


def _bars(canvas: _Canvas, series: Series, sign: str) -> None:
    """Draws bars; with more bars than columns, the tallest in each column."""
    tallest: dict[int, float] = {}
    for x, y in zip(series.x, series.y, strict=True):
        left, right = canvas.column(x - 0.35), canvas.column(x + 0.35)
        for column in range(max(left, 0), min(right, canvas.width - 1) + 1):
            tallest[column] = max(y, tallest.get(column, y))
    span = canvas.view.top - canvas.view.bottom
    for column, value in tallest.items():
        eighths = round((value - canvas.view.bottom) / span * canvas.height * 8)
        for y in range(canvas.height):
            part = min(max(eighths - 8 * (canvas.height - 1 - y), 0), 8)
            if part and canvas.cells.get((column, y), " ")[0] != "│":
                canvas.put(column, y, _EIGHTHS[part] if sign == "█" else sign, series.role)


def _intervals(canvas: _Canvas, series: Series, sign: str) -> None:
    """Draws intervals before what they belong to, so that they hide none; of controls a band."""
    if not _has_ends(series):
        return
    if series.mark == "line" and series.role == "control":
        for i, j in pairwise(range(len(series.x))):
            left, right = canvas.column(series.x[i]), canvas.column(series.x[j])
            for column in range(left, right + 1):
                part = (column - left) / max(right - left, 1)
                low = series.low[i] + (series.low[j] - series.low[i]) * part
                high = series.high[i] + (series.high[j] - series.high[i]) * part
                for row in range(canvas.row(high), canvas.row(low) + 1):
                    canvas.put(column, row, "░", series.role)
        return
    for x, low, high in zip(series.x, series.low, series.high, strict=True):
        for row in range(canvas.row(high), canvas.row(low) + 1) if high > low else ():
            canvas.put(canvas.column(x), row, "│", series.role)


def _label(canvas: _Canvas, series: Series) -> None:
    """Writes the name beside its only point, on the side that has room."""
    column, row = canvas.column(series.x[0]), canvas.row(series.y[0])
    name = plain(series.name)[: max(canvas.width // 2, 1)]
    start = column - 1 - len(name) if column > canvas.width // 2 else column + 2
    for i, character in enumerate(name):
        canvas.put(start + i, row, character, series.role)


# Points at the cursor.


@dataclass(frozen=True)
class PlottedPoint:
    """A point that the cursor can be on: place, sign, what to say of it, its name and series."""

    x: float
    y: float
    sign: str
    words: str
    name: str = ""
    series: str = ""


def points(chart: Chart) -> list[PlottedPoint]:
    """Returns the points of all series but reference lines, from left to right."""
    plotted = []
    for sign, series in zip(signs(chart), chart.series, strict=True):
        for i, (x, y) in enumerate(zip(series.x, series.y, strict=True)):
            low, high = (series.low[i], series.high[i]) if series.low else (None, None)
            place = chart.ticks[i] if i < len(chart.ticks) else tick_text(x, chart.x_unit)
            name = series.names[i] if series.names else f"{series.name}, {place}"
            words = f"{sign} {plain(name)}: {interval(y, low, high, chart.y_unit)}"
            if series.role != "reference":
                point_name = series.names[i] if series.names else place
                plotted.append(PlottedPoint(x, y, sign, words, point_name, series.name))
    return sorted(plotted, key=lambda point: point.x)


# Axes and legend.


def _x_ticks(chart: Chart, canvas: _Canvas) -> str:
    """Returns the names of the places along x, as many as fit."""
    view = canvas.view
    if chart.ticks:
        places = [(float(i), plain(name)) for i, name in enumerate(chart.ticks)]
    else:
        ticks = round_ticks(view.left, view.right, max(canvas.width // 12, 1))
        places = [(value, tick_text(value, chart.x_unit)) for value in ticks]
    cells, end = [" "] * canvas.width, -1
    for x, text in places:
        room = max(canvas.width - cell_len(text), 0)
        start = min(max(canvas.column(x) - cell_len(text) // 2, 0), room)
        if view.left <= x <= view.right and start > end:
            cells[start : start + cell_len(text)] = text[: canvas.width]
            end = start + cell_len(text)
    return "".join(cells)


def _legend(chart: Chart, width: int, most: int) -> list[PlotLine]:
    """Returns the legend: the sign of each series, in at most `most` lines, then the note."""
    lines: list[PlotLine] = []
    explained = [
        pair for pair in zip(signs(chart), chart.series, strict=True) if not pair[1].labelled
    ]
    used = 0
    for sign, series in explained if len(explained) > 1 else ():
        band = "░" if series.banded and series.role == "control" else ""
        text = f"{sign}{band} {plain(series.name)}"
        if not lines or used + cell_len(text) > width:
            lines.append([])
            used = 0
        lines[-1].append((fitted(text, min(cell_len(text), width - used)) + "  ", series.role))
        used += cell_len(text) + 2
    if chart.note:
        lines.append([(fitted(plain(chart.note), width), "text")])
    return lines[: max(most, 1)]


_KINDS = ("main", "second", "third", "control", "reference", "context", "axis", "text", "cursor")


class ChartView(Widget, can_focus=True):
    """Shows one chart.

    Args:
        chart: The chart.
        classes: CSS classes.
    """

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"chart--{kind}" for kind in _KINDS}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "point(1)", "point", tooltip="Name the next point"),
        Binding("enter", "choose", "pictures", tooltip="What is behind the named point: pictures"),
        Binding("N", "point(-1)", "point before", show=False, tooltip="Name the point before"),
    ]
    DEFAULT_CSS = """
    ChartView { height: 1fr; min-height: 8; }
    ChartView:focus { background: $panel; }
    ChartView > .chart--main { color: $primary; }
    ChartView > .chart--second { color: $success; }
    ChartView > .chart--third { color: $foreground 85%; }
    ChartView > .chart--control { color: $foreground 55%; }
    ChartView > .chart--reference { color: $foreground; }
    ChartView > .chart--context { color: $foreground 45%; }
    ChartView > .chart--axis { color: $foreground 60%; }
    ChartView > .chart--text { color: $foreground 70%; }
    ChartView > .chart--cursor { text-style: reverse; }
    """

    class Chosen(Message):
        """A named point was chosen.

        Args:
            chart: The chart.
            point: The point.
        """

        def __init__(self, chart: Chart, point: PlottedPoint) -> None:
            super().__init__()
            self.chart, self.point = chart, point

    def __init__(self, chart: Chart, *, classes: str | None = None) -> None:
        super().__init__(classes=classes)
        self.chart = chart
        self.point: int | None = None
        self.border_title = inert(chart.title)
        self._lines: list[PlotLine] = []

    def fill(self, lines: int) -> None:
        """Takes the lines that a window has left, or hides where these are too few."""
        self.display = lines >= MIN_SIZE[1] + 2  # with its border
        self.styles.height = min(lines, 18)

    def on_resize(self) -> None:
        """Draws for the new size."""
        self._draw()

    def _draw(self) -> None:
        self._lines = plot(self.chart, *self.size, self.point)
        self.refresh()

    def action_point(self, by: int) -> None:
        """Names the next point."""
        count = len(points(self.chart))
        if count:
            self.point = (-1 if self.point is None and by > 0 else self.point or 0) + by
            self.point %= count
            self._draw()

    @property
    def named(self) -> PlottedPoint | None:
        """The point that is named; None for none."""
        return None if self.point is None else points(self.chart)[self.point]

    def action_choose(self) -> None:
        """Chooses the named point; names one where none is."""
        if self.named is None:
            self.action_point(1)
        else:
            self.post_message(self.Chosen(self.chart, self.named))

    def render_line(self, y: int) -> Strip:
        """Returns one line of the drawing."""
        width = self.size.width
        parts = self._lines[y] if y < len(self._lines) else []
        blank = self.rich_style
        styles = {kind: self.get_component_rich_style(f"chart--{kind}") for kind in _KINDS}
        segments = [Segment(text, styles.get(kind, blank)) for text, kind in parts]
        return Strip(segments).adjust_cell_length(width, blank)
