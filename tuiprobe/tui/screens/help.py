"""Help: what the terms at the cursor mean, and the keys that work on the screen below."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Grid, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.widgets import Static

from tuiprobe.catalog.glossary import Term, term
from tuiprobe.tui.text import inert


def explained_at(screen: Screen[Any]) -> tuple[Term, ...]:
    """Returns the terms at the cursor: those of the widget with the focus, then of what holds it.

    Widgets, tabs and screens name them by `explained() -> tuple[str, ...]`, most specific first.
    """
    node = screen.focused or screen
    ids: dict[str, None] = {}
    for one in node.ancestors_with_self:
        explained = getattr(one, "explained", None)
        if explained is not None:
            ids.update(dict.fromkeys(explained()))
    return tuple(term(id) for id in ids)


def explanation(one: Term) -> Content:
    """Returns what a term means, what it does not say, and where more stands."""
    lines = [Content.styled(one.name, "bold $accent"), Content(one.short)]
    if one.more:
        lines.append(Content.styled(one.more, "italic"))
    lines.append(Content.styled(f"docs/{one.page}", "$foreground 60%"))
    return Content("\n").join(lines)


class HelpScreen(ModalScreen[None]):
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
    DEFAULT_CSS = """
    HelpScreen { align: center middle; }
    HelpScreen #help {
        width: 80; max-width: 96%; height: auto; max-height: 90%; scrollbar-size-vertical: 1;
        border: round $primary; background: $surface; padding: 0 1;
    }
    .-ascii HelpScreen #help { border: ascii $primary; }
    HelpScreen .help-term, HelpScreen #topic { margin-bottom: 1; }
    HelpScreen .help-heading { text-style: bold; color: $secondary; }
    HelpScreen #keys { grid-size: 2; grid-columns: 13 1fr; grid-rows: auto; height: auto; }
    HelpScreen .help-key { color: $accent; text-style: bold; }
    """

    def __init__(self, terms: Iterable[Term], keys: list[tuple[str, str]], topic: str) -> None:
        super().__init__()
        self._terms, self._keys, self._topic = tuple(terms), keys, topic

    def compose(self) -> ComposeResult:
        """Lays out the terms above the keys."""
        with VerticalScroll(id="help") as scroll:
            if self._topic:
                yield Static(inert(self._topic), id="topic")
            if self._terms:
                yield Static("at the cursor", classes="help-heading")
            for one in self._terms:
                yield Static(explanation(one), classes="help-term")
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
