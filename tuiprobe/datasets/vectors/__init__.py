"""Stored vectors: from what a user types to a data set of rows that is read in blocks."""

from tuiprobe.datasets.vectors.matrix import JoinedVectors, Matrix
from tuiprobe.datasets.vectors.rows import ROWS, RowSet, open_rows
from tuiprobe.datasets.vectors.sources import open_vectors

__all__ = ["ROWS", "JoinedVectors", "Matrix", "RowSet", "open_rows", "open_vectors"]
