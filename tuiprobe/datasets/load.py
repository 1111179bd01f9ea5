"""Data spec to suite: ``imagefolder:DIR`` and the other sources a user can name."""

from __future__ import annotations

import re

from tuiprobe.datasets.base import Suite
from tuiprobe.datasets.imagefolder import ImageFolder
from tuiprobe.errors import UsageError

SOURCES = ("miniature", "miniature:SET", "imagefolder:DIR")


def load_suite(source: str) -> Suite:
    """Opens the data a user named.

    Args:
        source: One of :data:`SOURCES`.

    Raises:
        UsageError: If no such kind of source exists.
        DataError: If the source exists but cannot be used.
    """
    kind, _, rest = source.partition(":")
    if kind == "imagefolder" and rest:
        folder = ImageFolder(rest)
        name = safe_name(folder.name)
        return Suite(name=name, source=folder.source, sets={name: folder})
    if kind == "miniature" and (rest or source == "miniature"):
        return _miniature(rest)
    raise UsageError(f"unknown data source {source!r}; give one of: {', '.join(SOURCES)}")


def _miniature(set_name: str) -> Suite:
    from tuiprobe import miniature

    if not set_name:
        return miniature.suite()
    one = miniature.dataset(set_name)
    return Suite(name=f"miniature-{set_name}", source=one.source, sets={set_name: one})


def safe_name(text: str) -> str:
    """Returns ``text`` reduced to what is safe as a file name on every system.

    >>> safe_name("my val/set")
    'my-val-set'
    """
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-.") or "data"
