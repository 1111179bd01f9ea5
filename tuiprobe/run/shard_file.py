"""Reads the file of a shard, for the engine and for `verify`.

A shard has a checksum of its own and no place in the manifest. Here it is compared with the key of
its set and with its place; the engine also compares it with the plan (`tuiprobe.engine.resume`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tuiprobe.files import UNFIT, DamagedFileError, Entry, parse_json
from tuiprobe.results import Fingerprint
from tuiprobe.run.arrays import Arrays, read_arrays, read_shapes
from tuiprobe.run.checked_arrays import CheckedArrays
from tuiprobe.run.directory import RunDir
from tuiprobe.run.records import SetRecord

_DIGEST_BYTES = 32


@dataclass(frozen=True, eq=False)
class ShardFile:
    """The file of a shard.

    Attributes:
        entry: The file.
        arrays: Its arrays; none if the head alone was read.
        metadata: Texts by name.
        fingerprint: What it was measured with.
        skipped: Sample id and reason of each unreadable image.
        size: Number of its images, readable or not, or of its rows.
    """

    entry: Entry
    arrays: Arrays
    metadata: Mapping[str, str]
    fingerprint: Fingerprint
    skipped: tuple[tuple[int, str], ...]
    size: int


def read_shard(
    directory: RunDir, set_name: str, number: int, key: str, *, whole: bool = True
) -> ShardFile:
    """Returns the file of a shard.

    Args:
        directory: The run directory.
        set_name: Its set.
        number: Its number within the set.
        key: Key of the set.
        whole: Whether to read its arrays and compare the checksum, or the head of the file alone.

    Raises:
        DamagedFileError: If it is missing, damaged, or of another run or position.
    """
    entry = directory.shard_file(set_name, number)
    arrays: Arrays = {}
    if whole:
        arrays, metadata = read_arrays(entry)
        shapes = {name: array.shape for name, array in arrays.items()}
    else:
        shapes, metadata = read_shapes(entry)
    if metadata.get("key") != key:
        raise DamagedFileError(f"{entry} belongs to another run or other images")
    if metadata.get("place") != f"{set_name} {number}":
        raise DamagedFileError(f"{entry} belongs to another place")
    try:
        fingerprint = Fingerprint.model_validate_json(metadata["fingerprint"])
        skipped = tuple((i, reason) for i, reason in parse_json(metadata["skipped"]))
        if not all(_is_id(i) and isinstance(reason, str) for i, reason in skipped):
            raise ValueError("its unreadable images are no list")
        (readable,) = shapes["ids"]
        size = int(metadata.get("rows", readable + len(skipped)))
    except UNFIT as error:
        cause = str(error).partition("\n")[0]
        raise DamagedFileError(f"{entry} is damaged: {cause}") from error
    return ShardFile(entry, arrays, metadata, fingerprint, skipped, size)


def read_digests(directory: RunDir, record: SetRecord, key: str) -> dict[int, str]:
    """Returns the SHA-256 of every image of a set, readable or not, by sample id.

    Args:
        directory: The run directory.
        record: The set, of images.
        key: Key of the run; that of the set comes before it.

    Raises:
        DamagedFileError: If a shard is missing or damaged.
    """
    digests: dict[int, str] = {}
    for number in range(record.shards):
        shard = read_shard(directory, record.name, number, record.key or key)
        checked = CheckedArrays(shard.entry, shard.arrays)
        images = checked.shaped("images", "i8", None)
        rows = checked.shaped("digests", "u1", len(images), _DIGEST_BYTES)
        digests |= {i: row.tobytes().hex() for i, row in zip(images.tolist(), rows, strict=True)}
    return digests


def _is_id(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**53
