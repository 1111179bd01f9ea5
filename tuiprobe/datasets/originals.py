"""The images that a run measured, opened again where they came from."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tuiprobe.datasets.load import load_dataset
from tuiprobe.datasets.registry import SOURCES
from tuiprobe.errors import DataError
from tuiprobe.plaintext import plain

if TYPE_CHECKING:
    from PIL.Image import Image

    from tuiprobe.datasets.dataset import Dataset
    from tuiprobe.datasets.sample import Sample


class Originals:
    """The images of a set of a run, found again by path and recognised by content.

    Args:
        source: Where they came from, as `spec.json` names it. Only sources of tuiprobe are opened:
            run directories come from strangers, and other sources are code.
    """

    def __init__(self, source: str) -> None:
        self.source = source

    @cached_property
    def _dataset(self) -> Dataset:
        kind = self.source.partition(":")[0]
        if kind not in SOURCES.builtin_names:
            raise DataError(f"the pictures are of {kind}, whose code is not run to show them")
        return load_dataset(self.source)

    @cached_property
    def _samples(self) -> dict[str, Sample]:
        return {sample.path: sample for sample in self._dataset.samples}

    def open(self, path: str, digest: str) -> Image:
        """Returns an image, RGB.

        Args:
            path: Its path in the set.
            digest: SHA-256 of its content when it was measured.

        Raises:
            UsageError: If there is no such kind of source.
            DataError: If it cannot be read, or is not the image that was measured.
        """
        if path not in self._samples:
            raise DataError(f"{plain(path)} is no longer in {self._dataset.source}")
        content = self._dataset.read(self._samples[path])
        if content.digest().hex() != digest:
            raise DataError(f"{plain(path)} has changed since the runs measured it: run them again")
        return content.image()

    def file(self, path: str) -> Path | None:
        """Returns the file of an image; None where images are no files of their own."""
        folder = getattr(self._dataset, "folder", None)
        return None if folder is None else Path(folder) / path
