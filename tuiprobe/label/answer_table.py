"""Pictures handed out as a table, and the answers that come back."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tuiprobe.datasets.csv_table import read_table
from tuiprobe.errors import UsageError
from tuiprobe.files import Entry
from tuiprobe.label.files import COLUMNS, UNSURE, How, LabelLine, csv_content
from tuiprobe.label.session import Labelling
from tuiprobe.plaintext import plain


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
    plan = labelling.plan.id
    lines = [
        LabelLine(picture.name, picture.digest, "", plan, picture.how, "").text()
        for picture in labelling.upcoming(count)
    ]
    return "".join([",".join(COLUMNS) + "\n", *lines])


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


def take_answers(labelling: Labelling, path: Path) -> TakenAnswers:
    """Takes the answers of a table: that of `todo_text`, of the page, or of one's own.

    A table has the columns `sha256` and `class`; `plan` says by which plan its pictures were drawn.
    Every line is checked before the first answer is taken.

    Raises:
        UsageError: If a line is of another plan or picture or class, contradicts a label, or leaves
            a picture of the plan out before a later one; names the line.
        DataError: If the table cannot be read.
    """
    table, matched = read_table(path, ("sha256", "class")), labelling.matched
    labels = {row.place: row.line.label for row in labelling.counted}
    planned = labelling.upcoming(len(table.rows))
    taken: list[tuple[int, How, str]] = []
    drawn = repeated = blank = 0
    skipped = ""
    for number, cells in table.rows:
        row = dict(zip(table.header, map(csv_content, cells), strict=True))
        where, plan, label = f"{path} line {number}", row.get("plan", ""), plain(row["class"])
        if plan not in ("", labelling.plan.id):
            raise UsageError(f"{where} is of the plan {plain(plan)}, not of {labelling.plan.id}")
        place = matched.places.get(row["sha256"])
        if place is None:
            raise UsageError(f"{where} is about a picture that these runs did not measure")
        if not label:
            blank += 1
            skipped = skipped or (where if plan and place not in labels else "")
            continue
        matched.number(label, where)
        if place in labels:
            if labels[place] != label:
                raise UsageError(f"{where} says {label}, but an earlier label {labels[place]}")
            repeated += 1
            continue
        if plan and skipped:
            raise UsageError(
                f"{skipped} has no class and later lines do: leaving pictures out would bias the "
                f"accuracies; write {UNSURE} there"
            )
        how: How = "outside"
        if plan and drawn < len(planned) and planned[drawn].place == place:
            how = planned[drawn].how
            drawn += 1
        labels[place] = label
        taken.append((place, how, label))
    for place, how, label in taken:
        labelling.label(place, how, label)
    return TakenAnswers(drawn, len(taken) - drawn, repeated, blank)
