"""Reading ``head.safetensors``; no torch, so that answers from a finished run come quickly."""

from __future__ import annotations

import hashlib
import json

import numpy as np
from numpy.typing import NDArray

from tuiprobe.probes.heads import HeadArrays
from tuiprobe.rundir import RunDir, read_arrays


def head_digest(directory: RunDir) -> str:
    """Returns the SHA-256 of a run's head, its names and templates, or of the reason for none."""
    arrays, metadata = read_arrays(directory.head_file)
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(arrays):
        digest.update(name.encode() + arrays[name].tobytes())
    return digest.hexdigest()


def read_head(directory: RunDir) -> tuple[HeadArrays, dict[str, NDArray[np.int64]]] | str:
    """Returns the head and each set's answers, or the reason why there is none.

    Raises:
        DamagedFileError: If the file is missing or damaged.
    """
    arrays, metadata = read_arrays(directory.head_file)
    if "reason" in metadata:
        return metadata["reason"]
    head = HeadArrays(
        weight=arrays["weight"],
        bias=arrays.get("bias"),
        normalize=json.loads(metadata["normalize"]),
        source=metadata["source"],
    )
    prefix = "answers/"
    answers = {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
    return head, answers
