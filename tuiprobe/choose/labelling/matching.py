"""Several candidates on the same pictures and classes, and the labels that count for them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tuiprobe.catalog.class_names import match_classes
from tuiprobe.choose.labelling.betting import Floats, Ints
from tuiprobe.choose.labelling.candidates import Candidate
from tuiprobe.choose.labelling.label_log import (
    NONE_OF_THESE,
    UNSURE,
    LabelFiles,
    LabelLine,
    NoLabelsError,
    label_targets,
)
from tuiprobe.choose.labelling.survey import NOBODY, NOT_SURE, Pool
from tuiprobe.datasets.sample import UNREADABLE
from tuiprobe.errors import DataError, UsageError
from tuiprobe.plaintext import did_you_mean, first_names, in_any_spelling, plain, similar_names

UNREADABLE_PICTURE = UNREADABLE.hex()


class DifferentPoolsError(DataError):
    """Runs that were measured on different pictures, or that answer with different classes."""


@dataclass(frozen=True, eq=False)
class Matched:
    """Candidates on the same pictures and classes.

    Attributes:
        candidates: The candidates.
        classes: Class names, sorted.
        ids: int64 `[N]`, sample ids of its pictures, ascending.
        digests: SHA-256 of each picture.
        paths: Path of each picture in its target set.
        left_out: Pictures that a candidate could not read, or has no finite representation of.
        doubles: Pictures with the contents of an earlier one, which stands for them.
        answers: int64 `[M, N]`, index into `classes`.
        confidences: float64 `[M, N]`.
        ranking: float64 `[M, N]`, as of `Candidate`.
    """

    candidates: tuple[Candidate, ...]
    classes: tuple[str, ...]
    ids: Ints
    digests: tuple[str, ...]
    paths: tuple[str, ...]
    left_out: int
    doubles: int
    answers: Ints
    confidences: Floats
    ranking: Floats

    @property
    def source_run(self) -> Candidate:
        """The candidate whose pictures are shown, the first that the user gave."""
        return self.candidates[0]

    @cached_property
    def index_of(self) -> dict[str, int]:
        """The index of each picture, by its SHA-256."""
        return {digest: index for index, digest in enumerate(self.digests)}

    @cached_property
    def answer_rows(self) -> Ints:
        """Row of each picture in each candidate's table of answers, int64 `[M, N]`; -1 for none."""
        tables = []
        for run in self.candidates:
            row_of = {run.digests.get(i): row for i, row in run.answer_rows.items()}
            tables.append([row_of.get(digest, -1) for digest in self.digests])
        return np.array(tables, dtype=np.int64)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        """What each label stands for: the number of a class, `NOBODY` or `NOT_SURE`."""
        numbers = {plain(name): n for n, name in enumerate(self.classes)}
        return numbers | {NONE_OF_THESE: NOBODY, UNSURE: NOT_SURE}

    def number(self, label: str, where: str) -> int:
        """Returns the number of a class, `NOBODY` or `NOT_SURE`.

        Args:
            label: A class of the runs, `NONE_OF_THESE` or `UNSURE`.
            where: What it labels, for the message.

        Raises:
            UsageError: If it is none of these.
        """
        if plain(label) not in self._numbers:
            near = similar_names(plain(label).casefold(), map(str.casefold, self._numbers))
            similar = [name for name in self._numbers if name.casefold() in near]
            words = f"{' or '.join(similar)}?" if similar else first_names(self._numbers)
            raise UsageError(f"{where}: {plain(label)!r} is no class of these runs: {words}")
        return self._numbers[plain(label)]

    def classes_named(self, names: Iterable[str]) -> dict[str, str]:
        """Returns the class of the runs that each name stands for, as names of `--data` do.

        Case and separators do not count, and ImageNet's classes have ids and further names. A name
        of no class or several is kept: `number` refuses it.
        """
        classes = {name: name for name in names}
        others = [name for name in classes if plain(name) not in self._numbers]
        for name, row in zip(others, match_classes(others, self.classes).known, strict=True):
            if row is not None:
                classes[name] = self.classes[row]
        return classes

    @cached_property
    def digests_by_path(self) -> dict[str, str]:
        """The SHA-256 of each picture, by its path in any spelling of it."""
        run = self.source_run
        return in_any_spelling({plain(run.paths[i]): d for i, d in run.digests.items()})

    def no_picture(self, name: str, where: str) -> UsageError:
        """Returns the error that the runs did not measure this picture.

        Args:
            name: A path in its set, or a SHA-256.
            where: What names it, for the message.
        """
        meant = did_you_mean(plain(name), self.digests_by_path, most=1)
        return UsageError(f"{where}: {plain(name)!r} is no picture that these runs measured{meant}")

    @cached_property
    def pool(self) -> Pool:
        """The answers, and the two orders that follow from the pictures alone."""
        orders = self.shuffled(b"order"), self.shuffled(b"other")
        return Pool(self.answers, self.confidences, *orders)

    def shuffled(self, name: bytes) -> Ints:
        """Returns the pictures in an order that nobody chooses, int64 `[N]`.

        Args:
            name: They are sorted by the SHA-256 of it followed by that of the picture.
        """
        contents = (bytes.fromhex(digest) for digest in self.digests)
        keys = [hashlib.sha256(name + content).digest() for content in contents]
        return np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.int64)

    @cached_property
    def pictures_digest(self) -> str:
        """The SHA-256 of the set of pictures."""
        return hashlib.sha256("".join(sorted(self.digests)).encode()).hexdigest()

    @cached_property
    def answers_digests(self) -> tuple[str, ...]:
        """The SHA-256 of pictures and answers of each candidate, whatever the order of pictures."""
        digests = []
        for answers in self.answers.tolist():
            pairs = zip(self.digests, answers, strict=True)
            lines = sorted(f"{picture} {self.classes[answer]}\n" for picture, answer in pairs)
            content = "".join(lines).encode("utf-8", "backslashreplace")
            digests.append(hashlib.sha256(content).hexdigest())
        return tuple(digests)


def match(candidates: Sequence[Candidate]) -> Matched:
    """Puts candidates on the same pictures by digest, and on the same classes by name.

    Raises:
        DifferentPoolsError: If pictures or classes differ.
        DataError: If equal pictures got different answers.
    """
    first = candidates[0]
    for other in candidates[1:]:
        _refuse_other(first, other)
    classes = tuple(sorted(set(first.classes)))
    ids, doubles = _distinct(first)
    for other in candidates[1:]:
        _distinct(other)
    found = []  # rows of each candidate, for each picture of the first one; -1 where it has none
    for candidate in candidates:
        row_of: dict[str, int] = {}
        for row, sample in enumerate(candidate.ids.tolist()):
            row_of.setdefault(candidate.digests[sample], row)
        found.append([row_of.get(first.digests[sample], -1) for sample in ids])
    rows = np.array(found)
    usable = (rows >= 0).all(axis=0)
    if not usable.any():
        raise DataError(f"{first.directory.path} has no readable picture in {first.target}")
    answers, confidences, ranking = [], [], []
    for candidate, row in zip(candidates, rows[:, usable], strict=True):
        number = np.array([classes.index(name) for name in candidate.classes], dtype=np.int64)
        answers.append(number[candidate.answers[row]])
        confidences.append(candidate.confidences[row])
        ranking.append(candidate.ranking[row])
    chosen = np.array(ids, dtype=np.int64)[usable]
    return Matched(
        candidates=tuple(candidates),
        classes=classes,
        ids=chosen,
        digests=tuple(first.digests[i] for i in chosen.tolist()),
        paths=tuple(first.paths[i] for i in chosen.tolist()),
        left_out=len(first.digests) - doubles - len(chosen),
        doubles=doubles,
        answers=np.array(answers),
        confidences=np.array(confidences),
        ranking=np.array(ranking),
    )


def _refuse_other(first: Candidate, other: Candidate) -> None:
    """Refuses a run over other pictures or classes.

    Raises:
        DifferentPoolsError: If it is one; says what differs.
    """
    a, b = first.directory.path, other.directory.path
    if unshared := sorted(set(first.classes) ^ set(other.classes)):
        where = a if unshared[0] in first.classes else b
        raise DifferentPoolsError(
            f"{a} and {b} answer with different classes: {len(unshared):,} are in only one, "
            f"such as {unshared[0]!r} in {where}; run both with the same --classes FILE"
        )
    pictures = [set(run.digests.values()) for run in (first, other)]
    only = [pictures[0] - pictures[1], pictures[1] - pictures[0]]
    unreadable = [list(run.digests.values()).count(UNREADABLE_PICTURE) for run in (other, first)]
    if len(only[0]) > unreadable[0] or len(only[1]) > unreadable[1]:
        raise DifferentPoolsError(
            f"{a} and {b} measured different pictures: {len(only[0]):,} of {len(pictures[0]):,} "
            f"are only in the first, {len(only[1]):,} of {len(pictures[1]):,} only in the second; "
            "run both with the same --target and --sample"
        )


def _distinct(candidate: Candidate) -> tuple[list[int], int]:
    """Returns the pictures without duplicates, and the number of duplicates.

    Raises:
        DataError: If pictures of equal contents got different answers.
    """
    answer = dict(zip(candidate.ids.tolist(), candidate.answers.tolist(), strict=True))
    first: dict[str, int] = {}
    readable = sorted(i for i, d in candidate.digests.items() if d != UNREADABLE_PICTURE)
    for i in readable:
        before = first.setdefault(candidate.digests[i], i)
        if i in answer and before in answer and answer[i] != answer[before]:
            raise DataError(
                f"{candidate.paths[i]} and {candidate.paths[before]} are the same picture and "
                f"{candidate.model} answers them differently: measure the run again"
            )
    return sorted(first.values()), len(readable) - len(first)


class CountedLabel(NamedTuple):
    """A label of a picture that candidates answer.

    Attributes:
        picture: Index of the picture in the pool.
        label: Number of a class, `NOBODY` or `NOT_SURE`; None where the picture was listed and not
            answered.
        line: Its line in the file of labels.
    """

    picture: int
    label: int | None
    line: LabelLine


def label_files(folder: Path, matched: Matched) -> LabelFiles:
    """Returns the files of the target set, or of another one that has labels of its pictures."""
    pictures, files = set(matched.digests), LabelFiles(folder, matched.source_run.target)
    others = (LabelFiles(folder, name) for name in label_targets(folder))
    for each in (files, *others):
        try:
            if any(line.digest in pictures for line in each.lines()):
                return each
        except NoLabelsError:  # another table whose name begins with "labels-"
            if each.csv == files.csv:
                raise
    return files


def counted_labels(files: LabelFiles, matched: Matched) -> list[CountedLabel]:
    """Returns the labels of the candidates' pictures, one for each, in their order.

    Pictures that were listed and not answered are in it too, as often as they were.

    Raises:
        UsageError: If a label is of a class that no candidate may answer, or one picture has two.
        DataError: If a line is no label.
    """
    rows: list[CountedLabel] = []
    first: dict[int, tuple[int, LabelLine]] = {}
    for number, line in enumerate(files.lines(), 2):
        index = matched.index_of.get(line.digest)
        if index is None:
            continue
        if not line.label:
            rows.append(CountedLabel(index, None, line))
            continue
        label = matched.number(line.label, f"{files.csv} line {number}")
        if index not in first:
            rows.append(CountedLabel(index, label, line))
        before, earlier = first.setdefault(index, (number, line))
        if earlier.label != line.label:
            raise UsageError(
                f"{files.csv} labels one picture twice: line {before} says that "
                f"{plain(earlier.image)} is {plain(earlier.label)}, line {number} that "
                f"{plain(line.image)} is {plain(line.label)}; delete one of the lines"
            )
    return rows
