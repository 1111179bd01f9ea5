"""Reads `head.safetensors` without torch, so answers from a finished run come quickly."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tuiprobe.files import DamagedFileError, parse_json
from tuiprobe.results import NotRun
from tuiprobe.run.arrays import read_own_arrays
from tuiprobe.run.checked_arrays import CheckedArrays, HeadArrays, check_head, logit_scale
from tuiprobe.run.directory import RunDir

_LONGEST_REASON = 4000

ANSWERS = "answers/"
"""Prefix of the arrays that say which class each row answers for in a set."""

OUTSIDE = 2**20
"""Class numbers from here on are of rows that stand for no class of a set and may answer there."""

UNMATCHED = "unmatched/"
"""Prefix of metadata keys for the reason why no row of the head fits a labelled set."""

OWN_NAMES = "own_names/"
OWN_REASON = "own_names_reason/"


def head_digest(directory: RunDir) -> str:
    """Computes the SHA-256 of a run's head with names and templates, or of why there is none."""
    arrays, metadata = read_own_arrays(directory, directory.head_file)
    # The run and the sets that the head does not fit are not part of the head's identity.
    metadata = {k: v for k, v in metadata.items() if k != "key" and not k.startswith(UNMATCHED)}
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(arrays):
        digest.update(name.encode() + arrays[name].tobytes())
    return digest.hexdigest()


def read_head(directory: RunDir) -> tuple[HeadArrays, dict[str, NDArray[np.int64]]] | NotRun:
    """Returns the head and the class of each row in each set, or the reason for no head.

    Raises:
        DamagedFileError: If the file is missing or damaged.
    """
    arrays, metadata = read_own_arrays(directory, directory.head_file)
    if "reason" in metadata:
        return NotRun(reason=metadata["reason"][:_LONGEST_REASON])
    head = check_head(directory.head_file, arrays, metadata)
    answers = {n.removeprefix(ANSWERS): a for n, a in arrays.items() if n.startswith(ANSWERS)}
    return head, answers


def read_unmatched(directory: RunDir) -> dict[str, str]:
    """Returns, by set name, why no row of the head fits a labelled set.

    Raises:
        DamagedFileError: If the file is missing or damaged.
    """
    _, metadata = read_own_arrays(directory, directory.head_file)
    return {
        n.removeprefix(UNMATCHED): why for n, why in metadata.items() if n.startswith(UNMATCHED)
    }


def read_own_names(directory: RunDir) -> dict[str, HeadArrays | NotRun]:
    """Returns, by set name, the head of a shift's own class names, or why it is missing.

    Raises:
        DamagedFileError: If the file is missing or damaged.
    """
    arrays, metadata = read_own_arrays(directory, directory.head_file)
    heads: dict[str, HeadArrays | NotRun] = {
        name.removeprefix(OWN_REASON): NotRun(reason=reason[:_LONGEST_REASON])
        for name, reason in metadata.items()
        if name.startswith(OWN_REASON)
    }
    checked = CheckedArrays(directory.head_file, arrays)
    scale, shift = logit_scale(checked, arrays)
    for name, weight in arrays.items():
        if name.startswith(OWN_NAMES):
            checked.finite(name, "f4", None, None)
            heads[name.removeprefix(OWN_NAMES)] = HeadArrays(
                weight, None, True, metadata.get(name, ""), scale, shift
            )
    return heads


def read_class_names(directory: RunDir) -> tuple[str, ...]:
    """Returns the class name of each row of the head; empty where the file has none.

    Raises:
        DamagedFileError: If the file is missing or damaged.
    """
    _, metadata = read_own_arrays(directory, directory.head_file)
    try:
        names = parse_json(metadata.get("classes", "[]"))
    except ValueError as error:
        raise DamagedFileError(f"{directory.head_file} is damaged: {error}") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DamagedFileError(f"{directory.head_file} is damaged: its classes are no names")
    return tuple(names)


def class_name(names: Sequence[str], row: int) -> str:
    """Returns the name of a row of the head; its number where there is none."""
    return names[row] if row < len(names) else f"class {row}"
