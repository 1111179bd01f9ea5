"""Expands shard patterns, and reads shards and folders: local files, or URLs through fsspec.

Nothing here keeps a file open, so forked and spawned processes can share a data set without sharing
file positions.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path
from typing import IO, Any

from tuiprobe.datasets.registry import SCHEMES
from tuiprobe.datasets.sample import stamp_of
from tuiprobe.errors import DataError, UnreadableImageError
from tuiprobe.files import open_regular
from tuiprobe.limits import (
    IMAGE_BYTES,
    PATTERN_CHARACTERS,
    PATTERN_PARTS,
    PATTERN_PATHS,
    PATTERN_SEARCHES,
)

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_RANGE = re.compile(r"(\d{1,18})\.\.(\d{1,18})")
_BRACES = re.compile(r"\{([^{}]*)\}")


def expand(pattern: str) -> list[str]:
    """Expands a pattern (braces, globs, or a folder of `*.tar`) to paths and URLs in byte order.

    Args:
        pattern: Path or URL; `{000..146}` and `{a,b}` expand everywhere, `*`, `?` and
            `[…]` in local paths.

    Raises:
        DataError: If a scheme is not allowed, or a local pattern matches no file.
    """
    sources: list[str] = []
    for source in expand_braces(pattern):
        sources += [source] if is_url(source) else _local(source)
    return sorted(dict.fromkeys(sources), key=os.fsencode)


def expand_braces(pattern: str) -> list[str]:
    """Returns every text that the braces of a pattern expand to.

    >>> expand_braces("val-{08..11}.tar")
    ['val-08.tar', 'val-09.tar', 'val-10.tar', 'val-11.tar']
    >>> expand_braces("{a,b}/{0..1}")
    ['a/0', 'a/1', 'b/0', 'b/1']
    """
    paths, parts = 1, list[list[str]]()
    for number, text in enumerate(_BRACES.split(pattern)):  # every second one stands in braces
        parts.append(_items(text) if number % 2 else [text])
        paths *= len(parts[-1])
        if paths > PATTERN_PATHS:
            raise DataError(f"{pattern[:200]!r} names more than {PATTERN_PATHS:,} shards")
    if paths * sum(max(map(len, part)) for part in parts) > PATTERN_CHARACTERS:
        raise DataError(f"{pattern[:200]!r} is too long to name {paths:,} shards")
    return ["".join(chosen) for chosen in product(*parts)]


def _items(inside: str) -> list[str]:
    numbers = _RANGE.fullmatch(inside)
    if numbers is None:
        return inside.split(",")
    first, last = numbers[1], numbers[2]
    if int(last) < int(first):
        raise DataError(f"{{{inside}}} runs backwards; write {{{last}..{first}}}")
    if int(last) - int(first) >= PATTERN_PATHS:
        raise DataError(f"{{{inside}}} names more than {PATTERN_PATHS:,} shards")
    return [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]


def is_url(source: str) -> bool:
    """Returns whether a text is a URL for fsspec.

    Raises:
        DataError: If its scheme is not in `SCHEMES`.

    >>> is_url("s3://bucket/val.tar"), is_url("/data/val.tar")
    (True, False)
    """
    match = _SCHEME.match(source)
    if match is None or Path(source).exists():
        return False
    scheme = match[1].lower()
    if scheme == "pipe":
        raise DataError(f"{source!r}: pipe: runs a shell, and is never followed")
    if scheme not in SCHEMES or "://" not in source or "::" in source:
        raise DataError(f"{source!r}: only URLs of {', '.join(SCHEMES)} are read, unchained")
    return True


def _local(pattern: str) -> list[str]:
    named = Path(pattern).expanduser()
    path = named.absolute()
    if path.is_dir():
        files, problem = matching_files("*.tar", path), "holds no *.tar file"
    elif path.exists():
        files, problem = [path], ""
    else:
        files, problem = matching_files(named), "does not exist, and matches no file"
    if not files:
        raise DataError(f"{path} {problem}")
    return [str(file) for file in files]


def matching_files(pattern: str | Path, folder: Path | None = None) -> list[Path]:
    """Returns the files that match a pattern, as in a shell.

    `**` stands for any number of folders, and follows no links. A hidden file or folder is matched
    by a part of the pattern that starts with a dot.

    Args:
        pattern: The pattern.
        folder: What it is relative to, itself no pattern; None for the current directory.

    Raises:
        DataError: If `**` is not a whole part of the pattern, or occurs too often, or the pattern
            names too many folders.
    """
    pattern = Path(pattern)
    root = Path(pattern.anchor) if pattern.is_absolute() else folder or Path.cwd()
    parts = pattern.parts[1:] if pattern.is_absolute() else pattern.parts
    parts = (*parts, "*") if parts[-1:] == ("**",) else parts
    if parts.count("**") > PATTERN_SEARCHES:
        raise DataError(f"{pattern} has more than {PATTERN_SEARCHES} `**`; name its folders")
    if len(parts) > PATTERN_PARTS or any(len(part) > PATTERN_PARTS for part in parts):
        raise DataError(f"a pattern has at most {PATTERN_PARTS} parts, of as many characters each")
    hidden = [part for part in parts if part.startswith(".")]

    def is_visible(part: str) -> bool:
        return not part.startswith(".") or any(fnmatchcase(part, name) for name in hidden)

    try:
        paths = list(root.glob("/".join(parts)))
    except ValueError as error:
        raise DataError(f"{pattern} is no pattern: {error}") from error
    return [
        path
        for path in paths
        if path.is_file() and all(map(is_visible, path.relative_to(root).parts))
    ]


def stamp(source: str) -> str:
    """Returns a text that changes when the file at a path or URL does.

    Raises:
        DataError: If the source cannot be reached.
    """
    with _explained(source):
        if not is_url(source):
            return _in_words(Path(source).stat())
        return _stamp_of_remote(_filesystem(source).info(source))


def files_below(url: str) -> dict[str, tuple[int, str]]:
    """Returns size and stamp of each file below a URL, by its path relative to the URL.

    Raises:
        DataError: If the source cannot be reached, or does not say how large its files are.
    """
    with _explained(url):
        files = _filesystem(url)
        import fsspec.core

        root = fsspec.core.url_to_fs(url)[1].rstrip("/")
        found = files.find(root, detail=True)
        return {
            name.removeprefix(root).lstrip("/"): (int(info["size"]), _stamp_of_remote(info))
            for name, info in found.items()
        }


def _stamp_of_remote(info: Mapping[str, Any]) -> str:
    parts = (info.get(name) for name in ("size", "ETag", "etag", "LastModified", "mtime"))
    return " ".join(str(part) for part in parts)


def _in_words(status: os.stat_result) -> str:
    stamp = stamp_of(status)
    return f"{stamp.size} {stamp.changed}"


@contextmanager
def opened(source: str) -> Iterator[IO[bytes]]:
    """Opens a path or URL for one sequential read."""
    with _explained(source):
        if is_url(source):
            with _filesystem(source).open(source, "rb") as file:
                yield file
        else:
            with open_regular(source) as file:
                yield file


def read_range(source: str, offset: int, size: int) -> tuple[bytes, str | None]:
    """Reads `size` bytes from `offset` on, fewer if the file became shorter.

    Also returns the `stamp` of the file; None for a URL, where getting it would take as long as
    reading.

    Raises:
        DataError: If the source cannot be read.
    """
    with _explained(source):
        if is_url(source):
            content: bytes = _filesystem(source).cat_file(source, start=offset, end=offset + size)
            return content, None
        with open_regular(source) as file:
            file.seek(offset)
            content = file.read(size)
            return content, _in_words(os.fstat(file.fileno()))


def read_image(source: str, offset: int, size: int) -> tuple[bytes, str | None]:
    """Reads an image as `read_range` does.

    Raises:
        UnreadableImageError: If it is too large or cannot be read.
    """
    if size > IMAGE_BYTES:
        raise UnreadableImageError(f"{size / 2**20:,.0f} MiB, too large for an image")
    try:
        return read_range(source, offset, size)
    except DataError as error:
        raise UnreadableImageError(str(error)) from error


def _filesystem(source: str) -> Any:
    """Returns fsspec's file system, a new one in every process."""
    try:
        import fsspec
    except ImportError as error:
        raise DataError(f"{source} needs fsspec: pip install 'tuiprobe[remote]'") from error
    return fsspec.filesystem(source.partition(":")[0].lower())


@contextmanager
def _explained(source: str) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except ImportError as error:  # fsspec: the library of the scheme is not installed
        raise DataError(f"{source}: {error}; try pip install 'tuiprobe[remote]'") from error
    except FileNotFoundError as error:
        raise DataError(f"{source} does not exist") from error
    except OSError as error:
        raise DataError(f"cannot read {source}: {error.strerror or error}") from error
    except Exception as error:
        # The libraries behind fsspec raise various errors for server responses.
        if not is_url(source):
            raise
        raise DataError(f"cannot read {source}: {type(error).__name__}: {error}") from error
