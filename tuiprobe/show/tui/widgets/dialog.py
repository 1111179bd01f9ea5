"""A box over a screen."""

from __future__ import annotations

from typing import TypeVar

from textual.await_complete import AwaitComplete
from textual.screen import ModalScreen

T = TypeVar("T")


class Dialog(ModalScreen[T]):
    """A box of class `dialog` in the middle of the screen it belongs to; it has its own keys."""

    ALLOW_SELECT = False

    def dismiss(self, result: T | None = None) -> AwaitComplete:
        """Closes the box once: a second key, typed ahead, does not close the screen below."""
        return super().dismiss(result) if self.is_current else AwaitComplete()
