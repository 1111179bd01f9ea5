"""Stored vectors in place of an encoder: from a file's name to a matrix that is read in blocks."""

from tuiprobe.models.embeddings.matrix import JoinedVectors, Matrix
from tuiprobe.models.embeddings.sources import open_vectors

__all__ = ["JoinedVectors", "Matrix", "open_vectors"]
