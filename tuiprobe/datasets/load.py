"""Opens data by the name a user types: suites, single sets and concept sets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tuiprobe.datasets.concepts import ConceptDataset
from tuiprobe.datasets.dataset import Dataset, Suite, safe_name
from tuiprobe.datasets.registry import SOURCES, below, concept_forms, data_forms, meant_source
from tuiprobe.errors import DataError, TuiprobeError, UsageError
from tuiprobe.files import similar_folder
from tuiprobe.plaintext import plain
from tuiprobe.plugins import in_words

if TYPE_CHECKING:
    from PIL.Image import Image

    from tuiprobe.datasets.sample import Sample


def load_suite(source: str) -> Suite:
    """Opens the data named by `--data` or `--suite`.

    Args:
        source: A source in one of the forms of `tuiprobe.datasets.registry.data_forms`.

    Raises:
        UsageError: If there is no such kind of source.
        DataError: If the source exists but cannot be used.
    """
    kind, _, rest = source.partition(":")
    known = SOURCES.get(kind)
    if known is not None and known.suite is not None and (rest or source in known.forms):
        with _naming(source, kind):
            return known.suite(rest)
    return suite_of(load_dataset(source))


def suite_of(dataset: Dataset) -> Suite:
    """Returns a suite of one set."""
    name = safe_name(dataset.name)
    return Suite(name, dataset.source, {name: dataset}, imagenet=imagenet_maps({name: dataset}))


def load_dataset(source: str, base: Path | None = None) -> Dataset:
    """Opens one set of images.

    Args:
        source: A source as for `load_suite`, but of a single set.
        base: Folder that relative paths start at; None for the working folder.

    Raises:
        UsageError: If there is no such kind of source.
        DataError: If the source exists but cannot be used.
    """
    kind, _, rest = source.partition(":")
    known = SOURCES.get(kind)
    if known is None or known.open is None or not (rest or source in known.forms):
        near = meant_source(source) or (similar_folder(Path(source)) if not rest else None)
        meant = f" (did you mean {near}?)" if near is not None else ""
        raise UsageError(
            f"unknown data source {source!r}, and no folder{meant}; give the path of a folder, "
            f"or one of: {', '.join(data_forms())}"
        )
    with _naming(source, kind):
        dataset = known.open(below(base, rest) if known.is_path else rest, base)
        if not isinstance(dataset, Dataset):  # of another package
            raise TypeError(f"a {type(dataset).__name__} is no tuiprobe.datasets.Dataset")
    return dataset


def load_concepts(source: str) -> ConceptDataset:
    """Opens the concept set named by `--concepts`.

    Args:
        source: A source in one of the forms of `tuiprobe.datasets.registry.concept_forms`, or of
            another package.

    Raises:
        UsageError: If there is no such kind of source.
        DataError: If the source exists but cannot be used.
    """
    kind, _, rest = source.partition(":")
    known = SOURCES.get(kind)
    if known is None or known.concepts is None or not (rest or source in known.concept_forms):
        raise UsageError(
            f"unknown concept source {source!r}; give one of: {', '.join(concept_forms())}, or none"
        )
    with _naming(source, kind):
        dataset = known.concepts(rest)
        if not isinstance(dataset, ConceptDataset):  # of another package
            raise TypeError(f"a {type(dataset).__name__} is no ConceptDataset")
    return dataset


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
            raise DataError(f"the pictures come from {kind}, whose code is not run to show them")
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


def imagenet_maps(sets: dict[str, Dataset]) -> dict[str, tuple[int, ...]]:
    """Returns the value of `tuiprobe.datasets.Suite.imagenet` for these sets."""
    maps = {name: getattr(dataset, "imagenet", None) for name, dataset in sets.items()}
    return {name: answers for name, answers in maps.items() if answers is not None}


@contextmanager
def _naming(source: str, kind: str) -> Iterator[None]:
    """Turns an invalid path, or any error of another package, into one sentence."""
    try:
        yield
    except TuiprobeError:
        raise
    except OSError as error:
        raise DataError(f"{source!r} cannot be read: {error.strerror or error}") from error
    except (ValueError, RuntimeError) as error:  # NUL in a path; home of an unknown user
        raise DataError(f"{source!r} cannot be read: {error}") from error
    except Exception as error:
        package = SOURCES.package_of(kind)
        if package is None:
            raise
        raise DataError(f"{source!r} failed in {package}: {in_words(error)}") from error
