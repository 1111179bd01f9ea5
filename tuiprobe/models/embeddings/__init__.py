"""Stored vectors in place of an encoder: from a file's name to a matrix that is read in blocks."""

from tuiprobe.models.embeddings.matrix import Matrix, Pieces
from tuiprobe.models.embeddings.sources import open_vectors

__all__ = ["Matrix", "Pieces", "open_vectors"]
