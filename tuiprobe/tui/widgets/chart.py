"""A chart as a widget, with a cursor that names points; redrawn only on a change."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tuiprobe.results.section import Chart
from tuiprobe.tui.text import inert
from tuiprobe.tui.widgets.textplot import PlotLine, PlottedPoint, plot, points

_KINDS = ("main", "second", "third", "control", "reference", "context", "axis", "text", "cursor")


class ChartView(Widget, can_focus=True):
    """Shows one chart.

    Args:
        chart: The chart.
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

    def __init__(self, chart: Chart) -> None:
        super().__init__()
        self.chart = chart
        self.point: int | None = None
        self.border_title = inert(chart.title)
        self._lines: list[PlotLine] = []

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
