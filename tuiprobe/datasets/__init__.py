"""Name to data set: folders of images and the other places images come from."""

from tuiprobe.datasets.base import Dataset, Sample, Suite, UnreadableImageError

__all__ = ["Dataset", "Sample", "Suite", "UnreadableImageError"]
