"""Data sets by name: image folders, tar shards, other libraries' sets and concept sets."""

from tuiprobe.datasets.base import Dataset, Sample, Suite, UnreadableImageError

__all__ = ["Dataset", "Sample", "Suite", "UnreadableImageError"]
