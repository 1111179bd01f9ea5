"""Shares the shards of a run between ranks: who holds which, what is left, who takes over.

There is no process group. Every rank measures its own shards, except those that somebody else has
measured or holds; then it takes, one at a time, shards that nobody holds, until all are published.
What a rank holds is its lease, see `tuiprobe.run.ranks`. Two ranks that measure the same shard
publish the same bits, so files that are seen late cost time only.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence

from tuiprobe.events import Event, Listener
from tuiprobe.measure.ranks import Rank
from tuiprobe.measure.shards import Place, Shard
from tuiprobe.plaintext import clock
from tuiprobe.run.directory import RunDir, Version, version_of
from tuiprobe.run.locks import this_host
from tuiprobe.run.ranks import (
    LEASE_SECONDS,
    LONGEST_TERM,
    RankRecord,
    RankView,
    RankWatch,
    Stage,
    WholeProgress,
    whole_progress,
    write_record,
)

BEAT_SECONDS = 1.0
"""Least time between two heartbeats within a shard, and between two looks at the others."""
START_SECONDS = 600.0
"""Time that loading a model and checking its data may take before a rank counts as silent."""
_SLOW_STEPS = 4  # longest pauses between batches that a lease lasts


class Crew:
    """The ranks of a run, as one of them sees them.

    A single process has nobody to share with: it writes no file and looks at none.

    Args:
        directory: The run directory.
        rank: This process.
        shards: All shards of the run, in the order of the plan.
        listen: Told about ranks that are late or silent, and about shards that are taken over.
        now: The clock of this process; only differences count.
        host: Name of this host.
    """

    def __init__(
        self,
        directory: RunDir,
        rank: Rank,
        shards: Sequence[Shard],
        listen: Listener,
        *,
        now: Callable[[], float] = time.monotonic,
        host: str | None = None,
    ) -> None:
        self._directory, self._rank, self._listen, self._now = directory, rank, listen, now
        self._host = host or this_host()
        self._shards = {shard.place: shard for shard in shards}
        self._owners = {place: rank.owner(i) for i, place in enumerate(self._shards)}
        self._images = sum(shard.size for shard in shards)
        self._watch = RankWatch(directory, now)
        self._views: tuple[RankView, ...] = ()
        self._record = RankRecord(process=os.getpid(), host=self._host, stage="start")
        self._names = {place: directory.shard_file(*place).path.name for place in self._shards}
        self._measured: set[Place] = set()
        self._unusable: dict[Place, Version] = {}
        self._told: set[tuple[str, int]] = set()
        self._beat_at = self._step_at = self._looked_at = float("-inf")
        self._longest_step = 0.0

    @property
    def shared(self) -> bool:
        """Whether there are other ranks."""
        return self._rank.world > 1

    # What this rank says of itself.

    def enter(self, stage: Stage) -> None:
        """Says what this rank does now; it holds no shard."""
        term = START_SECONDS if stage == "start" else LEASE_SECONDS
        self._say(stage=stage, set_name=None, images=0, term=term)

    def join(self) -> None:
        """Says that this rank starts; the first one clears away ranks that there are no more."""
        if self._rank.number == 0:
            world = self._rank.world if self.shared else 0
            for number in self._directory.rank_files():
                if number >= world:
                    self._directory.rank_file(number).unlink()
            for number in self._directory.live_ranks():
                if number >= self._rank.world:
                    self._directory.live_file(number, "json").unlink()
        self.enter("start")

    def hold(self, shard: Shard) -> None:
        """Takes the lease of a shard."""
        self._step_at = self._now()
        self._say(
            stage="extract", set_name=shard.set_name, number=shard.number, images=0,
            term=self._term(),
        )  # fmt: skip

    def beat(self, images: int, rate: float, seconds: float) -> None:
        """Renews the lease after a batch.

        Args:
            images: Images of the shard so far.
            rate: Images per second of this rank.
            seconds: Time since it began to measure.
        """
        now = self._now()
        self._longest_step = max(self._longest_step, now - self._step_at)
        self._step_at = now
        if now - self._beat_at >= BEAT_SECONDS:
            self._say(images=images, rate=rate, seconds=seconds, term=self._term())

    def measured(self, shard: Shard) -> None:
        """Notes that this process has published a shard."""
        self._measured.add(shard.place)

    def _term(self) -> float:
        return min(max(LEASE_SECONDS, _SLOW_STEPS * self._longest_step), LONGEST_TERM)

    def _say(self, **changes: object) -> None:
        if not self.shared:
            return
        self._beat_at = self._now()
        changes["sequence"] = self._record.sequence + 1
        self._record = self._record.model_copy(update=changes)
        write_record(self._directory, self._rank.number, self._record)

    # What it sees of the others.

    def left(self, pending: Sequence[Shard]) -> list[Shard]:
        """Returns the shards that are neither published nor held by another rank."""
        if not self.shared:
            return list(pending)
        theirs = self._held() | self.published()
        return [shard for shard in pending if shard.place not in theirs]

    def distrust(self, shards: Sequence[Shard]) -> None:
        """Counts shards that cannot be used as not published, until their files are replaced."""
        for place in (shard.place for shard in shards):
            version = self._version(place)
            if version is not None:  # else it is simply not there
                self._unusable[place] = version

    def published(self) -> set[Place]:
        """Returns the shards whose files exist and are not known to be unusable."""
        names = self._directory.shard_names()
        there = {place for place, name in self._names.items() if name in names}
        return {
            place
            for place in there
            if place not in self._unusable or self._version(place) != self._unusable[place]
        }

    def _version(self, place: Place) -> Version | None:
        return version_of(self._directory.shard_file(*place))

    def absent(self) -> list[Shard]:
        """Returns the shards that are not published, in the order of the plan."""
        there = self.published()
        return [shard for place, shard in self._shards.items() if place not in there]

    def lost(self, absent: Sequence[Shard]) -> bool:
        """Says whether a shard that this process has published is there no more."""
        return any(shard.place in self._measured for shard in absent)

    def take(self, absent: Sequence[Shard]) -> Shard | None:
        """Takes over a shard that nobody holds; None if all are held.

        Owners go through their shards from the front, so this begins at the end; ranks that look
        at the same time take different ones. Of two that took the same one, the lower number keeps
        it.
        """
        held = self._held()
        free = [shard for shard in reversed(absent) if shard.place not in held]
        if not free:
            return None
        shard = free[self._rank.number % min(len(free), self._rank.world)]
        self.hold(shard)
        if shard.place in self._held(below=self._rank.number):
            self.enter("wait")
            return None
        self._tell_taken(shard)
        return shard

    def wait(self) -> None:
        """Says that this rank waits for shards that others hold."""
        if self._record.stage != "wait":
            self.enter("wait")
        self._look()

    def merging(self) -> bool:
        """Says whether another rank merges the whole run."""
        return any(
            one.alive and one.record.stage == "merge" and one.number != self._rank.number
            for one in self._look()
        )

    def progress(self) -> WholeProgress | None:
        """Returns the progress of all ranks; None before a second has passed since the last."""
        if not self.shared or self._now() - self._looked_at < BEAT_SECONDS:
            return None
        views, there = self._look(), self.published()
        kept = sum(self._shards[place].size for place in there)
        return whole_progress(views, there, kept, self._images)

    def _held(self, below: int | None = None) -> set[Place]:
        views = self._look()
        return {
            shard
            for one in views
            if one.alive and (shard := one.record.shard) is not None
            if one.number != self._rank.number and (below is None or one.number < below)
        }

    def _look(self) -> tuple[RankView, ...]:
        self._looked_at = self._now()
        self._views = self._watch.look()
        # One of them says what all can see.
        if self._rank.number == min((v.number for v in self._views if v.alive), default=-1):
            for view in self._views:
                self._tell_trouble(view)
        return self._views

    def _tell_trouble(self, view: RankView) -> None:
        condition = view.condition
        if condition not in ("late", "silent"):
            self._told -= {("silent", view.number)}  # it may come back, and be silent again
            return
        if (condition, view.number) in self._told:
            return
        self._told.add((condition, view.number))
        then = "the others measure what is left of its shards when they are done with theirs"
        if condition == "late":
            what = f"is late: {view.record.rate:.1f} images/s, less than half of what is usual here"
        elif view.gone:
            what = "has ended before its shards were measured"
        else:
            what = f"has shown no sign of life for {clock(view.silence)}"
        self._listen(Event("warning", f"{view.name} {what}; {then}", {"rank": view.number}))

    def _tell_taken(self, shard: Shard) -> None:
        owner = self._owners[shard.place]
        if owner == self._rank.number or ("taken", owner) in self._told:
            return
        self._told.add(("taken", owner))
        said = f"rank {self._rank.number} takes over shards of rank {owner} that nobody measures"
        self._listen(Event("stage", said, {"stage": "extract"}))
