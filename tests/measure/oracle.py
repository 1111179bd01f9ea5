"""The outlier figures once more, straight from their definitions, in float64 and plain loops."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class Figures:
    """What `figures_of` finds; names as in the report."""

    kurtosis: float
    centred_kurtosis: float
    persistence: float
    effective_channels: float
    shares: np.ndarray
    leading: np.ndarray
    rms_kurtosis: float
    height: np.ndarray


def figures_of(images: list[np.ndarray]) -> Figures:
    """Returns the figures of a tap.

    Args:
        images: float64 `[positions, C]` per image.
    """
    share = np.array([np.mean([shares(row) for row in image], axis=0) for image in images])
    n, channels = share.shape
    own = (share**2).sum() / n
    cross = ((share.sum(0) ** 2).sum() - (share**2).sum()) / (n * (n - 1))
    every = np.concatenate(images)
    centre = every.mean(0)
    square = (every**2).mean(0)
    return Figures(
        kurtosis=float(np.mean([np.mean([kurtosis(r) for r in image]) for image in images])),
        centred_kurtosis=float(
            np.mean([np.mean([kurtosis(r - centre) for r in image]) for image in images])
        ),
        persistence=(cross - 1 / channels) / (own - 1 / channels),
        effective_channels=1 / cross,
        shares=share.mean(0),
        leading=np.bincount(share.argmax(1), minlength=channels) / n,
        rms_kurtosis=float((square**2).mean() / square.mean() ** 2),
        height=np.median([heights(image[0]) for image in images], axis=0),
    )


def kurtosis(row: np.ndarray) -> float:
    """Pearson's kurtosis over the channels of one row."""
    z = (row - row.mean()) / row.std()
    return float((z**4).mean())


def shares(row: np.ndarray) -> np.ndarray:
    """Each channel's share of the row's fourth moment."""
    z = (row - row.mean()) / row.std()
    return z**4 / (z**4).sum()


def heights(row: np.ndarray) -> np.ndarray:
    """Distance of each channel from the median, in sigmas of the 95 % nearest to it."""
    kept = len(row) - len(row) // 20
    near = row[np.argsort(np.abs(row - np.median(row)), kind="stable")[:kept]]
    return np.abs(row - np.median(near)) / (near.std() / 0.8711)
