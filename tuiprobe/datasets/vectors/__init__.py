"""Stored vectors: from what a user types to a data set of rows that is read in blocks."""

from tuiprobe.datasets.vectors.rows import ROWS, RowSet, open_rows

__all__ = ["ROWS", "RowSet", "open_rows"]
