"""Thumbnails of the images that activate the leading channels most."""

from __future__ import annotations

import io

import numpy as np

from tuiprobe.datasets import Dataset, UnreadableImageError
from tuiprobe.run.directory import RunDir

SIZE = 96
LEADING_CHANNELS = 8
IMAGES_PER_END = 8


def candidates(share_sum: np.ndarray, ends: list[np.ndarray]) -> list[int]:
    """Returns the sample ids at both ends of the channels with the largest shares.

    Args:
        share_sum: float64 `[C]`.
        ends: int64 `[C, k]` sample ids of each end, best first; -1 where unfilled.

    >>> candidates(np.array([1.0, 9.0]), [np.array([[4], [5]]), np.array([[6], [-1]])])
    [4, 5, 6]
    """
    leading = np.argsort(-share_sum, kind="stable")[:LEADING_CHANNELS]
    ids = np.concatenate([end[leading, :IMAGES_PER_END].reshape(-1) for end in ends])
    return sorted({int(i) for i in ids if i >= 0})


def write_thumbnails(
    directory: RunDir, set_name: str, dataset: Dataset, sample_ids: list[int]
) -> None:
    """Writes the missing thumbnails, at most 96 pixels wide and high."""
    for sample_id in sample_ids:
        kept = directory.thumbnail_file(set_name, sample_id)
        if kept.exists():
            continue
        try:
            image = dataset.open(dataset.samples[sample_id])
        except UnreadableImageError:
            continue  # readable a moment ago; a thumbnail is optional
        image.thumbnail((SIZE, SIZE))
        content = io.BytesIO()
        image.save(content, "JPEG", quality=85)
        kept.write_bytes(content.getvalue())
