"""Indexes of tar files, kept in the user's cache folder so that a shard is read through once."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import platformdirs

from tuiprobe.datasets.places import opened, stamp
from tuiprobe.datasets.tars import Index, Member, read_index
from tuiprobe.errors import DataError
from tuiprobe.files import parse_json, read_regular

_VERSION = 2


def index_of(place: str, folder: Path | None = None) -> Index:
    """Returns the index of a tar file: from the cache, or by one pass over its headers.

    Args:
        place: Local path or URL.
        folder: Of the cache; the user's by default. Nothing is kept where it cannot be written.

    Raises:
        DataError: If the tar cannot be read.
    """
    before = stamp(place)
    content = json.dumps([_VERSION, place, before])
    name = hashlib.sha256(content.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    path = (folder or cache_folder()) / f"{name}.json"
    found = _read(path)
    if found is None:
        with opened(place) as file:
            found = read_index(file, place)
        if stamp(place) != before:
            raise DataError(f"{place} changed while it was read; run the same command again")
        _write(path, found)
    found.stamp = before
    return found


def cache_folder() -> Path:
    """Returns where indexes are kept."""
    return Path(platformdirs.user_cache_dir("tuiprobe")) / "tar-indexes"


def _read(path: Path) -> Index | None:
    """Returns a kept index; anything unreadable is made again."""
    try:
        found = parse_json(read_regular(path))
        members = [
            Member(str(name), int(offset), int(size), None if label is None else str(label))
            for name, offset, size, label in found["members"]
        ]
        return Index(members, Counter(found["left_out"]), bool(found["ended"]))
    except (OSError, DataError, ValueError, KeyError, TypeError, OverflowError):
        return None


def _write(path: Path, index: Index) -> None:
    content: dict[str, Any] = {
        "members": [[m.name, m.offset, m.size, m.label] for m in index.members],
        "left_out": dict(index.left_out),
        "ended": index.ended,
    }
    partial = path.with_suffix(f".{os.getpid()}.part")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(content))  # ASCII: odd bytes of names become escapes
        partial.replace(path)
