"""The overview: the card of a run, block by block; Enter opens the evidence behind a block."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from tuiprobe.report.text import line
from tuiprobe.results.card import CardBlock, card
from tuiprobe.tui.tabs.tab import Found, ResultTab
from tuiprobe.tui.text import inert


class BlockView(Widget, can_focus=True):
    """One block of the card: a panel with its lines, or one line where the window is low.

    Args:
        block: The block.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "evidence", tooltip="The figures behind this block"),
        Binding("up", "app.focus_previous", "block above", show=False),
        Binding("down", "app.focus_next", "block below", show=False),
    ]

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
        yield Static(Content("\n".join(lines)), classes="full")
        yield Static(Content(f"{self.block.title:<15}{lines[0]}"), classes="short")

    def action_open(self) -> None:
        """Asks for the evidence."""
        self.post_message(self.Opened(self.block.probes))

    def on_click(self) -> None:
        """Opens the block where it has the focus already."""
        if self.has_focus:
            self.action_open()


class OverviewTab(ResultTab):
    """The answers of all probes: what to expect, why, and how sure.

    Args:
        found: The run.
    """

    ANSWERS = frozenset({"copy"})
    SCOPED_CSS = False
    DEFAULT_CSS = """
    OverviewTab VerticalScroll { padding: 0; }
    OverviewTab BlockView { height: auto; padding: 0 1; }
    OverviewTab BlockView Static { height: auto; }
    OverviewTab BlockView .short { display: none; height: 1; text-wrap: nowrap;
        text-overflow: ellipsis; }
    .-low OverviewTab BlockView .full { display: none; }
    .-low OverviewTab BlockView .short { display: block; }
    .-low OverviewTab BlockView:focus .short { text-style: reverse; }
    """

    def __init__(self, found: Found) -> None:
        super().__init__(found)
        self._blocks = card(found.report)

    def compose(self) -> ComposeResult:
        """Lays the blocks out."""
        with VerticalScroll(can_focus=False):
            for block in self._blocks:
                yield BlockView(block)

    def first(self) -> Widget | None:
        """Returns the first block."""
        return next(iter(self.query(BlockView)), None)

    def copied(self) -> str:
        """Returns the lines of the block with the focus."""
        focused = self.screen.focused
        return "\n".join(map(line, focused.block.lines)) if isinstance(focused, BlockView) else ""
