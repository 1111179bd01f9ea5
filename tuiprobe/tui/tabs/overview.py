"""The overview: the answer, all sets on one axis, and what is inside, folded where space is low."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from tuiprobe.catalog.glossary import mentioned
from tuiprobe.numbers import number
from tuiprobe.plaintext import plain
from tuiprobe.report.text import line
from tuiprobe.results import Estimate, given
from tuiprobe.results.card import CardBlock, card, set_accuracies
from tuiprobe.results.headlines import LABELLED, TARGET
from tuiprobe.results.report import Report
from tuiprobe.results.section import Block, Chart, NamedFigure, Text
from tuiprobe.tui.figures import wrapped
from tuiprobe.tui.tabs.tab import ResultTab
from tuiprobe.tui.text import fitted, inert
from tuiprobe.tui.widgets.bars import axis, bar
from tuiprobe.tui.widgets.spans import span

ALWAYS_OPEN: frozenset[Block] = frozenset({"your images", "shifts"})
"""Blocks that are open in every window; the others as far as there is room for them."""

BARS = 5
"""Channels that the open block inside draws."""


class BlockView(Static, can_focus=True):
    """One block of the card: a panel, or one line that Enter opens.

    Args:
        block: The block.
        report: The report that it is from.
        sets: The accuracies that it draws on one axis.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "open", tooltip="All lines of this block, then their evidence"),
        Binding("up,k", "move(-1)", "above", show=False, tooltip="Set or block above"),
        Binding("down,j", "move(1)", "below", show=False, tooltip="Set or block below"),
    ]

    class Opened(Message):
        """The user asked for the evidence behind a block.

        Args:
            block: Which one it is.
        """

        def __init__(self, block: Block) -> None:
            super().__init__()
            self.block = block

    class SetChosen(Message):
        """The user asked for the pictures of a set.

        Args:
            data: The set.
        """

        def __init__(self, data: str) -> None:
            super().__init__()
            self.data = data

    def __init__(self, block: CardBlock, report: Report, sets: Sequence[NamedFigure] = ()) -> None:
        super().__init__(classes="panel", markup=False)
        self.block = block
        self.sets = tuple(sets)
        self._at = -1  # which of the sets is under the cursor; the block itself before them
        self._first_line = 0  # of the sets
        self._report = report
        self._opened = False
        self.fits = True  # whether there is room for all of it

    @property
    def folded(self) -> bool:
        """Whether it is one line."""
        return not (self._opened or self.fits or self.block.block in ALWAYS_OPEN)

    def on_resize(self) -> None:
        """Draws for the new width."""
        self.draw()

    def full_height(self, width: int) -> int:
        """Returns the lines of the open block with its border in a window of a width."""
        return len(Content("\n").join(self._body(width - 6)[1]).plain.splitlines()) + 2

    def draw(self) -> None:
        """Draws the block, folded or open."""
        folded = self.folded
        self.set_class(folded, "-folded")
        if folded:
            first = line(_values_alone(self.block.lines[0]))
            self.update(Content(f"▸ {self.block.title:<12} {first}"))
            return
        width = self.scrollable_content_region.width or self.app.size.width - 6
        self.border_title, body = self._body(width)
        enter = "⏎ evidence" if self._at < 0 else "⏎ pictures"
        self.border_subtitle = (f"{enter} · ↓ sets" if self.sets else enter) * self.has_focus
        self.update(Content("\n").join(body))

    def _body(self, width: int) -> tuple[Content, list[Content]]:
        """Returns the title and the lines of the open block."""
        lines, title = list(self.block.lines), inert(self.block.title)
        body: list[Content] = []
        answer = answer_of(self._report, self.block)
        if answer is not None:
            headline, data, rest = answer
            title = inert(data or self.block.title)
            body.append(inert(headline, "bold $accent"))
            lines = [tuple(piece for text in (rest, *lines[1:]) for piece in (*text, " "))]
        if self.sets:
            if self.block.block == "shifts":
                title = Content("Right, by set: ◆ measured, ◇ estimated")
            self._first_line = len(body)
            for i, text in enumerate(axis_lines(self.sets, width)):
                body.append(inert(text, "bold reverse" if i == self._at else "$primary"))
            drawn = [named.figure for named in self.sets]
            lines = [text for text in lines if not any(piece in drawn for piece in text)]
        body += [wrapped(Content(line(text)), width) for text in lines]
        for chart in self.block.pictures:
            if isinstance(chart, Chart):
                body += [inert(text, "$primary") for text in bar_lines(chart, width)]
        return title, body

    def on_focus(self, event: events.Focus) -> None:
        """Shows what Enter does."""
        self.draw()

    def on_blur(self) -> None:
        """Hides what Enter does."""
        self._at = -1
        self.draw()
        self.border_subtitle = ""

    def action_move(self, by: int) -> None:
        """Goes to the next set, or to the next block where there is none."""
        if not self.folded and -1 <= self._at + by < len(self.sets):
            self._at += by
            self.draw()
        elif by > 0:
            self.screen.focus_next()
        else:
            self.screen.focus_previous()

    def action_open(self) -> None:
        """Unfolds the block, or asks for the evidence or for the pictures of a set."""
        if self.folded:
            self._opened = True
            self.draw()
            self.call_after_refresh(self.scroll_visible, animate=False)
        elif self._at >= 0:
            self.post_message(self.SetChosen(self.sets[self._at].data))
        else:
            self.post_message(self.Opened(self.block.block))

    def on_click(self, event: events.Click) -> None:
        """Opens a set, or the block where it has the focus already."""
        at = event.y - 1 - self._first_line  # below the border
        if not self.folded and 0 <= at < len(self.sets):
            self._at = at
            self.action_open()
        elif self.has_focus:
            self.action_open()

    def explained(self) -> tuple[str, ...]:
        """Returns the entries of the glossary for the card and for the terms of its lines."""
        terms = mentioned(" ".join(map(line, self.block.lines)))
        return ("card", *(term.id for term in terms if term.id != "card"))


def answer_of(report: Report, block: CardBlock) -> tuple[str, str, Text] | None:
    """Returns the answer of a block in a few words, what it is about, and the rest of its line."""
    answers = (
        (part.block, part.section)
        for name in ("your images", "shifts")
        for part in report.parts
        if part.block == name and part.section is not None and part.section.clause
    )
    first, section = next(answers, (None, None))
    if section is None or first != block.block:
        return None
    headline = f"{section.clause} on {section.clause_on}" if section.clause_on else section.clause
    text = block.lines[0]
    if section.clause not in text:
        return headline, "", text
    at = text.index(section.clause)
    rest = line(text[at + 1 :]).lstrip(".;: ")
    return headline, line(text[:at]).rstrip(": "), (rest[:1].upper() + rest[1:],)


def warnings_of_answers(report: Report) -> list[str]:
    """Returns why accuracies may be wrong, such as labels in another order."""
    sections = [part.section for part in report.parts if part.block in ("your images", "shifts")]
    return [warning for section in sections if section is not None for warning in section.warnings]


def sets_of(report: Report) -> list[NamedFigure]:
    """Returns the accuracy of every set, without the estimates that labels replace."""
    figures = set_accuracies(report)
    labelled = {named.data for named in figures if named.headline == LABELLED.headline}
    return [
        named
        for named in figures
        if named.headline != TARGET.headline or named.data not in labelled
    ]


def axis_lines(figures: Sequence[NamedFigure], width: int) -> Iterator[str]:
    """Yields one axis from 0 to 100 % with each set on a line: name, accuracy and interval."""
    names = [plain(named.data) for named in figures]
    values = [named.figure.alone() for named in figures]
    head = min(max(map(cell_len, names)), width // 4)
    value_width = max(map(cell_len, values))
    room = max(width - head - value_width - 3, 3)
    for named, name, value in zip(figures, names, values, strict=True):
        figure = named.figure
        if given(figure):
            low, high = (figure.value if end is None else end for end in (figure.low, figure.high))
            sign = "◇" if named.role == "estimate" else "◆"
            drawn = span(low, figure.value, high, (0.0, 1.0), room, sign)
            yield f"{fitted(name, head)} {value:>{value_width}}  {drawn}"
    yield " " * (head + value_width + 3) + axis(room)


def bar_lines(chart: Chart, width: int) -> Iterator[str]:
    """Yields the first bars of a chart, one a line, with their values."""
    bars = next((series for series in chart.series if series.mark == "bars"), None)
    if bars is None:
        return
    largest = max(bars.y, default=0.0) or 1.0
    yield fitted(f"{plain(chart.title)}: {plain(chart.y_label)}", width)
    for name, value in list(zip(chart.ticks, bars.y, strict=False))[:BARS]:
        room = max(width - 18, 1)
        yield f"{plain(name):>6} {bar(value / largest, room)} {number(value, chart.y_unit)}"


def _values_alone(text: Text) -> Text:
    """Returns a line of the card with its values alone, for a window without room."""
    return tuple(
        piece.alone()
        if isinstance(piece, Estimate)
        else number(piece)
        if isinstance(piece, float)
        else piece
        for piece in text
    )


class OverviewTab(ResultTab):
    """The answers of all probes: what to expect, why, and how sure.

    Args:
        results: The run.
    """

    SCOPED_CSS = False
    DEFAULT_CSS = """
    OverviewTab { layout: vertical; }
    OverviewTab VerticalScroll { padding: 0; height: 1fr; }
    OverviewTab BlockView { height: auto; padding: 0 1; }
    OverviewTab .-warning { height: auto; padding: 0 1; }
    OverviewTab BlockView.-folded { text-wrap: nowrap; text-overflow: ellipsis; }
    OverviewTab BlockView.-folded:focus { text-style: reverse; }
    """

    def compose(self) -> ComposeResult:
        """Lays the blocks out."""
        with VerticalScroll(can_focus=False):
            for warning in warnings_of_answers(self.results.report):
                yield Static(inert(f"! {warning}", "$warning"), classes="-warning")
            blocks, sets = card(self.results.report), sets_of(self.results.report)
            drawn = "shifts" if any(of.block == "shifts" for of in blocks) else "your images"
            for of in blocks:
                yield BlockView(of, self.results.report, sets if of.block == drawn else ())

    def on_resize(self, event: events.Resize) -> None:
        """Opens the blocks from the top as far as there is room."""
        blocks = [*self.query(BlockView)]
        left = event.size.height - len(blocks) - len(self.query(".-warning"))
        for block in blocks:
            more = block.full_height(event.size.width) - 1
            block.fits = more <= left
            left -= more if block.fits or block.block.block in ALWAYS_OPEN else 0
            block.draw()

    def first(self) -> Widget | None:
        """Returns the first block."""
        return next(iter(self.query(BlockView)), None)

    def copied(self) -> str:
        """Returns the lines of the block with the focus."""
        focused = self.screen.focused
        return "\n".join(map(line, focused.block.lines)) if isinstance(focused, BlockView) else ""
