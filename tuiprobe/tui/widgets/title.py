"""The line at the top: what a screen is about, and at the right what to beware of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.cells import cell_len
from textual.content import Content
from textual.widgets import Static

from tuiprobe.plaintext import plain
from tuiprobe.tui.progress import title_warning
from tuiprobe.tui.text import fitted


def titled(text: str, warning: str, short: str, width: int) -> Content:
    """Returns a title with a warning at its right end.

    Args:
        text: What the screen is about; cut where there is no room.
        warning: Never cut; its short form takes its place where there is no room for both.
        short: The short form.
        width: Cells.

    >>> titled("mini_clip · 128 channels", "DEMONSTRATION: no more", "DEMONSTRATION", 40).plain
    'mini_clip · 128 channels   DEMONSTRATION'
    """
    notice = warning if cell_len(text) + cell_len(warning) + 2 <= width else short
    room = max(width - cell_len(notice) - (2 if notice else 0), 0)
    head = fitted(text, room) + ("  " if notice else "")
    return Content.assemble(Content(head), (notice, "bold $warning"))


class TitleLine(Static):
    """Text and a warning, drawn anew for every width.

    Args:
        text: The text.
        id: Id of the widget.
    """

    ALLOW_SELECT = False

    def __init__(self, text: str, *, id: str) -> None:
        self._text, self._warnings = text, ("", "")
        super().__init__(text, id=id, markup=False)

    def show(self, text: str, specs: Iterable[Mapping[str, object]] = ()) -> None:
        """Shows other text, and what to beware of.

        Args:
            text: What the screen is about; may come from outside.
            specs: What is known of the runs that it shows, for `title_warning`.
        """
        warnings = [(title_warning(spec), title_warning(spec, short=True)) for spec in specs]
        long, short = (
            " · ".join(filter(None, dict.fromkeys(forms))) for forms in zip(*warnings, strict=True)
        ) if warnings else ("", "")  # fmt: skip
        self._text, self._warnings = plain(text), (long, short)
        self.on_resize()

    def on_resize(self) -> None:
        """Draws for the width there is."""
        if self.content_size.width:
            self.update(titled(self._text, *self._warnings, self.content_size.width))
