"""The pictures behind a figure: wrong ones of a set or class, least sure, where models differ.

`PictureSets` finds them: of the sets of a run, or of several.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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

from tuiprobe.choose.comparing.runs import read_run
from tuiprobe.choose.comparing.same_pictures import shared_pictures
from tuiprobe.datasets.load import Originals
from tuiprobe.errors import TuiprobeError
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.pictures import Indices, Pictures, differing, read_pictures
from tuiprobe.numbers import MISSING, number
from tuiprobe.plaintext import holds_all, joined
from tuiprobe.results.subject import Prediction
from tuiprobe.show.report.pictures import picture_file
from tuiprobe.show.tui.keys import KEYS
from tuiprobe.show.tui.screens.base import FilteredScreen
from tuiprobe.show.tui.text import inert, inert_lines
from tuiprobe.show.tui.widgets.pictures import Picture, PictureGrid, PictureGroups, PicturePanel
from tuiprobe.show.tui.widgets.rows import RowColumn, RowTable

ONLY = "only {} is right"
SHOWN = 60
"""Pictures of a row that are shown at most."""


@dataclass(frozen=True, eq=False)
class PictureRow:
    """Pictures of a set that share something.

    Attributes:
        data: The set.
        name: What they share, such as their class.
        count: How many there are, or how many of them are right.
        indices: The pictures.
        by_answer: Whether they are of one class, and shown by what they are called.
    """

    data: str
    name: str
    count: str
    indices: Indices
    by_answer: bool = False


def picture_rows(sets: Sequence[Pictures]) -> Iterator[PictureRow]:
    """Yields what can be seen of a set: where models differ, wrong ones, classes, least sure.

    Args:
        sets: The same set as one model or several answer it; the first one's answers count.
    """
    first, data = sets[0], sets[0].record.name
    if len(sets) > 1:
        indices = differing(sets)
        yield PictureRow(data, "models differ", f"{len(indices):,}", indices)
    classes = first.by_class()
    if classes:
        wrong = first.wrong()
        yield PictureRow(data, "wrong", f"{len(wrong):,}", wrong)
    least = first.least_sure()
    if len(least):
        yield PictureRow(data, "least sure", f"{len(least):,}", least)
    for name, right, n in classes:
        if right < n:
            yield PictureRow(data, name, f"{right:,}/{n:,}", first.wrong(name), by_answer=True)
    if not classes:
        for name, count in first.common():
            yield PictureRow(data, f"called {name}", f"{count:,}", first.answered(name))


class PictureSets:
    """What can be seen of the sets that runs share; the first run's answers choose the pictures.

    Args:
        runs: The run directories.
        models: What their models are called, behind their signs.
        data: The set whose rows come first; empty for the first set.

    Raises:
        TuiprobeError: If a run or its answers cannot be read.
    """

    def __init__(self, runs: Sequence[Path], models: Sequence[str] = (), data: str = "") -> None:
        self._run, self._models = RunDir(runs[0]), list(models)
        if len(runs) == 1:
            sets = {name: [of] for name, of in read_pictures(self._run).items()}
        else:
            sets = shared_pictures([read_run(RunDir(run)) for run in runs])
        self._sets = {name: sets[name] for name in sorted(sets, key=lambda name: name != data)}
        self._originals = {
            name: Originals(sets[0].record.source) for name, sets in self._sets.items()
        }
        self.rows = [row for sets in self._sets.values() for row in picture_rows(sets)]

    def row_index(self, data: str, name: str) -> int:
        """Returns the place of the row of a set, or of a class of it; 0 where there is none."""
        wanted = (name, f"called {name}")
        rows = enumerate(self.rows)
        of_set = [(i, row) for i, row in rows if data in ("", row.data)]
        first = of_set[0][0] if of_set else 0
        return next((i for i, row in of_set if row.name in wanted), first)

    def shown(self, row: PictureRow) -> tuple[str, PictureGroups, Content]:
        """Returns the title of a row, its pictures, and how many of them each model has right.

        Of a run that was deleted or damaged meanwhile it says so in place of pictures.
        """
        try:
            return self._shown(row)
        except TuiprobeError as error:
            return "", [], inert(str(error), "$error")

    def _shown(self, row: PictureRow) -> tuple[str, PictureGroups, Content]:
        indices = row.indices[:SHOWN]
        several = len(self._models) > 1
        groups: dict[str, list[Picture]] = {ONLY.format(model): [] for model in self._models}
        answers = (pictures.at(indices) for pictures in self._sets[row.data])
        for predictions in zip(*answers, strict=True):
            heading = f"called {predictions[0].answer}" if row.by_answer else row.name
            if several:
                called = f"{self._models[0]}: {predictions[0].answer}"
                heading = called if row.by_answer else self._who_is_right(predictions)
            groups.setdefault(heading, []).append(self._picture(predictions))
        more = f", {SHOWN} of them shown" if len(row.indices) > SHOWN else ""
        title = f"{row.data}, {row.name}: {len(row.indices):,} pictures{more}"
        filled = [(heading, pictures) for heading, pictures in groups.items() if pictures]
        return title, filled, inert_lines(self._right_counts(row))

    def _right_counts(self, row: PictureRow) -> Iterator[str]:
        """Yields how many of the pictures each model has right, where labels are."""
        for model, pictures in zip(self._models, self._sets[row.data], strict=False):
            answers = pictures.answers
            truth, answer = (values[row.indices] for values in (answers.truth, answers.answer))
            if (truth >= 0).any():
                right = int(((truth >= 0) & (truth == answer)).sum())
                yield f"{model}: right on {right:,} of these {len(row.indices):,}"

    def _who_is_right(self, answers: Sequence[Prediction]) -> str:
        """Returns which models answer a picture with its label."""
        label = answers[0].label
        if label is None:
            return f"{joined(self._models)} differ, no label tells who is right"
        pairs = zip(self._models, answers, strict=False)
        right = [model for model, one in pairs if one.answer == label]
        if len(right) == 1:
            return ONLY.format(right[0])
        return f"{joined(right)} are right" if right else "none is right"

    def _picture(self, answers: Sequence[Prediction]) -> Picture:
        """Returns a picture with what each model answers on it."""
        first = answers[0]
        values = [one.answer or MISSING for one in answers]
        if len(answers) > 1:
            signs = [model.partition(" ")[0] for model in self._models]
            right = [" ✓" if one.answer == one.label else "" for one in answers]
            values = [*map("{} {}{}".format, signs, values, right)]
        elif first.confidence is not None:
            values[0] += f" {number(first.confidence, 'share')}"
        about = [
            f"{model}: {one.answer or MISSING}, {number(one.confidence, 'share')}"
            for model, one in zip(self._models, answers, strict=False)
        ]
        about += [] if first.label is None else [f"label: {first.label}"]
        opened = partial(self._originals[first.set].open, first.path or "", first.digest)
        return Picture(
            picture_file(self._run, first.set, first.id),
            first.path or f"id {first.id}",
            tuple(values),
            opened if first.path and first.digest else None,
            tuple(about),
        )


COLUMNS = (
    RowColumn("pictures", 14),
    RowColumn("set", 10, drop=1, term="set"),
    RowColumn("number", 7, right=True, term="top-1"),
)


class PicturesScreen(FilteredScreen):
    """The pictures behind a figure, with what each model answers on them.

    Args:
        runs: The run directories, of which the first one's answers choose the pictures.
        models: What their models are called.
        data: The set to begin with; empty for the first.
        words: The row to begin with, such as a class; empty for the first.
    """

    HEADING = "Pictures"
    reading = True
    AUTO_FOCUS = "#sets"
    BINDINGS: ClassVar[list[BindingType]] = KEYS["pictures"]

    def __init__(
        self, runs: Sequence[Path], models: Sequence[str] = (), data: str = "", words: str = ""
    ) -> None:
        super().__init__()
        self.runs, self.models = list(runs), list(models)
        self._data, self._words = data, words
        self._pictures: PictureSets | None = None

    def compose_body(self) -> ComposeResult:
        """Lays out sets and classes beside their pictures."""
        with Horizontal(id="body"):
            with Vertical(id="queries", classes="panel"):
                yield Input(placeholder="/ filters sets and classes", classes="filter")
                yield RowTable[PictureRow](
                    COLUMNS, lambda row: [row.name, row.data, row.count],
                    empty="no answers: the run has no class names", id="sets",
                )  # fmt: skip
            yield PicturePanel(classes="panel")

    def on_mount(self) -> None:
        """Reads the answers in a thread."""
        pairs = zip(self.runs, self.models, strict=False)
        models = [f"{self.app.mark(run).sign} {model}" for run, model in pairs]
        load = partial(PictureSets, self.runs, models, self._data)
        self.app.read(self, load, self._arrived)

    def _arrived(self, pictures: PictureSets | TuiprobeError) -> None:
        if isinstance(pictures, TuiprobeError):
            self.finish_reading(str(pictures))
            return
        self.finish_reading()
        self._pictures = pictures
        self._show()
        self.table.show_rows(self.table.rows, pictures.row_index(self._data, self._words))

    def _show(self) -> None:
        words = self._query.split()
        rows = self._pictures.rows if self._pictures is not None else []
        rows = [row for row in rows if holds_all(f"{row.name} {row.data}", words)]
        self.table.show_rows(rows, 0)

    @on(RowTable.Highlighted, "#sets")
    def _moved(self) -> None:
        row = self.table.current
        shown: tuple[str, PictureGroups, Content] = ("", [], Content())
        if row is not None and self._pictures is not None:
            shown = self._pictures.shown(row)
        self.query_one(PicturePanel).show(*shown, paired=len(self.models) > 1)

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
        from tuiprobe.show.tui.screens.label import LabelScreen

        self.app.push_screen(LabelScreen(self.runs))
