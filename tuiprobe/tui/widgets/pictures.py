"""A grid of small pictures, each over its name and value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Static

from tuiprobe.files import Entry
from tuiprobe.tui.text import fitted, inert, inert_lines
from tuiprobe.tui.widgets.thumbnail import Thumbnail

WIDTH, HEIGHT = 16, 8


@dataclass(frozen=True)
class Picture:
    """One picture: its file and the two lines below it; both may come from outside."""

    file: Entry | None
    name: str
    value: str


class _Cell(Vertical):
    """One picture with its two lines."""

    DEFAULT_CSS = f"""
    _Cell {{ width: {WIDTH}; height: {HEIGHT + 2}; margin: 0 1 0 0; }}
    _Cell Thumbnail {{ width: {WIDTH}; height: {HEIGHT}; }}
    _Cell Static {{ height: 2; }}
    """

    def __init__(self, picture: Picture) -> None:
        super().__init__()
        self._picture = picture

    def compose(self) -> ComposeResult:
        """Lays out picture and lines."""
        yield Thumbnail(self._picture.file)
        yield Static(
            inert_lines([self._picture.value, fitted(self._picture.name, WIDTH)]), markup=False
        )


class PictureGrid(VerticalScroll):
    """Rows of pictures under a heading each, as many a row as fit.

    Args:
        id: Id of the widget.
        classes: CSS classes.
    """

    ALLOW_SELECT = False
    DEFAULT_CSS = f"""
    PictureGrid {{ height: 1fr; }}
    PictureGrid .pictures-row {{
        layout: grid; grid-gutter: 0 1; grid-rows: {HEIGHT + 2}; height: auto;
    }}
    PictureGrid .pictures-heading {{ height: 1; color: $secondary; text-style: bold; }}
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._groups: Sequence[tuple[str, Sequence[Picture]]] = ()

    @property
    def shown(self) -> Sequence[tuple[str, Sequence[Picture]]]:
        """Headings with their pictures."""
        return self._groups

    async def show(self, groups: Sequence[tuple[str, Sequence[Picture]]]) -> None:
        """Shows other pictures."""
        if groups == self._groups:
            return
        self._groups = ()  # all at once: the next call may cancel this one
        async with self.batch():
            await self.remove_children()
            for heading, pictures in groups:
                row = Vertical(*(_Cell(one) for one in pictures), classes="pictures-row")
                await self.mount(Static(inert(heading), classes="pictures-heading"), row)
            self._fit()
        self._groups = groups
        self.scroll_home(animate=False)

    def on_resize(self) -> None:
        """Puts as many pictures into a row as fit."""
        self._fit()

    def _fit(self) -> None:
        columns = max(self.scrollable_content_region.width // (WIDTH + 2), 1)
        for row in self.query(".pictures-row"):
            row.styles.grid_size_columns = columns
