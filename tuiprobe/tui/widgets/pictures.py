"""A grid of small pictures, each over its name and value, and one of them alone.

The cursor goes from picture to picture by the arrow keys; Enter or a click on it shows it large.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Static

from tuiprobe.files import Entry
from tuiprobe.plaintext import plain
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
    PictureGrid:focus _Cell.-here Static {{ background: $primary 35%; text-style: bold; }}
    """

    class Pressed(Message):
        """The picture was clicked."""

        def __init__(self, cell: _Cell) -> None:
            super().__init__()
            self.cell = cell

    def __init__(self, picture: Picture) -> None:
        super().__init__()
        self.picture = picture

    def compose(self) -> ComposeResult:
        """Lays out picture and lines."""
        yield Thumbnail(self.picture.file)
        yield Static(self._lines(""), markup=False)

    def _lines(self, mark: str) -> Content:
        name = plain(self.picture.name)
        return inert_lines([f"{mark}{plain(self.picture.value)}", fitted(name, WIDTH)])

    def mark(self, here: bool) -> None:
        """Shows whether the cursor is here, by a sign beside the colour."""
        self.set_class(here, "-here")
        self.query_one(Static).update(self._lines("▸ " if here else ""))

    def on_click(self, event: events.Click) -> None:
        """Tells the grid."""
        event.stop()
        self.post_message(self.Pressed(self))


class PictureGrid(VerticalScroll, can_focus=True):
    """Rows of pictures under a heading each, as many a row as fit, with a cursor.

    Args:
        id: Id of the widget.
        classes: CSS classes.
    """

    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "move(-1)", "picture before", show=False, tooltip="Picture before"),
        Binding("right,l", "move(1)", "picture after", show=False, tooltip="Picture after"),
        Binding("up,k", "row(-1)", "row above", show=False, tooltip="Pictures above"),
        Binding("down,j", "row(1)", "row below", show=False, tooltip="Pictures below"),
        Binding("enter", "enlarge", "enlarge", tooltip="This picture large, with path and value"),
    ]
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
        self._cursor = 0
        self._columns = 1

    @property
    def shown(self) -> Sequence[tuple[str, Sequence[Picture]]]:
        """Headings with their pictures."""
        return self._groups

    @property
    def pictures(self) -> list[tuple[str, Picture]]:
        """All pictures in order, each with its heading."""
        return [(heading, one) for heading, pictures in self._groups for one in pictures]

    @property
    def current(self) -> Picture | None:
        """The picture under the cursor; None where there is none."""
        pictures = self.pictures
        return pictures[self._cursor][1] if pictures else None

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
        self._cursor = 0
        self._mark()
        self.scroll_home(animate=False)

    def on_resize(self) -> None:
        """Puts as many pictures into a row as fit."""
        self._fit()

    def _fit(self) -> None:
        self._columns = max(self.scrollable_content_region.width // (WIDTH + 2), 1)
        for row in self.query(".pictures-row"):
            row.styles.grid_size_columns = self._columns

    def on_focus(self) -> None:
        """Shows the cursor."""
        self._mark()

    def on_blur(self) -> None:
        """Hides the cursor."""
        self._mark()

    def _mark(self) -> None:
        for i, cell in enumerate(self.query(_Cell)):
            here = self.has_focus and i == self._cursor
            if here != cell.has_class("-here"):
                cell.mark(here)
            if here:
                self.scroll_to_widget(cell, animate=False)

    def go(self, index: int) -> None:
        """Puts the cursor on a picture."""
        self._cursor = max(0, min(index, len(self.pictures) - 1))
        self._mark()

    def action_move(self, by: int) -> None:
        """Puts the cursor on the picture before or after."""
        self.go(self._cursor + by)

    def action_row(self, by: int) -> None:
        """Puts the cursor into the row above or below, which may be of another heading."""
        places = list(self._places())
        if not places:
            return
        row, column = places[self._cursor]
        wanted = [i for i, place in enumerate(places) if place[0] == row + by]
        if wanted:
            self.go(wanted[min(column, len(wanted) - 1)])

    def _places(self) -> list[tuple[int, int]]:
        """Returns row and column of each picture as they are laid out."""
        found: list[tuple[int, int]] = []
        first = 0
        for _, pictures in self._groups:
            found += [(first + i // self._columns, i % self._columns) for i in range(len(pictures))]
            first += -(-len(pictures) // self._columns)
        return found

    def on__cell_pressed(self, event: _Cell.Pressed) -> None:
        """Puts the cursor on the clicked picture; enlarges it where the cursor is already."""
        index = list(self.query(_Cell)).index(event.cell)
        again = self.has_focus and index == self._cursor
        self.focus()
        self.go(index)
        if again:
            self.action_enlarge()

    def action_enlarge(self) -> None:
        """Shows the picture under the cursor large."""
        if self.pictures:
            self.app.push_screen(PictureScreen(self.pictures, self._cursor), self._returned)

    def _returned(self, index: int | None) -> None:
        if index is not None:
            self.go(index)

    def explained(self) -> tuple[str, ...]:
        """Returns what the glossary says about pictures at both ends."""
        return ("strongest-images", "image-ends")


class PictureScreen(ModalScreen[int]):
    """One picture large, with its path and its value; the arrow keys go on.

    Args:
        pictures: All pictures, each with its heading.
        index: Which one to show first.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,up,h,k", "move(-1)", "before", tooltip="Picture before"),
        Binding("right,down,l,j", "move(1)", "after", tooltip="Picture after"),
        Binding("y", "copy", "copy path", tooltip="Copy the path of the picture"),
        Binding("question_mark", "app.help", "help", tooltip="Keys of this screen"),
        Binding("escape,enter,q", "close", "close", tooltip="Back to all pictures"),
    ]
    DEFAULT_CSS = """
    PictureScreen { align: center middle; }
    PictureScreen #enlarged {
        width: auto; height: auto; max-width: 96%; max-height: 100%;
        border: round $primary; background: $surface; padding: 0 1; align-horizontal: center;
    }
    PictureScreen #enlarged-about { height: auto; max-height: 4; }
    .-ascii PictureScreen #enlarged { border: ascii $primary; }
    """

    def __init__(self, pictures: Sequence[tuple[str, Picture]], index: int) -> None:
        super().__init__()
        self._pictures, self._index = pictures, index

    def compose(self) -> ComposeResult:
        """Lays out the picture above its text."""
        with Vertical(id="enlarged"):
            yield Thumbnail(id="enlarged-picture")
            yield Static("", id="enlarged-about", markup=False)

    def on_mount(self) -> None:
        """Shows the picture."""
        self._show()

    def on_resize(self) -> None:
        """Makes the picture as large as the window allows; two columns are as wide as a line."""
        room = max(min(self.size.height - 7, (self.size.width - 8) // 2), 4)
        view = self.query_one("#enlarged-picture", Thumbnail)
        view.styles.width, view.styles.height = 2 * room, room
        self.query_one("#enlarged-about").styles.width = max(2 * room, 40)

    def _show(self) -> None:
        heading, picture = self._pictures[self._index]
        self.query_one("#enlarged-picture", Thumbnail).show(picture.file)
        there = picture.file is not None and picture.file.path.is_file()
        kept = [] if there else ["the run keeps no picture of it"]
        about = [f"{heading}: {picture.value}", picture.name, *kept]
        self.query_one("#enlarged-about", Static).update(inert_lines(about))
        frame = self.query_one("#enlarged")
        frame.border_title = f"{self._index + 1} of {len(self._pictures)}"
        frame.border_subtitle = "← → others · esc closes"

    def action_move(self, by: int) -> None:
        """Shows the picture before or after."""
        self._index = (self._index + by) % len(self._pictures)
        self._show()

    def action_copy(self) -> None:
        """Copies the path of the picture."""
        self.app.copy(plain(self._pictures[self._index][1].name), "path")  # type: ignore[attr-defined]

    def action_close(self) -> None:
        """Goes back to the picture in the grid."""
        self.dismiss(self._index)

    def explained(self) -> tuple[str, ...]:
        """Returns what the glossary says about pictures at both ends."""
        return ("strongest-images", "image-ends")
