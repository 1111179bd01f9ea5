"""Reads the file of a shard, for the engine and for `verify`.

A shard has a checksum of its own and no place in the manifest. Here it is compared with the key of
its set and with its place; the engine also compares it with the plan (`tuiprobe.measure.resume`,
`tuiprobe.measure.embeddings.shard_io`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tuiprobe.files import UNFIT, DamagedFileError, Entry, parse_json
from tuiprobe.results import Fingerprint
from tuiprobe.run.arrays import Arrays, read_arrays, read_shapes
from tuiprobe.run.directory import RunDir

_ROWS = re.compile(r" rows ([0-9]{1,15}) to ([0-9]{1,15})")


@dataclass(frozen=True, eq=False)
class ShardFile:
    """The file of a shard.

    Attributes:
        entry: The file.
        arrays: Its arrays; none if the head alone was read.
        metadata: Texts by name.
        fingerprint: What it was measured with.
        skipped: Sample id and reason of each unreadable image.
        rows: First row of stored vectors, and one past the last; None for images.
        size: Number of its images, readable or not, or of its rows.
    """

    entry: Entry
    arrays: Arrays
    metadata: Mapping[str, str]
    fingerprint: Fingerprint
    skipped: tuple[tuple[int, str], ...]
    rows: tuple[int, int] | None
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
    place, own = metadata.get("place", ""), f"{set_name} {number}"
    rows = _ROWS.fullmatch(place.removeprefix(own))
    if metadata.get("key") != key:
        raise DamagedFileError(f"{entry} belongs to another run or other images")
    if place != own and not (rows and place.startswith(own)):
        raise DamagedFileError(f"{entry} belongs to another place")
    try:
        fingerprint = Fingerprint.model_validate_json(metadata["fingerprint"])
        if rows:
            start, end = int(rows[1]), int(rows[2])
            return ShardFile(entry, arrays, metadata, fingerprint, (), (start, end), end - start)
        skipped = tuple((i, reason) for i, reason in parse_json(metadata["skipped"]))
        if not all(_is_id(i) and isinstance(reason, str) for i, reason in skipped):
            raise ValueError("its unreadable images are no list")
        (readable,) = shapes["ids"]
    except UNFIT as error:
        cause = str(error).partition("\n")[0]
        raise DamagedFileError(f"{entry} is damaged: {cause}") from error
    size = readable + len(skipped)
    return ShardFile(entry, arrays, metadata, fingerprint, skipped, None, size)


def _is_id(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**53
