"""The generic tab: the sections of some probes, with the evidence behind the row at the cursor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content as Styled
from textual.geometry import Region
from textual.widget import Widget
from textual.widgets import Collapsible, Input, Static

from tuiprobe.catalog.glossary import mentioned, named
from tuiprobe.errors import TuiprobeError
from tuiprobe.numbers import unbroken
from tuiprobe.plaintext import holds_all, plain
from tuiprobe.results import Estimate
from tuiprobe.results.section import (
    Bullets,
    Chart,
    Code,
    Heading,
    Prose,
    RowSubject,
    Section,
    SectionContent,
    Strip,
    Table,
    Text,
    Value,
)
from tuiprobe.show.report.page_layout import LISTED_ROWS
from tuiprobe.show.report.strings import line
from tuiprobe.show.report.terminal import aligned_lines, table_lines
from tuiprobe.show.tui.control import EngineApp
from tuiprobe.show.tui.keys import KEYS
from tuiprobe.show.tui.tabs.tab import ResultTab, RunResults, table_cells
from tuiprobe.show.tui.text import DIM, FigureText, inert, inert_lines
from tuiprobe.show.tui.widgets.bars import BarsView
from tuiprobe.show.tui.widgets.pictures import PictureGrid, PicturePanel
from tuiprobe.show.tui.widgets.rows import RowColumn, RowTable
from tuiprobe.show.tui.widgets.textplot import ChartView

if TYPE_CHECKING:
    from tuiprobe.show.tui.screens.pictures import PictureSets

WIDEST = 30
"""Cells of a title or text at most, where there is no room for all; figures are never cut."""


class WrappedTable(Static):
    """A table whose cells are wrapped between words for the width there is, never inside a range.

    Args:
        table: The table.
    """

    def __init__(self, table: Table) -> None:
        super().__init__(markup=False)
        self._table = table.model_copy(update={"shown": LISTED_ROWS})

    def on_resize(self) -> None:
        """Draws for the new width."""
        rows, title = self._table.rows, line(self._table.title)
        lines = [title] if title else []
        aligned = aligned_lines(self._table, self.size.width)
        if not aligned and (aligned := aligned_lines(_points(self._table), self.size.width)):
            lines.append("without ranges, which need a wider window:")
        lines += aligned or table_lines(self._table, max(self.size.width, 1))
        if len(rows) > LISTED_ROWS:
            lines.append(f"and {len(rows) - LISTED_ROWS:,} more: e exports them")
        self.update(inert_lines(lines))


def _points(table: Table) -> Table:
    """Returns a table with figures alone, where their ranges have no room."""
    rows = [
        tuple(cell.point() if isinstance(cell, Estimate) else cell for cell in row)
        for row in table.rows
    ]
    return table.model_copy(update={"rows": tuple(rows)})


class SubjectTable(RowTable[int]):
    """A table whose rows are about channels or directions: Enter goes to the evidence behind one.

    Args:
        table: The table.
    """

    def __init__(self, table: Table) -> None:
        self.section_table = table
        self._texts = table_cells(table)
        filled = [
            i for i in range(len(table.columns)) if {row[i] for row in self._texts} - {"", "-"}
        ]  # columns in which some row says anything
        self._filled = filled
        super().__init__(
            self._columns(WIDEST), self._cells, empty="no row matches",
            sorts_down=(False,) * len(filled),
        )  # fmt: skip
        self.show_rows(range(len(table.rows)))

    def on_resize(self) -> None:
        """Cuts no title and no cell where there is room for all of them."""
        natural = self._columns(self.size.width)
        fits = sum(column.width + 1 for column in natural) <= self.size.width + 1
        self.columns = natural if fits else self._columns(WIDEST)
        super().on_resize()

    def _columns(self, widest: int) -> list[RowColumn]:
        columns = []
        for index, i in enumerate(self._filled):
            column = self.section_table.columns[i]
            title = line(column.title)
            cells = max(cell_len(row[i]) for row in self._texts)
            right = all(
                isinstance(row[i], int | float | Estimate) for row in self.section_table.rows
            )
            width = max(cells if right else min(cells, widest), min(cell_len(title), widest))
            terms = (term.id for term in (named(title), *mentioned(title)) if term)
            term = column.term or next(terms, "")
            columns.append(RowColumn(title, width, right and index > 0, drop=index, term=term))
        return columns

    def _cells(self, row: int) -> list[str]:
        return [self._texts[row][i] for i in self._filled]

    def _move_cursor(self, row: int) -> None:
        """Moves the cursor, and keeps it in sight in the tab too, which scrolls as a whole."""
        super()._move_cursor(row)
        tab = next((one for one in self.ancestors if isinstance(one, VerticalScroll)), None)
        if tab is not None and self.has_focus:
            top = self.region.y - tab.region.y + tab.scroll_offset.y
            at = top + 1 + self.cursor - self.scroll_offset.y
            tab.scroll_to_region(Region(0, at, 1, 1), animate=False)

    @property
    def subject(self) -> RowSubject | None:
        """What the row under the cursor is about."""
        if self.current is None or not self.section_table.subjects:
            return None
        return next(iter(self.section_table.subjects[self.current]), None)

    @property
    def subject_title(self) -> str:
        """What the row under the cursor is about: `sky (scene), direction 11`, `channel 12`."""
        if self.current is None or self.subject is None:
            return ""
        ids = [column.id for column in self.section_table.columns]
        cells = dict(zip(ids, self._texts[self.current], strict=True))
        concept = f"{cells['concept']} ({cells['category']}), " if "concept" in cells else ""
        return f"{concept}{self.subject.words}"

    @property
    def pictures(self) -> tuple[str, str]:
        """The set and the class that the row under the cursor is about; empty for none."""
        if self.current is None:
            return "", ""
        ids = [column.id for column in self.section_table.columns]
        cells = dict(zip(ids, self.section_table.rows[self.current], strict=True))
        data, label = (cells.get(id, "") for id in ("data", "class"))
        return data.code if isinstance(data, Code) else str(data), str(label)

    def select_row(self, name: str) -> bool:
        """Puts the cursor on the row that begins with a name; returns whether there is one."""
        at = next((i for i, row in enumerate(self.rows) if self._texts[row][0] == name), None)
        if at is not None:
            self.show_rows(self.rows, at)
        return at is not None

    def select(self, query: str) -> None:
        """Shows the rows with all words, in the order of a column.

        Args:
            query: The words.
        """
        words = query.split()
        rows = [i for i, cells in enumerate(self._texts) if holds_all(" ".join(cells), words)]
        if self.sorted_by is not None:
            column, down = self._filled[self.sorted_by[0]], self.sorted_by[1]
            rows.sort(key=lambda i: _sort_key(self.section_table.rows[i][column]), reverse=down)
        self.show_rows(rows, 0)


class SubjectPanel(PicturePanel):
    """The pictures of a channel or direction, and what else the run says of it.

    Args:
        results: The run.
    """

    def __init__(self, results: RunResults) -> None:
        super().__init__(classes="aside panel")
        self.results = results
        self.subject: RowSubject | None = None

    def show_row(self, subject: RowSubject | None, title: str, table: Table) -> None:
        """Shows another subject.

        Args:
            subject: The channel or direction.
            title: Its name for people.
            table: The table of that row, which is not repeated.
        """
        self.subject = subject
        about = Styled("\n").join(self.results.about_subject(subject, table))
        strip = self.results.strip(subject)
        title = f"{title} ({strip.data})" if strip is not None else title
        self.show(title, self.results.picture_groups(strip), about)


class SetPanel(PicturePanel):
    """The pictures of the set or class under the cursor, beside its table in a wide window.

    Args:
        run: The run.
    """

    app: EngineApp

    def __init__(self, run: Path) -> None:
        super().__init__(classes="aside panel -of-sets")
        self._run = run
        self._sets: PictureSets | None = None
        self._selection: tuple[str, str] | None = None

    def show_set(self, data: str, label: str) -> None:
        """Shows the pictures of a set or of a class; they are read when they are first in sight."""
        self._selection = data, label
        if self._sets is not None:
            self._arrived(self._sets)

    def on_show(self) -> None:
        """Reads the answers in a thread."""
        if self._sets is None:
            from tuiprobe.show.tui.screens.pictures import PictureSets

            self.border_title = "reading…"
            self.app.read(self, partial(PictureSets, [self._run]), self._arrived)

    def _arrived(self, sets: PictureSets | TuiprobeError) -> None:
        if isinstance(sets, TuiprobeError):
            self.border_title = inert(str(sets))
            return
        self._sets = sets
        if self._selection is not None and sets.rows:
            self.show(*sets.shown(sets.rows[sets.row_index(*self._selection)]))


class SectionTab(ResultTab):
    """Sections from top to bottom; beside them the evidence behind the row at the cursor.

    Args:
        results: The run.
        sections: The sections, each of one probe.
    """

    BINDINGS: ClassVar[list[BindingType]] = KEYS["section"]

    def __init__(self, results: RunResults, sections: Sequence[Section]) -> None:
        super().__init__(results)
        self._sections = tuple(sections)
        content = [piece for section in sections for piece in section.content]
        tables = [piece for piece in content if isinstance(piece, Table)]
        self._tables = any(table.subjects for table in tables)
        self._is_of_sets = any(map(is_of_sets, tables))
        self._query = ""

    def compose(self) -> ComposeResult:
        """Lays the sections out; a filter stands above, pictures beside rows that can be opened."""
        with Vertical(classes="main"):
            filter = Input(placeholder="/ filters the rows of tables", classes="filter")
            filter.display = False
            yield filter
            with VerticalScroll(can_focus=True):
                for section in self._sections:
                    with Vertical(classes="panel") as panel:
                        panel.border_title = inert(section.title)
                        yield from self._content(section)
        if self._tables:
            yield SubjectPanel(self.results)
        elif self._is_of_sets:
            yield SetPanel(self.results.run.path)

    def _content(self, section: Section) -> Iterator[Widget]:
        """Yields headline and content, first rows that can be opened, below their bars."""
        if section.headline:
            yield FigureText(_text(section.headline), classes="section-headline")
        bars = [
            piece
            for piece in section.content
            if isinstance(piece, Chart) and _of_rows(piece, section)
        ]
        yield from map(BarsView, bars)
        pieces = [piece for piece in section.content if piece not in bars]
        pieces.sort(key=lambda of: not (isinstance(of, Table) and of.subjects))
        for piece in pieces:
            yield from self._widgets(piece)

    def _widgets(self, piece: SectionContent) -> Iterator[Widget]:
        if isinstance(piece, Heading):
            yield FigureText(_text(piece.text), classes="section-heading")
        elif isinstance(piece, Prose):
            yield FigureText(_text(piece.text))
        elif isinstance(piece, Bullets):
            yield FigureText(Styled("\n").join(_text(("- ", *item)) for item in piece.items))
        elif isinstance(piece, Table) and piece.reading and piece.rows:
            has_pictures = bool(piece.subjects) or is_of_sets(piece)
            if piece.title and has_pictures:
                yield FigureText(_text(piece.title))
            table = SubjectTable(piece) if has_pictures else WrappedTable(piece)
            if isinstance(table, SubjectTable):
                shown = min(len(piece.rows), piece.shown or LISTED_ROWS)
                table.styles.height = shown + 1
            yield _folded(table, line(piece.title) or piece.id.replace("_", " "), piece.folded)
            if isinstance(table, SubjectTable) and shown < len(piece.rows):
                yield FigureText(inert(f"{len(piece.rows) - shown:,} more: end, or / filters", DIM))
        elif isinstance(piece, Chart):
            yield _folded(ChartView(piece, classes="panel"), piece.title, piece.folded)
        elif isinstance(piece, Strip) and piece.subject is None and not piece.folded:
            grid = PictureGrid(self.results.picture_groups(piece))
            grid.border_title = inert(line(piece.title))
            yield grid

    def first(self) -> Widget | None:
        """Returns the first table whose rows can be opened, or else all of it, which scrolls."""
        return next(iter([*self.query(SubjectTable), *self.query(VerticalScroll)]), None)

    @property
    def table(self) -> SubjectTable | None:
        """The table with the focus, or else the first whose rows can be opened."""
        tables = list(self.query(SubjectTable))
        return next((table for table in tables if table.has_focus), tables[0] if tables else None)

    @on(RowTable.Highlighted)
    def _moved(self, event: RowTable.Highlighted) -> None:
        table = event.table
        if not isinstance(table, SubjectTable) or table is not self.table:
            return
        for panel in self.query(SetPanel):
            panel.show_set(*table.pictures)
        if self.query(SubjectPanel):
            of = (table.subject, table.subject_title, table.section_table)
            self.query_one(SubjectPanel).show_row(*of)

    @on(Input.Changed)
    def _filter_changed(self, event: Input.Changed) -> None:
        self._query = event.value
        for table in self.query(SubjectTable):
            table.select(self._query)

    @on(Input.Submitted)
    def filter_done(self) -> None:
        """Goes back to the rows; an empty filter leaves."""
        filter, table = self.query_one(Input), self.first()
        filter.display = bool(filter.value)
        if table is not None:
            table.focus()

    def clear_filter(self) -> bool:
        """Clears the filter; returns whether there was one."""
        filter = self.query_one(Input)
        shown = filter.display
        filter.value = ""
        if shown:
            self.filter_done()
        return shown

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Returns whether a key does something: some are about rows that can be opened."""
        return self._tables or action != "filter"

    def action_filter(self) -> None:
        """Puts the cursor into the filter."""
        filter = self.query_one(Input)
        filter.display = True
        filter.focus()

    @on(RowTable.Sorted)
    def _sorted(self, event: RowTable.Sorted) -> None:
        if isinstance(event.table, SubjectTable):
            event.table.select(self._query)

    def copied(self) -> str:
        """Returns the row under the cursor, or else the headlines."""
        if self.table is not None:
            return ", ".join(f"{name} {cell}" for name, cell in self.table.current_cells().items())
        return "\n".join(line(section.headline) for section in self._sections)

    def explained(self) -> tuple[str, ...]:
        """Returns the terms of titles, headlines and the headings of the tables."""
        words = [
            text for section in self._sections for text in (section.title, line(section.headline))
        ]
        tables = [piece for section in self._sections for piece in section.content]
        columns = [
            column
            for piece in tables
            if isinstance(piece, Table) and piece.reading
            for column in piece.columns
        ]
        titles = [line(column.title) for column in columns]
        terms = [*map(named, titles), *mentioned(" . ".join([*words, *titles]))]
        ids = [column.term for column in columns]
        ids += [term.id for term in terms if term is not None]
        return tuple(dict.fromkeys(filter(None, ids)))


def _text(text: Text) -> Styled:
    """Returns a text whose ranges stay in one line."""
    return inert(unbroken(line(text)))


def _of_rows(chart: Chart, section: Section) -> bool:
    """Returns whether a chart has a bar for each row of a table whose rows can be opened."""
    bars = any(series.mark == "bars" for series in chart.series)
    tables = (piece for piece in section.content if isinstance(piece, Table) and piece.subjects)
    names = ({line((row[0],)) for row in table.rows} for table in tables)
    return bars and any(rows == {*chart.ticks} for rows in names)


def is_of_sets(table: Table) -> bool:
    """Returns whether each row is about a set of images."""
    return not table.subjects and bool(table.columns) and table.columns[0].id == "data"


def _folded(widget: Widget, title: str, folded: bool) -> Widget:
    """Returns a widget, or its title, which Enter opens."""
    return Collapsible(widget, title=plain(title), collapsed=True) if folded else widget


def _sort_key(value: Value) -> tuple[bool, float, str]:
    """Returns the sort key of a cell: numbers by their value, before words."""
    if isinstance(value, Estimate):
        return (False, value.value, "")
    if isinstance(value, int | float):
        return (False, float(value), "")
    return (True, 0.0, line((value,)).lower())
