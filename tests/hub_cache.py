"""Writes files as the Hugging Face hub's cache keeps them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def put(home: Path, repository: str, name: str, data: bytes) -> Path:
    """Writes a large file of a repository: a blob under its digest, a reference, and a link.

    Args:
        home: The folder that `HF_HOME` names.
        repository: `OWNER/NAME`.
        name: The file's name in the repository.
        data: Its content.

    Returns:
        The blob.
    """
    root = home / "hub" / f"models--{repository.replace('/', '--')}"
    blob = root / "blobs" / hashlib.sha256(data).hexdigest()
    link = root / "snapshots" / COMMIT / name
    for folder in (blob.parent, link.parent, root / "refs"):
        folder.mkdir(parents=True, exist_ok=True)
    (root / "refs" / "main").write_text(COMMIT)
    blob.write_bytes(data)
    link.symlink_to(os.path.relpath(blob, link.parent))
    return blob
