"""What the tabs of a run's results share: the run, its pictures, and what a row is about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.widget import Widget

from tuiprobe.measure.run.directory import RunDir
from tuiprobe.numbers import short_count
from tuiprobe.plaintext import plain
from tuiprobe.results.report import Report
from tuiprobe.results.section import RowSubject, Section, Strip, StripEnd, Table
from tuiprobe.show.report.pictures import picture_file
from tuiprobe.show.report.strings import cells_of, line
from tuiprobe.show.tui.control import EngineApp
from tuiprobe.show.tui.text import inert_lines
from tuiprobe.show.tui.widgets.pictures import Picture, PictureGroups

PICTURES = 8
"""Pictures at an end: as many as a run keeps of its leading channels."""


@dataclass(frozen=True)
class RunResults:
    """The results of one run: its directory and its report."""

    run: RunDir
    report: Report

    @property
    def about(self) -> str:
        """The model in one line: its name, kind, size and channels."""
        model = self.report.model
        words = ["PARTIAL"] if self.report.partial else []
        words.append(model.name)
        words += [model.training] if model.training != "unknown" else []
        words += [short_count(model.parameters)] if model.parameters else []
        return " · ".join([*words, f"{model.width:,} channels"])

    @property
    def spec(self) -> dict[str, object]:
        """What the run was asked, with the kind of its weights, as titles warn of it."""
        return {**self.report.spec, "weights": self.report.model.weights.kind}

    @property
    def sections(self) -> Iterator[Section]:
        """The sections of all probes."""
        return (part.section for part in self.report.parts if part.section is not None)

    def strip(self, subject: RowSubject | None) -> Strip | None:
        """Returns the images of the first set that a channel or direction responds to."""
        strips = (
            piece
            for section in self.sections
            for piece in section.content
            if isinstance(piece, Strip) and subject is not None and piece.subject == subject
        )
        return next(strips, None)

    def picture_groups(self, strip: Strip | None) -> PictureGroups:
        """Returns the pictures of a strip under headings, the end farthest from zero first."""
        if strip is None:
            return []
        ends = list(strip.ends)
        if all(end.images and not end.captions for end in ends):
            ends.sort(key=lambda end: -abs(end.images[0].value))
        return [
            (
                _heading(end),
                [
                    Picture(
                        picture_file(self.run, strip.data, image.sample_id),
                        image.path if image.path is not None else f"id {image.sample_id}",
                        (text,),
                    )
                    for image, text in end.captioned(PICTURES)
                ],
            )
            for end in ends
        ]

    def about_subject(self, subject: RowSubject | None, shown: Table) -> Iterator[Content]:
        """Yields the rows of other tables about a channel or direction, then those that name it.

        Args:
            subject: The channel or direction.
            shown: The table that it was chosen in, which is not repeated.
        """
        for named in (False, True):
            for section in self.sections:
                for table in section.content:
                    if not isinstance(table, Table) or (table is shown and not named):
                        continue
                    rows = [
                        i
                        for i, subjects in enumerate(table.subjects)
                        if subjects
                        and (subject in subjects[1:] if named else subject == subjects[0])
                    ]
                    where = f"{section.title}: {line(table.title)}".rstrip(": ")
                    if rows:
                        where = f"named in {where}" if named else where
                        yield Content.styled(plain(where), "bold $secondary")
                        yield inert_lines(_row_texts(table, rows))

    def set_of(self, *texts: str) -> str:
        """Returns the set that the first of some texts is about; empty where none is."""
        names = [data.name for data in self.report.data]
        for text in texts:
            padded = f" {text.replace(',', ' ')} "
            for name in names:
                if f" {name} " in padded:
                    return name
        return ""


def table_cells(table: Table) -> list[list[str]]:
    """Returns the cells of each row as people read them."""
    return [[line((cell,)) for cell in row] for row in cells_of(table.rows, table.columns)]


def _row_texts(table: Table, rows: list[int]) -> Iterator[str]:
    names, texts = [line(column.title) for column in table.columns], table_cells(table)
    for i in rows:
        cells = zip(names, texts[i], strict=True)
        yield ", ".join(f"{name} {cell}" for name, cell in cells if cell not in ("", "-"))


def _heading(end: StripEnd) -> str:
    """Returns a name for the images of an end, by the sign of their values."""
    first = end.images[0].value if end.images else 0.0
    if end.label == "largest":
        return "highest values" if first > 0 else "weakest (nearest to zero)"
    if end.label == "smallest":
        return "far end (most negative)" if first < 0 else "weakest (nearest to zero)"
    return end.label


class ResultTab(Container):
    """One tab: a table on the left or above, details of its row beside or below.

    Args:
        results: The run.
    """

    app: EngineApp
    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy", "copy", show=False, tooltip="Copy this row"),
    ]

    def __init__(self, results: RunResults) -> None:
        super().__init__()
        self.results = results

    def action_copy(self) -> None:
        """Copies the row under the cursor."""
        if row := self.copied():
            self.app.copy(plain(row), "row")

    def first(self) -> Widget | None:
        """Returns the widget that takes the focus when the tab is shown."""
        return None

    def clear_filter(self) -> bool:
        """Clears the filter; returns whether there was one."""
        return False

    def copied(self) -> str:
        """Returns the row under the cursor as text; empty where there is none."""
        return ""
