"""Stored vectors: from what a user types to a data set of rows that is read in blocks."""

from tuiprobe.datasets.vectors.matrix import JoinedVectors, Matrix
from tuiprobe.datasets.vectors.sources import open_vectors

__all__ = ["JoinedVectors", "Matrix", "open_vectors"]
