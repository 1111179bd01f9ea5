"""Help: what the terms at the cursor mean, and the keys that work on the screen below."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Grid, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from tuiprobe.catalog import glossary
from tuiprobe.catalog.glossary import Term
from tuiprobe.tui.screens.dialogs import Dialog
from tuiprobe.tui.text import inert


def explained_at(screen: Screen[Any]) -> tuple[Term, ...]:
    """Returns the terms at the cursor: those of the widget with the focus, then of what holds it.

    Widgets, tabs and screens name them by `explained() -> tuple[str, ...]`, most specific first.
    """
    node = screen.focused or screen
    ids: dict[str, None] = {}
    for ancestor in node.ancestors_with_self:
        explained = getattr(ancestor, "explained", None)
        if explained is not None:
            ids.update(dict.fromkeys(explained()))
    terms_by_id = {term.id: term for term in glossary.terms()}
    return tuple(
        terms_by_id[id] for id in ids if id in terms_by_id
    )  # reports may name terms of other packages


def explanation(term: Term) -> Content:
    """Returns the meaning of a term, its limits, and the page to read."""
    lines = [Content.styled(term.name, "bold"), Content(term.short)]
    if term.more:
        lines.append(Content.styled(term.more, "italic"))
    lines.append(Content.styled(f"docs/{term.page}", "$foreground 60%"))
    return Content("\n").join(lines)


class HelpScreen(Dialog[None]):
    """Terms and keys, over the screen they belong to.

    Args:
        terms: The terms at the cursor, in the order to show.
        keys: Key and meaning, in the order to show.
        topic: The purpose of the screen below.
    """

    AUTO_FOCUS = "#help"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,f1,q,enter", "dismiss", "close"),
        Binding("j", "scroll(1)", "down", show=False),
        Binding("k", "scroll(-1)", "up", show=False),
    ]

    def __init__(self, terms: Iterable[Term], keys: list[tuple[str, str]], topic: str) -> None:
        super().__init__()
        self._terms, self._keys, self._topic = tuple(terms), keys, topic

    def compose(self) -> ComposeResult:
        """Lays out the terms above the keys."""
        with VerticalScroll(id="help", classes="dialog") as scroll:
            if self._topic:
                yield Static(inert(self._topic), id="topic")
            if self._terms:
                yield Static("at the cursor", classes="help-heading")
            for term in self._terms:
                yield Static(explanation(term), classes="help-term")
            yield Static("keys", classes="help-heading")
            with Grid(id="keys"):
                for key, meaning in self._keys:
                    yield Static(inert(key), classes="help-key")
                    yield Static(inert(meaning), classes="help-meaning")
        scroll.border_title = "help"
        scroll.border_subtitle = "esc closes"

    def action_scroll(self, lines: int) -> None:
        """Scrolls by lines."""
        self.query_one("#help").scroll_relative(y=lines, animate=False)
