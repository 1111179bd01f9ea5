"""A grid of small pictures, each over its name and value, and one of them alone.

The cursor goes from picture to picture by the arrow keys; Enter or a click on it shows it large.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from textual import events, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widgets import Static

from tuiprobe.catalog.glossary import mentioned
from tuiprobe.errors import TuiprobeError
from tuiprobe.files import Entry
from tuiprobe.plaintext import plain
from tuiprobe.show.tui.text import FigureText, fitted, inert, inert_lines
from tuiprobe.show.tui.widgets.dialog import Dialog
from tuiprobe.show.tui.widgets.thumbnail import PictureView, picture_strips, read_picture, scaled

if TYPE_CHECKING:
    from PIL.Image import Image

WIDTH, HEIGHT = 16, 8

LARGE = 256
"""Pixels of a side of a picture that a run keeps, when it is shown large."""


@dataclass(frozen=True)
class Picture:
    """One picture: where its pixels are, and words about it, which may come from outside.

    Attributes:
        file: What the run keeps of it.
        name: The last line below it, its path.
        values: The lines before that: a value, or what each model answers.
        original: Opens the image where it came from; None where only `file` is at hand.
        about: Further lines below the picture when it is large.
    """

    file: Entry | None
    name: str
    values: tuple[str, ...]
    original: Callable[[], Image] | None = None
    about: tuple[str, ...] = ()

    def image(self, width: int, height: int) -> Image | None:
        """Returns the original in its own shape, or else what the run keeps, in this size."""
        if self.original is not None:
            with suppress(TuiprobeError):
                return self.original()
        return None if self.file is None else read_picture(self.file, width, height)


PictureGroups = list[tuple[str, list[Picture]]]
"""Headings with their pictures."""


class PictureGrid(ScrollView, can_focus=True):
    """Rows of pictures under a heading each, as many a row as fit, with a cursor.

    Two headings may stand side by side. Words below a picture take the room beside it.

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
        groups: PictureGroups | None = None,
        *,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.groups = groups or []
        self._pictures: list[tuple[str, Picture]] = []  # each with its heading
        self._regions: list[Region] = []
        self._headings: dict[int, list[str]] = {}  # by line, from left to right
        self._paired = False
        self._strips: dict[int, list[Strip]] = {}
        self._unopened: list[int] = []  # originals to open
        self._cursor = 0

    @property
    def current(self) -> Picture | None:
        """The picture under the cursor; None where there is none."""
        return self._pictures[self._cursor][1] if self._pictures else None

    def show(self, groups: PictureGroups, paired: bool = False) -> None:
        """Shows other pictures, two headings side by side if they are a pair."""
        if groups != self.groups:
            self.groups, self._cursor, self._strips, self._unopened = groups, 0, {}, []
            self._paired = paired
            self.on_resize()
            self.scroll_home(animate=False)

    def on_mount(self) -> None:
        """Lays out the first pictures."""
        self.on_resize()

    def on_resize(self) -> None:
        """Puts as many pictures into a row as fit."""
        width = self.scrollable_content_region.width
        sides = 2 if self._paired and width >= 2 * (WIDTH + 2) else 1
        side = width // sides
        columns = max((side + 2) // (WIDTH + 2), 1)
        across = max((side + 2) // columns, WIDTH + 2)
        self._pictures, self._regions, self._headings, top = [], [], {}, 0
        for first in range(0, len(self.groups), sides):
            pair = self.groups[first : first + sides]
            self._headings[top] = [plain(heading) for heading, _ in pair]
            bottom = top + 1
            for left, (heading, pictures) in enumerate(pair):
                for i, picture in enumerate(pictures):
                    height = HEIGHT + len(picture.values) + 1
                    x, y = left * side + i % columns * across, top + 1 + i // columns * height
                    self._pictures.append((heading, picture))
                    self._regions.append(Region(x, y, across - 2, height))
                    bottom = max(bottom, y + height)
            top = bottom
        self.virtual_size = Size(0, top)
        self.refresh()

    def _picture(self, index: int) -> list[Strip]:
        """Returns the lines of a picture, read when it is first in sight; originals in a thread."""
        if index not in self._strips:
            picture = self._pictures[index][1]
            if picture.original is None:
                self._read(index, picture.image(WIDTH, 2 * HEIGHT))
            else:
                self._strips[index] = self._words("reading…")
                self._unopened.append(index)
                if len(self._unopened) == 1:
                    self._open_originals(self._unopened, self._pictures)
        return self._strips[index]

    def _words(self, text: str) -> list[Strip]:
        lines = [fitted(text if y == 3 else "", WIDTH) for y in range(HEIGHT)]
        return [Strip([Segment(line, self.rich_style)]) for line in lines]

    def _read(self, index: int, image: Image | None) -> None:
        self._strips[index] = (
            self._words("no picture")
            if image is None
            else picture_strips(scaled(image, WIDTH, 2 * HEIGHT), self.app, self.rich_style)
        )

    @work(thread=True, group="originals")
    def _open_originals(self, unopened: list[int], pictures: list[tuple[str, Picture]]) -> None:
        """Opens pictures in sight, one after the other, until others are shown.

        Args:
            unopened: Their indices, of which only this thread takes some away.
            pictures: All pictures.
        """
        while unopened and unopened is self._unopened and self.is_attached:
            image = pictures[unopened[0]][1].image(WIDTH, 2 * HEIGHT)
            self.app.call_later(self._opened, unopened, unopened[0], image)
            unopened.pop(0)

    def _opened(self, unopened: list[int], index: int, image: Image | None) -> None:
        if unopened is self._unopened and self.is_attached:
            self._read(index, image)
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Returns one line: of a heading, of pictures, or of the words below them."""
        width, y = self.scrollable_content_region.width, y + self.scroll_offset.y
        if y in self._headings:
            style = self.get_component_rich_style("pictures--heading")
            headings = self._headings[y]
            side = width // len(headings)
            text = "".join(fitted(heading, side - 1) + " " for heading in headings)
            return Strip([Segment(fitted(text, width), style)], width)
        parts, plain_style = [], self.rich_style  # which looks through all widgets around this one
        end = 0
        for index, region in enumerate(self._regions):
            line = y - region.y
            if not 0 <= line < region.height:
                continue
            parts.append(Strip.blank(region.x - end, plain_style))
            end = region.right
            if line < HEIGHT:
                strip = self._picture(index)[line]
                parts.append(strip.adjust_cell_length(region.width, plain_style))
            else:
                picture, style = self._pictures[index][1], plain_style
                text = plain((*picture.values, picture.name)[line - HEIGHT])
                if self.has_focus and index == self._cursor:
                    text = f"▸ {text}" if line == HEIGHT else text
                    style = self.get_component_rich_style("pictures--cursor")
                parts.append(Strip([Segment(fitted(text, region.width), style)], region.width))
        return Strip.join(parts).adjust_cell_length(width, plain_style)

    def move_cursor(self, index: int) -> None:
        """Puts the cursor on a picture."""
        self._cursor = max(0, min(index, len(self._pictures) - 1))
        if self._regions:
            self.scroll_to_region(self._regions[self._cursor], animate=False)
        self.refresh()

    def action_move(self, by: int) -> None:
        """Puts the cursor on the picture before or after, as one reads."""
        order = sorted(range(len(self._regions)), key=lambda i: self._regions[i][1::-1])
        if order:
            at = max(0, min(order.index(self._cursor) + by, len(order) - 1))
            self.move_cursor(order[at])

    def action_row(self, by: int) -> None:
        """Puts the cursor into the row above or below, which may be of another heading."""
        if not self._regions:
            return
        current = self._regions[self._cursor]
        tops = sorted({region.y for region in self._regions})
        row = tops.index(current.y) + by
        if 0 <= row < len(tops):
            places = [i for i, region in enumerate(self._regions) if region.y == tops[row]]
            self.move_cursor(min(places, key=lambda i: abs(self._regions[i].x - current.x)))

    def on_click(self, event: events.Click) -> None:
        """Puts the cursor on the clicked picture; enlarges it where the cursor is already."""
        for index, region in enumerate(self._regions):
            if region.contains(event.x, event.y + self.scroll_offset.y):
                selected = self.has_focus and index == self._cursor
                self.move_cursor(index)
                if selected:
                    self.action_enlarge()

    def action_enlarge(self) -> None:
        """Shows the picture under the cursor large."""
        if self._pictures:
            self.app.push_screen(
                PictureScreen(self._pictures, self._cursor),
                lambda index: self.move_cursor(index or 0),
            )

    def explained(self) -> tuple[str, ...]:
        """Returns the entries of the glossary on pictures at both ends."""
        return ("image-ends",)


class PicturePanel(Vertical):
    """Pictures above words about them."""

    DEFAULT_CSS = """
    PicturePanel PictureGrid { height: 1fr; }
    PicturePanel #about-scroll { height: auto; max-height: 40%; padding: 0; }
    """

    def compose(self) -> ComposeResult:
        """Lays out pictures and words."""
        yield PictureGrid()
        with VerticalScroll(id="about-scroll"):
            yield FigureText(id="about")

    @property
    def pictures(self) -> PictureGrid:
        """The pictures."""
        return self.query_one(PictureGrid)

    def show(self, title: str, groups: PictureGroups, about: Content, paired: bool = False) -> None:
        """Shows other pictures.

        Args:
            title: What they are; may come from outside.
            groups: Headings with their pictures.
            about: Words about them.
            paired: Whether two headings stand side by side.
        """
        self.border_title = inert(title)
        self.pictures.show(groups, paired)
        self.query_one("#about", FigureText).show(about)
        self.query_one("#about-scroll").display = bool(about.plain)

    def explained(self) -> tuple[str, ...]:
        """Returns the terms of the words, which a row of a section is about."""
        about = self.query_one("#about", FigureText).unwrapped.plain
        return tuple(dict.fromkeys((*(term.id for term in mentioned(about)), "ablation")))


class PictureScreen(Dialog[int]):
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

    def __init__(self, pictures: Sequence[tuple[str, Picture]], index: int) -> None:
        super().__init__()
        self._pictures, self._index = pictures, index
        self._about: list[str] = []

    def compose(self) -> ComposeResult:
        """Lays out the picture above its text, in the size that it keeps."""
        with Vertical(id="enlarged", classes="dialog"):
            yield PictureView(id="enlarged-picture")
            yield Static("", id="enlarged-about", markup=False)

    def on_mount(self) -> None:
        """Shows the picture."""
        self.on_resize()
        self._show()

    def on_resize(self) -> None:
        """Makes the picture as large as the window allows; two columns are one line high."""
        width, height = self.app.size
        room = max(min(height - 6, (width - 8) // 2), 4)
        view = self.query_one("#enlarged-picture", PictureView)
        view.styles.width, view.styles.height = 2 * room, room
        self.query_one("#enlarged-about").styles.width = max(2 * room, 40)

    def _show(self) -> None:
        heading, picture = self._pictures[self._index]
        values = picture.about or picture.values[:1]
        self._about = [f"{heading}: {values[0]}", *values[1:], picture.name]
        self.query_one("#enlarged-about", Static).update(inert_lines(self._about))
        self._open(picture)
        frame = self.query_one("#enlarged")
        frame.border_title = f"{self._index + 1} of {len(self._pictures)}"
        frame.border_subtitle = "← → others · esc closes"

    @work(thread=True, exclusive=True)
    def _open(self, picture: Picture) -> None:
        """Opens a picture in a thread: its disk may be slow."""
        image = picture.image(LARGE, LARGE)
        self.app.call_later(self._opened, picture, image)

    def _opened(self, picture: Picture, image: Image | None) -> None:
        if self.is_attached and picture is self._pictures[self._index][1]:
            self.query_one("#enlarged-picture", PictureView).show_image(image)
            if image is None:
                about = self.query_one("#enlarged-about", Static)
                about.update(inert_lines([*self._about, "the run keeps no picture of it"]))

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
        """Returns the entries of the glossary on pictures at both ends."""
        return ("image-ends",)
