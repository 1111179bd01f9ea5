"""Compare: two or more runs side by side, with differences and their intervals."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, Static

from tuiprobe.compare.describe import describe, overlap_line, sentence
from tuiprobe.compare.differences import Comparison, compare_runs, read_run
from tuiprobe.errors import TuiprobeError
from tuiprobe.plaintext import plain
from tuiprobe.report.markdown import section_markdown
from tuiprobe.report.text import line
from tuiprobe.tui.child import shown_command
from tuiprobe.tui.comparing import LETTERS, CompareRow, cells, columns, compare_rows, filtered
from tuiprobe.tui.figures import DIM
from tuiprobe.tui.screens.base import FilteredScreen
from tuiprobe.tui.text import inert
from tuiprobe.tui.widgets.rows import RowTable


class CompareTable(RowTable[CompareRow]):
    """One row a figure."""


class CompareScreen(FilteredScreen):
    """Runs side by side: each figure, and its difference to the first run with interval.

    Args:
        runs: Two or more run directories; the first is what the others are compared with.
    """

    PLACE = "Compare"
    AUTO_FOCUS = "#compared"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "filter", key_display="/", tooltip="Filter as you type"),
        Binding("f", "everything", "all figures", tooltip="All figures, or the headline figures"),
        Binding("d", "differing", "differing", tooltip="Only figures that differ"),
        Binding("n", "swap", "next as A", tooltip="Compare with the next run instead"),
        Binding("y", "copy", "copy", tooltip="Copy the row"),
        Binding("Y", "copy_all", "copy all", tooltip="Copy the whole comparison as Markdown"),
        Binding("c", "command", "command", show=False, tooltip="Copy the command that prints this"),
        Binding("escape", "clear", "back", tooltip="Clear the filter, or go back"),
    ]
    DEFAULT_CSS = """
    CompareScreen #compare-head { height: auto; max-height: 8; padding: 0 1; }
    CompareScreen.-low #compare-head { max-height: 4; }
    """

    def __init__(self, runs: list[Path]) -> None:
        super().__init__()
        self.runs = list(runs)
        self._found: list[Comparison] = []
        self._rows: list[CompareRow] = []
        self._only = False
        self._all = False

    def compose_body(self) -> ComposeResult:
        """Lays out the runs above the table."""
        with Vertical(id="body"):
            yield Static("reading results…", id="compare-head", markup=False)
            with Vertical(classes="panel", id="compare-panel"):
                yield Input(
                    placeholder="/ filters: words of figure, set or layer",
                    id="compare-filter",
                    classes="filter",
                )
                yield CompareTable(columns(len(self.runs)), cells, empty="reading…", id="compared")

    def on_mount(self) -> None:
        """Reads the reports in a thread."""
        self._start()

    def _start(self) -> None:
        threading.Thread(target=self._read, args=(tuple(self.runs),), daemon=True).start()

    @property
    def table(self) -> CompareTable:
        """The table."""
        return self.query_one("#compared", CompareTable)

    def _read(self, runs: tuple[Path, ...]) -> None:
        from tuiprobe.run.directory import RunDir

        try:
            first, *others = (read_run(RunDir(run)) for run in runs)
            found: list[Comparison] | str = [compare_runs(first, other) for other in others]
        except TuiprobeError as error:
            found = str(error)
        if self.is_running:
            self.app.call_later(self._arrived, found)

    def _arrived(self, found: list[Comparison] | str) -> None:
        if not self.alive:
            return
        if isinstance(found, str):
            self._found, self._rows = [], []
            self.query_one("#compare-head", Static).update(inert(found))
            self.table.empty = "nothing to compare: esc goes back"
        else:
            self._found, self._rows = found, compare_rows(found)
            self.query_one("#compare-head", Static).update(head(self.runs, found))
            self.table.empty = "No figure matches. esc clears the filter, d shows all."
        self._show()

    def _show(self) -> None:
        rows = filtered(self._rows, self._query, self._only, self._all)
        self.table.show_rows(rows)
        differing = sum(row.differs for row in self._rows)
        only = " · differing only" if self._only else ""
        panel = self.query_one("#compare-panel")
        panel.border_title = (
            f"{len(rows)} of {len(self._rows)} figures · {differing} differ (*){only}"
        )
        count = sum(row.headline is not None for row in self._rows)
        few = f"the {count} headline figures" if count else "all figures"
        panel.border_subtitle = f"f: {few if self._all else f'all {len(self._rows)} figures'}"

    def action_everything(self) -> None:
        """Shows all figures, or the headline figures again."""
        self._all = not self._all
        self._show()

    def action_differing(self) -> None:
        """Shows only what differs, or everything again."""
        self._only = not self._only
        self._show()

    def action_swap(self) -> None:
        """Makes the next run the one that the others are compared with."""
        self.runs = [*self.runs[1:], self.runs[0]]
        self._start()

    def action_copy(self) -> None:
        """Copies the row under the cursor."""
        row = self.table.current
        if row is not None:
            names = [column.title for column in self.table.columns]
            pairs = zip(names, cells(row), strict=True)
            told = plain(", ".join(f"{name} {cell.strip()}" for name, cell in pairs))
            self.app.copy(told, "row")  # type: ignore[attr-defined]

    def action_copy_all(self) -> None:
        """Copies all comparisons as Markdown."""
        if self._found:
            told = (describe(one, everything=True) for one in self._found)
            text = "\n".join(section_markdown(one) for one in told)
            self.app.copy(text, "comparison")  # type: ignore[attr-defined]

    def action_command(self) -> None:
        """Copies the command that prints this comparison."""
        paths = [str(run.absolute()) for run in self.runs]
        self.app.copy(shown_command(["compare", *paths]), "command")  # type: ignore[attr-defined]


def head(runs: list[Path], found: list[Comparison]) -> Content:
    """Returns each run's letter, what differs, and what weakens the comparison."""
    titles = [found[0].titles[0], *(one.titles[1] for one in found)]
    lines = []
    for letter, run, title in zip(LETTERS, runs, titles, strict=False):
        name = Content.styled(f"  {plain(run.name)}", DIM)
        lines.append(Content.assemble((f"{letter} ", "bold"), Content(plain(title)), name))
    lines += [inert(line(sentence(one))) for one in found]
    notes = dict.fromkeys(note for one in found for note in one.notes)
    lines += [Content.styled(f"! {plain(note)}", "$warning") for note in notes]
    for one in found:
        lines += [inert(line(overlap_line(overlap))) for overlap in one.overlaps]
    return Content("\n").join(lines)
