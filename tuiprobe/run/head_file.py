"""Reading `head.safetensors`; no torch, so that answers from a finished run come quickly."""

from __future__ import annotations

import hashlib
import json

import numpy as np
from numpy.typing import NDArray

from tuiprobe.run.arrays import read_own_arrays
from tuiprobe.run.checked_arrays import CheckedArrays, HeadArrays, check_head
from tuiprobe.run.directory import RunDir

UNMATCHED = "unmatched/"
"""Begins the metadata key of why no row of the head answers for a labelled set."""

OWN_NAMES = "own_names/"
OWN_REASON = "own_names_reason/"


def head_digest(directory: RunDir) -> str:
    """Returns the SHA-256 of a run's head, its names and templates, or of the reason for none."""
    arrays, metadata = read_own_arrays(directory, directory.head_file)
    # The same head of another run is the same head, whatever set it does not answer for.
    metadata = {k: v for k, v in metadata.items() if k != "key" and not k.startswith(UNMATCHED)}
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(arrays):
        digest.update(name.encode() + arrays[name].tobytes())
    return digest.hexdigest()


def read_head(directory: RunDir) -> tuple[HeadArrays, dict[str, NDArray[np.int64]]] | str:
    """Returns the head and each set's answers, or the reason why there is none.

    Raises:
        DamagedFileError: If the file is missing or damaged.
    """
    arrays, metadata = read_own_arrays(directory, directory.head_file)
    if "reason" in metadata:
        return metadata["reason"]
    head = check_head(directory.head_file, arrays, metadata)
    prefix = "answers/"
    answers = {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
    return head, answers


def read_unmatched(directory: RunDir) -> dict[str, str]:
    """Returns why no row of the head answers for a labelled set, by set name.

    Raises:
        DamagedFileError: If the file is missing or damaged.
    """
    _, metadata = read_own_arrays(directory, directory.head_file)
    return {
        n.removeprefix(UNMATCHED): why for n, why in metadata.items() if n.startswith(UNMATCHED)
    }


def read_own_names(directory: RunDir) -> dict[str, HeadArrays | str]:
    """Returns the heads of a shift's own class names by set name, or why one is missing.

    Raises:
        DamagedFileError: If the file is missing or damaged.
    """
    arrays, metadata = read_own_arrays(directory, directory.head_file)
    found: dict[str, HeadArrays | str] = {
        name.removeprefix(OWN_REASON): reason
        for name, reason in metadata.items()
        if name.startswith(OWN_REASON)
    }
    for name, weight in arrays.items():
        if name.startswith(OWN_NAMES):
            CheckedArrays(directory.head_file, arrays).finite(name, "f4", None, None)
            source = metadata.get(name, "")
            found[name.removeprefix(OWN_NAMES)] = HeadArrays(weight, normalize=True, source=source)
    return found
