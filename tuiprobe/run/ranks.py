"""What the ranks of a run tell each other: one small file each, with the shard it measures.

`ranks/<number>.json` is a heartbeat and a lease. A rank replaces it when it begins a shard and
while it measures. A reader trusts no clock but its own: a lease has ended when this reader has not
seen the file change for the time that the file states. On the reader's own host the kernel's list
of locks says at once that a process is gone. A lease that is taken for ended too early costs time
and no figure, since a shard has the same bits whoever measures it.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import Field, ValidationError

from tuiprobe.files import DamagedFileError
from tuiprobe.run.directory import RunDir, Version
from tuiprobe.run.live import Beat
from tuiprobe.run.locks import held_locks, is_held, lock_of, this_host

LEASE_SECONDS: Final = 60.0
"""Shortest term of a lease."""
LONGEST_TERM: Final = 3600.0
LATE: Final = 0.5
"""A rank is late if it measures at less than this part of the median speed."""
_JUDGED_AFTER: Final = 30.0
_MOST_BYTES = 2**16
_LONGEST_ETA: Final = 1e9
"""Seconds; what no engine says, as that of a rate of almost nothing, is unknown."""

Stage = Literal["start", "extract", "wait", "merge", "done", "stopped", "failed"]
RankCondition: TypeAlias = Stage | Literal["late", "silent"]

_Count = Annotated[int, Field(ge=0, lt=2**53)]
_Rate = Annotated[float, Field(ge=0, le=1e15)]


class RankRecord(Beat):
    """The file of one rank.

    Attributes:
        process: Process id, so that a rank that was started again differs.
        host: Name of its host.
        stage: What it does.
        set_name: Set of the shard that it measures; None between shards.
        number: Number of that shard.
        images: Images of that shard that were measured or skipped.
        rate: Images per second since it began to measure.
        seconds: Time since then.
        term: Seconds within which it writes the file again.
    """

    process: _Count
    host: Annotated[str, Field(max_length=256)]
    stage: Stage
    set_name: Annotated[str, Field(max_length=1000)] | None = None
    number: _Count = 0
    images: _Count = 0
    rate: _Rate = 0.0
    seconds: _Rate = 0.0
    term: Annotated[float, Field(gt=0, le=LONGEST_TERM)] = LEASE_SECONDS

    @property
    def shard(self) -> tuple[str, int] | None:
        """Set and number of the shard that the rank holds."""
        return None if self.set_name is None else (self.set_name, self.number)


@dataclass(frozen=True)
class RankView:
    """A rank as a reader sees it.

    Attributes:
        number: Its number.
        record: What its file says.
        silence: Seconds since the reader saw the file change.
        gone: Whether its process is known to have ended.
        condition: Its stage; `silent` if it is gone, or starts or measures and should have written
            again; `late` if it is much slower than the others.
    """

    number: int
    record: RankRecord
    silence: float
    gone: bool
    condition: RankCondition

    @property
    def alive(self) -> bool:
        """Whether its lease holds."""
        return self.condition != "silent"

    @property
    def name(self) -> str:
        """Number and host."""
        return f"rank {self.number} on {self.record.host}"


class RankWatch:
    """Sees the files of all ranks change.

    Args:
        run: The run directory.
        now: The reader's own clock; only differences count.
    """

    def __init__(self, run: RunDir, now: Callable[[], float] = time.monotonic) -> None:
        self._run, self._now = run, now
        self._seen: dict[int, tuple[Version, RankRecord, float]] = {}

    def look(self) -> tuple[RankView, ...]:
        """Returns all ranks that have a file, by number; reads those that changed."""
        files, held = self._run.rank_files(), None
        self._seen = {number: one for number, one in self._seen.items() if number in files}
        for number, version in files.items():
            before = self._seen.get(number)
            if before is not None and before[0] == version:
                continue
            record = _read(self._run, number)
            if record is None:
                self._seen.pop(number, None)
            elif before is None or before[1] != record:
                self._seen[number] = (version, record, self._now())
        views, now = [], self._now()
        for number, (_, record, seen) in sorted(self._seen.items()):
            silence = now - seen
            gone = False
            if record.host == this_host() and record.stage not in _ENDED:
                held = held_locks() if held is None else held
                gone = not is_held(self._run.at(lock_of(number)), held)
            overdue = record.stage in _BEATING and silence >= record.term
            silent = gone or overdue
            condition: RankCondition = "silent" if silent else record.stage
            views.append(RankView(number, record, silence, gone, condition))
        return _with_late(views)


_BEATING: Final = ("start", "extract")
_ENDED: Final = ("done", "stopped", "failed")


def _with_late(views: list[RankView]) -> tuple[RankView, ...]:
    measuring = [one for one in views if one.condition == "extract"]
    judged = [one for one in measuring if one.record.seconds >= _JUDGED_AFTER]
    if len(measuring) < 2 or not judged:
        return tuple(views)
    usual = statistics.median(one.record.rate for one in measuring)
    late = {one.number for one in judged if one.record.rate < LATE * usual}
    return tuple(replace(v, condition="late") if v.number in late else v for v in views)


def read_records(run: RunDir) -> dict[int, RankRecord]:
    """Returns what the ranks have written, by number; what cannot be read is left out."""
    return {n: found for n in run.rank_files() if (found := _read(run, n)) is not None}


def _read(run: RunDir, number: int) -> RankRecord | None:
    with suppress(DamagedFileError, ValidationError):
        return RankRecord.model_validate_json(run.rank_file(number).read_bytes(_MOST_BYTES))
    return None


def write_record(run: RunDir, number: int, record: RankRecord) -> None:
    """Replaces the file of a rank."""
    run.rank_file(number).replace(record.model_dump_json().encode())


@dataclass(frozen=True)
class WholeProgress:
    """How far all ranks are together.

    Attributes:
        through: Images that are measured or skipped.
        total: Images to measure.
        rate: Images per second of all ranks.
        eta: Seconds left; None if unknown.
        ranks: Number of ranks that measure.
    """

    through: int
    total: int
    rate: float
    eta: float | None
    ranks: int


def whole_progress(
    views: Iterable[RankView], published: Collection[tuple[str, int]], kept: int, total: int
) -> WholeProgress:
    """Returns the progress over all ranks.

    Args:
        views: The ranks.
        published: Set and number of the published shards.
        kept: Number of images in them.
        total: Images to measure.
    """
    running: dict[tuple[str, int], int] = {}
    measuring = [one for one in views if one.condition in ("extract", "late")]
    rate = sum(one.record.rate for one in measuring)
    for one in measuring:
        shard = one.record.shard
        if shard is not None and shard not in published:  # two may measure one shard
            running[shard] = max(running.get(shard, 0), one.record.images)
    through = min(kept + sum(running.values()), total)
    eta = (total - through) / rate if rate > 0 else math.inf
    known = eta if eta <= _LONGEST_ETA else None
    return WholeProgress(through, total, rate, known, len(measuring))
