"""Whether columns of a table of answers can mean what their names say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from tuiprobe.catalog.class_names import match_classes
from tuiprobe.datasets.dataset import Dataset
from tuiprobe.datasets.input_tables import InputTable
from tuiprobe.errors import DataError
from tuiprobe.limits import CLASSES
from tuiprobe.plaintext import plain

MOST_TOO_LOW: Final = 0.01
"""Share of answers whose confidence may be below 1 / K."""

_RIGHT: Final = ("correct", "is_correct", "right", "hit")
_WRONG: Final = frozenset(("0", "0.0", "false", "no"))
_ENOUGH: Final = 20  # answers from which no disagreement is no chance


def class_of_confidence(
    table: InputTable, column: str, answers: Mapping[int, int], k: int, others: Sequence[str]
) -> int | None:
    """Returns the class whose probability a column is, if it is not that of the answer.

    The likeliest of K classes has at least 1 / K. Where that does not hold, the column may still be
    the probability of one of two classes, if the answers are what a threshold of 0.5 on it gives.

    Args:
        table: The table.
        column: The column.
        answers: The number of the answered class, by row.
        k: K, the number of classes.
        others: Columns that may hold what this one does not.

    Raises:
        DataError: If it is neither; names a column that would be the probability of the answer.
    """
    low = _share_too_low(table, column, answers, k)
    if low is None or low <= MOST_TOO_LOW:  # what is no number is refused where it is read
        return None
    cells = table.column(column)
    values = np.array([table.fraction(row, column, cells[row]) for row in answers])
    numbers = np.array([*answers.values()])
    for of_class in (1, 0) if k == 2 else ():
        by_threshold = np.where(values > 0.5, of_class, 1 - of_class)
        if np.all((numbers == by_threshold) | (values == 0.5)):
            return of_class
    shares = {name: _share_too_low(table, name, answers, k) for name in others}
    fit = [name for name, share in shares.items() if share is not None and share <= MOST_TOO_LOW]
    remedy = f"column {plain(fit[0])} would fit" if fit else "give the probability of the class"
    if not fit and values.max() <= 0.01 and np.mean(100 * values < 1 / k) <= MOST_TOO_LOW:
        remedy = "100 times as much would fit"
    elif not fit and np.mean(1 - values < 1 / k) <= MOST_TOO_LOW:
        remedy = "its difference from 1 would fit"
    raise DataError(
        f"{table.source}: {column} is below 1/{k} in {low:.0%} of the answers, so it is not the "
        f"probability of the answered class: {remedy}, or remove the column; if more classes may "
        "be answered, name all by --classes"
    )


def _share_too_low(
    table: InputTable, column: str, answers: Mapping[int, int], k: int
) -> float | None:
    """Returns the share of answers with a value below 1 / K, if the column holds probabilities.

    A rounded value counts with half a unit of its last digit.
    """
    cells, low = table.column(column), []
    for row in answers:
        try:
            value = table.fraction(row, column, cells[row])
        except DataError:
            return None
        digits = len(cells[row].replace(",", ".").partition(".")[2])
        low.append(value + 0.5 * 10.0**-digits < 1 / k)
    return float(np.mean(low)) if low else None


def refuse_labels(
    table: InputTable,
    answered_by: str | None,
    labelled_by: str | None,
    dataset: Dataset,
    rows: Mapping[int, int],
) -> None:
    """Refuses labels that contradict those of the pictures, and answers that are these labels.

    Args:
        table: The table.
        answered_by: Its column of answers.
        labelled_by: Its column of labels.
        dataset: The pictures.
        rows: The row of each, by sample id.

    Raises:
        DataError: If it refuses.
    """
    if not dataset.classes:
        return
    if labelled_by and (wrong := _other_classes(table, labelled_by, dataset, rows)):
        label = table.column(labelled_by)[wrong[0]]
        raise DataError(
            f"{table.where(wrong[0])}: {labelled_by} is {plain(label)}, and the folder or list of "
            f"the picture says otherwise, as for {len(wrong):,} of {len(rows):,} pictures: correct "
            "one of them, or remove the column"
        )
    if answered_by != "class" or len(rows) < _ENOUGH:
        return
    if _other_classes(table, "class", dataset, rows) == []:
        for name in table.header:
            used = name in ("class", "second", labelled_by)
            says_wrong = name.lower() in _RIGHT and not _WRONG.isdisjoint(
                cell.lower() for cell in table.column(name)
            )
            if not used and (says_wrong or _other_classes(table, name, dataset, rows)):
                raise DataError(
                    f"{table.source}: column class holds the labels of all {len(rows):,} pictures, "
                    f"and {plain(name)} says otherwise: call the answers prediction"
                )


def _other_classes(
    table: InputTable, column: str, dataset: Dataset, rows: Mapping[int, int]
) -> list[int] | None:
    """Returns the rows where a column names another class than the picture's label.

    Returns:
        Their numbers, if the column holds classes.
    """
    cells = table.column(column)
    names = tuple(dict.fromkeys(cells[row] for row in rows.values() if cells[row]))
    known = match_classes(names, dataset.classes).known if len(names) <= CLASSES else (None,)
    if None in known:
        return None
    number = dict(zip(names, known, strict=True))
    return [
        row
        for i, row in rows.items()
        if cells[row] and number[cells[row]] != dataset.samples[i].label
    ]


def refuse_other_order(source: object, dataset: Dataset) -> None:
    """Refuses ids of pictures that other programs number in another order than that of paths.

    Raises:
        DataError: If that order differs; names the first picture.
    """
    numbered_paths = getattr(dataset, "as_numbered", None)
    for sample, other in zip(dataset.samples, numbered_paths or (), strict=False):
        if sample.path != other:
            raise DataError(
                f"{source}: id {sample.id} is {plain(sample.path)} in the order of paths, and "
                f"{plain(other)} in that of torchvision, a list or shards: name the pictures by a "
                "column path in place of id"
            )
