"""How many images the published shards of a run hold, read from the heads of the files."""

from __future__ import annotations

import json
import re

from tuiprobe.files import DamagedFileError, Entry, reading
from tuiprobe.run.arrays import read_header
from tuiprobe.run.directory import RunDir
from tuiprobe.run.records import PlanRecord

ROW_PLACE = r"(.+) ([0-9]{1,9}) rows ([0-9]{1,15}) to ([0-9]{1,15})"
"""How a shard of stored vectors says where it belongs: set, number, first row, end."""

_MOST_SHARDS = 2**20


def published_images(directory: RunDir, plan: PlanRecord) -> int:
    """Counts the images in shards of this plan; those of another key do not count.

    Only the head of each file is read, so a shard with damaged arrays counts until the engine
    verifies it.
    """
    count = 0
    for one in plan.sets:
        for number in range(min(one.shards, _MOST_SHARDS)):
            entry = directory.shard_file(one.name, number)
            try:
                if entry.exists():
                    count += _images(entry, one.key or plan.key)
            except (DamagedFileError, ValueError, LookupError, TypeError):
                continue
    return count


def _images(entry: Entry, key: str) -> int:
    """Returns how many images a shard holds, readable or not; 0 if it is of another run."""
    with entry.open() as file, reading(entry):
        header = read_header(file, entry)
    arrays, metadata = header.arrays, header.metadata
    if metadata["key"] != key:
        return 0
    rows = re.fullmatch(ROW_PLACE, metadata.get("place", ""))
    if rows is not None:
        return int(rows[4]) - int(rows[3])
    return arrays["ids"].shape[0] + len(json.loads(metadata["skipped"]))
