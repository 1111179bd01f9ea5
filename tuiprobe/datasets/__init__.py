"""Data sets by name: image folders, tar shards, other libraries' sets and concept sets."""

from tuiprobe.datasets.base import Sample, UnreadableImageError
from tuiprobe.datasets.dataset import Dataset, Suite

__all__ = ["Dataset", "Sample", "Suite", "UnreadableImageError"]
