"""Records of sets of stored vectors, whose rows have no lines of their own in `samples.jsonl`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tuiprobe.results.base import Count, Many, Record

LISTED_ROWS = 100
"""Rows that are named for not being finite, per shard and per set."""


class RowFile(Record):
    """A file of vectors as it was when the run was planned.

    Attributes:
        path: Absolute path.
        rows: Number of its rows.
        size: Bytes.
        changed: Time of its last change.
    """

    path: str
    rows: Count
    size: Count
    changed: str


class RowsRecord(Record):
    """Where the vectors of a set are, in `plan.json`.

    Attributes:
        format: Formats of the files.
        dtype: Types of the values.
        files: The files, in order.
    """

    format: str
    dtype: str
    files: Annotated[Many[RowFile], Field(min_length=1)]


class RowsMeasured(Record):
    """What was measured of stored vectors, in `measured.json`.

    Attributes:
        rows: Rows that were read.
        nonfinite: Rows among them that are not finite, which count in no figure.
        nonfinite_rows: The first of them.
    """

    rows: Count
    nonfinite: Count
    nonfinite_rows: Annotated[tuple[Count, ...], Field(max_length=LISTED_ROWS)]
