"""Files that a pattern matches, found in bounded time."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tuiprobe.errors import DataError

MAX_LOOKED_AT = 1_000_000
"""Files and folders that one search looks at, whatever the number of its patterns."""

_WILD = re.compile(r"[*?[]")


class FileSearch:
    """Searches for files; all that one object looks at is counted together."""

    def __init__(self) -> None:
        self._pattern, self._looked_at = Path(), 0

    def find(self, root: Path, parts: Sequence[str]) -> list[str]:
        """Returns the files below a folder that the parts of a pattern match.

        As in a shell, with ``**`` for any number of folders, none of them hidden or a link. Every
        folder is looked at once for each part of the pattern, however many ways lead to it.

        Raises:
            DataError: If there is too much to look at.
        """
        self._pattern = root / "/".join(parts)
        folders = [str(root).rstrip("/")]
        for part in parts[:-1]:
            if part == "**":
                folders = list(self._all_below(folders))
            else:
                folders = list(self._named(folders, part, os.path.isdir))
        if parts[-1] == "**":
            return list(self._named(list(self._all_below(folders)), "*", os.path.isfile))
        return list(self._named(folders, parts[-1], os.path.isfile))

    def _named(self, folders: list[str], part: str, fits: Callable[[str], bool]) -> Iterator[str]:
        name, hidden = re.compile(fnmatch.translate(part)), part.startswith(".")
        for folder in folders:
            if not _WILD.search(part):
                self._count()
                if fits(f"{folder}/{part}"):
                    yield f"{folder}/{part}"
                continue
            for entry in self._entries(folder):
                if name.match(entry.name) and hidden == entry.name.startswith("."):
                    path = f"{folder}/{entry.name}"
                    if fits(path):
                        yield path

    def _all_below(self, folders: list[str]) -> Iterator[str]:
        """Yields these folders and all below them, each once."""
        waiting, seen = list(folders), set(folders)
        while waiting:
            folder = waiting.pop()
            yield folder
            for entry in self._entries(folder):
                path = f"{folder}/{entry.name}"
                if entry.name.startswith(".") or path in seen:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    seen.add(path)
                    waiting.append(path)

    def _entries(self, folder: str) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(folder or "/") as entries:
                for entry in entries:
                    self._count()
                    yield entry
        except OSError:  # as in a shell, what may not be listed matches nothing
            return

    def _count(self) -> None:
        self._looked_at += 1
        if self._looked_at > MAX_LOOKED_AT:
            raise DataError(
                f"{self._pattern} takes a look at more than {MAX_LOOKED_AT:,} files "
                "and folders; name the folder of the shards more closely"
            )
