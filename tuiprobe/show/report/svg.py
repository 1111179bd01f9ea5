"""A chart as SVG: one file, no script, light and dark by the reader's setting.

Colour never carries meaning alone: roles also differ in dash, marker or fill.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import ceil, floor, log10
from typing import NamedTuple
from xml.etree.ElementTree import Element, SubElement, tostring

from markupsafe import Markup

from tuiprobe.numbers import as_written, number, with_minus
from tuiprobe.plaintext import plain
from tuiprobe.results.section import Chart, Series, SeriesRole

WIDTH, HEIGHT = 640, 320
_LEFT, _TOP, _PLOT_WIDTH, _PLOT_HEIGHT = 58, 34, 400, 226
_LEGEND = _LEFT + _PLOT_WIDTH + 16
_LETTERS = 24
_LONGEST = 120
_LETTER = 7  # pixels, as wide as it is on a telephone
_TICKS = 16
_SLANTED_TICKS, _SLANTED_LETTERS = 32, 14

COLOURS = """
.chart { --ink: #1b2530; --dim: #5d6b78; --grid: #dde2e7; --main: #b35c00; --second: #1f6fb2;
  --third: #1f7a67; --context: #9aa5b0; --halo: #fdfdfc; }
@media screen and (prefers-color-scheme: dark) { .chart { --ink: #d8dee6; --dim: #8f9ba8;
  --grid: #2b333c; --main: #f2a65a; --second: #5aa9e6; --third: #58b09c; --context: #65717e;
  --halo: #11151a; } }
.chart text { fill: var(--ink); font: 11px system-ui, sans-serif; }
.chart .title { font-weight: 600; font-size: 13px; }
.chart .label { paint-order: stroke; stroke: var(--halo); stroke-width: 3px; }
.chart .dim { fill: var(--dim); }
.chart .grid { stroke: var(--grid); }
.chart .line { fill: none; stroke-width: 1.8; }
.chart .band { opacity: .16; stroke: none; }
.chart .stem { stroke-width: 1.2; }
.chart .main { stroke: var(--main); fill: var(--main); }
.chart .second { stroke: var(--second); fill: var(--second); }
.chart .third { stroke: var(--third); fill: var(--third); }
.chart .control { stroke: var(--dim); fill: var(--dim); }
.chart .reference { stroke: var(--ink); fill: var(--ink); }
.chart .context { stroke: var(--context); fill: var(--context); }
.chart .line.main, .chart .line.second, .chart .line.third, .chart .line.control,
.chart .line.reference, .chart .line.context { fill: none; }
"""

_DASHES: dict[SeriesRole, str] = {
    "main": "none", "second": "7 3", "third": "2 3", "control": "1 3", "reference": "5 4",
    "context": "9 3 2 3",
}  # fmt: skip


class _Frame(NamedTuple):
    """From figures to pixels."""

    x: Callable[[float], float]
    y: Callable[[float], float]

    def path(self, x: Sequence[float], y: Sequence[float]) -> str:
        """Returns points as the text of a line."""
        return " ".join(f"{self.x(a):.2f},{self.y(b):.2f}" for a, b in zip(x, y, strict=True))


def svg(chart: Chart) -> str:
    """Returns the chart as a complete SVG file, with title, legend and note in one picture."""
    if chart.across:
        root = rows(chart)
    else:
        height = HEIGHT + _slanted(chart)
        root = _root(chart, f"0 0 {WIDTH} {height}")
        _text(root, _cut(chart.title, 92), _LEFT, 18, "title")
        _plot(root, chart)
        in_legend = [series for series in reversed(chart.back_to_front()) if not series.labelled]
        for i, series in enumerate(in_legend):
            y = _TOP + 8 + 18 * i
            _swatch(root, series, _LEGEND, y)
            _text(root, _cut(series.name, _LETTERS), _LEGEND + 24, y)
        if chart.note:
            _text(root, _cut(chart.note, 110), _LEFT, height - 6, "dim")
    root.set("xmlns", "http://www.w3.org/2000/svg")
    style = Element("style")
    style.text = COLOURS
    root.insert(1, style)
    return tostring(root, encoding="unicode") + "\n"


def plot(chart: Chart) -> Markup:
    """Returns the plotted area for a page that holds `COLOURS` and tells the rest in its text.

    Points with names are groups of the class `point`; the picture is then a group of pictures.
    """
    if chart.across:
        return _markup(rows(chart))
    size = f"{_LEFT + _PLOT_WIDTH + 12} {_PLOT_HEIGHT + 44 + _slanted(chart)}"
    named = any(series.names for series in chart.series)
    root = _root(chart, f"0 {_TOP - 8} {size}", role="group" if named else "img")
    _plot(root, chart)
    return _markup(root)


def legend(chart: Chart) -> list[tuple[str, Markup]]:
    """Returns the name of each series with a small picture of how it is drawn."""
    entries = []
    for series in reversed(chart.back_to_front()):
        attributes = {"class_": "chart swatch", "viewBox": "0 0 24 14", "aria_hidden": "true"}
        root = Element("svg", _named(attributes))
        _swatch(root, series, 3, 11)
        entries.append((series.name, _markup(root)))
    return entries


def _plot(root: Element, chart: Chart) -> None:
    """Draws axes and series."""
    (x0, x1), (y0, y1) = chart.x_range(), chart.y_range()
    margin = 0.04 * (y1 - y0)
    bottom, top = (y0 if y0 == 0 else y0 - margin), y1 + margin
    are_bars = any(series.mark == "bars" for series in chart.series)
    pad = 0 if chart.ticks and are_bars else 0.02 * (x1 - x0)
    left, right = x0 - pad, x1 + pad
    frame = _Frame(
        lambda x: _LEFT + _PLOT_WIDTH * (x - left) / (right - left),
        lambda y: _TOP + _PLOT_HEIGHT * (1 - (y - bottom) / (top - bottom)),
    )
    _axes(root, chart, frame)
    for series in chart.back_to_front():
        if series.mark == "bars":
            _bars(root, series, frame)
        elif series.mark == "points":
            _points(root, series, frame, chart)
        else:
            if series.banded:
                x, y = (*series.x, *series.x[::-1]), (*series.high, *series.low[::-1])
                kind = f"band {series.role}"
                inside(root, "polygon", class_=kind, points=frame.path(x, y))
            inside(root, "polyline", class_=f"line {series.role}",
                   points=frame.path(series.x, series.y),
                   stroke_dasharray=_DASHES[series.role])  # fmt: skip


def _axes(root: Element, chart: Chart, frame: _Frame) -> None:
    right, bottom = _LEFT + _PLOT_WIDTH, _TOP + _PLOT_HEIGHT
    for value in round_ticks(*chart.y_range()):
        if chart.y_unit != "count" or value == int(value):
            _segment(root, "grid", (_LEFT, right), (frame.y(value),) * 2)
            _text(root, tick_text(value, chart.y_unit), _LEFT - 6, frame.y(value) + 4, anchor="end")
    _segment(root, "reference", (_LEFT, right), (bottom, bottom))
    slanted = _slanted(chart)
    for value, text in _x_ticks(chart):
        x = frame.x(value)
        if slanted:
            turned = f"rotate(-60 {x:.2f} {bottom + 12})"
            _text(root, text, x, bottom + 12, anchor="end", transform=turned)
        else:
            _text(root, text, x, bottom + 15, anchor="middle")
    middle, centre = _LEFT + _PLOT_WIDTH / 2, _TOP + _PLOT_HEIGHT / 2
    _text(root, _cut(chart.x_label, 72), middle, bottom + 32 + slanted, "dim", "middle")
    turned = f"rotate(-90 14 {centre:g})"
    _text(root, _cut(chart.y_label, 44), 14, centre, "dim", "middle", transform=turned)


def _x_ticks(chart: Chart) -> list[tuple[float, str]]:
    if not chart.ticks:
        values = round_ticks(*chart.x_range())
        return [(value, tick_text(value, chart.x_unit)) for value in values]
    most, letters = (_SLANTED_TICKS, _SLANTED_LETTERS) if _slanted(chart) else (_TICKS, _LONGEST)
    every = -(-len(chart.ticks) // most)
    return [(float(i), _cut(chart.ticks[i], letters)) for i in range(0, len(chart.ticks), every)]


def _slanted(chart: Chart) -> int:
    """Returns the room that slanted names need below the axis; 0 for upright names."""
    if chart.across or not chart.ticks:
        return 0
    longest = max(map(len, chart.ticks[:: -(-len(chart.ticks) // _TICKS)]))
    room = _PLOT_WIDTH / min(len(chart.ticks), _TICKS)
    return 6 * min(longest, _SLANTED_LETTERS) - 8 if _LETTER * longest > room else 0


def _bars(root: Element, series: Series, frame: _Frame) -> None:
    half = 0.4 if len(series.x) <= 64 else 0.5
    for i, (x, y) in enumerate(zip(series.x, series.y, strict=True)):
        left, top = frame.x(x - half), frame.y(y)
        inside(root, "rect", class_=series.role, x=left, y=top, width=frame.x(x + half) - left,
               height=max(frame.y(0) - top, 0.0))  # fmt: skip
        if series.low:
            ends = frame.y(series.low[i]), frame.y(series.high[i])
            _segment(root, "stem reference", (frame.x(x),) * 2, ends)


def _points(root: Element, series: Series, frame: _Frame, chart: Chart) -> None:
    for i, (x, y) in enumerate(zip(series.x, series.y, strict=True)):
        if series.low:
            ends = frame.y(series.low[i]), frame.y(series.high[i])
            _segment(root, f"stem {series.role}", (frame.x(x),) * 2, ends)
        parent = root
        if series.names:
            parent = inside(root, "g", class_="point", role="img")
            at = f"{number(x, chart.x_unit)}, {number(y, chart.y_unit)}"
            inside(parent, "title", f"{_cut(series.names[i], _LONGEST)}: {at}")
        _marker(parent, series.role, frame.x(x), frame.y(y))
    if series.labelled:
        x, y = frame.x(series.x[0]) - 8, frame.y(series.y[0]) + 4
        _text(root, _cut(series.name, _LETTERS), x, y, "label", "end")


_NAMES, _LEAST_PLOT, _ROW = 300, 216, 18


def rows(chart: Chart) -> Element:
    """Returns a chart whose named rows stand below each other, as in a forest plot."""
    low, high = chart.y_range()
    pad = 0.04 * (high - low)
    longest = max(map(len, chart.ticks), default=0)
    left = min(_NAMES, max(80, 16 + _LETTER * longest))
    width = max(_LEAST_PLOT, _LEFT + _PLOT_WIDTH + 12 - left - 14)
    bottom = 8 + _ROW * len(chart.ticks)
    root = _root(chart, f"0 0 {left + width + 14} {bottom + 36}")

    def at(value: float) -> float:
        return left + width * (value - low + pad) / (high - low + 2 * pad)

    for value in round_ticks(low, high):
        kind = "reference" if value == 0 else "grid"
        _segment(root, kind, (at(value), at(value)), (4, bottom))
        _text(root, tick_text(value, chart.y_unit), at(value), bottom + 14, anchor="middle")
    _text(root, _cut(chart.y_label, 60), left + width / 2, bottom + 30, "dim", "middle")
    for i, name in enumerate(chart.ticks):
        words = _cut(name, (_NAMES - 16) // _LETTER)
        _text(root, words, left - 8, 8 + _ROW * i + 13, anchor="end")
    for series in chart.back_to_front():
        for i, (x, y) in enumerate(zip(series.x, series.y, strict=True)):
            height = 8 + _ROW * x + 9
            if series.low:
                ends = at(series.low[i]), at(series.high[i])
                _segment(root, f"stem {series.role}", ends, (height, height))
            _marker(root, series.role, at(y), height)
    return root


def _swatch(root: Element, series: Series, x: float, y: float) -> None:
    """Draws how a series looks, 18 wide, above the line of text at `y`."""
    if series.mark == "points":
        _marker(root, series.role, x + 9, y - 4)
    elif series.mark == "bars":
        inside(root, "rect", class_=series.role, x=x + 3, y=y - 9, width=12, height=9)
    else:
        dashes = {"stroke_dasharray": _DASHES[series.role]}
        _segment(root, f"line {series.role}", (x, x + 18), (y - 4, y - 4), **dashes)


def _marker(root: Element, role: SeriesRole, x: float, y: float) -> None:
    if role == "main":
        corners = f"{x:.2f},{y - 5:.2f} {x + 5:.2f},{y:.2f} {x:.2f},{y + 5:.2f} {x - 5:.2f},{y:.2f}"
        inside(root, "polygon", class_=role, points=corners)
    elif role == "third":
        inside(root, "path", class_=f"line {role}", d=f"M{x - 2.5:.2f} {y:.2f}h5m-2.5 -2.5v5")
    elif role == "control":
        inside(root, "rect", class_=role, x=x - 2.6, y=y - 2.6, width=5.2, height=5.2)
    else:
        inside(root, "circle", class_=role, cx=x, cy=y, r=3.4 if role == "second" else 1.4)


def _root(chart: Chart, box: str, role: str = "img") -> Element:
    """Returns an empty picture with the title of the chart."""
    root = Element("svg", _named({"class_": "chart", "viewBox": box, "role": role}))
    inside(root, "title", _cut(chart.title, _LONGEST))
    return root


def _text(
    root: Element,
    words: str,
    x: float,
    y: float,
    kind: str = "",
    anchor: str = "",
    **more: str,
) -> None:
    given: dict[str, str | float] = {"class_": kind, "x": x, "y": y, "text_anchor": anchor, **more}
    inside(root, "text", words, **{name: value for name, value in given.items() if value != ""})


def _segment(
    root: Element, kind: str, x: tuple[float, float], y: tuple[float, float], **more: str
) -> None:
    inside(root, "line", class_=kind, x1=x[0], x2=x[1], y1=y[0], y2=y[1], **more)


def inside(parent: Element, tag: str, text: str = "", /, **attributes: str | float) -> Element:
    """Appends a new element; `class_` becomes `class`, `stroke_width` becomes `stroke-width`."""
    element = SubElement(parent, tag, _named(attributes))
    element.text = plain(text) or None
    return element


def _named(attributes: Mapping[str, str | float]) -> dict[str, str]:
    return {
        name.rstrip("_").replace("_", "-"): f"{value:.2f}".rstrip("0").rstrip(".")
        if isinstance(value, float)
        else plain(str(value))
        for name, value in attributes.items()
    }


def _markup(root: Element) -> Markup:
    """Returns a finished picture for a page; its tree escaped every text."""
    return Markup(tostring(root, encoding="unicode"))  # noqa: S704


def _cut(text: str, letters: int) -> str:
    """Returns inert text of at most this many letters, so that a long name fits the picture."""
    clean = plain(text)
    return clean if len(clean) <= letters else clean[: letters - 1] + "…"


def round_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Returns about `count` round values between `low` and `high`.

    >>> round_ticks(0.0, 1.0), round_ticks(-0.2, 7.6, 4)
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [0.0, 2.0, 4.0, 6.0])
    """
    if not high > low or count < 1:
        return [low]
    raw = (high - low) / count
    size = 10.0 ** floor(log10(raw))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= raw * 0.999)
    first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
    ticks = [round(i * step, 12) for i in range(first, last + 1)]
    return ticks if len(ticks) > 1 else round_ticks(low, high, 2 * count)


def tick_text(value: float, unit: str = "none") -> str:
    """Returns a round value on an axis as text; the only unit that it writes is per cent.

    >>> tick_text(0.2), tick_text(1500.0), tick_text(-0.0), tick_text(0.2, "share")
    ('0.2', '1,500', '0', '20 %')
    """
    scaled = round(as_written(value, unit), 10) + 0.0
    text = f"{scaled:,.6g}" if abs(scaled) < 1e6 else f"{scaled:.6g}"
    return with_minus(text) + (" %" if unit == "share" else "")
