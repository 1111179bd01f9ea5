"""Data spec to suite: ``imagefolder:DIR`` and the other sources a user can name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tuiprobe.datasets.base import Dataset, Suite
from tuiprobe.datasets.imagefolder import ImageFolder
from tuiprobe.errors import DataError, UsageError

SOURCES = (
    "miniature",
    "miniature:SET",
    "imagefolder:DIR",
    "objectnet:DIR",
    "webdataset:SHARDS",
    "hf:OWNER/NAME:SPLIT",
    "torchvision:NAME:DIR",
    "suite:FILE.toml",
    "suite:auto",
)


@contextmanager
def naming(source: str) -> Iterator[None]:
    """Turns what the system says of an impossible path into one sentence."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{source!r} cannot be read: {error.strerror or error}") from error
    except (ValueError, RuntimeError) as error:  # a NUL in a path; the home of an unknown user
        raise DataError(f"{source!r} cannot be read: {error}") from error


def load_suite(source: str) -> Suite:
    """Opens the data a user named.

    Args:
        source: One of :data:`SOURCES`.

    Raises:
        UsageError: If no such kind of source exists.
        DataError: If the source exists but cannot be used.
    """
    with naming(source):
        return _suite(source)


def _suite(source: str) -> Suite:
    kind, _, rest = source.partition(":")
    if source == "miniature":
        from tuiprobe import miniature

        return miniature.suite()
    if kind == "suite" and rest:
        from tuiprobe.datasets.suites import auto_suite, read_suite

        return auto_suite() if rest == "auto" else read_suite(Path(rest))
    name, dataset = load_dataset(source)
    return Suite(
        name=f"miniature-{name}" if kind == "miniature" else name,
        source=dataset.source,
        sets={name: dataset},
        imagenet=imagenet_maps({name: dataset}),
    )


def load_dataset(source: str, base: Path | None = None) -> tuple[str, Dataset]:
    """Opens one set of images.

    Args:
        source: One of :data:`SOURCES`, but no suite.
        base: Folder that relative paths are below; None for the working folder.

    Returns:
        A name for the set, safe as a file name, and the set.

    Raises:
        UsageError: If no such kind of source exists.
        DataError: If the source exists but cannot be used.
    """
    with naming(source):
        return _dataset(source, base)


def _dataset(source: str, base: Path | None) -> tuple[str, Dataset]:
    kind, _, rest = source.partition(":")
    if not rest:
        raise _unknown(source)
    if kind == "imagefolder":
        folder = ImageFolder(below(base, rest))
        return safe_name(folder.name), folder
    if kind == "miniature":
        from tuiprobe import miniature

        return rest, miniature.dataset(rest)
    if kind == "objectnet":
        from tuiprobe.datasets.objectnet import ObjectNet

        return "objectnet", ObjectNet(below(base, rest))
    if kind == "webdataset":
        from tuiprobe.datasets.webdataset import WebDataset

        shards = WebDataset(below(base, rest))
        return safe_name(shards.name), shards
    if kind == "hf":
        from tuiprobe.datasets.hugging_face import HuggingFaceSet

        rows = HuggingFaceSet(rest, base)
        return safe_name(rows.name), rows
    if kind == "torchvision":
        from tuiprobe.datasets.torchvision_sets import TorchvisionSet

        ready = TorchvisionSet(rest, base)
        return safe_name(ready.name), ready
    raise _unknown(source)


def imagenet_maps(sets: dict[str, Dataset]) -> dict[str, tuple[int, ...]]:
    """Returns what :attr:`tuiprobe.datasets.Suite.imagenet` holds for these sets."""
    found = ((name, getattr(dataset, "imagenet", None)) for name, dataset in sets.items())
    return {name: answers for name, answers in found if answers is not None}


def below(base: Path | None, text: str) -> str:
    """Returns a path or pattern as seen from ``base``; URLs and absolute paths stay.

    >>> below(Path("/data"), "val"), below(Path("/data"), "/val"), below(Path("/data"), "s3://b/v")
    ('/data/val', '/val', 's3://b/v')
    """
    if base is None or text.startswith(("/", "~")) or re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", text):
        return text
    return str(base / text)


def _unknown(source: str) -> UsageError:
    return UsageError(f"unknown data source {source!r}; give one of: {', '.join(SOURCES)}")


def safe_name(text: str) -> str:
    """Returns ``text`` reduced to what is safe as a file name on every system.

    >>> safe_name("my val/set")
    'my-val-set'
    """
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-.") or "data"
