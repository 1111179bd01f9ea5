"""How many images of a run are done: the count that every reader and the engine itself show.

Published shards are known by the names of their files, the shards under way by the status of the
ranks that run. No shard is read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING

from tuiprobe import limits
from tuiprobe.errors import TuiprobeError
from tuiprobe.files import Entry
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.plaintext import joined

if TYPE_CHECKING:
    from tuiprobe.measure.run.status import Status

_CACHED = 10_000
_NAMED = 8

ShardId = tuple[str, int]
"""Set and number of a shard."""


@dataclass(frozen=True)
class SetCount:
    """How far a set is.

    Attributes:
        name: Its name.
        total: Images to measure.
        shards: Shards that they are divided into.
        shard_images: Images of each shard but the last; 0 if unknown.
        done: Images that are measured or unreadable.
        is_shift: Whether readers know it as a shift: neither the in-distribution set, a target nor
            the concept set.
    """

    name: str
    total: int
    shards: int
    shard_images: int = 0
    done: int = 0
    is_shift: bool = False

    def size(self, number: int) -> int:
        """Returns the images of a shard; 0 if it has no such shard."""
        each = self.shard_images or -(-self.total // max(self.shards, 1))
        return max(min(each, self.total - number * each), 0) if number < self.shards else 0


@dataclass(frozen=True)
class ImageCount:
    """How far a run is.

    Attributes:
        sets: By name, in the order of measuring.
    """

    sets: dict[str, SetCount]

    @property
    def done(self) -> int:
        """Images that are measured or unreadable."""
        return sum(count.done for count in self.sets.values())

    @property
    def total(self) -> int:
        """Images to measure."""
        return sum(count.total for count in self.sets.values())


def count_images(
    sets: Sequence[SetCount], published: Collection[ShardId], running: Iterable[Status]
) -> ImageCount:
    """Counts the images of published shards and of those under way, none twice.

    Args:
        sets: The planned sets, in the order of measuring.
        published: Set and number of the published shards.
        running: Status of the ranks that run.
    """
    planned = {count.name: count for count in sets}
    done = dict.fromkeys(planned, 0)
    for name, number in published:
        if name in planned:
            done[name] += planned[name].size(number)
    under_way: dict[ShardId, int] = {}
    for status in running:
        id = status.shard_id
        if id is not None and id[0] in planned and id not in published:
            most = min(status.images, planned[id[0]].size(id[1]))
            under_way[id] = max(under_way.get(id, 0), most)
    for (name, _), images in under_way.items():
        done[name] += images
    return ImageCount(
        {name: replace(count, done=min(done[name], count.total)) for name, count in planned.items()}
    )


def images_done(run: RunDir, running: Iterable[Status] = ()) -> ImageCount:
    """Counts the images of a run directory; see `count_images`.

    Args:
        run: The run directory.
        running: Status of the ranks that run; others count no shard under way.
    """
    return count_images(set_counts(run), published_shards(run), running)


def set_counts(run: RunDir) -> tuple[SetCount, ...]:
    """Returns the planned sets; none before the plan is written, or if it is damaged."""
    written = run.plan_file.modified()
    return () if written is None else _set_counts(run.plan_file, written)


def published_shards(run: RunDir) -> set[ShardId]:
    """Returns set and number of each shard that has a file; reads none of them."""
    ids = set()
    for name in run.names("shards"):
        stem, _, suffix = name.rpartition(".")
        set_name, _, number = stem.rpartition("-")
        if suffix == "safetensors" and set_name and number.isdecimal() and number.isascii():
            ids.add((set_name, int(number[:18])))
    return ids


def in_turns(sets: Sequence[SetCount]) -> Iterator[ShardId]:
    """Yields the first shard of every set, then the second, and so on: the order of measuring.

    So every set has figures after its first shard, however many images the others have.

    >>> list(in_turns([SetCount("val", 30, 3), SetCount("rotated", 10, 1)]))
    [('val', 0), ('rotated', 0), ('val', 1), ('val', 2)]
    """
    number, left = 0, [count for count in sets if count.shards > 0]
    while left:
        for count in left:
            yield count.name, number
        number += 1
        left = [count for count in left if number < count.shards]


def ranks_missing(
    sets: Sequence[SetCount], published: Collection[ShardId], world: int
) -> tuple[int, ...]:
    """Returns the ranks whose shards are not all published.

    Args:
        sets: The planned sets.
        published: Set and number of the published shards.
        world: Number of ranks: the shards of all sets, as `in_turns` yields them, go round.
    """
    missing: set[int] = set()
    for index, id in enumerate(islice(in_turns(sets), limits.SHARDS)):
        if id not in published:
            missing.add(index % world)
            if len(missing) == world:
                break
    return tuple(sorted(missing))


def named_ranks(numbers: Sequence[int]) -> str:
    """Names ranks in a sentence.

    >>> named_ranks([1]), named_ranks([0, 2, 3])
    ('rank 1', 'ranks 0, 2 and 3')
    >>> named_ranks(range(40))
    'ranks 0, 1, 2, 3, 4, 5, 6, 7 and 32 more'
    """
    noun = "rank" if len(numbers) < 2 else "ranks"
    return f"{noun} {joined([str(number) for number in numbers], _NAMED)}"


@lru_cache(maxsize=_CACHED)
def _set_counts(file: Entry, _written: int) -> tuple[SetCount, ...]:
    try:
        plan = file.read_json()
        counts = tuple(
            SetCount(
                record["name"],
                record["planned"],
                record["shards"],
                record.get("shard_images") or 0,
                is_shift=index > 0
                and not record.get("target")
                and record["name"] != plan.get("concept_set"),
            )
            for index, record in enumerate(plan["sets"])
        )
    except (TuiprobeError, KeyError, TypeError, AttributeError):
        return ()
    for count in counts:
        numbers = (count.total, count.shards, count.shard_images)
        valid = all(type(number) is int and 0 <= number < 2**53 for number in numbers)
        if not (valid and isinstance(count.name, str)):
            return ()
    return counts
