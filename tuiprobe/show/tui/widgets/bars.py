"""Channels as bars: their shares while a run goes on, and what a chart of results says of them.

The axis goes from 0 to the largest value, rounded up, and says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.strip import Strip
from textual.widgets import Static

from tuiprobe.numbers import number
from tuiprobe.plaintext import plain
from tuiprobe.results.base import decimals_of
from tuiprobe.show.tui.text import fitted, inert_lines
from tuiprobe.show.tui.widgets.forest import axis
from tuiprobe.show.tui.widgets.rows import RowColumn, RowTable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tuiprobe.results.section import Chart

EIGHTHS = " ▏▎▍▌▋▊▉█"
EVEN = "┊"
COLUMNS = (
    RowColumn("share", 6, right=True),
    RowColumn("stands out", 11, right=True),
    RowColumn("largest", 7, right=True),
)
"""Columns after the bars: share, and in how many images it stands out and is the largest."""
HEAD = 9
"""Cells before the bars: cursor, outlier mark, channel."""
TAIL = sum(column.width + 1 for column in COLUMNS)
MIN_ROWS, MAX_ROWS = 3, 12
NO_FIGURES = "no figures yet"
BARS = 5
"""Bars of a chart of results."""
OVER_EVEN = 4.0
"""A channel gets a row if its share is this many times the even one."""


def bar(value: float, width: int) -> str:
    """Returns a horizontal bar of `value` (0 to 1) of `width` cells, in eighths of a cell.

    >>> bar(0.5, 3), bar(0, 2), bar(1, 2)
    ('█▌', '', '██')
    """
    eighths = round(max(0.0, min(value, 1.0)) * width * 8)
    rest = EIGHTHS[eighths % 8] if eighths % 8 else ""
    return "█" * (eighths // 8) + rest


def axis_end(largest: float) -> float:
    """Returns where an axis from 0 ends: the largest value, rounded up so that quarters are short.

    >>> axis_end(0.512), axis_end(5.72), axis_end(14), axis_end(0.0)
    (0.52, 6.0, 16.0, 1.0)
    """
    step = 0.4 * 10.0 ** math.floor(math.log10(largest)) if largest > 0 else 1.0
    return round(max(math.ceil(round(largest / step, 6)), 1) * step, 12)


def bar_lines(chart: Chart, width: int) -> list[str]:
    """Returns the first bars of a chart under their axis, one a line, with their values."""
    bars = next((series for series in chart.series if series.mark == "bars"), None)
    if bars is None:
        return []
    values, names = bars.y[:BARS], [plain(name) for name in chart.ticks[:BARS]]
    decimals, end = decimals_of(values, chart.y_unit), axis_end(max(bars.y, default=0.0))
    texts = [number(value, chart.y_unit, decimals=decimals) for value in values]
    head, tail = max(map(cell_len, names), default=0), max(map(len, texts), default=0)
    room = max(width - head - tail - 2, 1)
    return [
        fitted(f"{plain(chart.title)}: {plain(chart.y_label)}", width).rstrip(),
        f"{'':{head}} {axis(room, (0.0, end), chart.y_unit)}",
        *(
            f"{name:>{head}} {fitted(bar(value / end, room), room)} {text:>{tail}}"
            for name, value, text in zip(names, values, texts, strict=False)
        ),
    ]


class BarsView(Static):
    """The first bars of a chart, drawn for the width there is.

    Args:
        chart: The chart.
    """

    DEFAULT_CSS = "BarsView { color: $primary; }"

    def __init__(self, chart: Chart) -> None:
        super().__init__("", markup=False)
        self.chart = chart

    def on_resize(self) -> None:
        """Draws for the new width."""
        self.update(inert_lines(bar_lines(self.chart, self.size.width)))


@dataclass(frozen=True, eq=False)
class Channels:
    """The channels of one tap.

    Attributes:
        tap: Name of the tap; another one puts the cursor on its leading channel.
        shares: float64 `[C]`.
        leads: float64 `[C]`, fraction of images each channel leads; None if unknown.
        above: float64 `[C]`, fraction of images in which its height exceeds 6; likewise.
        outliers: Outlier channels by the rule of the results.
    """

    tap: str
    shares: NDArray[np.float64]
    leads: NDArray[np.float64] | None = None
    above: NDArray[np.float64] | None = None
    outliers: frozenset[int] = frozenset()

    @cached_property
    def top(self) -> float:
        """The end of the axis."""
        return min(axis_end(float(self.shares.max())), 1.0)

    @cached_property
    def ranking(self) -> list[int]:
        """The channels, the one with the largest share first."""
        shares = self.shares.tolist()
        return sorted(range(len(shares)), key=lambda channel: -shares[channel])


class ChannelBars(RowTable[int], inherit_bindings=False):
    """The leading channels with a cursor, which stays on its channel; updated in place."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"bars--dim"}
    DEFAULT_CSS = """
    ChannelBars { height: 1fr; min-height: 3; color: $primary; overflow: hidden; }
    ChannelBars > .bars--dim { color: $foreground 70%; }
    ChannelBars > .rows--heading { color: $foreground 70%; text-style: none; }
    ChannelBars > .rows--cursor, ChannelBars > .rows--blurred {
        background: $primary; color: $background; text-style: bold;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "channel", key_display="↑↓", tooltip="Channel above"),
        Binding("down,j", "move(1)", "channel", show=False, tooltip="Channel below"),
    ]

    def __init__(self) -> None:
        super().__init__((RowColumn(" channel", HEAD - 1),), self._row_cells, empty=NO_FIGURES)
        self._channels: Channels | None = None
        self.channel: int | None = None
        """The channel under the cursor."""

    @property
    def full_height(self) -> int:
        """Lines that the rows that matter take, with the axis and the line of the others."""
        channels = self._channels
        if channels is None:
            return MIN_ROWS + 2
        count = len(channels.shares)
        far = int((channels.shares[channels.ranking[:MAX_ROWS]] >= OVER_EVEN / count).sum())
        return min(max(far, MIN_ROWS), count) + 2

    def explained(self) -> tuple[str, ...]:
        """Returns the terms of the channel under the cursor."""
        marked = self._channels is not None and self.channel in self._channels.outliers
        return (*(("outlier-channel",) if marked else ()), "share", "above-6", "channel")

    def show(self, channels: Channels) -> None:
        """Shows other figures in place; the cursor stays on its channel."""
        before = self._channels
        if before is None or (channels.tap, len(channels.shares)) != (
            before.tap,
            len(before.shares),
        ):
            self.channel = channels.ranking[0]
        self._channels = channels
        self.on_resize()

    def clear(self, notice: str) -> None:
        """Shows a notice in place of figures."""
        self._channels, self.channel, self.empty = None, None, notice
        self.show_rows(())

    def on_resize(self) -> None:
        """Chooses the channels with a row; that of the cursor keeps its own whatever its share."""
        width, height = self.size
        if self._channels is None or self.channel is None or not width or height < 3:
            return
        room = min(height - 2, MAX_ROWS)
        rows = self._channels.ranking[:room]
        if self.channel not in rows:
            rows[-1] = self.channel
        self._fit()
        self.show_rows(rows, rows.index(self.channel))

    def _fit(self) -> None:
        """Gives the bars the width that there is; a frame may be drawn before the size is told."""
        bars = self.size.width - HEAD - TAIL
        scale = axis(bars, (0.0, self._channels.top if self._channels else 1.0))
        self.columns = (RowColumn(" channel", HEAD - 1), RowColumn(scale, bars), *COLUMNS)

    def _move_cursor(self, row: int) -> None:
        super()._move_cursor(row)
        self.channel = self.current

    def _row_cells(self, channel: int) -> list[str]:
        channels = self._channels
        if channels is None:
            return []
        cursor = "▸" if channel == self.channel else " "
        mark = "▲" if channel in channels.outliers else " "
        figures = (
            number(None if values is None else float(values[channel]), "share", decimals=1)
            for values in (channels.shares, channels.above, channels.leads)
        )
        drawn = bar(float(channels.shares[channel]) / channels.top, self.columns[1].width)
        return [f"{cursor}{mark}{channel:>6}", drawn, *figures]

    def render_line(self, y: int) -> Strip:
        """Returns one line: as of other tables, or how much the channels without a row share."""
        shown, channels, text = len(self.rows), self._channels, ""
        if shown > 0 and y <= shown:
            self._fit()
            return super().render_line(y)
        if not shown and y == 0:
            text = self.empty
        elif channels is not None and y == shown + 1 and shown < len(channels.shares):
            rest = float(channels.shares.sum() - channels.shares[list(self.rows)].sum())
            others = len(channels.shares) - shown
            text = f"   … {others:,} more, together {number(rest, 'share', decimals=1)}"
        style = self.get_component_rich_style("bars--dim")
        return Strip([Segment(fitted(text, self.size.width), style)], self.size.width)

    def _coloured(self, text: str, style: Style, row: int | None, width: int) -> Strip:
        """Returns a line; a bar has the mark of the even share, over it where it is long."""
        if row is None or self._channels is None:
            return super()._coloured(text, style, row, width)
        room = self.columns[1].width
        bar_style = self.rich_style if row == self.current else style
        share = 1 / len(self._channels.shares) / self._channels.top
        even, end = HEAD + min(int(room * share), room - 1), HEAD + room
        mark = bar_style + Style(reverse=True) if text[even] == "█" else bar_style
        parts = (
            (text[:HEAD], style), (text[HEAD:even], bar_style), (EVEN, mark),
            (text[even + 1 : end], bar_style), (text[end:], style),
        )  # fmt: skip
        return Strip([Segment(*part) for part in parts], width)
