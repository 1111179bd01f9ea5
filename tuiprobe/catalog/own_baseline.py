"""A baseline from the user's own CSV of models and their accuracies."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence

from tuiprobe import limits
from tuiprobe.catalog.accuracies import OWN_CLASSES, Row
from tuiprobe.errors import UsageError


def read_own_baseline(text: str, source: str, id_set: str, shifts: Sequence[str]) -> list[Row]:
    r"""Reads one model a line from a CSV with a header.

    Args:
        text: Content of the file. Columns: `model`, the in-distribution set, any of the shifts,
            and `imagenet_on_r_classes` and the like for accuracies on a shift's own classes.
            Accuracies are fractions; empty cells are unknown; other columns are ignored.
        source: Name of the file for errors.
        id_set: Column of the in-distribution accuracy, such as `imagenet`.
        shifts: Columns of the shifts.

    Raises:
        UsageError: If a column is missing or a cell is not a fraction; names line and column.

    >>> rows = read_own_baseline("model,val,v2\nmine,0.9,0.7\n", "x.csv", "val", ("v2", "r"))
    >>> rows[0].imagenet, rows[0].shifts
    (0.9, {'v2': 0.7, 'r': None})
    """
    if len(text) > limits.BASELINE_BYTES:
        raise UsageError(f"{source} is larger than {limits.BASELINE_BYTES:,} bytes")
    try:
        reader = csv.DictReader(text.lstrip("\ufeff").splitlines())
        columns = tuple(reader.fieldnames or ())
        _check_columns(columns, source, id_set, shifts)
        lines = [(reader.line_num, cells) for cells in reader]
    except csv.Error as error:
        raise UsageError(f"{source} is no CSV: {error}") from error
    rows = []
    for number, cells in lines:
        place = f"{source}, line {number}"
        if not (cells["model"] or "").strip():
            raise UsageError(f"{place}: column 'model' is empty")
        rows.append(_row(cells, place, id_set, shifts))
    if not rows:
        raise UsageError(f"{source} holds a header and no model")
    return rows


def _check_columns(columns: Sequence[str], source: str, id_set: str, shifts: Sequence[str]) -> None:
    missing = [name for name in ("model", id_set) if name not in columns]
    if not missing and not any(shift in columns for shift in shifts):
        missing = [" or ".join(shifts)]
    if missing:
        raise UsageError(
            f"{source} lacks the column {missing[0]!r}; these sets need: model, {id_set}, and "
            f"one or more of {', '.join(shifts)}"
        )
    twice = [name for name in columns if columns.count(name) > 1]
    if twice:
        raise UsageError(f"{source} has the column {twice[0]!r} twice")


def _row(cells: Mapping[str, str], place: str, id_set: str, shifts: Sequence[str]) -> Row:
    own = {shift: column for shift, column in OWN_CLASSES.items() if shift in shifts}
    return Row(
        table="own",
        model=cells["model"].strip(),
        baselines=frozenset({"own"}),
        imagenet=_fraction(cells, id_set, place),
        shifts={shift: _fraction(cells, shift, place) for shift in shifts},
        own_classes={shift: _fraction(cells, column, place) for shift, column in own.items()},
    )


def _fraction(cells: Mapping[str, str], column: str, place: str) -> float | None:
    text = (cells.get(column) or "").strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:  # also rejects NaN
        raise UsageError(
            f"{place}, column {column!r}: {text!r} is no accuracy; give fractions, 0.761 for 76.1 %"
        )
    return value
