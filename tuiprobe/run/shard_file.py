"""Reads the file of a shard, for the engine and for `verify`.

A shard has a checksum of its own and no place in the manifest. Here it is compared with the key of
its set and with its place; the engine also compares it with the plan (`tuiprobe.engine.resume`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tuiprobe.files import UNFIT, DamagedFileError, Entry, parse_json
from tuiprobe.results import Fingerprint
from tuiprobe.run.arrays import Arrays, read_arrays, read_metadata
from tuiprobe.run.directory import RunDir


@dataclass(frozen=True, eq=False)
class ShardFile:
    """The file of a shard.

    Attributes:
        entry: The file.
        arrays: Its arrays; none if the head alone was read.
        metadata: Texts by name.
        fingerprint: What it was measured with.
        skipped: Sample id and reason of each unreadable image.
        size: Number of its samples, readable or not.
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
    else:
        metadata = read_metadata(entry)
    if metadata.get("key") != key:
        raise DamagedFileError(f"{entry} belongs to another run or other images")
    if metadata.get("place") != f"{set_name} {number}":
        raise DamagedFileError(f"{entry} belongs to another place")
    try:
        fingerprint = Fingerprint.model_validate_json(metadata["fingerprint"])
        skipped = tuple((i, reason) for i, reason in parse_json(metadata["skipped"]))
        if not all(_is_id(i) and isinstance(reason, str) for i, reason in skipped):
            raise ValueError("its unreadable images are no list")
        size = int(metadata["size"])
    except UNFIT as error:
        cause = str(error).partition("\n")[0]
        raise DamagedFileError(f"{entry} is damaged: {cause}") from error
    return ShardFile(entry, arrays, metadata, fingerprint, skipped, size)


def _is_id(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**53
