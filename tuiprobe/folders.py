"""Where the user's own files go; everything that can be made again has its place elsewhere."""

from __future__ import annotations

from pathlib import Path


def signatures_file() -> Path:
    """Returns the file of signatures that `tuiprobe atlas add` filed."""
    import platformdirs

    return Path(platformdirs.user_data_dir("tuiprobe")) / "signatures.jsonl"
