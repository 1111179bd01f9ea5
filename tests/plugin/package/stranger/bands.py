"""`bands:COUNT`: pictures of one colour each, labelled by it, with noise of their own."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from tuiprobe.datasets.registry import DataSource
from tuiprobe.datasets.sample import Content, Sample, Stamp

STAMP = Stamp(None, "bands, version 1")


class Bands:
    """So many pictures, red, green and blue in turn."""

    name = "bands"
    classes = ("blue", "green", "red")
    notes = ("drawn by a stranger",)

    def __init__(self, count: int) -> None:
        self.source, self._count = f"bands:{count}", count

    @cached_property
    def samples(self) -> tuple[Sample, ...]:
        return tuple(Sample(i, f"{i:04}.png", i % 3) for i in range(self._count))

    def stamp(self, sample: Sample) -> Stamp:
        return STAMP

    def read(self, sample: Sample) -> Content:
        return Content(self.open(sample), STAMP)

    def open(self, sample: Sample) -> Image.Image:
        pixels = np.random.default_rng(sample.id).integers(0, 90, (16, 16, 3), dtype=np.uint8)
        pixels[..., 2 - (sample.id % 3)] += 120
        return Image.fromarray(pixels)


def opened(rest: str, base: Path | None) -> Bands:
    return Bands(int(rest))


SOURCE = DataSource(forms=("bands:COUNT",), open=opened)
