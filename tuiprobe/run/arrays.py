"""Arrays of a run: safetensors files with their checksum inside, read whole and verified."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from tuiprobe.files import DamagedFileError, Entry, parse_json
from tuiprobe.run.directory import RunDir

if TYPE_CHECKING:  # the screens list directories without numpy
    from numpy.typing import NDArray

Arrays: TypeAlias = "dict[str, NDArray[Any]]"

MAX_TENSOR_BYTES = 16 * 2**30
_HEADER_LENGTH_BYTES = 8


def write_arrays(entry: Entry, arrays: Mapping[str, NDArray[Any]], metadata: dict[str, str]) -> str:
    """Publishes named arrays as safetensors with a checksum; returns the checksum."""
    import numpy as np
    from safetensors.numpy import save as encode_tensors

    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    checksum = _checksum(contiguous, metadata)
    entry.write_bytes(encode_tensors(contiguous, metadata={**metadata, "checksum": checksum}))
    return checksum


def read_arrays(entry: Entry, expected: str | None = None) -> tuple[Arrays, dict[str, str]]:
    """Reads arrays written by `write_arrays` and verifies their checksum.

    Args:
        entry: What to read.
        expected: The checksum recorded in another file of the run; None if there is none.

    Returns:
        Arrays by name, and the metadata without the checksum. The checksum covers both.

    Raises:
        DamagedFileError: If the file is truncated, altered, too large, behind a link, or not the
            expected one.
    """
    content = entry.read_bytes(MAX_TENSOR_BYTES)
    arrays = decode_arrays(entry, content)
    metadata = _metadata(entry, content)
    checksum = metadata.pop("checksum", "")
    if checksum != _checksum(arrays, metadata):
        raise DamagedFileError(f"{entry} is damaged: its checksum does not match its content")
    refuse_other(entry, checksum, expected)
    return arrays, metadata


def decode_arrays(entry: Entry, content: bytes) -> Arrays:
    """Returns the arrays of a safetensors file.

    Raises:
        DamagedFileError: If the content is invalid, or has an array of an unsupported kind.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as decode_tensors

    try:
        return dict(decode_tensors(content))
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedFileError(f"{entry} is damaged: {error}") from error


def read_own_arrays(directory: RunDir, entry: Entry) -> tuple[Arrays, dict[str, str]]:
    """Reads arrays of a run and checks the run key in their metadata, if there is one.

    Raises:
        DamagedFileError: As for `read_arrays`; also if the arrays belong to another run.
    """
    arrays, metadata = read_arrays(entry)
    key = directory.read_key()
    if key is not None and metadata.get("key", key) != key:
        raise DamagedFileError(f"{entry} belongs to another run")
    return arrays, metadata


def refuse_other(entry: Entry, checksum: str, expected: str | None) -> None:
    """Refuses intact arrays that do not belong to the run's other files.

    Raises:
        DamagedFileError: If the checksums differ.
    """
    if expected is not None and checksum != expected:
        raise DamagedFileError(
            f"{entry} does not belong to {entry.root / 'measured.json'}: a merge was cut short or "
            "files of two runs were mixed; the command that made the run merges it again"
        )


def _metadata(entry: Entry, content: bytes) -> dict[str, str]:
    """Returns the metadata of a file; its arrays were decoded, so its header is valid JSON."""
    length = int.from_bytes(content[:_HEADER_LENGTH_BYTES], "little")
    try:
        header = parse_json(content[_HEADER_LENGTH_BYTES : _HEADER_LENGTH_BYTES + length])
        return {str(name): str(text) for name, text in header.get("__metadata__", {}).items()}
    except (ValueError, AttributeError) as error:
        raise DamagedFileError(f"{entry} is damaged: {error}") from error


def _checksum(arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> str:
    import numpy as np

    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.asarray(array, order="C").reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
