"""`manifest.json` of a run, written last: the SHA-256 of every record and every merged file.

Before it exists only shards are trusted, by their checksums. It is deleted before a file that
it names changes, so a run that is stopped at any moment has a valid manifest or none, and its
readers say what to do. While `tuiprobe reprobe` writes, the manifest does not name `results.json`,
so that the command can be started again.

The manifest names array files by the checksum in their header (`tuiprobe.measure.run.arrays`).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tuiprobe import limits
from tuiprobe.files import UNFIT, DamagedFileError, Entry, flush_folder, parse_json

MANIFEST: Final = "manifest.json"
RESULTS: Final = "results.json"
ANSWERED: Final = (
    "spec.json", "baseline.csv", "per_image.safetensors", RESULTS, "summary.json",
)  # fmt: skip
"""What `tuiprobe reprobe` writes."""

FILES: Final = (
    "key", "plan.json", "samples.jsonl", "preflight.json", "measured.json",
    "statistics.safetensors", "head.safetensors", "concepts.safetensors",
    *ANSWERED,
)  # fmt: skip
FOLDERS: Final = ("features/", "rows/")
"""What a manifest names: these, and all files in these folders that belong to a measured set."""

_MOST_BYTES = 2**22
_COMMAND = "the command that made the run writes it again"


Manifest = Mapping[str, str]
"""Checksum of each file by its path below the run directory."""


def read_manifest(root: Path) -> Manifest | None:
    """Returns the manifest of a run directory.

    Raises:
        DamagedFileError: If it cannot be read, or is no manifest.
    """
    entry = Entry(root, MANIFEST)
    if not os.path.lexists(entry.path):
        return None
    try:
        manifest: Manifest = parse_json(entry.read_bytes(_MOST_BYTES))
        if not all(isinstance(checksum, str) for checksum in manifest.values()):
            raise ValueError("it names what is no checksum")
        for name in manifest:
            Entry(root, name)  # refuses what leads elsewhere
    except (DamagedFileError, *UNFIT) as error:
        raise entry.damaged(f"{error}; {_COMMAND}") from error
    return manifest


def write_manifest(root: Path, manifest: Manifest) -> None:
    """Publishes a manifest."""
    Entry(root, MANIFEST).write_json(dict(manifest))


def require_manifest(root: Path) -> Manifest | None:
    """Returns the manifest; None for results copied without a key.

    Raises:
        DamagedFileError: If any other run has none.
    """
    manifest = read_manifest(root)
    if manifest is None and Entry(root, "key").exists():
        raise DamagedFileError(
            f"{root} has no {MANIFEST}, which is written last: the run was stopped before its "
            "end, or the file was deleted; run the same command or loop again"
        )
    return manifest


def refuse_unfinished(root: Path) -> None:
    """Refuses the results of a run that was stopped while it wrote them.

    Raises:
        DamagedFileError: If the manifest is missing, of another run, or does not name results.
    """
    manifest, key = require_manifest(root), Entry(root, "key")
    if manifest is not None and RESULTS not in manifest:
        raise DamagedFileError(
            f"{root} is unfinished: `tuiprobe reprobe` was stopped while it wrote; run `tuiprobe "
            f"reprobe {root}` again"
        )
    if key.exists():
        read_named(key, _MOST_BYTES)


def refuse_other(entry: Entry, checksum: str) -> None:
    """Refuses a file of a run whose checksum is not the one that the manifest names.

    Raises:
        DamagedFileError: If the manifest names another checksum, or does not name the file.
    """
    manifest = read_manifest(entry.root)
    if manifest is not None and _differs(manifest, entry.name, checksum):
        named = "is not the one" if entry.name in manifest else "is not"
        raise entry.damaged(
            f"its checksum {named} in {MANIFEST}: it was altered, or belongs "
            f"to another run or merge; {remedy(entry)}"
        )


def remedy(entry: Entry) -> str:
    """Returns how a file can be written again."""
    if entry.name in (RESULTS, "summary.json", "per_image.safetensors"):
        return f"run `tuiprobe reprobe {entry.root}` to write it again"
    return _COMMAND


def _differs(manifest: Manifest, name: str, checksum: str) -> bool:
    named = manifest.get(name)
    if named is None:  # while `tuiprobe reprobe` writes, some files are not named
        return RESULTS in manifest
    return named != checksum


def read_named(entry: Entry, limit: int = limits.TEXT_BYTES) -> bytes:
    """Returns the content of a record after comparing it with the manifest, if there is one.

    Args:
        entry: What to read.
        limit: Largest size in bytes.

    Raises:
        DamagedFileError: If the file is missing, too large, or not the one that is named.
    """
    content = entry.read_bytes(limit)
    refuse_other(entry, hashlib.sha256(content).hexdigest())
    return content


def read_record(entry: Entry, limit: int = limits.TEXT_BYTES) -> Any:
    """Returns the value of a JSON record.

    Arguments and errors as for `read_named`; also refuses anything but strict JSON.
    """
    content = read_named(entry, limit)
    try:
        return parse_json(content)
    except ValueError as error:
        raise entry.damaged(error) from error


def exists_in_run(entry: Entry) -> bool:
    """Returns whether an optional file of a run exists.

    Raises:
        DamagedFileError: If it is missing and the manifest names it.
    """
    if entry.exists():
        return True
    manifest = read_manifest(entry.root)
    if manifest is not None and entry.name in manifest:
        raise DamagedFileError(f"{entry} is missing, and {MANIFEST} names it; {remedy(entry)}")
    return False


def write_named(entry: Entry, text: str) -> None:
    """Publishes a record as UTF-8; a manifest that names another content is deleted first."""
    content = text.encode("utf-8", "replace")
    drop_stale_manifest(entry, hashlib.sha256(content).hexdigest())
    entry.write_bytes(content)


def write_record(entry: Entry, value: Mapping[str, Any]) -> None:
    """Publishes a record as strict JSON; see `write_named`."""
    write_named(entry, json.dumps(value, indent=1, allow_nan=False) + "\n")


def drop_stale_manifest(entry: Entry, checksum: str) -> None:
    """Deletes a manifest that would not hold once a file with this checksum is written.

    Raises:
        RunError: If the operating system refuses.
    """
    if entry.name not in FILES and not entry.name.startswith(FOLDERS):
        return
    try:
        manifest = read_manifest(entry.root)
        holds = manifest is None or not _differs(manifest, entry.name, checksum)
    except DamagedFileError:
        holds = False
    if not holds:
        Entry(entry.root, MANIFEST).unlink()
        flush_folder(entry.root)
