"""What an earlier attempt left: which shards can be used and which must be measured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from tuiprobe.engine.shards import Shard
from tuiprobe.errors import DataError
from tuiprobe.events import Event, Listener
from tuiprobe.files import DamagedFileError
from tuiprobe.results import Fingerprint
from tuiprobe.rundir import RunDir, read_arrays


@dataclass(frozen=True)
class Inventory:
    """The shards of a run, sorted by whether they are done.

    Attributes:
        missing: Shards to measure, in order.
        done: Images in published shards, readable or not.
        unreadable: Unreadable images among them.
    """

    missing: tuple[Shard, ...]
    done: int
    unreadable: int


def take_inventory(
    directory: RunDir,
    shards: Sequence[Shard],
    key: str,
    current: Fingerprint,
    mix: bool,
    listen: Listener,
) -> Inventory:
    """Checks every published shard.

    Args:
        directory: The run directory.
        shards: All shards of the run.
        key: The run's key.
        current: Fingerprint of this process.
        mix: Accept shards made under another fingerprint.
        listen: Told about damaged and mixed shards.

    Raises:
        DataError: If shards of another fingerprint are there and ``mix`` was not asked for.
    """
    missing, done, unreadable = [], 0, 0
    for shard in shards:
        path = directory.shard_file(shard.set_name, shard.number)
        metadata = _metadata(directory, shard, key, listen) if path.exists() else None
        if metadata is None:
            missing.append(shard)
            continue
        found = Fingerprint.model_validate_json(metadata["fingerprint"])
        if found != current and not mix:
            raise DataError(
                f"{directory.path} was begun under other conditions ({_difference(found, current)})"
                ", so its figures would not be bit-equal to one undisturbed run: --mix accepts "
                "that and says so in the report, --fresh starts anew"
            )
        done += shard.size
        unreadable += len(json.loads(metadata["skipped"]))
    return Inventory(tuple(missing), done, unreadable)


def _metadata(directory: RunDir, shard: Shard, key: str, listen: Listener) -> dict[str, str] | None:
    path = directory.shard_file(shard.set_name, shard.number)
    try:
        _, metadata = read_arrays(path)
    except DamagedFileError as error:
        listen(Event("warning", f"{error}; it is measured again", {}))
        return None
    if metadata.get("key") != key:
        listen(Event("warning", f"{path} belongs to another run; it is measured again", {}))
        return None
    return metadata


def _difference(found: Fingerprint, current: Fingerprint) -> str:
    before, now = found.model_dump(), current.model_dump()
    return ", ".join(
        f"{name} {before[name]} then, {now[name]} now"
        for name in before
        if before[name] != now[name]
    )
