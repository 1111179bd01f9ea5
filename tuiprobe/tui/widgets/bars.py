"""Shares of the fourth moment by channel: the leading ones as bars, the others as one line.

The scale is absolute, from 0 to 1, with a mark at the even share 1 / C, so that two models can be
told apart at a glance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tuiprobe.numbers import number
from tuiprobe.tui.text import fitted
from tuiprobe.tui.widgets.forest import axis

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EIGHTHS = " ▏▎▍▌▋▊▉█"
EVEN = "┊"
HEAD = 9
"""Cells before the bars: cursor, outlier mark, channel."""
TAIL = 27
"""Cells after the bars: share, and in how many images it stands out and is the largest."""
TAIL_HEADING = "   share  stands out largest"[-TAIL:]
MIN_ROWS, MOST = 3, 12
NO_FIGURES = "no figures yet"
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


def leading_rows(ranking: Sequence[int], shares: Sequence[float]) -> int:
    """Returns how many leading channels should get a row: those far above the even share, 3 to 12.

    >>> rows_that_matter([0, 1], [0.9, 0.1]), rows_that_matter(range(128), [1 / 128] * 128)
    (2, 3)
    """
    far = sum(shares[c] >= OVER_EVEN / len(shares) for c in ranking[:MOST])
    return min(max(far, MIN_ROWS), len(ranking))


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


class ChannelBars(Widget, can_focus=True):
    """The leading channels with a cursor; updated in place."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {"bars--dim", "bars--cursor"}
    DEFAULT_CSS = """
    ChannelBars { height: 1fr; min-height: 3; color: $primary; }
    ChannelBars > .bars--dim { color: $foreground 70%; }
    ChannelBars > .bars--cursor { background: $primary; color: $background; text-style: bold; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "channel", key_display="↑↓", tooltip="Channel above"),
        Binding("down,j", "move(1)", "channel", show=False, tooltip="Channel below"),
    ]

    class Selected(Message):
        """Another channel is under the cursor."""

    def __init__(self) -> None:
        super().__init__()
        self._channels: Channels | None = None
        self._shares: list[float] = []
        self._ranking: list[int] = []
        self._rows: list[int] = []
        self.channel: int | None = None
        """The channel under the cursor."""
        self._notice = NO_FIGURES
        self._lines: list[str] = []

    @property
    def full_height(self) -> int:
        """Lines that the rows that matter take, with the axis and the line of the others."""
        count = leading_rows(self._ranking, self._shares) if self._ranking else MIN_ROWS
        return count + 2

    def explained(self) -> tuple[str, ...]:
        """Returns the terms of the channel under the cursor."""
        marked = self._channels is not None and self.channel in self._channels.outliers
        first = ("outlier-channel",) if marked else ()
        return (*first, "share", "above-6", "channel")

    def show(self, channels: Channels) -> None:
        """Shows other figures in place; the cursor stays on its channel."""
        before = self._channels
        if before is None or (channels.tap, len(channels.shares)) != (
            before.tap,
            len(self._shares),
        ):
            self.channel = None
        self._channels, self._shares = channels, channels.shares.tolist()
        self._ranking = sorted(range(len(self._shares)), key=lambda c: (-self._shares[c], c))
        if self.channel is None:
            self.channel = self._ranking[0]
            self.post_message(self.Selected())
        self._draw()

    def clear(self, notice: str) -> None:
        """Shows words in place of figures."""
        self._channels, self._notice, self.channel = None, notice, None
        self._shares, self._ranking, self._rows = [], [], []
        self._draw()

    def _draw(self) -> None:
        """Chooses the channels with a row; that of the cursor keeps its own whatever its share."""
        width, height = self.size
        self._lines = []
        if self._channels is not None and width > 0 and height > 2:
            room = min(max(height - 2, 1), MOST)
            self._rows = self._ranking[:room]
            if self.channel is not None and self.channel not in self._rows:
                self._rows = [*self._rows[: max(room - 1, 0)], self.channel]
            bar_width = width - HEAD - TAIL
            self._lines = [fitted(f" channel {axis(bar_width)}{TAIL_HEADING}", width)]
            self._lines += [self._row(self._channels, channel, bar_width) for channel in self._rows]
            rest = [self._shares[channel] for channel in self._ranking if channel not in self._rows]
            if rest:
                notice = f"   … {len(rest):,} more, together {number(sum(rest), 'share', places=1)}"
                self._lines.append(fitted(notice, width))
        self.refresh()

    def _row(self, channels: Channels, channel: int, bar_width: int) -> str:
        cursor = "▸" if channel == self.channel else " "
        mark = "▲" if channel in channels.outliers else " "
        share = self._shares[channel]
        above, leads = (
            number(None if values is None else float(values[channel]), "share", places=1)
            for values in (channels.above, channels.leads)
        )
        tail = f" {number(share, 'share', places=1):>6} {above:>11} {leads:>7}"
        return f"{cursor}{mark}{channel:>6} {fitted(bar(share, bar_width), bar_width)}{tail}"

    def render_line(self, y: int) -> Strip:
        """Returns one line; a bar has the mark of the even share, over it where it is long."""
        width = self.size.width
        text = self._lines[y] if y < len(self._lines) else ""
        if not self._lines and y == 0:
            text = self._notice
        text, row = fitted(text, width), y - 1
        if not self._lines or not 0 <= row < len(self._rows):
            return Strip([Segment(text, self.get_component_rich_style("bars--dim"))], width)
        style = ends = self.rich_style
        if self._rows[row] == self.channel:
            ends = style + self.get_component_rich_style("bars--cursor", partial=True)
        end = max(width - TAIL, HEAD)
        segments = [Segment(text[HEAD:end], style)]
        room = end - HEAD
        if room:
            even = HEAD + min(int(room / len(self._shares)), room - 1)
            mark = style + Style(reverse=True) if text[even] == "█" else style
            segments = [
                Segment(text[HEAD:even], style),
                Segment(EVEN, mark),
                Segment(text[even + 1 : end], style),
            ]
        return Strip([Segment(text[:HEAD], ends), *segments, Segment(text[end:], ends)], width)

    def on_resize(self) -> None:
        """Draws anew for the new size."""
        self._draw()

    def on_click(self, event: events.Click) -> None:
        """Puts the cursor on the channel that was clicked."""
        if 1 <= event.y <= len(self._rows):
            self._move_cursor(event.y - 1)

    def _move_cursor(self, row: int) -> None:
        if self._rows:
            self.channel = self._rows[max(0, min(row, len(self._rows) - 1))]
            self._draw()
            self.post_message(self.Selected())

    def action_move(self, by: int) -> None:
        """Moves the cursor."""
        if self.channel in self._rows:
            self._move_cursor(self._rows.index(self.channel) + by)
