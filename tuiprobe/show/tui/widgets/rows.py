"""A table that formats only visible rows, so that 5,000 rows cost as much as 50."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.color import Color
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tuiprobe.plaintext import plain
from tuiprobe.show.tui.text import fitted

T = TypeVar("T")


@dataclass(frozen=True)
class RowColumn:
    """One column.

    Attributes:
        title: Heading.
        width: Cells; of the first column the least, since it takes what is left. Another one
            without width is not shown.
        right: Whether numbers are aligned to the right.
        drop: Columns with larger numbers are left out first where the table is too narrow;
            0 is always kept.
        term: Id of what the glossary says about it; empty for what needs no words.
        colour: Variable of the theme that it is drawn in; empty for that of the table.
    """

    title: str
    width: int
    right: bool = False
    drop: int = 0
    term: str = ""
    colour: str = ""


def visible_columns(columns: Sequence[RowColumn], width: int) -> list[int]:
    """Returns the indices of the columns that fit into `width` cells.

    >>> two = [RowColumn("name", 10), RowColumn("note", 8, drop=1)]
    >>> visible_columns(two, 30), visible_columns(two, 12)
    ([0, 1], [0])
    """
    visible = [i for i, column in enumerate(columns) if column.width or not i]
    while sum(columns[i].width + 1 for i in visible) - 1 > width:
        last = max(visible, key=lambda i: (columns[i].drop, i))
        if columns[last].drop == 0:
            break
        visible.remove(last)
    return visible


def row_text(columns: Sequence[RowColumn], cells: Sequence[str], width: int) -> str:
    """Returns one row as text of exactly `width` cells; what comes from outside is made inert.

    >>> row_text([RowColumn("name", 6), RowColumn("n", 4, right=True)], ["abc", "12"], 14)
    'abc         12'
    """
    visible = visible_columns(columns, width)
    used = sum(columns[i].width + 1 for i in visible[1:])
    parts = []
    for i in visible:
        column, cell = columns[i], plain(cells[i])
        room = max(width - used, 1) if i == visible[0] else column.width
        parts.append(fitted(cell, room) if not column.right else _right_aligned(cell, room))
    return fitted(" ".join(parts), width)


def heading_text(columns: Sequence[RowColumn], order: tuple[int, bool] | None, width: int) -> str:
    """Returns the headings as text of exactly `width` cells; the arrow of the order has its own.

    Args:
        columns: The columns.
        order: Index of the column that rows are sorted by, and whether downwards; None for none.
        width: Cells.

    >>> two = [RowColumn("name", 6), RowColumn("AP", 2, right=True)]
    >>> heading_text(two, (1, True), 12), heading_text(two, (0, False), 12)
    ('name     ↓AP', 'name↑     AP')
    """
    text = row_text(columns, [column.title for column in columns], width)
    if order is None or order[0] not in visible_columns(columns, width):
        return text
    index, down = order
    column, start = columns[index], column_start(columns, index, width)
    if column.right:  # before the title, where it may need the gap between two columns
        room = columns[index].width if start else width
        at = start + room - min(len(column.title), room) - 1
    else:
        at = start + min(len(column.title), column.width)
    at = max(0, min(at, width - 1))
    return text[:at] + ("↓" if down else "↑") + text[at + 1 :]


def column_start(columns: Sequence[RowColumn], index: int, width: int) -> int:
    """Returns the cell at which a kept column starts."""
    visible = visible_columns(columns, width)
    after = [i for i in visible[visible.index(index) :] if i != visible[0]]
    if index == visible[0]:
        return 0
    return width - sum(columns[i].width + 1 for i in after) + 1


def _right_aligned(cell: str, width: int) -> str:
    text = fitted(cell, width).rstrip()
    return " " * (width - len(text)) + text if text.isascii() else fitted(cell.rjust(width), width)


class RowTable(ScrollView, Generic[T], can_focus=True):
    """Rows under a fixed heading, with a cursor.

    The owner filters and sorts, and passes a new sequence, which costs nothing.

    Args:
        columns: The columns; the first takes the width that is left.
        cells: Turns a row into one text per column; called for visible rows only.
        empty: Text if there are no rows, with the remedy.
        sorts_down: For each column that rows can be sorted by, whether downwards at first.
        id: Id of the widget.
    """

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {"rows--heading", "rows--cursor", "rows--blurred"}
    DEFAULT_CSS = """
    RowTable { height: 1fr; overflow-x: hidden; scrollbar-size-vertical: 1; }
    RowTable > .rows--heading { text-style: bold; color: $secondary; }
    RowTable > .rows--cursor { background: $primary 35%; text-style: bold; }
    RowTable > .rows--blurred { background: $panel; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "up", show=False, tooltip="One row up"),
        Binding("down,j", "move(1)", "down", show=False, tooltip="One row down"),
        Binding("pageup", "page(-1)", "page up", show=False, tooltip="One page up"),
        Binding("pagedown", "page(1)", "page down", show=False, tooltip="One page down"),
        Binding("home,g", "end(0)", "first", show=False, tooltip="First row"),
        Binding("end,G", "end(1)", "last", show=False, tooltip="Last row"),
        Binding("enter", "choose", "open", show=False, tooltip="Open this row"),
        Binding("s", "sort", "sort", show=False, tooltip="Sort by the next column, or by a click"),
    ]

    class Highlighted(Message):
        """The cursor is on another row."""

        def __init__(self, table: RowTable[Any]) -> None:
            super().__init__()
            self.table = table

        @property
        def control(self) -> RowTable[Any]:
            """The table."""
            return self.table

    class Chosen(Highlighted):
        """A row was chosen by Enter or a double click."""

    class Sorted(Highlighted):
        """Another order was chosen, which is in `sorted_by`: by its key, or by a heading."""

    def __init__(
        self,
        columns: Sequence[RowColumn],
        cells: Callable[[T], Sequence[str]],
        *,
        empty: str = "",
        sorts_down: Sequence[bool] = (),
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self.columns, self.empty, self.sorts_down = columns, empty, sorts_down
        self.sorted_by: tuple[int, bool] | None = None
        self._cells = cells
        self._rows: Sequence[T] = ()
        self._cursor = 0

    @property
    def rows(self) -> Sequence[T]:
        """The rows that are shown, in order."""
        return self._rows

    @property
    def cursor(self) -> int:
        """Index of the row under the cursor."""
        return self._cursor

    @property
    def current(self) -> T | None:
        """The row under the cursor; None where there is none."""
        return self._rows[self._cursor] if self._rows else None

    def show_rows(self, rows: Sequence[T], cursor: int | None = None) -> None:
        """Shows other rows; the cursor stays where it is, or goes to `cursor`."""
        self._rows = rows
        self.virtual_size = Size(0, 1 + max(len(rows), 1))  # the heading, and rows or `empty`
        self._move_cursor(self._cursor if cursor is None else cursor)
        self.refresh()

    def _move_cursor(self, row: int) -> None:
        self._cursor = max(0, min(row, len(self._rows) - 1))
        page = max(self.scrollable_content_region.height - 1, 1)
        top = self.scroll_offset.y
        if self._cursor < top:
            self.scroll_to(y=self._cursor, animate=False)
        elif self._cursor >= top + page:
            self.scroll_to(y=self._cursor - page + 1, animate=False)
        self.refresh()
        self.post_message(self.Highlighted(self))

    def action_move(self, by: int) -> None:
        """Moves the cursor."""
        self._move_cursor(self._cursor + by)

    def action_page(self, by: int) -> None:
        """Moves the cursor by a page."""
        self._move_cursor(self._cursor + by * max(self.size.height - 2, 1))

    def action_end(self, last: int) -> None:
        """Moves the cursor to the first or the last row."""
        self._move_cursor(last * (len(self._rows) - 1))

    def action_choose(self) -> None:
        """Chooses the row under the cursor."""
        if self._rows:
            self.post_message(self.Chosen(self))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Returns whether rows can be sorted."""
        return action != "sort" or bool(self.sorts_down)

    def action_sort(self) -> None:
        """Sorts by the next column; after the last one, restores the original order."""
        column = 0 if self.sorted_by is None else self.sorted_by[0] + 1
        sorts = column < len(self.sorts_down)
        self._sort((column, self.sorts_down[column]) if sorts else None)

    def _sort(self, order: tuple[int, bool] | None) -> None:
        self.sorted_by = order
        self.post_message(self.Sorted(self))

    def on_resize(self) -> None:
        """Keeps the cursor in sight."""
        if self._rows:
            self._move_cursor(self._cursor)

    def on_click(self, event: events.Click) -> None:
        """Puts the cursor on a row, chooses it on a double click, or sorts by a heading."""
        if event.y == 0:
            column = self._column_at(event.x)
            if column is not None and column < len(self.sorts_down):
                before, down = self.sorted_by, self.sorts_down[column]
                selected = before is not None and before[0] == column
                self._sort((column, not before[1] if before and selected else down))
            return
        row = self.scroll_offset.y + event.y - 1
        if row < len(self._rows):
            self._move_cursor(row)
            if event.chain == 2:
                self.action_choose()

    def _column_at(self, x: int) -> int | None:
        width = self.scrollable_content_region.width
        for i in reversed(visible_columns(self.columns, width)):
            if x >= column_start(self.columns, i, width):
                return i
        return None

    def row_line(self, row: T, width: int) -> str:
        """Returns the text of a row, exactly `width` cells."""
        return row_text(self.columns, self._cells(row), width)

    def row_style(self, row: T) -> Style:
        """Returns the style of a row that is not under the cursor."""
        return self.rich_style

    def current_cells(self) -> dict[str, str]:
        """Returns the cells of the row under the cursor by their headings, without empty ones."""
        if self.current is None:
            return {}
        pairs = zip(self.columns, self._cells(self.current), strict=True)
        return {column.title.strip(): cell.strip() for column, cell in pairs if cell.strip()}

    def explained(self) -> tuple[str, ...]:
        """Returns the terms of the columns that are shown, the one of the order first."""
        visible = visible_columns(self.columns, self.scrollable_content_region.width)
        if self.sorted_by is not None:
            visible.sort(key=lambda i: i != (self.sorted_by or (0,))[0])
        terms = (self.columns[i].term for i in visible)
        return tuple(dict.fromkeys(term for term in terms if term))

    def colours(self, row: T | None, width: int) -> list[tuple[int, int, str]]:
        """Returns the coloured part of a row: first cell, end, variable of the theme.

        Args:
            row: The row; None for the heading.
            width: Cells of the table.
        """
        return [
            (start, start + self.columns[i].width, self.columns[i].colour)
            for i in visible_columns(self.columns, width)
            if self.columns[i].colour
            for start in (column_start(self.columns, i, width),)
        ]

    def _coloured(self, text: str, style: Style, row: T | None, width: int) -> Strip:
        strip, variables = Strip([Segment(text, style)], width), self.app.theme_variables
        for start, end, colour in self.colours(row, width):
            if start < 0:  # drawn for a width that is no more
                continue
            before, middle, after = strip.divide([start, min(end, width), width])
            coloured = style + Style(color=Color.parse(variables[colour]).rich_color)
            middle = Strip([Segment(part, coloured) for part, *_ in middle])
            strip = Strip.join([before, middle, after])
        return strip

    def render_line(self, y: int) -> Strip:
        """Returns one line: the heading, a row, or why there is none."""
        width = self.scrollable_content_region.width
        if y == 0:
            style = self.get_component_rich_style("rows--heading")
            text = heading_text(self.columns, self.sorted_by, width)
            return self._coloured(text, style, None, width)
        row = self.scroll_offset.y + y - 1
        if row < len(self._rows):
            text, style = self.row_line(self._rows[row], width), self.row_style(self._rows[row])
            if row == self._cursor and self.can_focus:
                name = "rows--cursor" if self.has_focus else "rows--blurred"
                style = self.get_component_rich_style(name)
            return self._coloured(text, style, self._rows[row], width)
        text = self.empty if not self._rows and y == 1 else ""
        return Strip([Segment(fitted(text, width), self.rich_style)], width)
