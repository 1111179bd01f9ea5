"""The figures of a model card, in plain float64 NumPy (kurtosis, persistence, concentration)."""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Outliers:
    """Outlier figures of representations; `kurtosis` has one value an image behind it."""

    images: int
    kurtosis: float
    kurtosis_low: float
    kurtosis_high: float
    kurtosis_centred: float
    persistence: float
    effective_channels: float
    six_sigma_images: float

    def as_dict(self) -> dict[str, float]:
        """Return the figures by name."""
        return asdict(self)


def standardise(h: Matrix) -> Matrix:
    """Return z-scores over the channels of each image."""
    centred = h - h.mean(axis=1, keepdims=True)
    z: Matrix = centred / h.std(axis=1, keepdims=True)
    return z


def image_kurtosis(h: Matrix) -> Matrix:
    """Return the Pearson kurtosis over the channels of each image."""
    k: Matrix = (standardise(h) ** 4).mean(axis=1)
    return k


def persistence(h: Matrix) -> tuple[float, float]:
    """Return persistence P and the effective number of channels."""
    n, channels = h.shape
    fourth = standardise(h) ** 4
    share = fourth / fourth.sum(axis=1, keepdims=True)
    q = float((share**2).sum())
    cross = (float((share.sum(axis=0) ** 2).sum()) - q) / (n * (n - 1))
    return (cross - 1 / channels) / (q / n - 1 / channels), 1 / cross


def outliers(h: Matrix) -> Outliers:
    """Return the outlier figures of representations `[images, channels]`."""
    kappa = image_kurtosis(h)
    half = 1.96 * kappa.std(ddof=1) / np.sqrt(len(kappa))
    p, effective = persistence(h)
    return Outliers(
        images=len(h),
        kurtosis=float(kappa.mean()),
        kurtosis_low=float(kappa.mean() - half),
        kurtosis_high=float(kappa.mean() + half),
        kurtosis_centred=float(image_kurtosis(h - h.mean(axis=0)).mean()),
        persistence=p,
        effective_channels=effective,
        six_sigma_images=float((np.abs(standardise(h)).max(axis=1) > 6).mean()),
    )


def concentration(w: Matrix, h: Matrix, top: int = 8) -> float:
    """Return the share of importance that the `top` directions of a head carry."""
    _, s, vt = np.linalg.svd(w, full_matrices=False)
    cosine = np.abs((h / np.linalg.norm(h, axis=1, keepdims=True)) @ vt.T).mean(axis=0)
    importance = np.sort(s * cosine)[::-1]
    return float(importance[:top].sum() / importance.sum())


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Return the 95 % Wilson interval of a proportion.

    >>> [round(v, 3) for v in wilson(50, 100)]
    [0.404, 0.596]
    """
    z = 1.959963984540054
    p = hits / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return float(centre - half), float(centre + half)
