"""The outlier figures once more, straight from their definitions, in float64."""

from dataclasses import dataclass

import numpy as np


@dataclass
class Figures:
    """What `figures_of` finds; names as in the report."""

    kurtosis: float
    centred_kurtosis: float
    persistence: float
    effective_channels: float
    height: np.ndarray


def figures_of(images: list[np.ndarray]) -> Figures:
    """Returns the figures of a tap.

    Args:
        images: float64 `[positions, C]` per image.
    """
    share = np.array([shares(image).mean(0) for image in images])
    n, channels = share.shape
    own = (share**2).sum() / n
    cross = ((share.sum(0) ** 2).sum() - (share**2).sum()) / (n * (n - 1))
    every = np.concatenate(images)
    centre = every.mean(0)
    return Figures(
        kurtosis=float(np.mean([kurtosis(image).mean() for image in images])),
        centred_kurtosis=float(np.mean([kurtosis(image - centre).mean() for image in images])),
        persistence=(cross - 1 / channels) / (own - 1 / channels),
        effective_channels=1 / cross,
        height=np.median([heights(image[0]) for image in images], axis=0),
    )


def kurtosis(rows: np.ndarray) -> np.ndarray:
    """Pearson's kurtosis over the channels of each row."""
    return fourth_powers(rows).mean(1)


def shares(rows: np.ndarray) -> np.ndarray:
    """Each channel's share of the fourth moment of its row."""
    fourth = fourth_powers(rows)
    return fourth / fourth.sum(1, keepdims=True)


def fourth_powers(rows: np.ndarray) -> np.ndarray:
    """Fourth powers of rows that were shifted and scaled to mean 0 and variance 1."""
    rest = rows - rows.mean(1, keepdims=True)
    return (rest**2 / (rest**2).mean(1, keepdims=True)) ** 2


def heights(row: np.ndarray) -> np.ndarray:
    """Distance of each channel from the median, in sigmas of the 95 % nearest to it."""
    kept = len(row) - len(row) // 20
    near = row[np.argsort(np.abs(row - np.median(row)), kind="stable")[:kept]]
    return np.abs(row - np.median(near)) / (near.std() / 0.8711)
