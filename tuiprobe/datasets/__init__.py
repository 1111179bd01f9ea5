"""Data sets by name: image folders, tar shards, other libraries' sets and concept sets."""

from tuiprobe.datasets.dataset import Dataset, Suite
from tuiprobe.datasets.sample import Sample
from tuiprobe.errors import UnreadableImageError

__all__ = ["Dataset", "Sample", "Suite", "UnreadableImageError"]
