"""Pictures handed out as a table, and the answers that come back."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tuiprobe.datasets.csv_table import read_table
from tuiprobe.errors import UsageError
from tuiprobe.files import Entry
from tuiprobe.labelling.files import UNSURE, csv_cell, csv_content
from tuiprobe.labelling.session import Labelling
from tuiprobe.plaintext import plain

BATCH_COLUMNS: Final = ("image", "sha256", "class", "batch")


def batch_of(digests: Iterable[str]) -> str:
    """Returns the name of a batch of pictures: it says whether all of them came back."""
    return hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()[:12]


def write_todo(labelling: Labelling, path: Path, count: int) -> str:
    """Writes `todo_text` to a file.

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
    text = todo_text(labelling, count)
    Entry(path.absolute().parent, path.name).write_text(text)
    return (
        f"{plain(str(path))}: {text.count(chr(10)) - 1:,} pictures of "
        f"{plain(labelling.matched.source_run.source)}; fill in the column class, and read it with "
        f"--answers {plain(str(path))}"
    )


def todo_text(labelling: Labelling, count: int) -> str:
    """Returns the pictures to label next as CSV.

    Args:
        labelling: The session.
        count: At most so many.
    """
    pictures, text = labelling.upcoming(count), io.StringIO()
    batch = batch_of(picture.digest for picture in pictures)
    table = csv.writer(text, lineterminator="\n")
    table.writerow(BATCH_COLUMNS)
    for picture in pictures:
        table.writerow(map(csv_cell, (picture.name, picture.digest, "", batch)))
    return text.getvalue()


@dataclass(frozen=True)
class TakenAnswers:
    """What became of the rows of a table.

    Attributes:
        new: Answers that were taken.
        repeated: Answers that were known already.
        skipped: Pictures without an answer before others that have one.
        blank: Pictures without an answer at the end.
    """

    new: int
    repeated: int
    skipped: int
    blank: int

    def words(self) -> str:
        """Returns the counts in words."""
        counts = (
            (self.new, "new"),
            (self.repeated, "known already"),
            (self.skipped, "left out, to be asked again at the end"),
            (self.blank, "not reached"),
        )
        return "answers: " + ", ".join(f"{count:,} {text}" for count, text in counts if count)


def take_answers(labelling: Labelling, path: Path) -> TakenAnswers:
    """Takes the answers of a table: that of `todo_text`, of the page, or of one's own.

    A table has the columns `sha256` and `class`; by `batch` it is known whether rows are missing.
    A picture without an answer before one with an answer was too hard, and is recorded as listed.
    Every line is checked before the first answer is taken.

    Raises:
        UsageError: If a line is of another picture or class, or contradicts a label, or rows of a
            batch are missing; names the line.
        DataError: If the table cannot be read.
    """
    table, matched = read_table(path, ("sha256", "class")), labelling.matched
    cells = [(line, map(csv_content, row)) for line, row in table.rows]
    rows = [(line, dict(zip(table.header, row, strict=True))) for line, row in cells]
    _refuse_incomplete(path, [row for _, row in rows])
    labels = {row.place: row.line.label for row in labelling.counted if row.line.label}
    answers: list[tuple[int, str]] = []
    repeated = 0
    for line, row in rows:
        where, label = f"{path} line {line}", plain(row["class"])
        place = matched.places.get(row["sha256"])
        if place is None:
            raise UsageError(f"{where} is about a picture that these runs did not measure")
        if label:
            matched.number(label, where)
        if label and labels.setdefault(place, label) != label:
            raise UsageError(f"{where} says {label}, but an earlier label {labels[place]}")
        answers.append((place, label))
    last = max((n for n, (_, label) in enumerate(answers) if label), default=-1)
    new = skipped = 0
    for place, label in answers[: last + 1]:
        if place in labelling.survey.labels:
            repeated += bool(label)
        elif label or place not in labelling.survey.skipped:
            labelling.label(place, label)
            new += bool(label)
            skipped += not label
    blank = len(answers) - last - 1
    return TakenAnswers(new, repeated, skipped, blank)


def _refuse_incomplete(path: Path, rows: Iterable[Mapping[str, str]]) -> None:
    """Refuses a table in which rows of a batch are missing.

    Raises:
        UsageError: If they are.
    """
    batches: dict[str, list[str]] = {}
    for row in rows:
        if batch := row.get("batch", ""):
            batches.setdefault(batch, []).append(row["sha256"])
    for batch, digests in batches.items():
        if batch_of(digests) != batch:
            raise UsageError(
                f"{path} has other rows than the batch {plain(batch)} that was handed out: leaving "
                f"pictures out would bias accuracies; keep them without class, or as {UNSURE}"
            )
