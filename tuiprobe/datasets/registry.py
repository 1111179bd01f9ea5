"""Sources of images by name: built-in ones are listed here, others are found by entry point.

A source is one file that defines a `DataSource`. Built-in sources have a line in `BUILTIN`; other
packages have an entry point in the group `tuiprobe.datasets`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tuiprobe.errors import UsageError
from tuiprobe.options import Kind
from tuiprobe.plaintext import similar_names
from tuiprobe.plugins import DATASETS, Registry

if TYPE_CHECKING:
    from tuiprobe.catalog.effective_robustness import ShiftFamily
    from tuiprobe.datasets.concepts import ConceptDataset
    from tuiprobe.datasets.dataset import Dataset, Suite


@dataclass(frozen=True)
class DataSource:
    """A kind of data source, named as `NAME:REST` or `NAME` alone.

    Attributes:
        forms: Ways to write it as `--data`, for messages: `("imagefolder:DIR",)`. The name alone
            is accepted only if it is one of them.
        open: Opens one set of images, from REST and the folder that relative paths start at
            (None for the working folder).
        suite: Opens all sets that REST names (empty for NAME alone); None if there is only the
            one set of `open`.
        concept_forms: Ways to write it as `--concepts`.
        concepts: Opens a concept set, from REST.
        kind: What its samples are.
        is_path: Whether REST is a path or a pattern of paths; these may be relative to the file
            that names the source.
        family: Baseline models for accuracies on its sets. Used for built-in sources only, since a
            run directory may come from someone else; other sources take `--baseline`.
    """

    forms: tuple[str, ...] = ()
    open: Callable[[str, Path | None], Dataset] | None = None
    suite: Callable[[str], Suite] | None = None
    concept_forms: tuple[str, ...] = ()
    concepts: Callable[[str], ConceptDataset] | None = None
    kind: Kind = "images"
    is_path: bool = False
    family: ShiftFamily | None = None


SCHEMES = ("http", "https", "s3", "gs", "gcs", "az", "abfs", "hf")
"""Allowed URL schemes. `pipe:` runs a shell; chains (`simplecache::`) hide a second scheme."""

BUILTIN = {
    "miniature": "tuiprobe.miniature.data:SOURCE",
    "imagefolder": "tuiprobe.datasets.imagefolder:SOURCE",
    "objectnet": "tuiprobe.datasets.objectnet:SOURCE",
    "webdataset": "tuiprobe.datasets.webdataset:SOURCE",
    "hf": "tuiprobe.datasets.hugging_face:SOURCE",
    "vectors": "tuiprobe.datasets.vectors:SOURCE",
    "csv": "tuiprobe.datasets.concept_csv:SOURCE",
    "parquet": "tuiprobe.datasets.list_files:SOURCE",
    "suite": "tuiprobe.datasets.suites:SOURCE",
    "broden": "tuiprobe.datasets.broden:SOURCE",
}
"""All built-in sources, in the order that messages list them."""

SOURCES = Registry(DATASETS, "data source", DataSource, BUILTIN)


def data_forms() -> tuple[str, ...]:
    """Returns every way to write `--data`; does not load the sources of other packages."""
    builtin = (form for source in _builtin() for form in source.forms)
    return (*builtin, *(f"{plugin.name}:… ({plugin.package})" for plugin in SOURCES.foreign()))


def concept_forms() -> tuple[str, ...]:
    """Returns every way to write `--concepts` with a built-in source."""
    return tuple(form for source in _builtin() for form in source.concept_forms)


def suite_kinds() -> tuple[str, ...]:
    """Returns the kinds of images that a suite file may name, which run no foreign code."""
    kinds = zip(SOURCES.builtin_names, _builtin(), strict=True)
    return tuple(
        name for name, source in kinds if source.open is not None and source.kind == "images"
    )


def _builtin() -> tuple[DataSource, ...]:
    sources = map(SOURCES.builtin, SOURCES.builtin_names)
    return tuple(source for source in sources if source is not None)


def source_named(text: str, base: Path | None = None) -> str:
    """Returns the data source that a user names, which may be the path of a folder of images.

    A text with a separator is a path, or the URL of a folder. A name that no source has is that of
    a folder, if there is one.

    Args:
        text: What the user typed.
        base: Folder that relative paths start at; None for the working folder.

    Raises:
        UsageError: If a source and a folder have this name; says how to write either.

    >>> source_named("./my photos"), source_named("miniature:val"), source_named("miniature:")
    ('imagefolder:my photos', 'miniature:val', 'miniature')
    """
    kind, colon, rest = text.partition(":")
    if "/" in kind:
        return f"imagefolder:{Path(text)}"
    if kind.lower() in SCHEMES and rest.startswith("//"):
        return f"imagefolder:{text}"
    source = SOURCES.builtin(kind)
    known = source is not None or SOURCES.package_of(kind) is not None
    if known and rest:
        return text
    is_folder = bool(text) and os.path.isdir((base or Path()) / text)  # noqa: PTH112 (any text)
    if known and (source is None or kind in source.forms):
        if is_folder and not colon:
            raise UsageError(
                f"{text!r} is the name of a data set and of a folder: write {text}: for the data "
                f"set, ./{text} for the folder"
            )
        return kind
    return f"imagefolder:{Path(text)}" if is_folder else text


_KINDS = {".csv": "csv", ".tar": "webdataset", ".toml": "suite"} | dict.fromkeys(
    (".npy", ".npz", ".parquet", ".pt", ".safetensors"), "vectors"
)
"""What reads a file, by its extension."""


def meant_source(text: str) -> str | None:
    """Returns the source that a wrong one may mean: by the kind of a file, or a near name.

    >>> meant_source("webdatset:val.tar"), meant_source("photos"), meant_source("wds:val.tar")
    ('webdataset:val.tar', None, 'webdataset:val.tar')
    """
    kind, _, rest = text.partition(":")
    by_file = _KINDS.get(Path(text).suffix.lower())
    if by_file is not None and os.path.isfile(text):  # noqa: PTH113 - no text is too long
        return f"{by_file}:{text}"
    if not rest or "/" in kind:
        return None
    meant = next(iter(similar_names(kind.casefold(), suite_kinds(), most=1)), by_file)
    return None if meant is None else f"{meant}:{rest}"


def below(base: Path | None, text: str) -> str:
    """Returns a path or pattern relative to `base`; URLs and absolute paths stay.

    >>> below(Path("/data"), "val"), below(Path("/data"), "/val"), below(Path("/data"), "s3://b/v")
    ('/data/val', '/val', 's3://b/v')
    """
    if base is None or text.startswith(("/", "~")) or re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", text):
        return text
    return str(base / text)


def last_part(source: str) -> str:
    """Returns a path or a data source with the last part of its path; names and URLs stay.

    >>> last_part("imagefolder:/home/me/photos/"), last_part("lists/classes.txt")
    ('imagefolder:photos', 'classes.txt')
    >>> last_part("webdataset:~/shards"), last_part("hf:org/birds:validation")
    ('webdataset:shards', 'hf:org/birds:validation')
    """
    if "://" in source:
        return source
    kind, colon, _ = source.partition(":")
    named = colon and "/" not in kind and (kind not in SOURCES.builtin_names or kind == "hf")
    folders = r"(?<=:)[/~](?:[^:/]*/)*(?=[^:/])" if named else r"(?:[^:/]*/)+(?=[^:/])"
    return re.sub(folders, "", source.rstrip("/") or source)
