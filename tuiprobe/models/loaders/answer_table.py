"""Tables of answers: the class of each picture, with a confidence or probabilities of all classes.

No torch is needed, so a dry run reads them as a run does.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tuiprobe.catalog.class_names import match_classes
from tuiprobe.datasets.dataset import Dataset, Suite
from tuiprobe.datasets.input_tables import PATH_COLUMNS, InputTable, NotUsed, read_table
from tuiprobe.datasets.labels import NUMBER
from tuiprobe.datasets.layout import Ids
from tuiprobe.errors import DataError, UnreadableImageError
from tuiprobe.models.loaders.answer_checks import (
    class_of_confidence,
    refuse_labels,
    refuse_other_order,
)
from tuiprobe.plaintext import did_you_mean, in_any_spelling, path_key, plain

LogProbabilities = NDArray[np.float32]

PICTURE_COLUMNS: Final = ("path", "image", "sha256", "id")
"""Columns that name pictures; the first that a table has counts, then those of `PATH_COLUMNS`."""

ANSWER_COLUMNS: Final = ("predicted_class", "predicted_label", "predicted_name", "pred_class",
                         "pred_label", "pred_name", "class_pred", "label_pred", "y_pred", "y_hat",
                         "predicted", "prediction", "predictions", "pred", "preds", "argmax",
                         "class")  # fmt: skip
"""Names of a column of answers; of several, the first here counts."""

LABEL_COLUMNS: Final = ("label", "labels", "truth", "true_class", "true_label", "gt",
                        "ground_truth", "y_true", "class")  # fmt: skip
"""Names of a column of labels; `class` is one where another column has the answers."""

_NAMELESS: Final = ("", "Unnamed: 0", "__index_level_0__")
"""Names of a column where pandas writes an index without a name, for example of paths."""

_CONFIDENCES: Final = ("confidence", "calibrated")  # the first that holds a value counts
_OTHER_COLUMNS: Final = (*_CONFIDENCES, "set", "second", "batch", "unattended")
_FOLDS: Final = ("fold", "folds", "kfold", "cv_fold")
"""Columns of cross-validation, where the answer on each picture is of a model that left it out."""

_CHOOSE_PART: Final = (
    "choose the pictures of one part, such as csv:FILE@split=test, or remove the column if you "
    "want all parts"
)

_LEAST: Final = float(np.finfo(np.float32).tiny)  # in place of a probability of 0
_SUM: Final = 0.01  # how far the probabilities of a picture may be from 1


@dataclass(frozen=True, eq=False)
class AnswerTable:
    """A table of answers.

    Attributes:
        table: Header and rows as they are written.
    """

    table: InputTable

    @classmethod
    def read(cls, path: Path) -> AnswerTable:
        """Reads a table.

        Raises:
            DataError: If it cannot be read, or no column says which pictures or which classes.
        """
        table = read_table(path)
        known = {*PICTURE_COLUMNS, *PATH_COLUMNS, *_OTHER_COLUMNS, *ANSWER_COLUMNS, *LABEL_COLUMNS}
        names = {name: re.sub(r"[\s_.-]+", "_", name.strip().lower()) for name in table.header}
        lower = tuple(names[n] if names[n] in known else n for n in table.header)
        header = lower if len({*lower}) == len(lower) else table.header  # `Set` may be a class
        answers = cls(replace(table, header=header))
        nameless = next((n for n in header if n in _NAMELESS and not table.is_index(n)), None)
        if answers.named_by is None and nameless is not None:
            header = tuple("path" if name == nameless else name for name in header)
            answers = cls(replace(table, header=header))
        if answers.named_by is None:
            raise DataError(f"{path}: no column path, sha256 or id names the pictures")
        if answers.answered_by is None and len(answers.probabilities) < 2:
            raise DataError(f"{path}: no column class holds the answers")
        return answers

    @property
    def answered_by(self) -> str | None:
        """The column of answers."""
        return next((name for name in ANSWER_COLUMNS if name in self.table.header), None)

    @property
    def labelled_by(self) -> str | None:
        """The column of labels."""
        names = (name for name in LABEL_COLUMNS if name != self.answered_by)
        return next((name for name in names if name in self.table.header), None)

    @cached_property
    def answers(self) -> list[str]:
        """The answer of each row, empty for none."""
        return self.table.column(self.answered_by)

    @property
    def named_by(self) -> str | None:
        """The column that names the pictures."""
        columns = (*PICTURE_COLUMNS, *PATH_COLUMNS)
        return next((name for name in columns if name in self.table.header), None)

    @cached_property
    def probabilities(self) -> tuple[str, ...]:
        """The columns of probabilities, one for each class; empty where there are confidences.

        If there are answers, a column whose first cell is no number holds something else.
        """
        columns = (self.named_by, self.answered_by, self.labelled_by)
        known = {*columns, *PICTURE_COLUMNS, *_OTHER_COLUMNS}
        others = [n for n in self.table.header if n not in known and not self.table.is_index(n)]
        if self.answered_by is not None:
            first = {name: self.table.column(name)[0].replace(",", ".") for name in others}
            others = [name for name in others if NUMBER.fullmatch(first[name])]
        return () if self.confidence else tuple(others)

    @cached_property
    def confidence(self) -> str:
        """The column of confidences."""
        known = (name for name in _CONFIDENCES if name in self.table.header)
        return next((name for name in known if any(self.table.column(name))), "")

    @property
    def confident(self) -> bool:
        """Whether it has confidences."""
        return bool(self.confidence or self.probabilities)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The classes that it names: those of its columns, or of its answers in their order."""
        return self.probabilities or tuple(sorted(set(filter(None, self.answers))))

    def log_probabilities(self, classes: Sequence[str]) -> LogProbabilities:
        """Returns the logarithms of the probabilities, float32 `[rows, K]`.

        Where the table gives one confidence, the other classes share the rest. Where it gives
        none, the answer has 1 and the others 0. A row without an answer holds zeros, which
        count as wrong.

        Args:
            classes: The K classes.

        Raises:
            DataError: If a class is not one of them, or a confidence is no probability; names the
                line.
        """
        number = self._numbers(classes)
        if self.probabilities:
            values = self._of_columns(number, len(classes))
        else:
            values = self._of_confidences(number, len(classes), self.confidence_of(classes))
        for row, column in self._answered(number):
            if values[row, column] < values[row].max():
                name, where = plain(self.answers[row]), self.table.where(row)
                raise DataError(
                    f"{where}: class is {name}, and another class has a higher probability"
                )
            if (values[row] >= values[row, column]).sum() > 1:
                values[row, column] = np.nextafter(values[row].max(), np.float32(np.inf))
        return values

    def _answered(self, number: Mapping[str, int]) -> Iterator[tuple[int, int]]:
        """Yields the rows with an answer, and the number of its class."""
        return ((row, number[name]) for row, name in enumerate(self.answers) if name)

    def _numbers(self, classes: Sequence[str]) -> dict[str, int]:
        """Returns the number of each class that is named, which may be written otherwise."""
        names = tuple(dict.fromkeys((*self.names, *filter(None, self.answers))))
        column_of = {name: number for number, name in enumerate(classes)}
        others = [name for name in names if name not in column_of]
        matched = match_classes(others, classes)
        for name, number in zip(others, matched.known, strict=True):
            if number is None:
                answers = self.answers
                where = (
                    self.table.where(answers.index(name)) if name in answers else self.table.source
                )
                near = did_you_mean(name, classes)
                raise DataError(f"{where}: {plain(name)!r} is not a class of the pictures{near}")
            column_of[name] = number
        return column_of

    def _of_confidences(
        self, number: Mapping[str, int], k: int, of_class: int | None
    ) -> LogProbabilities:
        values = np.zeros((len(self.table.rows), k), np.float32)
        texts = self.table.column(self.confidence)
        for row, answer in self._answered(number):
            if not self.confident:
                values[row, answer] = 1
                continue
            sure = self.table.fraction(row, self.confidence, texts[row])
            sure = sure if of_class in (None, answer) else 1 - sure
            others = min((1 - sure) / max(k - 1, 1), sure)
            values[row] = np.log(max(others, _LEAST))
            values[row, answer] = np.log(max(sure, _LEAST))
        return values

    def confidence_of(self, classes: Sequence[str]) -> int | None:
        """Returns the class whose probability the confidences are, if it is not the answer's.

        Args:
            classes: The K classes.

        Raises:
            DataError: If they are neither.
        """
        if not self.confidence:
            return None
        answers = dict(self._answered(self._numbers(classes)))
        used = (self.confidence, self.named_by, self.answered_by, self.labelled_by)
        others = [name for name in self.table.header if name not in used]
        return class_of_confidence(self.table, self.confidence, answers, len(classes), others)

    def _of_columns(self, number: Mapping[str, int], k: int) -> LogProbabilities:
        shares = np.zeros((len(self.table.rows), k))
        for name in self.probabilities:
            for row, text in enumerate(self.table.column(name)):
                shares[row, number[name]] += self.table.fraction(row, name, text)
        far = np.flatnonzero(np.abs(shares.sum(axis=1) - 1) > _SUM)
        if len(far):
            total = shares[far[0]].sum()
            raise DataError(
                f"{self.table.where(int(far[0]))}: the probabilities sum to {total:.3g}"
            )
        return np.log(np.maximum(shares, _LEAST)).astype(np.float32)

    def not_used(self, sets: Collection[str]) -> NotUsed:
        """Returns the columns and rows that a run of these sets does not use.

        `second` and further columns that name pictures are what programs write with answers.
        """
        never_counted = {*PICTURE_COLUMNS, *PATH_COLUMNS, *_OTHER_COLUMNS}
        others = [name for name in self.table.column("set") if name and name not in sets]
        empty = 0 if self.probabilities else self.answers.count("")
        used = (*never_counted, self.answered_by, *self.probabilities)
        return self.table.not_used(used, empty=empty, others=len(others))

    def notes(self, classes: Sequence[str], sets: Collection[str]) -> tuple[str, ...]:
        """Returns how the table was understood, and what of it is not used, in words.

        Args:
            classes: The K classes.
            sets: The sets of the run.
        """
        notes = [self.not_used(sets).in_words()]
        if self.answered_by not in ("class", None):
            notes.append(f"answers are those of column {self.answered_by}")
        if not self.probabilities and (of_class := self.confidence_of(classes)) is not None:
            notes.append(
                f"{self.confidence} is read as the probability of {plain(classes[of_class])}"
            )
        return tuple(f"{plain(Path(self.table.source).name)}: {note}" for note in notes if note)

    def rows_of(self, suite: Suite, order: Mapping[str, Ids]) -> dict[str, dict[int, int]]:
        """Returns the row of each picture that it has, by set and sample id.

        Args:
            suite: The sets.
            order: Sample ids to measure, by set.

        Raises:
            DataError: If a row is of an unknown picture, or of one that another row is about, or
                a picture to measure has no row, naming the line; if ids may count in another
                order; if labels of the table contradict those of the pictures, or its answers are
                these labels; if the pictures belong to several parts of the data.
        """
        if self.named_by == "id":
            for dataset in suite.sets.values():
                refuse_other_order(self.table.source, dataset)
        rows = self._rows_of_known(suite)
        columns = (self.answered_by, self.labelled_by, "set", *_FOLDS, *self.probabilities)
        for name, ids in order.items():
            dataset, measured = suite.sets[name], np.asarray(ids).tolist()
            for i in measured:
                if i not in rows[name] and _readable(dataset, i):
                    path = plain(dataset.samples[i].path)
                    raise DataError(f"{self.table.source} has no answer on {path} of {name}")
            used = {rows[name][i] for i in measured if i in rows[name]}
            self.table.refuse_several_parts(_CHOOSE_PART, used, columns)
            refuse_labels(self.table, self.answered_by, self.labelled_by, dataset, rows[name])
        return rows

    def _rows_of_known(self, suite: Suite) -> dict[str, dict[int, int]]:
        """Returns the row of each picture, by set and sample id; each row is of a known picture."""
        known = self._pictures(suite)
        rows: dict[str, dict[int, int]] = {name: {} for name in suite.sets}
        assert self.named_by is not None
        sets = self.table.column("set") if "set" in self.table.header else []
        for row, cell in enumerate(self.table.column(self.named_by)):
            if sets and sets[row] not in suite.sets:
                continue  # of a set that this run leaves out
            for name, i in self._pictures_of_row(row, cell, sets[row] if sets else "", known):
                before = rows[name].setdefault(i, row)
                if before != row and not self._same_content(before, row):
                    raise DataError(
                        f"{self.table.where(row)}: {plain(cell)!r} has an answer already, "
                        f"in {self.table.where(before)}"
                    )
        return rows

    def _pictures_of_row(
        self, row: int, cell: str, of_set: str, known: Mapping[str, list[tuple[str, int]]]
    ) -> list[tuple[str, int]]:
        """Returns set and sample id of the pictures that a cell names, in any set or in `of_set`.

        Only a SHA-256 may name pictures of several sets.
        """
        cell = cell.lower() if self.named_by == "sha256" else cell
        pictures = known.get(cell) or known.get(path_key(cell), [])
        pictures = [picture for picture in pictures if of_set in ("", picture[0])]
        where, count = self.table.where(row), len({name for name, _ in pictures})
        if not pictures:
            near = did_you_mean(cell, known)
            raise DataError(f"{where}: there is no picture {plain(cell)!r}{near}")
        if count > 1 and self.named_by != "sha256":
            raise DataError(
                f"{where}: {plain(cell)!r} is in {count} sets; name them in a column set"
            )
        return pictures

    def _same_content(self, one: int, other: int) -> bool:
        """Returns whether two rows give the same answer to one SHA-256, as of equal pictures."""
        return self.named_by == "sha256" and self.table.rows[one] == self.table.rows[other]

    def _pictures(self, suite: Suite) -> dict[str, list[tuple[str, int]]]:
        """Returns set and sample id of all pictures by how the table names them."""
        known: dict[str, list[tuple[str, int]]] = {}
        for name, dataset in suite.sets.items():
            for sample in dataset.samples:
                if self.named_by == "sha256":
                    try:
                        key = dataset.read(sample).digest().hex()
                    except UnreadableImageError:
                        continue
                else:
                    key = str(sample.id) if self.named_by == "id" else sample.path
                known.setdefault(key, []).append((name, sample.id))
        return in_any_spelling(known)


def _readable(dataset: Dataset, i: int) -> bool:
    try:
        dataset.read(dataset.samples[i]).image()
    except UnreadableImageError:
        return False
    return True
