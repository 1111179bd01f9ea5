"""Dialogs over a screen: a question with Yes and No, a name out of many, a folder or file, help."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Grid, Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Button, Input, OptionList, Static

from tuiprobe.catalog import glossary
from tuiprobe.catalog.glossary import Term
from tuiprobe.plaintext import holds_all
from tuiprobe.show.tui.text import inert, inert_lines
from tuiprobe.show.tui.widgets.dialog import Dialog


class ConfirmScreen(Dialog[bool]):
    """Asks for confirmation of an action that cannot be undone; the default is No.

    Args:
        question: What will happen, in one line.
        lines: What is affected; not trusted.
        yes: Label of the button that confirms.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "dismiss(True)", "yes", tooltip="Do it"),
        Binding("n,escape,q", "dismiss(False)", "no", tooltip="Change nothing"),
        Binding("left,right", "app.focus_next", "other", show=False),
    ]
    AUTO_FOCUS = "#no"

    def __init__(self, question: str, lines: list[str], yes: str) -> None:
        super().__init__()
        self._question, self._lines, self._yes = question, lines, yes

    def compose(self) -> ComposeResult:
        """Lays out question and buttons."""
        with Vertical(classes="dialog") as box:
            with VerticalScroll(can_focus=False):
                yield Static(inert_lines(self._lines), markup=False)
            with Horizontal():
                yield Button("No (n)", id="no", compact=True)
                yield Button(f"{self._yes} (y)", id="yes", variant="error", compact=True)
        box.border_title = self._question

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")


class ChoiceScreen(Dialog[str | None]):
    """Choose a name: type a part of it, Enter takes the one at the cursor.

    Args:
        names: All of them; not trusted.
        title: What is chosen.
        terms: Ids of the terms that explain it.
    """

    AUTO_FOCUS = "Input"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "above", show=False, tooltip="Name above"),
        Binding("down", "move(1)", "below", show=False, tooltip="Name below"),
        Binding("escape", "dismiss(None)", "cancel", tooltip="Close without a choice"),
        Binding("f1", "app.help", "help", tooltip="Terms, and keys of this dialog"),
    ]

    def __init__(self, names: Sequence[str], title: str, terms: tuple[str, ...]) -> None:
        super().__init__()
        self._names, self._title, self._terms = tuple(names), title, terms
        self._matches = self._names

    def explained(self) -> tuple[str, ...]:
        """Returns the terms of what is chosen."""
        return self._terms

    def compose(self) -> ComposeResult:
        """Lays out the words above the names that contain them."""
        with Vertical(classes="dialog") as box:
            yield Input(placeholder="a part of the name", compact=True)
            names = OptionList(*map(inert, self._names), compact=True)
            names.can_focus = False
            names.highlighted = 0
            yield names
        box.border_title = inert(self._title)
        box.border_subtitle = "⏎ takes it · esc closes"

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        words = event.value.split()
        self._matches = tuple(name for name in self._names if holds_all(name, words))
        names = self.query_one(OptionList)
        names.set_options(map(inert, self._matches))
        names.highlighted = 0 if self._matches else None

    @on(Input.Submitted)
    def _submitted(self) -> None:
        self.query_one(OptionList).action_select()

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._matches[event.option_index])

    def action_move(self, by: int) -> None:
        """Puts the cursor on the name above or below."""
        names = self.query_one(OptionList)
        move = names.action_cursor_down if by > 0 else names.action_cursor_up
        move()


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
    # Reports may name terms of other packages.
    return tuple(terms_by_id[id] for id in ids if id in terms_by_id)


def explanation(term: Term) -> Content:
    """Returns the meaning of a term, its limits, and the page to read."""
    lines = [Content.styled(term.name, "bold"), Content(term.short)]
    if term.more:
        lines.append(Content.styled(term.more, "italic"))
    lines.append(Content.styled(f"docs/{term.page}", "$foreground 60%"))
    return Content("\n").join(lines)


class HelpScreen(Dialog[None]):
    """Keys and terms, over the screen they belong to.

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
        """Lays out the keys above the terms."""
        with VerticalScroll(id="help", classes="dialog") as scroll:
            if self._topic:
                yield Static(inert(self._topic), id="topic")
            yield Static("keys", classes="help-heading")
            with Grid(id="keys"):
                for key, meaning in self._keys:
                    yield Static(inert(key), classes="help-key")
                    yield Static(inert(meaning), classes="help-meaning")
            if self._terms:
                yield Static("at the cursor", classes="help-heading")
            for term in self._terms:
                yield Static(explanation(term), classes="help-term")
        scroll.border_title = "help"
        scroll.border_subtitle = "esc closes"

    def action_scroll(self, lines: int) -> None:
        """Scrolls by lines."""
        self.query_one("#help").scroll_relative(y=lines, animate=False)
