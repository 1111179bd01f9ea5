"""Charts in characters: braille lines, block bars, shaded bands; pure functions.

Colour never carries meaning alone: bars and bands differ by shape, and each of several lines has
its letter from the legend.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from tuiprobe.plaintext import plain
from tuiprobe.report.svg import round_ticks, tick_text
from tuiprobe.results.section import Chart, Drawn, Series
from tuiprobe.tui.text import braille, dot_bit, fitted

Kind = Drawn | str
"""What a cell shows: the role of a series, `axis`, `text` or `blank`."""

Line = list[tuple[str, str]]
"""Runs of text, each with its kind."""

_EIGHTHS = " ▁▂▃▄▅▆▇█"
_LETTERS = "abcdefghijklmnop"


@dataclass
class _Canvas:
    """Cells of the plotted area, each a character or braille dots, with a kind."""

    width: int
    height: int
    cells: dict[tuple[int, int], tuple[str, str]] = field(default_factory=dict)
    dots: dict[tuple[int, int], tuple[int, str]] = field(default_factory=dict)

    def put(self, x: int, y: int, character: str, kind: str) -> None:
        """Writes a character."""
        if 0 <= x < self.width and 0 <= y < self.height:
            self.cells[x, y] = (character, kind)

    def dot(self, x: int, y: int, kind: str) -> None:
        """Sets one braille dot, in quarter rows and half columns."""
        column, row = x // 2, y // 4
        if 0 <= column < self.width and 0 <= row < self.height:
            before = self.dots.get((column, row), (0, kind))[0]
            self.dots[column, row] = (before | dot_bit(x, y), kind)

    def row(self, y: int) -> Line:
        """Returns the cells of one row as runs of one kind."""
        return list(_runs(self._cell(x, y) for x in range(self.width)))

    def _cell(self, x: int, y: int) -> tuple[str, str]:
        character, kind = self.cells.get((x, y), (" ", "blank"))
        if (x, y) in self.dots and character in " ░":
            bits, kind = self.dots[x, y]
            character = braille(bits)
        return character, kind


def _runs(cells: Iterator[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    text, kind = "", ""
    for character, other in cells:
        if other != kind and text:
            yield text, kind
            text = ""
        text, kind = text + character, other
    if text:
        yield text, kind


def plot(chart: Chart, width: int, height: int) -> list[Line]:
    """Draws a chart into `height` lines of `width` cells; nothing below 16 x 5.

    Args:
        chart: What to draw.
        width: Cells.
        height: Lines, legend and axes included.
    """
    if width < 16 or height < 5 or not chart.series:
        return []
    legend = _legend(chart, width, max(height // 4, 1))
    rows = height - len(legend) - 2
    y_ticks = round_ticks(*_y_range(chart), max(rows // 3, 1))
    margin = max(len(tick_text(value, chart.y_unit)) for value in y_ticks) + 1
    canvas = _Canvas(width - margin, rows)
    for series in chart.series:
        _stems(canvas, chart, series)
    for letter, series in _lettered(chart):
        _draw(canvas, chart, series, letter)
    lines = _with_axis(canvas, chart, y_ticks, margin)
    lines.append(_x_axis(chart, canvas.width, margin))
    return [*lines, *legend]


# Scales.


def _y_range(chart: Chart) -> tuple[float, float]:
    """Returns the range of what is drawn; companions show no intervals here."""
    values = [y for one in chart.series for y in one.y]
    values += [
        y for one in chart.series if one.banded or one.labelled for y in (*one.low, *one.high)
    ]
    low, high = min(values, default=0.0), max(values, default=1.0)
    if any(one.mark == "bars" for one in chart.series):
        low = min(low, 0.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _row(chart: Chart, y: float, rows: int) -> int:
    low, high = _y_range(chart)
    return round((1 - (y - low) / (high - low)) * (rows - 1))


def _column(chart: Chart, x: float, columns: int) -> int:
    low, high = chart.x_range()
    return round((x - low) / (high - low) * (columns - 1))


# Marks.


def _lettered(chart: Chart) -> list[tuple[str, Series]]:
    """Returns the series back to front, lines with a letter where there are several."""
    lines = [one for one in reversed(chart.back_to_front()) if one.mark == "line"]
    letters = {id(one): _LETTERS[i % 16] for i, one in enumerate(lines)} if len(lines) > 1 else {}
    return [(letters.get(id(one), ""), one) for one in chart.back_to_front()]


def _draw(canvas: _Canvas, chart: Chart, one: Series, letter: str) -> None:
    if one.mark == "bars":
        _bars(canvas, chart, one)
    elif one.mark == "points":
        _points(canvas, chart, one)
    else:
        _line(canvas, chart, one, letter)


def _bars(canvas: _Canvas, chart: Chart, one: Series) -> None:
    """Draws bars over the whole width; with more bars than columns, the tallest in each column."""
    low, high = _y_range(chart)
    count = len(one.y)
    step = max(canvas.width // count, 1)
    for i in range(count if step > 1 or count <= canvas.width else canvas.width):
        if count > canvas.width:
            first, last = i * count // canvas.width, (i + 1) * count // canvas.width
            value, columns = max(one.y[first : max(last, first + 1)]), [i]
        else:
            value = one.y[i]
            columns = list(range(i * step, i * step + max(step - (step > 2), 1)))
        eighths = round((value - low) / (high - low) * canvas.height * 8)
        for y in range(canvas.height):
            part = min(max(eighths - 8 * (canvas.height - 1 - y), 0), 8)
            for x in columns if part else ():
                canvas.put(x, y, _EIGHTHS[part], one.role)


def _stems(canvas: _Canvas, chart: Chart, one: Series) -> None:
    """Draws the intervals of points before any point, so that they hide none."""
    if one.mark != "points":
        return
    for x, low, high in zip(one.x, one.low, one.high, strict=False):
        column = _column(chart, x, canvas.width)
        top, bottom = _row(chart, high, canvas.height), _row(chart, low, canvas.height)
        for row in range(top, bottom + 1):
            canvas.put(column, row, "│", one.role)


def _points(canvas: _Canvas, chart: Chart, one: Series) -> None:
    for x, y in zip(one.x, one.y, strict=True):
        if one.role in ("main", "third"):
            column, row = _column(chart, x, canvas.width), _row(chart, y, canvas.height)
            canvas.put(column, row, "◆" if one.role == "main" else "+", one.role)
        else:
            column = _column(chart, x, canvas.width * 2)
            canvas.dot(column, _row(chart, y, canvas.height * 4), one.role)
    if one.labelled:
        _label(canvas, chart, one)


def _label(canvas: _Canvas, chart: Chart, one: Series) -> None:
    """Writes the name beside its only point, on the side that has room."""
    column = _column(chart, one.x[0], canvas.width)
    row = _row(chart, one.y[0], canvas.height)
    name = plain(one.name)[: max(canvas.width // 2, 1)]
    start = column - 1 - len(name) if column > canvas.width // 2 else column + 2
    for i, character in enumerate(name):
        canvas.put(start + i, row, character, one.role)


def _line(canvas: _Canvas, chart: Chart, one: Series, letter: str) -> None:
    if one.banded and one.role == "control":
        _band(canvas, chart, one)
    places = [
        (_column(chart, x, canvas.width * 2), _row(chart, y, canvas.height * 4))
        for x, y in zip(one.x, one.y, strict=True)
    ]
    for (x0, y0), (x1, y1) in pairwise(places):
        steps = max(abs(x1 - x0), abs(y1 - y0), 1)
        for i in range(steps + 1):
            canvas.dot(x0 + (x1 - x0) * i // steps, y0 + (y1 - y0) * i // steps, one.role)
    if letter and places:
        # Letters of several lines are at different points, so that none hides another.
        at = (1 + 2 * _LETTERS.index(letter)) % len(places)
        canvas.put(places[at][0] // 2, places[at][1] // 4, letter, one.role)


def _band(canvas: _Canvas, chart: Chart, one: Series) -> None:
    columns = [_column(chart, x, canvas.width) for x in one.x]
    for i in range(len(columns) - 1):
        width = max(columns[i + 1] - columns[i], 1)
        for column in range(columns[i], columns[i + 1] + 1):
            part = (column - columns[i]) / width
            low = one.low[i] + (one.low[i + 1] - one.low[i]) * part
            high = one.high[i] + (one.high[i + 1] - one.high[i]) * part
            for row in range(_row(chart, high, canvas.height), _row(chart, low, canvas.height) + 1):
                canvas.put(column, row, "░", one.role)


# Axes and legend.


def _with_axis(canvas: _Canvas, chart: Chart, ticks: list[float], margin: int) -> list[Line]:
    texts = {_row(chart, value, canvas.height): tick_text(value, chart.y_unit) for value in ticks}
    lines: list[Line] = []
    for y in range(canvas.height):
        text = texts.get(y, "").rjust(margin - 1)
        lines.append([(f"{text}{'┤' if y in texts else '│'}", "axis"), *canvas.row(y)])
    corner = " " * (margin - 1) + "└"
    lines.append([(corner + "─" * canvas.width, "axis")])
    return lines


def _x_axis(chart: Chart, width: int, margin: int) -> Line:
    cells = [" "] * width
    taken = -1
    places = _x_places(chart, width)
    for column, text in places:
        start = min(max(column - len(text) // 2, 0), max(width - len(text), 0))
        if start > taken:
            for i, character in enumerate(text[:width]):
                cells[start + i] = character
            taken = start + len(text)
    label = f" {chart.x_label} "
    if len(label) < width // 2 and "".join(cells[-len(label) :]).strip() == "":
        cells[-len(label) :] = label
    return [(" " * margin + "".join(cells), "axis")]


def _x_places(chart: Chart, width: int) -> list[tuple[int, str]]:
    bars = next((one for one in chart.series if one.mark == "bars"), None)
    if bars is not None:
        step = max(width // len(bars.y), 1)
        middle = max(step - (step > 2), 1) // 2
        scale = step if len(bars.y) <= width else width / len(bars.y)
        names = chart.ticks or tuple(tick_text(x, chart.x_unit) for x in bars.x)
        return [(int(i * scale) + middle, plain(names[i])) for i in range(len(bars.y))]
    if chart.ticks:
        return [(_column(chart, i, width), plain(name)) for i, name in enumerate(chart.ticks)]
    values = round_ticks(*chart.x_range(), max(width // 12, 1))
    return [(_column(chart, value, width), tick_text(value, chart.x_unit)) for value in values]


def _legend(chart: Chart, width: int, most: int) -> list[Line]:
    """Returns the legend: the letter or mark of each series, in at most `most` lines."""
    marks: dict[Drawn, str] = {"context": "⠂", "third": "+", "main": "◆"}
    parts = []
    for letter, one in reversed(_lettered(chart)):
        if one.labelled:
            continue
        sign = letter or ("█" if one.mark == "bars" else marks.get(one.role, "⠒"))
        if one.mark == "line" and one.banded and one.role == "control":
            sign += "░"
        parts.append((f"{sign} {plain(one.name)}", one.role))
    if len(parts) < 2 and not chart.note:
        return []
    lines: list[Line] = [[]]
    used = 0
    for text, role in parts:
        if used and used + len(text) + 2 > width:
            lines.append([])
            used = 0
        lines[-1].append((fitted(text, min(len(text), width - used)) + "  ", role))
        used += len(text) + 2
    if chart.note:
        lines.append([(fitted(plain(chart.note), width), "text")])
    return [line for line in lines if line][:most]
