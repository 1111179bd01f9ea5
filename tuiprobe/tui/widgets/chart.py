"""A chart as a widget: redrawn only when the chart or the size changes."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from tuiprobe.results.section import Chart
from tuiprobe.tui.text import fitted, inert
from tuiprobe.tui.widgets.textplot import Line, plot

_KINDS = ("main", "second", "third", "control", "reference", "context", "axis", "text")


class ChartView(Widget):
    """Shows one chart, or the reason why there is none.

    Args:
        empty: Text if there is no chart.
        id: Id of the widget.
        classes: CSS classes.
    """

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"chart--{kind}" for kind in _KINDS}
    DEFAULT_CSS = """
    ChartView { height: 1fr; min-height: 6; }
    ChartView > .chart--main { color: $accent; }
    ChartView > .chart--second { color: $primary; }
    ChartView > .chart--third { color: $success; }
    ChartView > .chart--control { color: $foreground 55%; }
    ChartView > .chart--reference { color: $foreground; }
    ChartView > .chart--context { color: $foreground 45%; }
    ChartView > .chart--axis { color: $foreground 60%; }
    ChartView > .chart--text { color: $foreground 70%; }
    """

    def __init__(
        self, empty: str = "", *, id: str | None = None, classes: str | None = None
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.chart: Chart | None = None
        self._empty = empty
        self._lines: list[Line] = []

    def show(self, chart: Chart | None, empty: str = "") -> None:
        """Shows another chart in place."""
        self.chart, self._empty = chart, empty or self._empty
        self.border_title = inert(chart.title) if chart is not None else None
        self._draw()

    def on_resize(self) -> None:
        """Draws for the new size."""
        self._draw()

    def _draw(self) -> None:
        width, height = self.size
        self._lines = plot(self.chart, width, height) if self.chart is not None else []
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Returns one line of the drawing."""
        width = self.size.width
        if y < len(self._lines):
            segments = [Segment(text, self._style(kind)) for text, kind in self._lines[y]]
            return Strip(segments).adjust_cell_length(width, self.rich_style)
        text = self._empty if y == 0 and not self._lines and self.chart is None else ""
        return Strip([Segment(fitted(text, width), self.rich_style)], width)

    def _style(self, kind: str) -> Style:
        if kind not in _KINDS:
            return self.rich_style
        return self.get_component_rich_style(f"chart--{kind}")
