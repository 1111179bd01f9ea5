"""Runs of stored vectors: the half of the engine in which rows stand in place of images."""

from tuiprobe.measure.embeddings.plan import plan_vectors
from tuiprobe.measure.embeddings.stages import RowStages

__all__ = ["RowStages", "plan_vectors"]
