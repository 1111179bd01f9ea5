"""A chart as SVG: one file, no script, light and dark by the reader's own setting.

Colour never carries meaning alone: roles also differ in dash, marker or fill.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil, floor, log10
from xml.etree.ElementTree import Element, SubElement, tostring

from markupsafe import Markup

from tuiprobe.numbers import in_unit, number, with_minus
from tuiprobe.plaintext import plain
from tuiprobe.results.section import Chart, Drawn, Series

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

_DASHES: dict[Drawn, str] = {
    "main": "none", "second": "7 3", "third": "2 3", "control": "1 3", "reference": "5 4",
    "context": "9 3 2 3",
}  # fmt: skip


@dataclass(frozen=True)
class _Frame:
    """From figures to pixels."""

    x: Callable[[float], float]
    y: Callable[[float], float]


def svg(chart: Chart) -> str:
    """Returns the chart as a complete SVG file."""
    root = figure(chart)
    root.set("xmlns", "http://www.w3.org/2000/svg")
    style = Element("style")
    style.text = COLOURS
    root.insert(1, style)
    return tostring(root, encoding="unicode") + "\n"


def figure(chart: Chart) -> Element:
    """Returns the chart with title, legend and note, all in one picture."""
    if chart.across:
        return rows(chart)
    height = HEIGHT + _slanted(chart)
    root = _svg(class_="chart", viewBox=f"0 0 {WIDTH} {height}", role="img")
    inside(root, "title", _cut(chart.title, _LONGEST))
    inside(root, "text", _cut(chart.title, 92), class_="title", x=_LEFT, y=18)
    _plot(root, chart)
    _legend(root, chart)
    if chart.note:
        inside(root, "text", _cut(chart.note, 110), class_="dim", x=_LEFT, y=height - 6)
    return root


def plot(chart: Chart) -> Markup:
    """Returns the plotted area for a page that holds `COLOURS` and tells the rest in its text.

    Points with names are groups of the class `point`; the picture is then a group of pictures.
    """
    if chart.across:
        return _markup(rows(chart))
    box = f"0 {_TOP - 8} {_LEFT + _PLOT_WIDTH + 12} {_PLOT_HEIGHT + 44 + _slanted(chart)}"
    named = any(one.names for one in chart.series)
    root = _svg(class_="chart", viewBox=box, role="group" if named else "img")
    inside(root, "title", _cut(chart.title, _LONGEST))
    _plot(root, chart)
    return _markup(root)


def legend(chart: Chart) -> list[tuple[str, Markup]]:
    """Returns the name of each series with a small picture of how it is drawn."""
    found = []
    for one in reversed(chart.back_to_front()):
        root = _svg(class_="chart swatch", viewBox="0 0 24 14", aria_hidden="true")
        _swatch(root, one, 3, 11)
        found.append((one.name, _markup(root)))
    return found


def _plot(root: Element, chart: Chart) -> None:
    frame = _frame(chart)
    _axes(root, chart, frame)
    for series in chart.back_to_front():
        _draw(root, series, frame, chart)


def _frame(chart: Chart) -> _Frame:
    (x0, x1), (y0, y1) = chart.x_range(), chart.y_range()
    margin = 0.04 * (y1 - y0)
    bottom, top = (y0 if y0 == 0 else y0 - margin), y1 + margin
    pad = 0 if chart.ticks and _is_bars(chart) else 0.02 * (x1 - x0)
    left, right = x0 - pad, x1 + pad
    return _Frame(
        lambda x: _LEFT + _PLOT_WIDTH * (x - left) / (right - left),
        lambda y: _TOP + _PLOT_HEIGHT * (1 - (y - bottom) / (top - bottom)),
    )


def _is_bars(chart: Chart) -> bool:
    return any(one.mark == "bars" for one in chart.series)


def _axes(root: Element, chart: Chart, frame: _Frame) -> None:
    right, bottom = _LEFT + _PLOT_WIDTH, _TOP + _PLOT_HEIGHT
    for value in _y_ticks(chart):
        y = frame.y(value)
        inside(root, "line", class_="grid", x1=_LEFT, x2=right, y1=y, y2=y)
        inside(root, "text", tick_text(value, chart.y_unit), x=_LEFT - 6, y=y + 4,
               text_anchor="end")  # fmt: skip
    inside(root, "line", class_="reference", x1=_LEFT, x2=right, y1=bottom, y2=bottom)
    slanted = _slanted(chart)
    for value, text in _x_ticks(chart):
        x = frame.x(value)
        if slanted:
            inside(root, "text", text, x=x, y=bottom + 12, text_anchor="end",
                   transform=f"rotate(-60 {x:.2f} {bottom + 12})")  # fmt: skip
        else:
            inside(root, "text", text, x=x, y=bottom + 15, text_anchor="middle")
    middle = _LEFT + _PLOT_WIDTH / 2
    inside(root, "text", _cut(chart.x_label, 72), class_="dim", x=middle, y=bottom + 32 + slanted,
           text_anchor="middle")  # fmt: skip
    centre = _TOP + _PLOT_HEIGHT / 2
    inside(root, "text", _cut(chart.y_label, 44), class_="dim", x=14, y=centre,
           text_anchor="middle", transform=f"rotate(-90 14 {centre:g})")  # fmt: skip


def _y_ticks(chart: Chart) -> list[float]:
    ticks = round_ticks(*chart.y_range())
    return [one for one in ticks if one == int(one)] if chart.y_unit == "count" else ticks


def _x_ticks(chart: Chart) -> list[tuple[float, str]]:
    if not chart.ticks:
        values = round_ticks(*chart.x_range())
        return [(value, tick_text(value, chart.x_unit)) for value in values]
    most, letters = (_SLANTED_TICKS, _SLANTED_LETTERS) if _slanted(chart) else (_TICKS, _LONGEST)
    every = -(-len(chart.ticks) // most)
    return [(float(i), _cut(chart.ticks[i], letters)) for i in range(0, len(chart.ticks), every)]


def _slanted(chart: Chart) -> int:
    """Returns how much room below the axis slanted names need; 0 where they stand upright."""
    if chart.across or not chart.ticks:
        return 0
    longest = max(map(len, chart.ticks[:: -(-len(chart.ticks) // _TICKS)]))
    room = _PLOT_WIDTH / min(len(chart.ticks), _TICKS)
    return 6 * min(longest, _SLANTED_LETTERS) - 8 if _LETTER * longest > room else 0


def _draw(root: Element, one: Series, frame: _Frame, chart: Chart) -> None:
    if one.mark == "bars":
        _bars(root, one, frame)
    elif one.mark == "points":
        _points(root, one, frame, chart)
    else:
        _line(root, one, frame)


def _bars(root: Element, one: Series, frame: _Frame) -> None:
    half = 0.4 if len(one.x) <= 64 else 0.5
    for i, (x, y) in enumerate(zip(one.x, one.y, strict=True)):
        left, right = frame.x(x - half), frame.x(x + half)
        top = frame.y(y)
        inside(root, "rect", class_=one.role, x=left, y=top, width=right - left,
               height=max(frame.y(0) - top, 0.0))  # fmt: skip
        if one.low:
            inside(root, "line", class_="stem reference", x1=frame.x(x), x2=frame.x(x),
                   y1=frame.y(one.low[i]), y2=frame.y(one.high[i]))  # fmt: skip


def _points(root: Element, one: Series, frame: _Frame, chart: Chart) -> None:
    for i, (x, y) in enumerate(zip(one.x, one.y, strict=True)):
        if one.low:
            inside(root, "line", class_=f"stem {one.role}", x1=frame.x(x), x2=frame.x(x),
                   y1=frame.y(one.low[i]), y2=frame.y(one.high[i]))  # fmt: skip
        place = root
        if one.names:
            place = inside(root, "g", class_="point", role="img")
            at = f"{number(x, chart.x_unit)}, {number(y, chart.y_unit)}"
            inside(place, "title", f"{_cut(one.names[i], _LONGEST)}: {at}")
        _marker(place, one.role, frame.x(x), frame.y(y))
    if one.labelled:
        inside(root, "text", _cut(one.name, _LETTERS), class_="label",
               x=frame.x(one.x[0]) - 8, y=frame.y(one.y[0]) + 4, text_anchor="end")  # fmt: skip


_NAMES, _ROW = 240, 18


def rows(chart: Chart) -> Element:
    """Returns a chart whose named places stand below each other, such as a forest plot."""
    low, high = chart.y_range()
    pad = 0.04 * (high - low)
    longest = max(map(len, chart.ticks), default=0)
    left = min(_NAMES, max(80, 16 + _LETTER * longest))
    width = _LEFT + _PLOT_WIDTH + 12 - left - 14
    bottom = 8 + _ROW * len(chart.ticks)
    box = f"0 0 {_LEFT + _PLOT_WIDTH + 12} {bottom + 36}"
    root = _svg(class_="chart", viewBox=box, role="img")
    inside(root, "title", _cut(chart.title, _LONGEST))

    def at(value: float) -> float:
        return left + width * (value - low + pad) / (high - low + 2 * pad)

    for value in round_ticks(low, high):
        kind = "reference" if value == 0 else "grid"
        inside(root, "line", class_=kind, x1=at(value), x2=at(value), y1=4, y2=bottom)
        inside(root, "text", tick_text(value, chart.y_unit), x=at(value), y=bottom + 14,
               text_anchor="middle")  # fmt: skip
    middle = left + width / 2
    inside(root, "text", _cut(chart.y_label, 60), class_="dim", x=middle, y=bottom + 30,
           text_anchor="middle")  # fmt: skip
    for i, name in enumerate(chart.ticks):
        inside(root, "text", _cut(name, (_NAMES - 16) // _LETTER), x=left - 8, y=8 + _ROW * i + 13,
               text_anchor="end")  # fmt: skip
    for one in chart.back_to_front():
        for i, (x, y) in enumerate(zip(one.x, one.y, strict=True)):
            height = 8 + _ROW * x + 9
            if one.low:
                inside(root, "line", class_=f"stem {one.role}", x1=at(one.low[i]),
                       x2=at(one.high[i]), y1=height, y2=height)  # fmt: skip
            _marker(root, one.role, at(y), height)
    return root


def _marker(root: Element, role: Drawn, x: float, y: float) -> None:
    if role == "main":
        corners = f"{x:.2f},{y - 5:.2f} {x + 5:.2f},{y:.2f} {x:.2f},{y + 5:.2f} {x - 5:.2f},{y:.2f}"
        inside(root, "polygon", class_=role, points=corners)
    elif role == "third":
        inside(root, "path", class_=f"line {role}", d=f"M{x - 2.5:.2f} {y:.2f}h5m-2.5 -2.5v5")
    elif role == "second":
        inside(root, "circle", class_=role, cx=x, cy=y, r=3.4)
    elif role == "control":
        inside(root, "rect", class_=role, x=x - 2.6, y=y - 2.6, width=5.2, height=5.2)
    else:
        inside(root, "circle", class_=role, cx=x, cy=y, r=1.4)


def _line(root: Element, one: Series, frame: _Frame) -> None:
    if one.banded:
        upper = [(x, y) for x, y in zip(one.x, one.high, strict=True)]
        lower = [(x, y) for x, y in zip(one.x, one.low, strict=True)]
        inside(root, "polygon", class_=f"band {one.role}",
               points=_path([*upper, *reversed(lower)], frame))  # fmt: skip
    points = list(zip(one.x, one.y, strict=True))
    inside(root, "polyline", class_=f"line {one.role}", points=_path(points, frame),
           stroke_dasharray=_DASHES[one.role])  # fmt: skip


def _path(points: list[tuple[float, float]], frame: _Frame) -> str:
    return " ".join(f"{frame.x(x):.2f},{frame.y(y):.2f}" for x, y in points)


def _legend(root: Element, chart: Chart) -> None:
    told = [one for one in reversed(chart.back_to_front()) if not one.labelled]
    for i, one in enumerate(told):
        y = _TOP + 8 + 18 * i
        _swatch(root, one, _LEGEND, y)
        inside(root, "text", _cut(one.name, _LETTERS), x=_LEGEND + 24, y=y)


def _swatch(root: Element, one: Series, x: float, y: float) -> None:
    """Draws how a series looks, 18 wide, above the line of text at `y`."""
    if one.mark == "points":
        _marker(root, one.role, x + 9, y - 4)
    elif one.mark == "bars":
        inside(root, "rect", class_=one.role, x=x + 3, y=y - 9, width=12, height=9)
    else:
        inside(root, "line", class_=f"line {one.role}", x1=x, x2=x + 18, y1=y - 4, y2=y - 4,
               stroke_dasharray=_DASHES[one.role])  # fmt: skip


def _markup(root: Element) -> Markup:
    """Returns a finished picture for a page; its tree escaped every text."""
    return Markup(tostring(root, encoding="unicode"))  # noqa: S704


def _svg(**attributes: str) -> Element:
    return Element("svg", _named(attributes))


def inside(parent: Element, tag: str, text: str = "", /, **attributes: str | float) -> Element:
    """Appends a new element; `class_` becomes `class`, `stroke_width` becomes `stroke-width`."""
    made = SubElement(parent, tag, _named(attributes))
    made.text = plain(text) or None
    return made


def _named(attributes: Mapping[str, str | float]) -> dict[str, str]:
    return {
        name.rstrip("_").replace("_", "-"): f"{value:.2f}".rstrip("0").rstrip(".")
        if isinstance(value, float)
        else plain(str(value))
        for name, value in attributes.items()
    }


def _cut(text: str, letters: int) -> str:
    """Returns inert text of at most this many letters, so that a long name fits the picture."""
    clean = plain(text)
    return clean if len(clean) <= letters else clean[: letters - 1] + "…"


def round_ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Returns about `wanted` round values between `low` and `high`.

    >>> round_ticks(0.0, 1.0), round_ticks(-0.2, 7.6, 4)
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [0.0, 2.0, 4.0, 6.0])
    """
    if not high > low or wanted < 1:
        return [low]
    raw = (high - low) / wanted
    size = 10.0 ** floor(log10(raw))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= raw * 0.999)
    first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
    ticks = [round(i * step, 12) for i in range(first, last + 1)]
    return ticks if len(ticks) > 1 else round_ticks(low, high, 2 * wanted)


def tick_text(value: float, unit: str = "none") -> str:
    """Returns a round value on an axis as text; of the units, only per cent stands there.

    >>> tick_text(0.2), tick_text(1500.0), tick_text(-0.0), tick_text(0.2, "share")
    ('0.2', '1,500', '0', '20 %')
    """
    shown = round(in_unit(value, unit), 10) + 0.0
    text = f"{shown:,.6g}" if abs(shown) < 1e6 else f"{shown:.6g}"
    return with_minus(text) + (" %" if unit == "share" else "")
