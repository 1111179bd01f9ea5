"""Shares of the fourth moment by channel: the leading ones as bars, or all as a spectrum."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tuiprobe.tui.text import fitted, share_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EIGHTHS = " ▏▎▍▌▋▊▉█"
LEVELS = " ▁▂▃▄▅▆▇█"


def bar(value: float, width: int) -> str:
    """Returns a horizontal bar of `value` (0 to 1) of `width` cells, in eighths of a cell.

    >>> bar(0.5, 3), bar(0, 2), bar(1, 2)
    ('█▌', '', '██')
    """
    eighths = round(max(0.0, min(value, 1.0)) * width * 8)
    rest = EIGHTHS[eighths % 8] if eighths % 8 else ""
    return "█" * (eighths // 8) + rest


def column(value: float, height: int) -> list[str]:
    """Returns a vertical bar of `value` (0 to 1) as `height` characters, the top first.

    >>> column(0.5, 3), column(1.0, 2)
    ([' ', '▄', '█'], ['█', '█'])
    """
    eighths = round(max(0.0, min(value, 1.0)) * height * 8)
    return [LEVELS[max(0, min(eighths - 8 * line, 8))] for line in reversed(range(height))]


def binned(values: Sequence[float], bins: int) -> list[float]:
    """Returns the largest value of each of at most `bins` runs of equal length.

    >>> binned([1, 5, 2, 2], 2)
    [5, 2]
    """
    count = min(bins, len(values))
    edges = [i * len(values) // count for i in range(count + 1)] if count else []
    return [max(values[a:b]) for a, b in pairwise(edges)]


def bar_line(channel: int, share: float, leads: float | None, largest: float, width: int) -> str:
    """Returns one channel as text: index, share, bar, and how many images it leads.

    >>> bar_line(133, 0.61, 0.98, 0.61, 34)
    '   133  .61  .98 █████████████████'
    """
    lead = "    " if leads is None else f"{share_text(leads):>4}"
    head = f"{channel:>6} {share_text(share):>4} {lead} "
    return fitted(head + bar(share / largest if largest > 0 else 0.0, width - len(head)), width)


HEADING = "  chan share leads"


def spectrum(values: Sequence[float], width: int, height: int) -> list[str]:
    """Returns all channels as columns over `height` lines, several channels a column if need be.

    >>> spectrum([1.0, 0.0, 0.5], 3, 2)
    ['█  ', '█ █']
    """
    shown = binned(values, width)
    largest = max(shown, default=0.0)
    columns = [column(value / largest if largest > 0 else 0.0, height) for value in shown]
    return [fitted("".join(one[line] for one in columns), width) for line in range(height)]


class ChannelBars(Widget, can_focus=True):
    """The leading channels with a cursor, or the whole spectrum; updated in place."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {"bars--dim", "bars--cursor"}
    DEFAULT_CSS = """
    ChannelBars { height: 1fr; min-height: 4; color: $primary; }
    ChannelBars > .bars--dim { color: $foreground 60%; }
    ChannelBars > .bars--cursor { background: $primary-muted; text-style: bold; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "channel", key_display="↑↓", tooltip="Channel above"),
        Binding("down,j", "move(1)", "channel", show=False, tooltip="Channel below"),
        Binding("w", "whole", "spectrum", tooltip="Whole spectrum or leading channels"),
        Binding("o", "order", "order", tooltip="Sort the channels by share or by index"),
    ]

    class Selected(Message):
        """Another channel is under the cursor."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.whole, self.by_share = False, True
        self._shares: list[float] = []
        self._leads: list[float] | None = None
        self._ranking: list[int] = []
        self._cursor = 0
        self._lines: list[str] = []

    @property
    def channel(self) -> int | None:
        """The channel under the cursor."""
        shown = self._shown()
        return shown[min(self._cursor, len(shown) - 1)] if shown else None

    def show(self, shares: NDArray[np.float64], leads: NDArray[np.float64] | None) -> None:
        """Shows other figures in place; the cursor stays on its line.

        Args:
            shares: float64 `[C]`.
            leads: float64 `[C]`, fraction of images each channel leads; None if unknown.
        """
        self._shares = shares.tolist()
        self._leads = None if leads is None else leads.tolist()
        self._ranking = sorted(range(len(self._shares)), key=lambda c: (-self._shares[c], c))
        self._draw()

    def _shown(self) -> list[int]:
        leading = self._ranking[: max(self.size.height - 2, 1)]
        return leading if self.by_share else sorted(leading)

    def _draw(self) -> None:
        width, height = self.size
        if self._shares and width > 0 and height > 2:
            self._lines = self._spectrum() if self.whole else self._leading(width)
        else:
            self._lines = []
        self.refresh()

    def _spectrum(self) -> list[str]:
        width, height = self.size
        order = self._ranking if self.by_share else range(len(self._shares))
        values = [self._shares[c] for c in order]
        most = self._ranking[0]
        unit = "rank" if self.by_share else "channel"
        foot = f"{unit} 1 to {len(values)}" if self.by_share else f"{unit} 0 to {len(values) - 1}"
        foot += f" · highest: channel {most}, {share_text(self._shares[most])}"
        return [*spectrum(values, width, height - 1), fitted(foot, width)]

    def _leading(self, width: int) -> list[str]:
        shown = self._shown()
        largest = self._shares[self._ranking[0]]
        leads = self._leads
        lines = [fitted(HEADING, width)]
        lines += [
            bar_line(c, self._shares[c], None if leads is None else leads[c], largest, width)
            for c in shown
        ]
        rest = self._ranking[len(shown) :]
        if rest:
            total = sum(self._shares[c] for c in rest)
            lines.append(fitted(f"… {len(rest)} more channels carry {share_text(total)}", width))
        return lines

    def render_line(self, y: int) -> Strip:
        """Returns one line."""
        width = self.size.width
        text = self._lines[y] if y < len(self._lines) else ""
        if not self._lines and y == 0:
            text = "no image measured yet"
        style = self.rich_style
        row = y - 1
        if self.whole:
            dim = y == len(self._lines) - 1
        else:
            dim = not 0 <= row < len(self._shown())
            if row == min(self._cursor, len(self._shown()) - 1) and self._lines and not dim:
                style += self.get_component_rich_style("bars--cursor", partial=True)
        if dim:
            style = self.get_component_rich_style("bars--dim")
        return Strip([Segment(fitted(text, width), style)], width)

    def on_resize(self) -> None:
        """Draws anew for the new size."""
        self._draw()

    def on_click(self, event: events.Click) -> None:
        """Puts the cursor on the channel that was clicked."""
        if not self.whole and 1 <= event.y <= len(self._shown()):
            self._go(event.y - 1)

    def _go(self, row: int) -> None:
        self._cursor = max(0, min(row, len(self._shown()) - 1))
        self.refresh()
        self.post_message(self.Selected())

    def action_move(self, by: int) -> None:
        """Moves the cursor."""
        self._go(min(self._cursor, len(self._shown()) - 1) + by)

    def action_whole(self) -> None:
        """Switches between leading channels and whole spectrum."""
        self.whole = not self.whole
        self._draw()

    def action_order(self) -> None:
        """Switches between order by share and by index."""
        self.by_share = not self.by_share
        self._draw()
        self.post_message(self.Selected())
