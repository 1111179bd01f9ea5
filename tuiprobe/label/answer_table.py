"""Pictures handed out as a table, and the answers that come back."""

from __future__ import annotations

import csv
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tuiprobe.datasets.csv_table import read_table
from tuiprobe.errors import UsageError
from tuiprobe.files import Entry
from tuiprobe.label.files import COLUMNS, UNSURE, csv_cell, csv_content
from tuiprobe.label.session import Labelling
from tuiprobe.label.survey import Draw
from tuiprobe.plaintext import plain

_NEEDED: Final = ("sha256", "class")


def write_todo(labelling: Labelling, path: Path, count: int) -> str:
    """Writes `todo_text` to a file; the plan is fixed from then on.

    Returns:
        What was written, and what to do with it, in words.

    Raises:
        UsageError: If the file exists, since it may hold answers; if every picture is labelled.
        RunError: If the operating system refuses.
    """
    if os.path.lexists(path):
        raise UsageError(f"{path} exists and may hold answers: name another file")
    if labelling.following() is None:
        raise UsageError("every picture is labelled")
    labelling.write_plan()
    text = todo_text(labelling, count)
    Entry(path.absolute().parent, path.name).write_text(text)
    return (
        f"{plain(str(path))}: {text.count(chr(10)) - 1:,} pictures of "
        f"{plain(labelling.matched.source_run.source)}; fill in the column class, and read it with "
        f"--answers {plain(str(path))}"
    )


def todo_text(labelling: Labelling, count: int) -> str:
    """Returns the pictures to label next as CSV, in the columns of the file of labels.

    Args:
        labelling: The session.
        count: At most so many.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for picture in labelling.upcoming(count):
        cells = (picture.name, picture.digest, "", labelling.plan.id, picture.how, "")
        writer.writerow(map(csv_cell, cells))
    return text.getvalue()


@dataclass(frozen=True)
class TakenAnswers:
    """How many answers of a table were taken.

    Attributes:
        drawn: Answers about pictures that the plan drew.
        outside: Answers about other pictures.
        repeated: Answers that were there already.
        blank: Pictures without an answer.
    """

    drawn: int
    outside: int
    repeated: int
    blank: int

    def words(self) -> str:
        """Returns the counts in words."""
        counts = (
            (self.drawn, "drawn by the plan"),
            (self.outside, "not drawn by it"),
            (self.repeated, "there already"),
            (self.blank, "without an answer"),
        )
        return "answers: " + ", ".join(f"{count:,} {text}" for count, text in counts if count)


@dataclass(frozen=True)
class _AnswerRow:
    """A line of a table: where it stands, its picture, its class, whether the plan drew it."""

    where: str
    place: int
    label: str
    planned: bool


def take_answers(labelling: Labelling, path: Path) -> TakenAnswers:
    """Takes the answers of a table: that of `todo_text`, of the page, or of one's own.

    A table has the columns `sha256` and `class`; `plan` says by which plan its pictures were drawn.
    Every line is checked before the first answer is taken.

    Raises:
        UsageError: If a line is of another plan or picture or class, contradicts a label, or leaves
            a picture of the plan out before a later one; names the line.
        DataError: If the table cannot be read.
    """
    rows = _answer_rows(labelling, path)
    before = {labelling.matched.places[line.digest]: line.label for line in labelling.counted}
    planned = labelling.upcoming(len(rows))
    taken: dict[int, tuple[Draw, str]] = {}
    drawn = repeated = 0
    skipped = ""
    for row in rows:
        earlier = before.get(row.place) or taken.get(row.place, ("", ""))[1]
        if not row.label:
            skipped = skipped or (row.where if row.planned and not earlier else "")
        elif earlier:
            if earlier != row.label:
                raise UsageError(f"{row.where} says {row.label}, but an earlier label {earlier}")
            repeated += 1
        elif row.planned and skipped:
            raise UsageError(
                f"{skipped} has no class and later lines do: leaving pictures out would bias the "
                f"accuracies; write {UNSURE} there"
            )
        elif row.planned and drawn < len(planned) and planned[drawn].place == row.place:
            taken[row.place] = Draw(row.place, planned[drawn].how), row.label
            drawn += 1
        else:
            taken[row.place] = Draw(row.place, "outside"), row.label
    for draw, label in taken.values():
        labelling.label(draw, label)
    blank = sum(not row.label for row in rows)
    return TakenAnswers(drawn, len(taken) - drawn, repeated, blank)


def _answer_rows(labelling: Labelling, path: Path) -> list[_AnswerRow]:
    """Returns the lines of a table; refuses those of another plan, picture or class."""
    table = read_table(path, _NEEDED)
    places = labelling.matched.places
    rows = []
    for line, cells in table.rows:
        row = dict(zip(table.header, map(csv_content, cells), strict=True))
        where, plan, label = f"{path} line {line}", row.get("plan", ""), plain(row["class"])
        if plan not in ("", labelling.plan.id):
            raise UsageError(f"{where} is of the plan {plain(plan)}, not of {labelling.plan.id}")
        if row["sha256"] not in places:
            raise UsageError(f"{where} is about a picture that these runs did not measure")
        if label:
            labelling.number(label, where)
        rows.append(_AnswerRow(where, places[row["sha256"]], label, bool(plan)))
    return rows
