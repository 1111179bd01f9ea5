"""Help: the keys that work on the screen below, those of the focused widget first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static


def help_text(keys: Iterable[tuple[str, str]], width: int = 12) -> str:
    """Returns one line per key: the key and what it does.

    >>> print(help_text([("space", "Mark this model")]))
    space        Mark this model
    """
    return "\n".join(f"{key:<{width}} {meaning}" for key, meaning in keys)


class HelpScreen(ModalScreen[None]):
    """The keys, over the screen they belong to.

    Args:
        keys: Key and meaning, in the order to show.
        topic: The purpose of the screen below.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q,enter", "dismiss", "close"),
    ]
    DEFAULT_CSS = """
    HelpScreen { align: center middle; }
    HelpScreen #help {
        width: 76; max-width: 96%; height: auto; max-height: 90%;
        border: round $primary; background: $surface; padding: 0 1;
    }
    """

    def __init__(self, keys: list[tuple[str, str]], topic: str) -> None:
        super().__init__()
        self._keys, self._topic = keys, topic

    def compose(self) -> ComposeResult:
        """Lays out the list of keys."""
        text = "\n\n".join(part for part in (self._topic, help_text(self._keys)) if part)
        with VerticalScroll(id="help") as scroll:
            yield Static(text, markup=False)
        scroll.border_title = "help · esc closes"
