"""A grid of small pictures, each over its name and value, and one of them alone.

The cursor goes from picture to picture by the arrow keys; Enter or a click on it shows it large.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from rich.segment import Segment
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.geometry import Region, Size
from textual.screen import ModalScreen
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widgets import Static

from tuiprobe.files import Entry
from tuiprobe.plaintext import plain
from tuiprobe.tui.text import fitted, inert_lines
from tuiprobe.tui.widgets.thumbnail import Thumbnail, picture_strips, read_pixels

WIDTH, HEIGHT = 16, 8
_CELL = WIDTH + 2


@dataclass(frozen=True)
class Picture:
    """One picture: its file and the two lines below it; both may come from outside."""

    file: Entry | None
    name: str
    value: str


class _Row(NamedTuple):
    """A heading, or pictures side by side: where it begins, its words or its pictures."""

    top: int
    heading: str
    first: int
    pictures: int


class PictureGrid(ScrollView, can_focus=True):
    """Rows of pictures under a heading each, as many a row as fit, with a cursor.

    Args:
        groups: Headings with their pictures.
        id: Id of the widget.
        classes: CSS classes.
    """

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {"pictures--heading", "pictures--cursor"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "move(-1)", "picture before", show=False, tooltip="Picture before"),
        Binding("right,l", "move(1)", "picture after", show=False, tooltip="Picture after"),
        Binding("up,k", "row(-1)", "row above", show=False, tooltip="Pictures above"),
        Binding("down,j", "row(1)", "row below", show=False, tooltip="Pictures below"),
        Binding("enter", "enlarge", "enlarge", tooltip="This picture large, with path and value"),
    ]
    DEFAULT_CSS = """
    PictureGrid { height: 1fr; overflow-x: hidden; scrollbar-size-vertical: 1; }
    PictureGrid > .pictures--heading { color: $secondary; text-style: bold; }
    PictureGrid > .pictures--cursor { background: $primary 35%; text-style: bold; }
    """

    def __init__(
        self,
        groups: Sequence[tuple[str, Sequence[Picture]]] = (),
        *,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._groups = groups
        self._rows: list[_Row] = []
        self._strips: dict[int, list[Strip]] = {}
        self._cursor = 0

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

    def show(self, groups: Sequence[tuple[str, Sequence[Picture]]]) -> None:
        """Shows other pictures."""
        if groups != self._groups:
            self._groups, self._cursor, self._strips = groups, 0, {}
            self._fit()
            self.scroll_home(animate=False)

    def on_mount(self) -> None:
        """Reads the pictures anew where they are drawn otherwise."""
        self._fit()

    def on_resize(self) -> None:
        """Puts as many pictures into a row as fit."""
        self._fit()

    def _fit(self) -> None:
        columns = max((self.scrollable_content_region.width + 2) // _CELL, 1)
        self._rows, top, first = [], 0, 0
        for heading, pictures in self._groups:
            self._rows.append(_Row(top, plain(heading), first, 0))
            top += 1
            for start in range(0, len(pictures), columns):
                count = min(columns, len(pictures) - start)
                self._rows.append(_Row(top, "", first + start, count))
                top += HEIGHT + 2
            first += len(pictures)
        self.virtual_size = Size(0, top)
        self.refresh()

    def _picture(self, index: int) -> list[Strip]:
        """Returns the lines of a picture, read when it is first in sight."""
        if index not in self._strips:
            file = self.pictures[index][1].file
            pixels = read_pixels(file, WIDTH, 2 * HEIGHT) if file is not None else None
            self._strips[index] = (
                picture_strips(pixels, self.app, self.rich_style)
                if pixels is not None
                else [Strip([Segment(fitted("no picture" * (y == 3), WIDTH), self.rich_style)])
                      for y in range(HEIGHT)]
            )  # fmt: skip
        return self._strips[index]

    def render_line(self, y: int) -> Strip:
        """Returns one line: of a heading, of pictures, or of the words below them."""
        width, y = self.scrollable_content_region.width, y + self.scroll_offset.y
        place = bisect_right(self._rows, y, key=lambda row: row.top) - 1
        blank = Strip.blank(width, self.rich_style)
        if place < 0 or y >= self.virtual_size.height:
            return blank
        row = self._rows[place]
        if not row.pictures:
            style = self.get_component_rich_style("pictures--heading")
            return Strip([Segment(fitted(row.heading, width), style)], width)
        parts, line, pictures = [], y - row.top, self.pictures
        for index in range(row.first, row.first + row.pictures):
            if line < HEIGHT:
                parts.append(self._picture(index)[line])
            else:
                here = self.has_focus and index == self._cursor
                mark = "▸ " if here and line == HEIGHT else ""
                text = pictures[index][1].value if line == HEIGHT else pictures[index][1].name
                cursor = self.get_component_rich_style("pictures--cursor")
                style = cursor if here else self.rich_style
                parts.append(Strip([Segment(fitted(mark + plain(text), WIDTH), style)], WIDTH))
            parts.append(Strip.blank(2, self.rich_style))
        return Strip.join(parts).adjust_cell_length(width, self.rich_style)

    def go(self, index: int) -> None:
        """Puts the cursor on a picture."""
        self._cursor = max(0, min(index, len(self.pictures) - 1))
        row = self._row_of(self._cursor)
        if row is not None:
            self.scroll_to_region(Region(0, row.top, 1, HEIGHT + 2), animate=False)
        self.refresh()

    def _row_of(self, index: int) -> _Row | None:
        return next(
            (one for one in self._rows if one.first <= index < one.first + one.pictures), None
        )

    def action_move(self, by: int) -> None:
        """Puts the cursor on the picture before or after."""
        self.go(self._cursor + by)

    def action_row(self, by: int) -> None:
        """Puts the cursor into the row above or below, which may be of another heading."""
        rows = [one for one in self._rows if one.pictures]
        here = self._row_of(self._cursor)
        if here is not None and 0 <= rows.index(here) + by < len(rows):
            there = rows[rows.index(here) + by]
            self.go(there.first + min(self._cursor - here.first, there.pictures - 1))

    def on_click(self, event: events.Click) -> None:
        """Puts the cursor on the clicked picture; enlarges it where the cursor is already."""
        y = event.y + self.scroll_offset.y
        for row in self._rows:
            column = event.x // _CELL
            if row.top <= y < row.top + HEIGHT + 2 and column < row.pictures:
                again = self.has_focus and row.first + column == self._cursor
                self.go(row.first + column)
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
        return ("image-ends",)


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
    PictureScreen #enlarged-about { height: 3; }
    .-ascii PictureScreen #enlarged { border: ascii $primary; }
    """

    def __init__(self, pictures: Sequence[tuple[str, Picture]], index: int) -> None:
        super().__init__()
        self._pictures, self._index = pictures, index

    def compose(self) -> ComposeResult:
        """Lays out the picture above its text, in the size that it keeps."""
        with Vertical(id="enlarged"):
            yield Thumbnail(id="enlarged-picture")
            yield Static("", id="enlarged-about", markup=False)

    def on_mount(self) -> None:
        """Shows the picture."""
        self._fit()
        self._show()

    def on_resize(self) -> None:
        """Makes the picture as large as the window allows."""
        self._fit()

    def _fit(self) -> None:
        """Sets the size of the picture; two columns are as wide as a line is high."""
        width, height = self.app.size
        room = max(min(height - 6, (width - 8) // 2), 4)
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
        return ("image-ends",)
