"""Reads `head.safetensors` without torch, so answers from a finished run come quickly."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from tuiprobe.files import DamagedFileError, parse_json
from tuiprobe.results import NotRun
from tuiprobe.run.arrays import Arrays, read_own_arrays
from tuiprobe.run.checked_arrays import CheckedArrays, HeadArrays, check_head, logit_scale
from tuiprobe.run.directory import RunDir

_T = TypeVar("_T")

_LONGEST_REASON = 4000

ANSWERS = "answers/"
"""Prefix of the arrays that say which class each row answers for in a set."""

OUTSIDE = 2**20
"""Class numbers from here on are of rows that stand for no class of a set and may answer there."""

UNMATCHED = "unmatched/"
"""Prefix of metadata keys for the reason why no row of the head fits a labelled set."""

OWN_NAMES = "own_names/"
OWN_REASON = "own_names_reason/"


@dataclass(frozen=True, eq=False)
class HeadFile:
    """The content of `head.safetensors`.

    Attributes:
        head: The head, or why there is none.
        answers: The class of each row in each set, by set.
        unmatched: Why no row of the head fits a labelled set, by set.
        own_names: The head of a shift's own class names, or why it is missing, by set.
        classes: The class name of each row; empty where the file has none.
        digest: SHA-256 of the head with names and templates, or of why there is none.
    """

    head: HeadArrays | NotRun
    answers: Mapping[str, NDArray[np.int64]]
    unmatched: Mapping[str, str]
    own_names: Mapping[str, HeadArrays | NotRun]
    classes: tuple[str, ...]
    digest: str


def read_head(directory: RunDir) -> HeadFile:
    """Reads the head of a run.

    Raises:
        DamagedFileError: If the file is missing or damaged.
    """
    file = directory.head_file
    arrays, metadata = read_own_arrays(directory, file)
    head: HeadArrays | NotRun
    if "reason" in metadata:
        head = NotRun(reason=metadata["reason"][:_LONGEST_REASON])
    else:
        head = check_head(file, arrays, metadata)
    try:
        classes = parse_json(metadata.get("classes", "[]"))
    except ValueError as error:
        raise DamagedFileError(f"{file} is damaged: {error}") from error
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise DamagedFileError(f"{file} is damaged: its classes are no names")
    return HeadFile(
        head,
        answers=_by_set(arrays, ANSWERS),
        unmatched={n: why[:_LONGEST_REASON] for n, why in _by_set(metadata, UNMATCHED).items()},
        own_names=_own_names(CheckedArrays(file, arrays), arrays, metadata),
        classes=tuple(classes),
        digest=_digest(arrays, metadata),
    )


def _by_set(named: Mapping[str, _T], prefix: str) -> dict[str, _T]:
    return {n.removeprefix(prefix): value for n, value in named.items() if n.startswith(prefix)}


def _own_names(
    checked: CheckedArrays, arrays: Arrays, metadata: Mapping[str, str]
) -> dict[str, HeadArrays | NotRun]:
    reasons = _by_set(metadata, OWN_REASON).items()
    heads: dict[str, HeadArrays | NotRun] = {
        name: NotRun(reason=reason[:_LONGEST_REASON]) for name, reason in reasons
    }
    scale, shift = logit_scale(checked, arrays)
    for name in _by_set(arrays, OWN_NAMES):
        weight = checked.finite(OWN_NAMES + name, "f4", None, None)
        source = metadata.get(OWN_NAMES + name, "")
        heads[name] = HeadArrays(weight, None, True, source, scale, shift)
    return heads


def _digest(arrays: Arrays, metadata: Mapping[str, str]) -> str:
    # The run and the sets that the head does not fit are not part of the head's identity.
    named = {k: v for k, v in metadata.items() if k != "key" and not k.startswith(UNMATCHED)}
    digest = hashlib.sha256(json.dumps(named, sort_keys=True).encode())
    for name in sorted(arrays):
        digest.update(name.encode() + arrays[name].tobytes())
    return digest.hexdigest()


def class_name(names: Sequence[str], row: int) -> str:
    """Returns the name of a row of the head; its number where there is none."""
    return names[row] if row < len(names) else f"class {row}"
