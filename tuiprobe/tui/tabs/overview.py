"""The overview: the card of a run, block by block; Enter opens the evidence behind a block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from tuiprobe.catalog.glossary import mentioned
from tuiprobe.numbers import number
from tuiprobe.plaintext import plain
from tuiprobe.report.text import line
from tuiprobe.results import Estimate, given
from tuiprobe.results.card import CardBlock, card
from tuiprobe.results.section import Block, NamedFigure, Text, Value
from tuiprobe.tui.figures import Told
from tuiprobe.tui.tabs.tab import ResultTab, ShownRun
from tuiprobe.tui.text import inert
from tuiprobe.tui.widgets.spans import share_bar, span

_TERMS: dict[Block, str] = {
    "your images": "on-your-images",
    "shifts": "under-shifts",
    "inside": "inside",
    "deploy": "to-deploy",
    "how sure": "how-sure",
}
"""What the glossary calls each block."""

_BAR = 36
"""Cells of a bar with its name: as many stand side by side as fit."""

_SPAN = 12
"""Cells of an interval at least."""


class CardPicture(Static):
    """The figures of a block as a picture, drawn for the width there is.

    Args:
        block: The block; None for none yet.
    """

    def __init__(self, block: CardBlock | None = None) -> None:
        super().__init__("", classes="picture", markup=False)
        self._block = block

    def show(self, block: CardBlock) -> None:
        """Shows another block."""
        self._block = block
        self.on_resize()

    def on_resize(self) -> None:
        """Draws for the new width."""
        if self._block is not None:
            self.update("\n".join(drawn(self._block, self.scrollable_content_region.width)))


def drawn(block: CardBlock, width: int) -> list[str]:
    """Returns the pictures of a block: accuracies as bars, differences beside zero.

    Args:
        block: The block.
        width: Cells of each line.
    """
    return [*_bars(block.bars, width), *(_mark(one, width) for one in block.marks)]


def _bars(figures: tuple[NamedFigure, ...], width: int) -> Iterator[str]:
    known = [(plain(one.data), one.figure) for one in figures if given(one.figure)]
    if not known or width < _BAR:
        return
    rows = -(-len(known) // (width // _BAR))
    columns = -(-len(known) // rows)  # as equal as can be
    each = (width - 2 * (columns - 1)) // columns
    head = min(max(len(name) for name, _ in known), each // 3) + 7
    for at in range(0, len(known), columns):
        row = known[at : at + columns]
        yield "  ".join(
            share_bar(name, one.alone(), one.value, each, head) for name, one in row
        ).rstrip()


def _mark(named: NamedFigure, width: int) -> str:
    one = named.figure
    if not given(one) or one.low is None or one.high is None:
        return ""
    bounds = min(0.0, one.low), max(0.0, one.high)
    whole, brief = one.with_interval(signed=True), one.alone(signed=True)
    name = f"over the baseline {plain(named.about[0]) if named.about else ''}".rstrip()
    for told, points in ((name, whole), (name, brief), ("over the baseline", brief)):
        room = min(width - len(told) - len(points) - 4, 40)
        if room >= _SPAN:
            return f"{told}  {span(one.low, one.value, one.high, bounds, room)}  {points}"
    return ""


class BlockView(Widget, can_focus=True):
    """One block of the card: a panel with its lines, or one line where the window is low.

    Args:
        block: The block.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "evidence", tooltip="The figures behind this block"),
        Binding("up,k", "app.focus_previous", "block above", show=False, tooltip="Block above"),
        Binding("down,j", "app.focus_next", "block below", show=False, tooltip="Block below"),
    ]

    class Focused(Message):
        """The cursor is on this block.

        Args:
            block: The block.
        """

        def __init__(self, block: CardBlock) -> None:
            super().__init__()
            self.block = block

    class Opened(Message):
        """The user asked for the evidence behind a block.

        Args:
            probes: Ids of the probes that hold it.
        """

        def __init__(self, probes: tuple[str, ...]) -> None:
            super().__init__()
            self.probes = probes

    def __init__(self, block: CardBlock) -> None:
        super().__init__(classes="panel")
        self.block = block
        self.border_title = inert(block.title)

    def compose(self) -> ComposeResult:
        """Lays both forms out; the style sheet shows the one that fits."""
        lines = [line(one) for one in self.block.lines]
        with Vertical(classes="full"):
            yield Told(Content("\n".join(lines)), classes="lines")
            if self.block.bars or self.block.marks:
                yield CardPicture(self.block)
        short = f"{self.block.title:<15}{short_line(self.block.lines[0])}"
        yield Static(Content(short), classes="short")

    def on_focus(self, event: events.Focus) -> None:
        """Tells the tab."""
        self.post_message(self.Focused(self.block))

    def action_open(self) -> None:
        """Asks for the evidence."""
        self.post_message(self.Opened(self.block.probes))

    def on_click(self) -> None:
        """Opens the block where it has the focus already."""
        if self.has_focus:
            self.action_open()

    def explained(self) -> tuple[str, ...]:
        """Returns what the glossary says about the block, and about the terms of its lines."""
        said = mentioned(" ".join(map(line, self.block.lines)))
        return tuple(dict.fromkeys([_TERMS[self.block.block], *(one.id for one in said), "card"]))


def short_line(text: Text) -> str:
    """Returns a line of the card with its values alone, for a window without room.

    >>> one = Estimate(value=0.932, low=0.92, high=0.94, unit="share", n=9, method="")
    >>> short_line(("top-1 ", one, " on val, r ", 0.567, " of ", 12))
    'top-1 93.2 % on val, r 0.567 of 12'
    """
    return line(tuple(_brief(one) for one in text))


def _brief(piece: Value) -> Value:
    if isinstance(piece, Estimate):
        return piece.alone()
    return number(piece) if isinstance(piece, float) else piece


class OverviewTab(ResultTab):
    """The answers of all probes: what to expect, why, and how sure.

    Args:
        found: The run.
    """

    ANSWERS = frozenset({"copy"})
    SCOPED_CSS = False
    DEFAULT_CSS = """
    OverviewTab { layout: vertical; }
    OverviewTab #blocks { padding: 0; height: 1fr; }
    OverviewTab BlockView { height: auto; padding: 0 1; }
    OverviewTab BlockView Static, OverviewTab BlockView .full { height: auto; }
    OverviewTab .picture { color: $accent; height: auto; }
    OverviewTab BlockView .short { display: none; height: 1; text-wrap: nowrap;
        text-overflow: ellipsis; }
    OverviewTab #block-lines-panel { display: none; height: 1fr; }
    .-low OverviewTab #blocks { height: auto; }
    .-low OverviewTab #block-lines-panel { display: block; }
    .-low OverviewTab BlockView .full { display: none; }
    .-low OverviewTab BlockView .short { display: block; }
    .-low OverviewTab BlockView:focus .short { text-style: reverse; }
    """

    def __init__(self, found: ShownRun) -> None:
        super().__init__(found)
        self._blocks = card(found.report)

    def compose(self) -> ComposeResult:
        """Lays the blocks out; a low window has all lines of one block below them."""
        with VerticalScroll(id="blocks", can_focus=False):
            for block in self._blocks:
                yield BlockView(block)
        with VerticalScroll(id="block-lines-panel", classes="panel", can_focus=False):
            yield Told(id="block-lines")
            yield CardPicture()

    def on_block_view_focused(self, event: BlockView.Focused) -> None:
        """Shows all lines of the block under the cursor."""
        panel = self.query_one("#block-lines-panel")
        panel.border_title = inert(event.block.title)
        self.query_one("#block-lines", Told).show(Content("\n".join(map(line, event.block.lines))))
        panel.query_one(CardPicture).show(event.block)

    def first(self) -> Widget | None:
        """Returns the first block."""
        return next(iter(self.query(BlockView)), None)

    def copied(self) -> str:
        """Returns the lines of the block with the focus."""
        focused = self.screen.focused
        return "\n".join(map(line, focused.block.lines)) if isinstance(focused, BlockView) else ""
