"""Stored vectors: from what a user types to a data set of rows that is read in blocks."""

from __future__ import annotations

from pathlib import Path

from tuiprobe.datasets.dataset import Dataset, Suite
from tuiprobe.datasets.registry import DataSource


def _set(source: str, base: Path | None) -> Dataset:
    from tuiprobe.datasets.vectors.rows import open_rows  # loads torch

    return open_rows(source)


def _suite(source: str) -> Suite:
    from tuiprobe.datasets.vectors.rows import open_row_suite

    return open_row_suite(source)


SOURCE = DataSource(forms=("vectors:FILE",), open=_set, suite=_suite, kind="vectors", is_path=True)
