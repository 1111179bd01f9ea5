"""Writes and reads `head.safetensors`, without torch: answers come quickly."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tuiprobe.files import DIGEST_BYTES, parse_json
from tuiprobe.limits import LARGEST_WEIGHT
from tuiprobe.measure.run.arrays import (
    MOST_COUNTED,
    Arrays,
    CheckedArrays,
    HeadArrays,
    below,
    write_arrays,
)
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.results import NotRun
from tuiprobe.results.subject import FITTED_CONTENTS

_ANSWERS = "answers/"
"""Prefix of the arrays that say which class each row answers for in a set."""

OUTSIDE = 2**20
"""Row r of a head that has no class in a set, but may answer in it, has the class `OUTSIDE + r`.

Its answers are counted, and are wrong for every image of the set. In a set of cats and dogs, row 7
(`truck`) of a head has the class `OUTSIDE + 7`, where a row that may not answer has -1.
"""

_NOT_RUN = "not_run"
"""Metadata key of why there is no head, a `NotRun` as JSON."""

_UNMATCHED = "unmatched/"
"""Prefix of metadata keys of why no row of the head fits a labelled set."""

_SHIFT_HEADS = "own_names/"
_SHIFT_HEADS_NOT_RUN = "own_names_not_run/"


_FITTED = "fitted/"
"""Prefix of the arrays of the images that a head was fitted to; also the metadata key of their set.
"""

_FITTED_TO = "fitted_to"


@dataclass(frozen=True, eq=False)
class FittedImages:
    """The images that a head was fitted to.

    Attributes:
        data: Name of their set.
        ids: int64 [m], sample ids, ascending.
        rows: int64 [m], the row of the head of each label.
        remainders: float64 [m], one minus the leverage of each, above 0.
        contents: uint8 [m, 32], SHA-256 of each picture, or of the float32 values of a vector.
        tested: int64 [t], sample ids of the images of a test part, by which the head is judged. A
            head without one is judged by the images above, each answered without itself.
    """

    data: str
    ids: NDArray[np.int64]
    rows: NDArray[np.int64]
    remainders: NDArray[np.float64]
    contents: NDArray[np.uint8]
    tested: NDArray[np.int64] | None = None


@dataclass(frozen=True, eq=False)
class HeadFile:
    """The content of `head.safetensors`.

    Attributes:
        head: The head, or why there is none.
        answers: The class of each row in each set, by set.
        unmatched: Why no row of the head fits a labelled set, by set.
        shift_heads: The head of a shift's class names, or why it is missing, by set.
        classes: The class name of each row.
        templates: Prompt templates, of a zero-shot head.
        choice: Digest of the choice that the head was built for, and of the images that it was
            fitted to.
        digest: SHA-256 of the head with names and templates, or of why there is none; of a file.
        fitted: The images that the head was fitted to; None for a head that comes from elsewhere.
        fitted_to: uint8 [m, 32], SHA-256 of the images that a head of another run was fitted to.
    """

    head: HeadArrays | NotRun
    answers: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    unmatched: Mapping[str, NotRun] = field(default_factory=dict)
    shift_heads: Mapping[str, HeadArrays | NotRun] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()
    choice: str = ""
    digest: str = ""
    fitted: FittedImages | None = None
    fitted_to: NDArray[np.uint8] | None = None


def write_head(directory: RunDir, key: str, file: HeadFile) -> None:
    """Publishes the head of a run, or only the reason why there is none."""
    head = file.head
    if isinstance(head, NotRun):
        write_arrays(directory.head_file, {}, {_NOT_RUN: head.model_dump_json(), "key": key})
        return
    arrays: Arrays = {"weight": head.weight}
    metadata = {
        "source": head.source,
        "normalize": json.dumps(head.normalize),
        "classes": json.dumps(file.classes),
        "templates": json.dumps(file.templates),
        "choice": file.choice,
        "key": key,
    }
    if head.regression:
        metadata["regression"] = "true"
    if head.bias is not None:
        arrays["bias"] = head.bias
    if head.logit_scale is not None:
        arrays["logit_scale"] = np.array([head.logit_scale], dtype=np.float32)
        arrays["logit_bias"] = np.array([head.logit_bias], dtype=np.float32)
    if (fitted := file.fitted) is not None:
        metadata[_FITTED] = fitted.data
        parts = ("ids", "rows", "remainders", "contents")
        arrays |= {_FITTED + part: getattr(fitted, part) for part in parts}
        if fitted.tested is not None:
            arrays[_FITTED + "tested"] = fitted.tested
    if file.fitted_to is not None:
        arrays[_FITTED_TO] = file.fitted_to
    arrays |= {_ANSWERS + name: rows for name, rows in file.answers.items()}
    metadata |= {_UNMATCHED + name: why.model_dump_json() for name, why in file.unmatched.items()}
    for name, shift_head in file.shift_heads.items():
        if isinstance(shift_head, NotRun):
            metadata[_SHIFT_HEADS_NOT_RUN + name] = shift_head.model_dump_json()
        else:
            arrays[_SHIFT_HEADS + name] = shift_head.weight
            metadata[_SHIFT_HEADS + name] = shift_head.source
    write_arrays(directory.head_file, arrays, metadata)


def read_head(directory: RunDir) -> HeadFile:
    """Reads the head of a run.

    Raises:
        DamagedFileError: If the file is missing or damaged.
    """
    checked = CheckedArrays.of_run(directory, directory.head_file)
    arrays, metadata = checked.arrays, checked.metadata
    why, unmatched = metadata.get(_NOT_RUN), below(metadata, _UNMATCHED)
    return HeadFile(
        _head(checked) if why is None else _not_run(checked, why),
        answers=below(arrays, _ANSWERS),
        unmatched={name: _not_run(checked, text) for name, text in unmatched.items()},
        shift_heads=_shift_heads(checked),
        classes=checked.texts("classes"),
        templates=checked.texts("templates"),
        choice=metadata.get("choice", ""),
        digest=_digest(arrays, metadata),
        fitted=_fitted(checked) if _FITTED in metadata else None,
        fitted_to=checked.shaped(_FITTED_TO, "u1", None, DIGEST_BYTES)
        if _FITTED_TO in arrays
        else None,
    )


def _fitted(checked: CheckedArrays) -> FittedImages:
    count = len(checked.shaped("weight", "f4", None, None))
    ids = checked.counts(_FITTED + "ids", "i8", None)
    rows = checked.counts(_FITTED + "rows", "i8", len(ids))
    remainders = checked.finite(_FITTED + "remainders", "f8", len(ids))
    if not (np.diff(ids) > 0).all() or rows.max() >= count:
        raise checked.damaged("it names an image twice, or a row that it does not hold")
    if len(ids) < 2 or not ((remainders > 0) & (remainders <= 1)).all():
        raise checked.damaged("it holds leverages that no images have")
    contents = checked.shaped(FITTED_CONTENTS, "u1", len(ids), DIGEST_BYTES)
    tested = None
    if _FITTED + "tested" in checked.arrays:
        tested = checked.counts(_FITTED + "tested", "i8", None)
    return FittedImages(checked.metadata[_FITTED], ids, rows, remainders, contents, tested)


def _head(checked: CheckedArrays) -> HeadArrays:
    arrays, metadata = checked.arrays, checked.metadata
    weight = checked.finite("weight", "f4", None, None)
    bias = checked.finite("bias", "f4", len(weight)) if "bias" in arrays else None
    for array in (weight, bias):
        if array is not None and np.abs(array).max() > LARGEST_WEIGHT:
            raise checked.damaged(f"it holds {np.abs(array).max():g}, which is no weight of a head")
    for name in below(arrays, _ANSWERS):
        answers = checked.in_range(_ANSWERS + name, "i8", len(weight))
        if answers.min() < -1 or answers.max() > MOST_COUNTED:
            raise checked.damaged(f"{_ANSWERS}{name} holds what is no class")
    if metadata.get("normalize") not in ("true", "false") or "source" not in metadata:
        raise checked.damaged("its metadata does not say how to use it")
    scale, shift = _logit_scale(checked)
    normalize = metadata["normalize"] == "true"
    if normalize and bias is not None:
        raise checked.damaged("it holds a bias for each class, which no zero-shot head has")
    regression = metadata.get("regression") == "true"
    return HeadArrays(weight, bias, normalize, metadata["source"], scale, shift, regression)


def _logit_scale(checked: CheckedArrays) -> tuple[float | None, float]:
    """Returns logit scale and logit bias, which not every head has."""
    scale = shift = None
    if "logit_scale" in checked.arrays:
        scale = float(checked.finite("logit_scale", "f4", 1)[0])
        if scale <= 0:
            raise checked.damaged(f"logit_scale holds {scale:g}, which is not above 0")
    if "logit_bias" in checked.arrays:
        shift = float(checked.finite("logit_bias", "f4", 1)[0])
    return scale, shift or 0.0


def _not_run(checked: CheckedArrays, text: str) -> NotRun:
    try:
        return NotRun.model_validate(parse_json(text))
    except ValueError as error:  # pydantic's errors are ValueErrors
        raise checked.damaged("it does not say why something is missing") from error


def _shift_heads(checked: CheckedArrays) -> dict[str, HeadArrays | NotRun]:
    missing = below(checked.metadata, _SHIFT_HEADS_NOT_RUN)
    heads: dict[str, HeadArrays | NotRun] = {
        name: _not_run(checked, text) for name, text in missing.items()
    }
    scale, shift = _logit_scale(checked)
    for name in below(checked.arrays, _SHIFT_HEADS):
        weight = checked.finite(_SHIFT_HEADS + name, "f4", None, None)
        source = checked.metadata.get(_SHIFT_HEADS + name, "")
        heads[name] = HeadArrays(weight, None, True, source, scale, shift)
    return heads


def _digest(arrays: Arrays, metadata: Mapping[str, str]) -> str:
    # The run and the sets that the head does not fit are not part of the head's identity.
    named = {k: v for k, v in metadata.items() if k != "key" and not k.startswith(_UNMATCHED)}
    digest = hashlib.sha256(json.dumps(named, sort_keys=True).encode())
    for name in sorted(arrays):
        digest.update(name.encode() + arrays[name].tobytes())
    return digest.hexdigest()


def class_name(names: Sequence[str], row: int) -> str:
    """Returns the name of a row of the head; its number where there is none."""
    return names[row] if row < len(names) else f"class {row}"
