"""Images at one end of a channel as square pictures, with the values they reach."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from tuiprobe.numbers import number
from tuiprobe.tui.text import inert
from tuiprobe.tui.widgets.thumbnail import Thumbnail

if TYPE_CHECKING:
    from tuiprobe.files import Entry

MOST_PICTURES = 6


class EndPictures(Vertical):
    """Pictures of one end, twice as many cells wide as high, so that they are square.

    Args:
        id: Id of the widget.
    """

    DEFAULT_CSS = """
    EndPictures { width: 1fr; }
    EndPictures Horizontal { height: 1fr; }
    EndPictures Thumbnail { margin-right: 1; }
    EndPictures Static { height: auto; }
    """

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, classes="panel")
        self._files: list[Entry | None] = []
        self._values: list[float] = []

    def compose(self) -> ComposeResult:
        """Lays out the pictures and the words in their place."""
        with Horizontal():
            for _ in range(MOST_PICTURES):
                yield Thumbnail()
        yield Static("", markup=False)

    def explained(self) -> tuple[str, ...]:
        """Returns the terms of the pictures."""
        return ("image-ends",)

    def show(
        self, title: str, images: Sequence[tuple[Entry | None, float]] = (), words: str = ""
    ) -> None:
        """Shows other pictures in place.

        Args:
            title: What they are.
            images: Files and values, the most extreme first.
            words: Said where there are no pictures.
        """
        self.border_title = inert(title)
        self._files = [file for file, _ in images[:MOST_PICTURES]]
        self._values = [value for _, value in images[:MOST_PICTURES]]
        note = self.query_one(Static)
        note.update(inert(words, "dim"))
        note.display = bool(words)
        self.query_one(Horizontal).display = not words
        self._fit()

    def on_resize(self) -> None:
        """Makes the pictures as large as the panel allows."""
        self._fit()

    def _fit(self) -> None:
        width, height = self.content_size
        height = min(height, width // 2)
        room = (width + 1) // (2 * height + 1) if height > 0 else 0
        count = min(room, len(self._files))
        for place, picture in enumerate(self.query(Thumbnail)):
            picture.display = place < count
            if place < count:
                picture.styles.width, picture.styles.height = 2 * height, height
                picture.show(self._files[place])
        self.border_subtitle = inert(
            "  ".join(number(v, signed=True) for v in self._values[:count])
        )
