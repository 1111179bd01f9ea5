"""Colours, surface textures and materials, as exact elementwise arithmetic.

No sine, no matrix product: only operations that IEEE 754 rounds the same everywhere.
"""

import numpy as np
from numpy.typing import NDArray

from tuiprobe.miniature.draws import Draws

FloatImage = NDArray[np.float32]

COLORS: dict[str, tuple[int, int, int]] = {
    "black": (28, 27, 32),
    "blue": (45, 95, 205),
    "brown": (120, 74, 38),
    "gray": (135, 138, 142),
    "green": (45, 145, 62),
    "orange": (240, 140, 35),
    "pink": (244, 145, 185),
    "purple": (132, 62, 172),
    "red": (208, 38, 45),
    "white": (242, 242, 238),
    "yellow": (244, 212, 50),
}
COLOR_NAMES: tuple[str, ...] = tuple(COLORS)
TEXTURES: tuple[str, ...] = ("checkered", "dotted", "grid", "solid", "striped", "zigzag")
MATERIALS: tuple[str, ...] = ("fabric", "metal", "plastic", "stone", "wood")
GLASS = (150, 200, 228)


def triangle(t: FloatImage) -> FloatImage:
    """Returns a triangle wave of period 1 between 0 and 1."""
    return np.abs(2 * (t - np.floor(t)) - 1)


def smooth_noise(draws: Draws, cells: int, size: int) -> FloatImage:
    """Returns bilinear noise `[size, size]` of mean 0 and about unit scale."""
    coarse = draws.noise(cells + 1, cells + 1)
    at = np.arange(size, dtype=np.float32) * np.float32(cells / size)
    low = at.astype(np.intp)
    part = at - low
    rows = coarse[low] + (coarse[low + 1] - coarse[low]) * part[:, None]
    left = rows[:, low]
    return left + (rows[:, low + 1] - left) * part


def texture_field(name: str, u: FloatImage, v: FloatImage) -> FloatImage:
    """Returns where the second colour shows (0 or 1) for surface coordinates in periods."""
    if name == "solid":
        return np.zeros_like(u)
    fu, fv = u - np.floor(u), v - np.floor(v)
    if name == "striped":
        hit = fv < 0.5
    elif name == "dotted":
        hit = (fu - 0.5) ** 2 + (fv - 0.5) ** 2 < 0.09
    elif name == "checkered":
        hit = (fu < 0.5) ^ (fv < 0.5)
    elif name == "grid":
        hit = (fu < 0.25) | (fv < 0.25)
    else:
        shifted = v + 0.6 * triangle(u)
        hit = shifted - np.floor(shifted) < 0.5
    return hit.astype(np.float32)


def material_field(name: str, u: FloatImage, v: FloatImage, draws: Draws) -> FloatImage:
    """Returns brightness factors of a material over surface coordinates in object units."""
    rows, columns = u.shape
    if name == "metal":
        shine = 1 - triangle(v * 0.9 + u * 0.25 + np.float32(draws.uniform()))
        return 0.72 + 0.75 * shine * shine
    if name == "wood":
        grain = triangle(v * 7 + 0.5 * triangle(u * 1.3) + np.float32(draws.uniform()))
        return 0.78 + 0.34 * grain
    if name == "stone":
        blocks = draws.noise(rows // 3 + 1, columns // 3 + 1)
        speckle = np.repeat(np.repeat(blocks, 3, axis=0), 3, axis=1)[:rows, :columns]
        return 1 + 0.16 * speckle
    if name == "fabric":
        return 0.86 + 0.24 * ((triangle(u * 9) > 0.5) ^ (triangle(v * 9) > 0.5))
    x, y = draws.uniform(-0.5, 0.1), draws.uniform(-0.6, -0.1)
    spot = 1 - 6 * ((u - np.float32(x)) ** 2 + (v - np.float32(y)) ** 2)
    bright: FloatImage = 0.94 + 0.6 * np.maximum(spot, 0)
    return bright
