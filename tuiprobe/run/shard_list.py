"""Which shards of a run are published, by the names of their files alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

from tuiprobe.errors import TuiprobeError
from tuiprobe.files import Entry
from tuiprobe.run.directory import RunDir

_CACHED = 10_000


@dataclass(frozen=True)
class SetPlan:
    """A set as `plan.json` has it.

    Attributes:
        name: Its name.
        images: Images to measure.
        shards: Shards that they are divided into.
    """

    name: str
    images: int
    shards: int


def set_plans(run: RunDir) -> tuple[SetPlan, ...]:
    """Returns the planned sets; none before the plan is written, or if it is damaged."""
    written = run.plan_file.modified()
    return () if written is None else _set_plans(run.plan_file, written)


def published_shards(run: RunDir) -> set[tuple[str, int]]:
    """Returns set and number of each shard that has a file."""
    found = set()
    for name in run.shard_names():
        set_name, _, number = name.removesuffix(".safetensors").rpartition("-")
        if set_name and number.isdecimal() and number.isascii():
            found.add((set_name, int(number[:18])))
    return found


def kept_images(run: RunDir) -> tuple[int, int]:
    """Returns how many images the published shards hold, and how many are planned.

    No shard is read: all those of a set count with the same number of images.
    """
    sets = set_plans(run)
    published = Counter(name for name, _ in published_shards(run))
    kept = (one.images * min(published[one.name], one.shards) // one.shards for one in sets
            if one.shards)  # fmt: skip
    return sum(kept), sum(one.images for one in sets)


@lru_cache(maxsize=_CACHED)
def _set_plans(file: Entry, _written: int) -> tuple[SetPlan, ...]:
    try:
        sets = file.read_json()["sets"]
        found = tuple(SetPlan(one["name"], one["planned"], one["shards"]) for one in sets)
    except (TuiprobeError, KeyError, TypeError):
        return ()
    return found if all(map(_is_whole, found)) else ()


def _is_whole(one: SetPlan) -> bool:
    counts = (one.images, one.shards)
    return isinstance(one.name, str) and all(type(n) is int and 0 <= n < 2**53 for n in counts)
