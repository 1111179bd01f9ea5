"""Paths of the user's own files; files that can be rebuilt go into the cache folders instead."""

from __future__ import annotations

from pathlib import Path


def signatures_file() -> Path:
    """Returns the path of the signatures that `tuiprobe atlas add` stores."""
    import platformdirs

    return Path(platformdirs.user_data_dir("tuiprobe")) / "signatures.jsonl"
