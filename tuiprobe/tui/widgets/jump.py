"""Jump mode: a letter on everything that may have the focus; the letter goes there."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Static

LETTERS = "asdfghjklqwertyuiopzxcvbnm"


class JumpScreen(ModalScreen[Widget | None]):
    """Letters over the screen below; one of them goes to its panel, any other key back.

    Args:
        places: The widgets that can be gone to, in order.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "back", tooltip="Back without going anywhere")
    ]
    DEFAULT_CSS = """
    JumpScreen { background: transparent; layers: letters; }
    JumpScreen Static { position: absolute; width: 3; height: 1; background: $accent;
        color: $background; text-style: bold; }
    """

    def __init__(self, places: list[Widget]) -> None:
        super().__init__()
        self._places = dict(zip(LETTERS, places, strict=False))

    def compose(self) -> ComposeResult:
        """Puts a letter on the corner of each widget."""
        for letter, widget in self._places.items():
            sign = Static(f" {letter} ", markup=False)
            sign.styles.offset = (widget.region.x, widget.region.y)
            yield sign

    def on_key(self, event: events.Key) -> None:
        """Goes to the widget of the letter."""
        event.stop()
        self.dismiss(self._places.get(event.key))


def places_on(widgets: list[Widget], size: tuple[int, int]) -> list[Widget]:
    """Returns the widgets that are in sight."""
    return [
        widget
        for widget in widgets
        if widget.region.area and 0 <= widget.region.x < size[0] and 0 <= widget.region.y < size[1]
    ]
