"""Seeded random numbers, colours, textures, materials and backgrounds, the same on every machine.

Random numbers are the raw Philox stream, keyed by names and numbers. NumPy promises the raw output
of a bit generator for good, but not how `Generator` turns it into floats, so only `random_raw` is
used. Colours are exact elementwise arithmetic: no sine, no matrix product, only operations that
IEEE 754 rounds the same everywhere.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
_BLOCK = 64


class Draws:
    """An endless stream of draws that depends on `(name, index)` alone.

    Args:
        name: What is drawn, for example the name of a set. Other names give independent streams.
        index: Number of the image.

    >>> Draws("val", 7).uniform() == Draws("val", 7).uniform()
    True
    """

    def __init__(self, name: str, index: int) -> None:
        high = np.uint64(zlib.crc32(name.encode()) << 32)
        self._bits = np.random.Philox(key=np.array([high, index], dtype=np.uint64))
        self._buffer: list[float] = []

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """Returns a float in `[low, high)` with 53 random bits."""
        if not self._buffer:
            raw = self._bits.random_raw(_BLOCK)
            self._buffer = ((raw >> np.uint64(11)) * 2.0**-53).tolist()
        return low + (high - low) * self._buffer.pop()

    def chance(self, probability: float) -> bool:
        """Returns True with the given probability."""
        return self.uniform() < probability

    def below(self, count: int) -> int:
        """Returns an integer in `[0, count)`."""
        return int(self.uniform() * count)

    def pick(self, options: Sequence[T]) -> T:
        """Returns one of the options, each equally likely."""
        return options[self.below(len(options))]

    def weighted(self, options: Sequence[T], weights: Sequence[float]) -> T:
        """Returns one of the options in proportion to its weight."""
        point = self.uniform() * sum(weights)
        for option, weight in zip(options, weights, strict=True):
            point -= weight
            if point < 0:
                return option
        return options[-1]

    def bytes(self, *shape: int) -> NDArray[np.uint8]:
        """Returns uniform bytes of the given shape."""
        count = math.prod(shape)
        raw = self._bits.random_raw((count + 7) // 8).astype("<u8")
        return raw.view(np.uint8)[:count].reshape(shape)

    def noise(self, *shape: int) -> NDArray[np.float32]:
        """Returns bell-shaped noise (sum of two bytes) of mean 0 and standard deviation 1."""
        pair = self.bytes(2, *shape).astype(np.float32)
        # The variance of the sum of two uniform bytes is 2 (256^2 - 1) / 12.
        bell: NDArray[np.float32] = (pair[0] + pair[1] - np.float32(255.0)) * np.float32(
            1 / 104.511
        )
        return bell


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


SIZE = 64
_X: Any = np.arange(SIZE, dtype=np.float32)
_Y = _X[:, None]


def rgb(*values: float) -> FloatImage:
    """Returns a colour `[3, 1, 1]`."""
    return np.array(values, dtype=np.float32)[:, None, None]


def _brick(draws: Draws) -> FloatImage:
    height = draws.pick((7, 8, 10, 12))
    width = 2 * height
    row = np.floor((_Y + draws.below(height)) / height)
    across = _X + (row % 2) * height + draws.below(width)
    tone = draws.noise(16, 16)[(row % 16).astype(int), (np.floor(across / width) % 16).astype(int)]
    mortar = ((_Y + draws.below(2)) % height < 1.5) | (across % width < 1.5)
    return np.where(mortar, rgb(196, 186, 174), (1 + 0.13 * tone) * rgb(176, 84, 56))


def _grass(draws: Draws) -> FloatImage:
    blades = np.repeat(draws.noise(SIZE // 2, SIZE), 2, axis=0)
    tone = 0.85 + 0.005 * _Y + 0.16 * blades + 0.1 * smooth_noise(draws, 5, SIZE)
    meadow: FloatImage = tone * rgb(70, 140, 52)
    return meadow


def _night(draws: Draws) -> FloatImage:
    tone = 1 + 0.2 * smooth_noise(draws, 3, SIZE) - 0.006 * _Y
    stars = draws.bytes(SIZE, SIZE)
    light = np.where(stars < 3, (stars.astype(np.float32) + 1) * 75, np.float32(0))
    sky: FloatImage = tone * rgb(20, 22, 58) + light
    return sky


def _planks(draws: Draws) -> FloatImage:
    width = draws.pick((10, 13, 16))
    across = _X + draws.below(width)
    board = np.floor(across / width).astype(int)
    wobble = 2.5 * smooth_noise(draws, 4, SIZE)
    grain = triangle((across + wobble) * np.float32(0.31) + board * np.float32(0.37))
    tone = 0.8 + 0.25 * grain + 0.1 * draws.noise(16)[board]
    tone = np.where(across % width < 1, 0.4, tone).astype(np.float32)
    return tone * rgb(150, 98, 56)


def _room(draws: Draws) -> FloatImage:
    walls = ((228, 190, 202), (232, 222, 180), (188, 214, 200), (198, 200, 228), (236, 214, 188))
    floors = ((140, 100, 70), (120, 110, 110), (170, 140, 110))
    edge = 40 + draws.below(14)
    wall = (1.04 - 0.002 * _Y + 0.02 * draws.noise(SIZE, SIZE)) * rgb(*draws.pick(walls))
    floor = (0.9 + 0.1 * triangle(_Y * np.float32(0.17))) * rgb(*draws.pick(floors))
    return np.where(edge <= _Y, floor, wall)


def _sand(draws: Draws) -> FloatImage:
    ripple = triangle((_Y + 3 * smooth_noise(draws, 4, SIZE)) * np.float32(0.11))
    tone = 0.9 + 0.1 * ripple + 0.06 * draws.noise(SIZE, SIZE)
    return tone * rgb(222, 190, 132)


def _sky(draws: Draws) -> FloatImage:
    blue = rgb(112, 172, 232) + (_Y / SIZE) * rgb(70, 50, 18)
    cloud: FloatImage = np.clip(
        smooth_noise(draws, 4, SIZE) + 0.4 * smooth_noise(draws, 9, SIZE) - 0.3, 0, 1
    )
    mixed: FloatImage = blue + cloud * (rgb(250, 250, 252) - blue)
    return mixed


def _studio(draws: Draws) -> FloatImage:
    gray = draws.uniform(175, 245)
    tint = rgb(*(gray + draws.uniform(-9, 9) for _ in range(3)))
    slope = np.float32(draws.uniform(-0.002, 0.003))
    wall: FloatImage = (1 + slope * (_Y - 32) + 0.012 * draws.noise(SIZE, SIZE)) * tint
    return wall


def _water(draws: Draws) -> FloatImage:
    wave = _Y + 5 * triangle(_X * np.float32(0.035) + np.float32(draws.uniform()))
    crest = triangle((wave + 2 * smooth_noise(draws, 5, SIZE)) * np.float32(0.12))
    return (0.7 + 0.5 * crest) * rgb(42, 108, 178)


BACKGROUNDS: dict[str, Callable[[Draws], FloatImage]] = {
    "brick": _brick,
    "grass": _grass,
    "night": _night,
    "planks": _planks,
    "room": _room,
    "sand": _sand,
    "sky": _sky,
    "studio": _studio,
    "water": _water,
}
SCENES: tuple[str, ...] = tuple(BACKGROUNDS)


def background(scene: str, draws: Draws) -> NDArray[np.float32]:
    """Returns one random picture of a scene, float32 `[3, 64, 64]`."""
    return BACKGROUNDS[scene](draws).astype(np.float32, copy=False)
