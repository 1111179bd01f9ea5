"""Pictures handed out as a table, and the answers that come back."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from tuiprobe.datasets.csv_table import read_table
from tuiprobe.datasets.dataset import digest_of
from tuiprobe.datasets.labels import LABEL_COLUMNS, PATH_COLUMNS, refuse_contradiction
from tuiprobe.datasets.load import load_dataset
from tuiprobe.datasets.registry import source_named
from tuiprobe.errors import DataError, UsageError
from tuiprobe.files import Entry
from tuiprobe.labelling.files import UNSURE
from tuiprobe.labelling.matching import Matched
from tuiprobe.labelling.session import Labelling
from tuiprobe.labelling.status import FINAL
from tuiprobe.plaintext import csv_cell, csv_text, listed, path_key, plain

if TYPE_CHECKING:
    from tuiprobe.datasets.sample import Sample

BATCH_COLUMNS: Final = ("image", "sha256", "class", "batch", "skipped")

SKIPPED_ONCE: Final = "once"
"""Says in a list that the picture was skipped before the list was written: without a class it is
unsure, while a row that was listed before that skip, or is read twice, is not skipped again."""


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
        skipped = SKIPPED_ONCE if picture.skipped else ""
        table.writerow(map(csv_cell, (picture.name, picture.digest, "", batch, skipped)))
    return text.getvalue()


@dataclass(frozen=True)
class ImportedAnswers:
    """What became of the rows of a table.

    Attributes:
        new: Answers that were taken.
        repeated: Answers that were known already.
        skipped: Pictures without an answer before others that have one.
        unsure: Such pictures that were skipped for the second time.
        blank: Pictures without an answer at the end.
    """

    new: int
    repeated: int
    skipped: int
    unsure: int
    blank: int

    def words(self) -> str:
        """Returns the counts in words."""
        counts = (
            (self.new, "new"),
            (self.repeated, "known already"),
            (self.skipped, "skipped, to be asked again first"),
            (self.unsure, "skipped twice and so unsure"),
            (self.blank, "not reached"),
        )
        return "answers: " + ", ".join(f"{count:,} {text}" for count, text in counts if count)


class _Answer(NamedTuple):
    """A row of a table of answers.

    Attributes:
        where: Where it stands.
        name: The picture as the row names it.
        digest: Its SHA-256; empty where the runs measured none.
        label: Its class.
        batch: The batch that it was listed in.
        skipped: Whether the picture was skipped before that batch was listed.
    """

    where: str
    name: str
    digest: str
    label: str
    batch: str
    skipped: bool


def import_answers(labelling: Labelling, path: Path) -> ImportedAnswers:
    """Imports the answers of a table: from `todo_text`, from the page, or the user's own.

    A table has a column `class` and names pictures by `sha256`, or by `image` or `path` as in their
    set; by `batch` it is known whether rows are missing. Classes may be named as for `--data`.
    A picture without an answer before one with an answer was too hard: it is skipped, and unsure if
    the list says that it was skipped before. Every line is checked before the first answer is
    taken.

    Raises:
        UsageError: If a line is of another picture or class, or contradicts a label, or rows of a
            batch are missing; names the line.
        DataError: If the table cannot be read.
    """
    matched, rows = labelling.matched, _read_answers(labelling.matched, path)
    _refuse_incomplete(path, rows)
    labels = {row.place: row.line.label for row in labelling.counted if row.line.label}
    places: list[int] = []
    for row in rows:
        if not row.digest:
            raise matched.no_picture(row.name, row.where)
        place = matched.places.get(row.digest)
        if place is None:
            raise UsageError(f"{row.where} is about a picture that these runs did not measure")
        if row.label:
            matched.number(row.label, row.where)
            if labels.setdefault(place, row.label) != row.label:
                raise UsageError(
                    f"{row.where} says {row.label}, but an earlier label says {labels[place]}"
                )
        places.append(place)
    last = max((n for n, row in enumerate(rows) if row.label), default=-1)
    new = repeated = skipped = unsure = 0
    for place, row in zip(places[: last + 1], rows, strict=False):
        again = place in labelling.survey.skipped
        if place in labelling.survey.labels:
            repeated += bool(row.label)
        elif row.label or row.skipped or not again:
            labelling.label(place, row.label)
            new += bool(row.label)
            unsure += not row.label and again
            skipped += not row.label and not again
    return ImportedAnswers(new, repeated, skipped, unsure, blank=len(rows) - last - 1)


def _read_answers(matched: Matched, path: Path) -> list[_Answer]:
    """Reads a table of answers.

    Raises:
        UsageError: If no column names pictures.
        DataError: If the table cannot be read.
    """
    table = read_table(path, ())
    header = [name.lower() for name in table.header]
    column = next((name for name in ("class", *LABEL_COLUMNS) if name in header), None)
    if column is None:
        raise DataError(f"{path}: no column class holds the labels; it has {listed(header, 8)}")
    named_by = next((n for n in ("image", "path", *PATH_COLUMNS) if n in header), "")
    if not named_by and "sha256" not in header:
        raise UsageError(f"{path}: no column sha256, image or path names the pictures")
    place = header.index(column)
    try:
        refuse_contradiction(header, [row for _, row in table.rows if row[place]], place)
    except ValueError as error:
        raise DataError(f"{path} cannot be read as labels: {error}") from error
    rows = [dict(zip(header, map(csv_text, row), strict=True)) for _, row in table.rows]
    classes = matched.classes_named(row[column] for row in rows)
    answers = []
    for (line, _), row in zip(table.rows, rows, strict=True):
        name = digest = row.get("sha256", "").lower()
        if not digest:
            name, by_path = row.get(named_by, ""), matched.digests_by_path
            digest = by_path.get(plain(name)) or by_path.get(path_key(plain(name)), "")
        label = plain(classes[row[column]])
        where, skipped = f"{path} line {line}", row.get("skipped") == SKIPPED_ONCE
        answers.append(_Answer(where, name, digest, label, row.get("batch", ""), skipped))
    return answers


def _refuse_incomplete(path: Path, rows: Iterable[_Answer]) -> None:
    """Refuses a table in which rows of a batch are missing.

    Raises:
        UsageError: If they are.
    """
    batches: dict[str, list[str]] = {}
    for row in rows:
        if row.batch:
            batches.setdefault(row.batch, []).append(row.digest)
    for batch, digests in batches.items():
        if batch_of(digests) != batch:
            raise UsageError(
                f"{path} has other rows than the batch {plain(batch)} that was handed out: leaving "
                f"pictures out would bias accuracies; keep them without class, or as {UNSURE}"
            )


def label_known(
    labelling: Labelling, classes: Mapping[str, str], source: str, after_decision: bool = False
) -> str:
    """Labels pictures by known labels, in the order of the session if all have one.

    Args:
        labelling: The session.
        classes: The class of each picture by its SHA-256.
        source: Where they come from.
        after_decision: Whether to go on after the decision.

    Returns:
        How many pictures have labels; empty if all do.

    Raises:
        DataError: If none has.
    """
    digests = labelling.matched.digests
    known = [place for place, digest in enumerate(digests) if digest in classes]
    if not known:
        raise DataError(
            f"{plain(source)} holds none of the {len(digests):,} pictures of these runs, which are "
            "told by their bytes: give the files that were measured, not resized or saved again"
        )
    if len(known) < len(digests):
        for place in known:
            if place not in labelling.survey.labels:
                labelling.label(place, classes[digests[place]])
        return (
            f"{plain(source)} has labels of {len(known):,} of {len(digests):,} pictures: all of "
            "them are taken, and the others are left to label"
        )
    while (picture := labelling.following()) is not None:
        if labelling.decided.verdict in FINAL and not after_decision:
            break
        labelling.label(picture.place, classes[picture.digest])
    return ""


class KnownLabels(NamedTuple):
    """The class of each picture by its SHA-256, and what of the source was ignored, in words."""

    classes: dict[str, str]
    ignored: str = ""


def known_labels(labelling: Labelling, source: str) -> KnownLabels:
    """Returns the classes of a labelled source, or of a table.

    Args:
        labelling: The session.
        source: A source as for `--data`, such as a folder of class folders; or a table as for
            `import_answers`.

    Raises:
        UsageError: If a class is none of these runs, a picture has two, or a table is about other
            pictures: it names less than half of these, and most of its rows name others.
        DataError: If the source has no classes, or cannot be read.
    """
    matched = labelling.matched
    if Path(source).suffix.lower() in (".csv", ".parquet") and Path(source).is_file():
        return _labels_of_table(matched, Path(source))
    dataset = load_dataset(source_named(source))
    if not dataset.classes:
        raise DataError(f"{plain(source)} has no class folders")
    classes = matched.classes_named(dataset.classes)
    for name, known in classes.items():
        matched.number(known, f"the folder {plain(name)} of {plain(source)}")
    first: dict[str, Sample] = {}
    for sample in dataset.samples:
        other = first.setdefault(digest_of(dataset, sample).hex(), sample)
        if other.label != sample.label:
            paths = f"{plain(other.path)} and {plain(sample.path)}"
            raise UsageError(f"{paths} are the same picture in two classes; delete one of them")
    labels = ((digest, sample.label) for digest, sample in first.items())
    return KnownLabels(
        {d: classes[dataset.classes[label]] for d, label in labels if label is not None}
    )


def _labels_of_table(matched: Matched, path: Path) -> KnownLabels:
    """Returns the class of each picture of a table that has one; rows of others are ignored."""
    rows = _read_answers(matched, path)
    pictures = set(matched.digests_by_path.values())
    known = [row for row in rows if row.digest in pictures]
    others = [row for row in rows if row.digest not in pictures]
    if others and 2 * len(known) < min(len(rows), len(pictures)):
        raise matched.no_picture(others[0].name, others[0].where)
    labels: dict[str, str] = {}
    for row in known:
        if row.label:
            matched.number(row.label, row.where)
            if (before := labels.setdefault(row.digest, row.label)) != row.label:
                raise UsageError(f"{row.where} says {row.label}, but an earlier line says {before}")
    ignored = f"ignored {len(others):,} of {len(rows):,} rows: " if others else ""
    return KnownLabels(
        labels, ignored and ignored + str(matched.no_picture(others[0].name, others[0].where))
    )
