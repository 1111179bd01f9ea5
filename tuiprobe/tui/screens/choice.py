"""A choice of one name out of many, which are searched as one types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList

from tuiprobe.plaintext import holds_all
from tuiprobe.tui.text import inert


class ChoiceScreen(ModalScreen[str | None]):
    """Choose a name: type a part of it, Enter takes the one at the cursor.

    Args:
        names: All of them; not trusted.
        title: What is chosen.
        terms: Ids of the terms that explain it.
    """

    ALLOW_SELECT = False
    AUTO_FOCUS = "Input"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "above", show=False, tooltip="Name above"),
        Binding("down", "move(1)", "below", show=False, tooltip="Name below"),
        Binding("escape", "dismiss(None)", "cancel", tooltip="Close without a choice"),
        Binding("f1", "app.help", "help", tooltip="Terms, and keys of this dialog"),
    ]
    DEFAULT_CSS = """
    ChoiceScreen { align: center middle; }
    ChoiceScreen #choice {
        width: 60; max-width: 96%; height: 80%; background: $surface; border: round $primary;
    }
    .-ascii ChoiceScreen #choice { border: ascii $primary; }
    ChoiceScreen OptionList { height: 1fr; border: none; padding: 0; background: $surface; }
    """

    def __init__(self, names: Sequence[str], title: str, terms: tuple[str, ...]) -> None:
        super().__init__()
        self._names, self._title, self._terms = tuple(names), title, terms
        self._matches = self._names

    def explained(self) -> tuple[str, ...]:
        """Returns the terms of what is chosen."""
        return self._terms

    def compose(self) -> ComposeResult:
        """Lays out the words above the names that contain them."""
        with Vertical(id="choice") as box:
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
        names.clear_options()
        names.add_options(map(inert, self._matches))
        names.highlighted = 0 if self._matches else None

    @on(Input.Submitted)
    def _taken(self) -> None:
        place = self.query_one(OptionList).highlighted
        if place is not None:
            self.dismiss(self._matches[place])

    @on(OptionList.OptionSelected)
    def _clicked(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._matches[event.option_index])

    def action_move(self, by: int) -> None:
        """Puts the cursor on the name above or below."""
        names = self.query_one(OptionList)
        if by > 0:
            names.action_cursor_down()
        else:
            names.action_cursor_up()
