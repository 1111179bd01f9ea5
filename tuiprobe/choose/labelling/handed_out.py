"""Pictures handed out as a table, and the answers that come back."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from tuiprobe.choose.labelling.doubts import refuse_doubted
from tuiprobe.choose.labelling.label_log import UNSURE
from tuiprobe.choose.labelling.matching import Matched
from tuiprobe.choose.labelling.session import Labelling
from tuiprobe.datasets.dataset import digest_of
from tuiprobe.datasets.input_tables import ALL_USED, PATH_COLUMNS, NotUsed, read_table
from tuiprobe.datasets.labels import label_column
from tuiprobe.datasets.load import load_dataset
from tuiprobe.datasets.registry import source_named
from tuiprobe.errors import DataError, UsageError
from tuiprobe.files import Entry
from tuiprobe.plaintext import count_of, csv_cell, joined, path_key, plain

if TYPE_CHECKING:
    from tuiprobe.datasets.sample import Sample

BATCH_COLUMNS: Final = ("image", "sha256", "class", "batch", "skipped")

SKIPPED_ONCE: Final = "once"
"""Says in a list that the picture was skipped before the list was written: without a class it is
unsure, while a row that was listed before that skip, or is read twice, is not skipped again."""


def batch_of(digests: Iterable[str]) -> str:
    """Returns the name of a batch of pictures, by which a complete return is recognised."""
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
        raise UsageError(labelling.nothing_to_label)
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
        new: Answers that were recorded.
        repeated: Answers that were known already.
        skipped: Pictures without an answer before others that have one.
        unsure: Pictures without an answer that were skipped for the second time.
        blank: Pictures without an answer at the end.
        not_used: The columns that are not read.
    """

    new: int
    repeated: int
    skipped: int
    unsure: int
    blank: int
    not_used: NotUsed = ALL_USED

    def words(self) -> str:
        """Returns the counts in words."""
        counts = (
            (self.new, "new"),
            (self.repeated, "known already"),
            (self.skipped, "skipped, to be asked again first"),
            (self.unsure, "skipped twice and so unsure"),
            (self.blank, "not reached"),
        )
        words = "answers: " + ", ".join(f"{count:,} {text}" for count, text in counts if count)
        return "; ".join(filter(None, (words, self.not_used.in_words())))


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


def import_answers(
    labelling: Labelling, path: Path, trust: Collection[str] = ()
) -> ImportedAnswers:
    """Imports the answers of a table: from `todo_text`, from the page, or of the user.

    A table has a column `class` and names pictures by `sha256`, or by `image` or `path` as in their
    set; by `batch` it is known whether rows are missing. Classes may be named as for `--data`.
    A picture without an answer before one with an answer was too hard: it is skipped, and unsure if
    the list says that it was skipped before. Every line is checked before the first answer is
    taken.

    Args:
        labelling: The session.
        path: The table.
        trust: Ids of doubts about its labels that the user overrules.

    Raises:
        UsageError: If a line is of another picture or class, or contradicts a label, or rows of a
            batch are missing; names the line.
        DataError: If the table cannot be read.
    """
    matched = labelling.matched
    rows, not_used = _read_answers(matched, path)
    _refuse_incomplete(path, rows)
    labels = {row.picture: row.line.label for row in labelling.counted if row.line.label}
    indices: list[int] = []
    for row in rows:
        if not row.digest:
            raise matched.no_picture(row.name, row.where)
        index = matched.index_of.get(row.digest)
        if index is None:
            raise UsageError(f"{row.where} is about a picture that these runs did not measure")
        if row.label:
            matched.number(row.label, row.where)
            if labels.setdefault(index, row.label) != row.label:
                raise UsageError(
                    f"{row.where} says {row.label}, but an earlier label says {labels[index]}; if "
                    f"that one is wrong, delete its line in {labelling.files.csv}"
                )
        indices.append(index)
    table_rows = [(index, row.label) for index, row in zip(indices, rows, strict=True)]
    refuse_doubted(labelling, path, table_rows, trust)
    last = max((n for n, row in enumerate(rows) if row.label), default=-1)
    new = repeated = skipped = unsure = 0
    for index, row in zip(indices[: last + 1], rows, strict=False):
        again = index in labelling.survey.skipped
        if index in labelling.survey.labels:
            repeated += bool(row.label)
        elif row.label or row.skipped or not again:
            labelling.label(index, row.label)
            new += bool(row.label)
            unsure += not row.label and again
            skipped += not row.label and not again
    blank = len(rows) - last - 1
    return ImportedAnswers(new, repeated, skipped, unsure, blank, not_used)


def _read_answers(matched: Matched, path: Path) -> tuple[list[_Answer], NotUsed]:
    """Reads a table of answers; returns its rows and the columns that are not used.

    Raises:
        UsageError: If no column names pictures.
        DataError: If the table cannot be read.
    """
    table = read_table(path)
    column = label_column(table, "class")
    if column is None:
        known = joined([plain(name[:80]) for name in table.header], 8)
        raise DataError(f"{path}: no column class holds the labels; it has {known}")
    names = (table.find("sha256"), table.find(*PATH_COLUMNS), column)
    if names[:2] == (None, None):
        raise UsageError(f"{path}: no column sha256, image or path names the pictures")
    listing = (table.find("batch"), table.find("skipped"))
    digests, paths, labels, batches, skips = map(table.column, (*names, *listing))
    filled = [i for i, label in enumerate(labels) if label]
    remedy = "give the labels of one part, or remove the column if you want all parts"
    table.refuse_several_parts(remedy, filled, names)
    classes, by_path = matched.classes_named(labels), matched.digests_by_path
    answers = []
    for i, digest in enumerate(digests):
        by_name = by_path.get(plain(paths[i])) or by_path.get(path_key(plain(paths[i])), "")
        label, skipped = plain(classes[labels[i]]), skips[i] == SKIPPED_ONCE
        name, digest = digest or paths[i], digest.lower() or by_name
        answers.append(_Answer(table.where(i), name, digest, label, batches[i], skipped))
    return answers, table.not_used((*names, *listing))


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
                f"{path} has other rows than the batch {plain(batch)} that was handed out: "
                "leaving pictures out would bias accuracies; keep every row, without a class "
                f"or as {UNSURE}"
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
        How many pictures have labels, and how many had one before; empty where that is plain.

    Raises:
        DataError: If none has.
    """
    digests = labelling.matched.digests
    known = [index for index, digest in enumerate(digests) if digest in classes]
    if not known:
        raise DataError(
            f"{plain(source)} holds none of the {len(digests):,} pictures of these runs. "
            "Pictures are recognised by their bytes: give the files that were measured, not "
            "resized or saved again"
        )
    before = _labelled_before(labelling, classes)
    if len(known) < len(digests):
        for index in known:
            if index not in labelling.survey.labels:
                labelling.label(index, classes[digests[index]])
        left = len(digests) - len(labelling.survey.labels)
        remain = f"; {left:,} more to be labelled" if left else ""
        used = (
            f"{plain(source)} has labels of {len(known):,} of {len(digests):,} pictures: all of "
            f"them are used{remain}"
        )
        return "; ".join(filter(None, (used, before)))
    while (picture := labelling.following()) is not None:
        if labelling.ended and not after_decision:
            break
        labelling.label(picture.index, classes[picture.digest])
    return before


def _labelled_before(labelling: Labelling, classes: Mapping[str, str]) -> str:
    """Returns how many labels were given before, and which of them known ones contradict."""
    lines = [row.line for row in labelling.counted if row.label is not None]
    if not lines:
        return ""
    pictures = count_of(len(labelling.matched.digests), "picture")
    other = sum(classes.get(line.digest, line.label) != line.label for line in lines)
    differ = f"; {other:,} of them with another class, which stays" if other else ""
    file = plain(str(labelling.files.csv))
    return f"{len(lines):,} of {pictures} had a label before, in {file}{differ}"


class KnownLabels(NamedTuple):
    """The class of each picture by its SHA-256, and what of the source was not used, in words."""

    classes: dict[str, str]
    not_used: str = ""


def known_labels(labelling: Labelling, source: str, trust: Collection[str] = ()) -> KnownLabels:
    """Returns the classes of a labelled source, or of a table.

    Args:
        labelling: The session.
        source: A source as for `--data`, for example a folder of class folders; or a table as for
            `import_answers`.
        trust: Ids of doubts about the labels of a table that the user overrules.

    Raises:
        UsageError: If a class is none of these runs, a picture has two, or a table is about other
            pictures: it names less than half of these, and most of its rows name others.
        DataError: If the source has no classes, or cannot be read.
    """
    matched = labelling.matched
    if Path(source).suffix.lower() in (".csv", ".parquet") and Path(source).is_file():
        return _labels_of_table(labelling, Path(source), trust)
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


def _labels_of_table(labelling: Labelling, path: Path, trust: Collection[str]) -> KnownLabels:
    """Returns the class of each picture of a table that has one; rows of others are ignored."""
    matched = labelling.matched
    rows, not_used = _read_answers(matched, path)
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
    of_pool = [row for row in known if row.digest in matched.index_of]
    table_rows = [(matched.index_of[row.digest], row.label) for row in of_pool]
    refuse_doubted(labelling, path, table_rows, trust)
    empty = sum(not row.label for row in known)
    words = replace(not_used, empty=empty, others=len(others)).in_words()
    if others:
        words += f" ({matched.no_picture(others[0].name, others[0].where)})"
    return KnownLabels(labels, words)
