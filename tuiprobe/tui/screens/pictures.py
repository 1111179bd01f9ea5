"""The pictures behind a figure: wrong ones of a set or class, least sure, where models differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Input

from tuiprobe.datasets.load import Originals
from tuiprobe.errors import TuiprobeError
from tuiprobe.numbers import MISSING, number
from tuiprobe.plaintext import holds_all
from tuiprobe.report.reading import picture_file
from tuiprobe.results.subject import Prediction
from tuiprobe.run.directory import RunDir
from tuiprobe.run.pictures import Pictures, Places, differing, read_pictures
from tuiprobe.tui.control import EngineApp
from tuiprobe.tui.keys import KEYS
from tuiprobe.tui.screens.base import FilteredScreen
from tuiprobe.tui.text import inert_lines
from tuiprobe.tui.widgets.pictures import Picture, PictureGrid, PicturePanel
from tuiprobe.tui.widgets.rows import RowColumn, RowTable

SHOWN = 60
"""Pictures of a row that are shown at most."""

COLUMNS = (
    RowColumn("pictures", 14),
    RowColumn("set", 10, drop=1, term="set"),
    RowColumn("number", 7, right=True, term="top-1"),
)


@dataclass(frozen=True, eq=False)
class PictureRow:
    """Pictures of a set that share something.

    Attributes:
        data: The set.
        name: What they share, such as their class.
        count: How many there are, or how many of them are right.
        places: The pictures.
        by_answer: Whether they are of one class, and shown by what they are called.
    """

    data: str
    name: str
    count: str
    places: Places
    by_answer: bool = False


def picture_rows(sets: Sequence[Pictures]) -> Iterator[PictureRow]:
    """Yields what can be seen of a set: where models differ, wrong ones, classes, least sure.

    Args:
        sets: The same set as one model or several answer it; the first one's answers count.
    """
    of, data = sets[0], sets[0].record.name
    if len(sets) > 1:
        with suppress(TuiprobeError):  # other images
            places = differing(sets)
            yield PictureRow(data, "models differ", f"{len(places):,}", places)
    classes = of.by_class()
    if classes:
        wrong = of.wrong()
        yield PictureRow(data, "wrong", f"{len(wrong):,}", wrong)
    least = of.least_sure()
    if len(least):
        yield PictureRow(data, "least sure", f"{len(least):,}", least)
    for name, right, n in classes:
        if right < n:
            yield PictureRow(data, name, f"{right:,}/{n:,}", of.wrong(name), by_answer=True)
    if not classes:
        for name, count in of.common():
            yield PictureRow(data, f"called {name}", f"{count:,}", of.answered(name))


class PicturesScreen(FilteredScreen):
    """The pictures behind a figure, with what each model answers on them.

    Args:
        runs: The run directories, of which the first one's answers choose the pictures.
        models: What their models are called.
        data: The set to begin with; empty for the first.
        words: The row to begin with, such as a class; empty for the first.
    """

    PLACE = "Pictures"
    reading = True
    AUTO_FOCUS = "#sets"
    BINDINGS: ClassVar[list[BindingType]] = KEYS["pictures"]
    DEFAULT_CSS = """
    PicturesScreen #body { layout: horizontal; }
    PicturesScreen #queries { width: 40; height: 1fr; }
    PicturesScreen.-narrow #queries { width: 34; }
    PicturesScreen PicturePanel { width: 1fr; }
    """

    def __init__(
        self, runs: Sequence[Path], models: Sequence[str] = (), data: str = "", words: str = ""
    ) -> None:
        super().__init__()
        self.runs, self.models = list(runs), list(models)
        self._data, self._words = data, words
        self._sets: dict[str, list[Pictures]] = {}
        self._originals: dict[str, Originals] = {}
        self._rows: list[PictureRow] = []

    def compose_body(self) -> ComposeResult:
        """Lays out sets and classes beside their pictures."""
        with Horizontal(id="body"):
            with Vertical(id="queries", classes="panel"):
                yield Input(placeholder="/ filters sets and classes", classes="filter")
                yield RowTable[PictureRow](
                    COLUMNS, lambda row: [row.name, row.data, row.count], empty="reading…",
                    id="sets",
                )  # fmt: skip
            yield PicturePanel(classes="panel")

    def on_mount(self) -> None:
        """Reads the answers in a thread."""
        self.app.read(partial(self._read, self.app))

    def _read(self, app: EngineApp) -> None:
        rows: list[PictureRow] | str
        try:
            runs = [read_pictures(RunDir(run)) for run in self.runs]
            names = [name for name in runs[0] if all(name in of for of in runs)]
            names.sort(key=lambda name: name != self._data)
            self._sets = {name: [of[name] for of in runs] for name in names}
            rows = [row for sets in self._sets.values() for row in picture_rows(sets)]
        except TuiprobeError as error:
            rows = str(error)
        if self.is_running:
            app.call_later(self._arrived, rows)

    def _arrived(self, rows: list[PictureRow] | str) -> None:
        if not self.alive:
            return
        self.table.empty = "no answers: the run has no class names"
        if isinstance(rows, str):
            self.table.empty = rows
            self.notify(rows, severity="error", markup=False)
        else:
            self._rows = rows
        self._originals = {
            name: Originals(sets[0].record.source) for name, sets in self._sets.items()
        }
        self._show()
        words = (self._words, f"called {self._words}")
        wanted = (
            i
            for i, row in enumerate(self._rows)
            if self._data in ("", row.data) and row.name in words
        )
        self.table.show_rows(self.table.rows, next(wanted, 0))
        self.has_read()

    def _show(self) -> None:
        words = self._query.split()
        rows = [row for row in self._rows if holds_all(f"{row.name} {row.data}", words)]
        self.table.show_rows(rows, 0)

    @on(RowTable.Highlighted, "#sets")
    def _moved(self) -> None:
        row, panel = self.table.current, self.query_one(PicturePanel)
        if row is None:
            panel.show("", [], Content())
            return
        shown = row.places[:SHOWN]
        groups: dict[str, list[Picture]] = {}
        for each in zip(*(of.at(shown) for of in self._sets[row.data]), strict=True):
            heading = f"called {each[0].answer}" if row.by_answer else row.name
            groups.setdefault(heading, []).append(self._picture(each))
        more = f", {SHOWN} of them shown" if len(row.places) > SHOWN else ""
        title = f"{row.data}, {row.name}: {len(row.places):,} pictures{more}"
        panel.show(title, list(groups.items()), inert_lines(self._rights(row)))

    def _rights(self, row: PictureRow) -> Iterator[str]:
        """Yields how many of the pictures each model has right, where labels are."""
        for model, of in zip(self.models, self._sets[row.data], strict=False):
            truth, answer = (values[row.places] for values in (of.answers.truth, of.answers.answer))
            if (truth >= 0).any():
                right = int(((truth >= 0) & (truth == answer)).sum())
                yield f"{model}: right on {right:,} of these {len(row.places):,}"

    def _picture(self, answers: Sequence[Prediction]) -> Picture:
        """Returns a picture with what each model answers on it."""
        first = answers[0]
        value = " · ".join(one.answer or MISSING for one in answers)
        if len(answers) == 1 and first.confidence is not None:
            value += f" {number(first.confidence, 'share')}"
        about = [
            f"{model}: {one.answer or MISSING}, {number(one.confidence, 'share')}"
            for model, one in zip(self.models, answers, strict=False)
        ]
        about += [] if first.label is None else [f"label: {first.label}"]
        opened = partial(self._originals[first.set].open, first.path or "", first.digest)
        return Picture(
            picture_file(RunDir(self.runs[0]), first.set, first.id),
            first.path or f"id {first.id}",
            value,
            opened if first.path and first.digest else None,
            tuple(about),
        )

    @on(RowTable.Chosen, "#sets")
    def _chosen(self) -> None:
        self.query_one(PictureGrid).focus()

    def action_clear(self) -> None:
        """Goes back to the rows, clears the filter, or leaves."""
        if isinstance(self.focused, PictureGrid):
            self.table.focus()
        else:
            super().action_clear()

    def action_label(self) -> None:
        """Opens the labels of the target set."""
        from tuiprobe.tui.screens.label import LabelScreen

        self.app.push_screen(LabelScreen(self.runs))
