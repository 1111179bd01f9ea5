"""A question with the answers Yes and No; the default is No."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from tuiprobe.tui.text import inert_lines


class ConfirmScreen(ModalScreen[bool]):
    """Asks for confirmation of an action that cannot be undone.

    Args:
        question: What will happen, in one line.
        lines: What is affected; not trusted.
        yes: Label of the button that confirms.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "yes", tooltip="Do it"),
        Binding("n,escape,q", "answer(False)", "no", tooltip="Change nothing"),
        Binding("left,right", "app.focus_next", "other", show=False),
    ]
    DEFAULT_CSS = """
    ConfirmScreen { align: center middle; }
    ConfirmScreen #box {
        width: 76; max-width: 96%; height: auto; max-height: 90%;
        border: round $warning; background: $surface; padding: 0 1;
    }
    ConfirmScreen VerticalScroll { height: auto; max-height: 10; margin: 1 0; }
    ConfirmScreen Horizontal { height: auto; align-horizontal: right; }
    ConfirmScreen Button { margin-left: 2; }
    """

    def __init__(self, question: str, lines: list[str], yes: str) -> None:
        super().__init__()
        self._question, self._lines, self._yes = question, lines, yes

    def compose(self) -> ComposeResult:
        """Lays out question and buttons."""
        with Vertical(id="box") as box:
            with VerticalScroll() as scroll:
                scroll.can_focus = False
                yield Static(inert_lines(self._lines), markup=False)
            with Horizontal():
                yield Button("No (n)", id="no", compact=True)
                yield Button(f"{self._yes} (y)", id="yes", variant="error", compact=True)
        box.border_title = self._question

    def on_mount(self) -> None:
        """Puts the cursor on "No"."""
        self.query_one("#no", Button).focus()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")

    def action_answer(self, answer: bool) -> None:
        """Closes the dialog with this answer."""
        self.dismiss(answer)
