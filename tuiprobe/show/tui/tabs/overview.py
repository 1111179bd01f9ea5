"""The overview: the answer, all sets on one axis, and what is inside, folded where space is low."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from tuiprobe.catalog.glossary import mentioned
from tuiprobe.numbers import number
from tuiprobe.results import Estimate
from tuiprobe.results.accuracy import Accuracy
from tuiprobe.results.card import CardBlock, card
from tuiprobe.results.figures import LABELS_CURVE
from tuiprobe.results.report import Report
from tuiprobe.results.section import Block, Chart, Text
from tuiprobe.show.report.strings import line
from tuiprobe.show.tui.tabs.tab import ResultTab
from tuiprobe.show.tui.text import inert, wrapped
from tuiprobe.show.tui.widgets.bars import bar_lines
from tuiprobe.show.tui.widgets.forest import Forest, accuracy_row
from tuiprobe.show.tui.widgets.textplot import ChartView

ALWAYS_OPEN: frozenset[Block] = frozenset({"your images", "shifts"})
"""Blocks that are open in every window; the others as far as there is room for them."""

SET_TERMS = ("top-1", "estimate", "interval", "set", "shift")
"""Terms of the accuracies of sets."""


class BlockView(Static, can_focus=True):
    """One block of the card: a panel, or its first sentence, which Enter opens.

    Args:
        block: The block.
        report: The report that it is from.
        sets: The accuracies that the forest below it shows, which are not repeated.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "open", tooltip="All lines of this block, then their evidence"),
        Binding("up,k", "app.focus_previous", "above", show=False, tooltip="Block or sets above"),
        Binding("down,j", "app.focus_next", "below", show=False, tooltip="Block or sets below"),
    ]

    class Opened(Message):
        """The user asked for the evidence behind a block.

        Args:
            block: Which one it is.
        """

        def __init__(self, block: Block) -> None:
            super().__init__()
            self.block = block

    def __init__(self, block: CardBlock, report: Report, sets: Sequence[Accuracy] = ()) -> None:
        super().__init__(classes="panel", markup=False)
        self.block = block
        self._sets = {(accuracy.n, accuracy.low, accuracy.high) for accuracy in sets}
        self._report = report
        self._opened = False
        self.fits = True  # whether there is room for all of it
        self.wraps = False  # whether there is room for more than one line of the folded one

    @property
    def folded(self) -> bool:
        """Whether its first sentence is all that is shown."""
        return not (self._opened or self.fits or self.block.block in ALWAYS_OPEN)

    def full_height(self, width: int) -> int:
        """Returns the lines of the open block without its border in a window of a width."""
        return len(Content("\n").join(self._body(width - 6)[1]).plain.splitlines())

    def folded_text(self) -> Content:
        """Returns what stands in place of the folded block."""
        first = line(_without_ranges(self.block.lines[0]))
        return Content(f"▸ {self.block.title:<12} {first}")

    @on(events.Resize)
    @on(events.Focus)
    @on(events.Blur)
    def draw(self) -> None:
        """Draws the block, folded or open, and with the focus what Enter does."""
        folded = self.folded
        self.set_class(folded, "-folded")
        width = self.scrollable_content_region.width or self.app.size.width - 6
        if folded:
            text = self.folded_text()
            self.update(wrapped(text, width) if self.wraps else text)
            return
        self.border_title, body = self._body(width)
        self.border_subtitle = "⏎ evidence" if self.has_focus else ""
        self.update(Content("\n").join(body))

    def _body(self, width: int) -> tuple[Content, list[Content]]:
        """Returns the title and the lines of the open block."""
        lines, title = list(self.block.lines), inert(self.block.title)
        body: list[Content] = []
        answer = block_answer(self._report, self.block)
        if answer is not None:
            headline, data, rest = answer
            title = inert(data or self.block.title)
            body.append(inert(headline, "bold"))
            lines = [tuple(piece for text in (rest, *lines[1:]) for piece in (*text, " "))]
        lines = [text for text in lines if not any(map(self._drawn, text))]
        body += [wrapped(Content(line(text)), width) for text in lines]
        for chart in self.block.pictures:
            if isinstance(chart, Chart):
                body += [inert(text, "$primary") for text in bar_lines(chart, width)]
        return title, body

    def _drawn(self, piece: object) -> bool:
        """Returns whether the forest shows a piece of a line."""
        ends = (piece.n, piece.low, piece.high) if isinstance(piece, Estimate) else None
        return ends in self._sets

    def action_open(self) -> None:
        """Unfolds the block, or asks for its evidence."""
        if self.folded:
            self._opened = True
            self.draw()
            self.call_after_refresh(self.scroll_visible, animate=False)
        else:
            self.post_message(self.Opened(self.block.block))

    def on_click(self, event: events.Click) -> None:
        """Opens the block where it has the focus already."""
        if self.has_focus:
            self.action_open()

    def explained(self) -> tuple[str, ...]:
        """Returns the entries of the glossary for the card and for the terms of its lines."""
        terms = mentioned(" ".join(map(line, self.block.lines)))
        return ("card", *(term.id for term in terms if term.id != "card"))


def block_answer(report: Report, block: CardBlock) -> tuple[str, str, Text] | None:
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


def _without_ranges(text: Text) -> Text:
    """Returns a line of the card with its values alone, for a window without room."""
    return tuple(
        piece.point()
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

    def compose(self) -> ComposeResult:
        """Lays the blocks out."""
        with VerticalScroll(can_focus=False):
            report = self.results.report
            answering = [part.section for part in report.parts if part.block in ALWAYS_OPEN]
            warnings = [doubt.words for doubt in report.doubts]  # why accuracies may be wrong
            for section in filter(None, answering):
                warnings += section.warnings
            for warning in warnings:
                yield Static(inert(f"! {warning}", "$warning"), classes="-warning")
            blocks = card(report)
            sets = [known for known in report.accuracies if known.evidence != "confidence"]
            has_shifts = any(block.block == "shifts" for block in blocks)
            first = "shifts" if has_shifts else "your images"
            for block in blocks:
                yield BlockView(block, report, sets if block.block == first else ())
                if block.block == first and sets:
                    forest = Forest(accuracy_row, ("set", "right", "evidence"), SET_TERMS)
                    forest.add_class("panel")
                    forest.border_title = "Right, by set: ◆ measured, ◇ estimated"
                    forest.border_subtitle = "⏎ pictures"
                    forest.show_rows(sets)
                    yield forest
            pieces = (piece for section in self.results.sections for piece in section.content)
            for piece in pieces:
                if isinstance(piece, Chart) and piece.id == LABELS_CURVE:
                    yield ChartView(piece, classes="panel")

    def on_resize(self, event: events.Resize) -> None:
        """Opens the blocks from the top as far as there is room."""
        blocks = [*self.query(BlockView)]
        left = event.size.height - len(blocks) - len(self.query(".-warning"))
        border = 1 if self.screen.has_class("-low") else 2
        left -= sum(len(forest.rows) + 1 + border for forest in self.query(Forest))
        for block in blocks:
            more = block.full_height(event.size.width) + border - 1
            block.fits = more <= left
            left -= more if block.fits or block.block.block in ALWAYS_OPEN else 0
        for block in blocks:
            more = wrapped(block.folded_text(), event.size.width - 6).plain.count("\n")
            block.wraps = block.folded and more <= left
            left -= more if block.wraps else 0
            block.draw()
        for chart in self.query(ChartView):
            chart.fill(left)

    def first(self) -> Widget | None:
        """Returns the first block."""
        return next(iter(self.query(BlockView)), None)

    def copied(self) -> str:
        """Returns the lines of the block with the focus."""
        focused = self.screen.focused
        return "\n".join(map(line, focused.block.lines)) if isinstance(focused, BlockView) else ""
