"""Stored vectors: from what a user types to a data set of rows that is read in blocks."""

from __future__ import annotations

from pathlib import Path

from tuiprobe.datasets.dataset import Dataset, Suite
from tuiprobe.datasets.registry import DataSource

ROWS = "rows"
"""Name of the set that `--data` names; target sets go by the names of their files."""


def _set(source: str, base: Path | None = None) -> Dataset:
    from tuiprobe.datasets.vectors.row_set import RowSet  # reads torch files

    return RowSet(source)


def _suite(source: str) -> Suite:
    rows = _set(source)
    return Suite(ROWS, rows.source, {ROWS: rows})


SOURCE = DataSource(forms=("vectors:FILE",), open=_set, suite=_suite, kind="vectors", is_path=True)
