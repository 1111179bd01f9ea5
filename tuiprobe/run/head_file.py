"""Reads `head.safetensors` without torch, so answers from a finished run come quickly."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from tuiprobe.files import DamagedFileError, Entry, parse_json
from tuiprobe.results import NotRun
from tuiprobe.run.arrays import Arrays, read_own_arrays
from tuiprobe.run.checked_arrays import CheckedArrays, HeadArrays, check_head, logit_scale
from tuiprobe.run.directory import RunDir

_T = TypeVar("_T")

ANSWERS = "answers/"
"""Prefix of the arrays that say which class each row answers for in a set."""

OUTSIDE = 2**20
"""Class numbers from here on are of rows that stand for no class of a set and may answer there."""

NOT_RUN = "not_run"
"""Metadata key for why there is no head, as the JSON of a `NotRun`."""

UNMATCHED = "unmatched/"
"""Prefix of metadata keys for why no row of the head fits a labelled set, likewise."""

OWN_NAMES = "own_names/"
OWN_NOT_RUN = "own_names_not_run/"


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
    unmatched: Mapping[str, NotRun]
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
    if NOT_RUN in metadata:
        head = _not_run(file, metadata[NOT_RUN])
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
        unmatched={n: _not_run(file, text) for n, text in _by_set(metadata, UNMATCHED).items()},
        own_names=_own_names(file, arrays, metadata),
        classes=tuple(classes),
        digest=_digest(arrays, metadata),
    )


def _not_run(file: Entry, text: str) -> NotRun:
    try:
        return NotRun.model_validate(parse_json(text))
    except ValueError as error:  # pydantic's errors are ValueErrors
        raise DamagedFileError(
            f"{file} is damaged: it does not say why a head is missing"
        ) from error


def _by_set(named: Mapping[str, _T], prefix: str) -> dict[str, _T]:
    return {n.removeprefix(prefix): value for n, value in named.items() if n.startswith(prefix)}


def _own_names(
    file: Entry, arrays: Arrays, metadata: Mapping[str, str]
) -> dict[str, HeadArrays | NotRun]:
    missing = _by_set(metadata, OWN_NOT_RUN).items()
    heads: dict[str, HeadArrays | NotRun] = {name: _not_run(file, text) for name, text in missing}
    checked = CheckedArrays(file, arrays)
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
