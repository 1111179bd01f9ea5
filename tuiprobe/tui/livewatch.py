"""Reads a run directory while it is being written: progress, figures, events and log.

`Watch` returns a `Snapshot`; a thread polls it several times a second and keeps the last
one, so that a slow disk means fewer frames and never a screen that waits. Liveness is seen by the
change of the heartbeat's sequence number, never by the clocks of two machines. The directory is
not trusted: sizes are capped, links are not followed, and live files that an engine could not have
written make the state unreadable until they are valid again.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tuiprobe.files import DamagedFileError, Entry, parse_json
from tuiprobe.run.directory import RunDir
from tuiprobe.run.shard_list import SetPlan, kept_images, published_shards, set_plans

if TYPE_CHECKING:
    from tuiprobe.run.live import Ends, LiveTap, RankState, SetProgress
    from tuiprobe.run.ranks import RankView, RankWatch

State = Literal["starting", "running", "ended", "gone", "unreadable"]

_MOST_TEXT = 1000
_MOST_EVENT_FILES = 256
_KEPT_LINES = 2000
_KEPT_EVENTS = 500


@dataclass(frozen=True)
class Said:
    """One event of the run, as a person reads it."""

    kind: str
    message: str


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A run as it stood when it was read.

    Attributes:
        state: `starting` before the first live file; `gone` if the directory vanished;
            `unreadable` if what is there cannot be read, see `stage_message`.
        stage: Stage of the engine: load, extract, merge, probe.
        stage_message: The engine's own words for it.
        set: Set of images that is measured.
        done: Images measured, those of earlier attempts included.
        skipped: Images left out.
        total: Images to measure, likewise.
        rate: Images a second.
        eta: Seconds left; None if unknown.
        sets: Progress by set, all ranks together, in the order of measuring.
        taps: By set and tap.
        ends: Images at both ends of the leading channels, by set and channel.
        ranks: The ranks of the run; empty if it has only one.
        about: Model, data and kind of the weights as planned; empty before the plan is written.
        events: The last warnings and milestones.
        log: The last lines of the log.
        beat: Changes whenever any rank's heartbeat does.
        silence: Seconds since this reader last saw it change.
        outcome: The kind of the last event of the end: done, interrupted, failed; else empty.
        sequence: Number of this snapshot; grows with every change.
    """

    state: State = "starting"
    stage: str = "load"
    stage_message: str = ""
    set: str = ""
    done: int = 0
    skipped: int = 0
    total: int = 0
    rate: float = 0.0
    eta: float | None = None
    taps: dict[tuple[str, str], LiveTap] = field(default_factory=dict)
    sets: dict[str, SetProgress] = field(default_factory=dict)
    ends: dict[tuple[str, int], Ends] = field(default_factory=dict)
    ranks: tuple[RankView, ...] = ()
    about: Mapping[str, str] = field(default_factory=dict)
    events: tuple[Said, ...] = ()
    log: tuple[str, ...] = ()
    beat: tuple[int, ...] = ()
    silence: float = 0.0
    outcome: str = ""


def has_results(run: Path) -> bool:
    """Returns whether a run holds results that no newer attempt is about to replace."""
    directory = RunDir(run)
    written = directory.results_file.modified()
    beats = (directory.live_file(n, "json").modified() for n in directory.live_ranks())
    return written is not None and all(beat is None or beat <= written for beat in beats)


def runs_of(path: Path) -> list[Path]:
    """Returns the run directories of a path: itself, or those directly below a group."""
    if RunDir(path).key_file.exists() or not path.is_dir():
        return [path]
    below = sorted(entry.parent for entry in path.glob("*/key") if not entry.is_symlink())
    return below or [path]


class Watch:
    """Reads one run directory again and again.

    Args:
        run: The run directory.
        log: The engine's output; None for the directory's own log.
        now: The reader's own clock; only differences count.
    """

    def __init__(
        self,
        run: Path,
        log: Entry | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.run, self._now = run, now
        self._directory = RunDir(run)
        self._log = Tail(log or self._directory.log_file)
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._events: deque[Said] = deque(maxlen=_KEPT_EVENTS)
        self._event_files: dict[str, Tail] = {}
        self._stage, self._stage_message, self._outcome = "load", "", ""
        self._beat: tuple[int, ...] = ()
        self._seen = now()
        self._ranks: list[RankState] = []
        self._rank_watch: RankWatch | None = None
        self._planned: tuple[SetPlan, ...] = ()
        self._damage = ""
        self._taps: dict[tuple[str, str], LiveTap] = {}
        self._ends: dict[tuple[str, int], Ends] = {}
        self._about: Mapping[str, str] | None = None

    def poll(self) -> Snapshot:
        """Reads what is new and returns the run as it stands."""
        if not self.run.is_dir():
            return Snapshot(state="gone", log=tuple(self._lines), events=tuple(self._events))
        self._lines.extend(self._log.lines())
        self._read_events()
        if self._about is None and self._directory.plan_file.exists():
            self._about = _about(self._directory)
        if not self._planned:
            self._planned = set_plans(self._directory)
        try:
            self._read_live()
        except DamagedFileError as error:
            self._damage = str(error)[:_MOST_TEXT]
        return self._snapshot()

    def _read_live(self) -> None:
        """Reads what the ranks say; keeps what they said before if a part is damaged."""
        from tuiprobe.run.live import ranks_of, read_state

        found = {n: read_state(self._directory, n) for n in ranks_of(self._directory)}
        ranks = {number: state for number, state in found.items() if state is not None}
        beat = tuple(state.sequence for state in ranks.values())
        if beat != self._beat or self._damage:
            taps = self._read_taps(ranks)
            if beat != self._beat:
                self._beat, self._seen = beat, self._now()
            self._ranks, self._taps = list(ranks.values()), taps
            # While the head is built there are heartbeats without channels.
            self._ends = _merged_ends(self._ranks) or self._ends
        self._damage = ""

    def _snapshot(self) -> Snapshot:
        ranks = self._ranks
        state: State = "ended" if self._outcome else "running" if ranks else "starting"
        damaged = bool(self._damage) and state != "ended"
        snapshot = Snapshot(
            state="unreadable" if damaged else state,
            stage=self._stage,
            stage_message=self._damage if damaged else self._stage_message,
            set=next((rank.set or "" for rank in ranks), ""),
            done=sum(rank.kept + rank.done for rank in ranks),
            skipped=sum(rank.skipped for rank in ranks),
            total=sum(rank.kept + rank.total for rank in ranks),
            rate=sum(rank.rate for rank in ranks),
            eta=max((rank.eta for rank in ranks if rank.eta is not None), default=None),
            taps=self._taps,
            sets=_merged_sets(ranks, {one.name: one.images for one in self._planned}),
            ends=self._ends,
            about=self._about or {},
            events=tuple(self._events),
            log=tuple(self._lines),
            beat=self._beat,
            silence=self._now() - self._seen,
            outcome=self._outcome,
        )
        return self._with_ranks(snapshot)

    def _with_ranks(self, snapshot: Snapshot) -> Snapshot:
        """Adds the ranks of a shared run, and counts over all of them."""
        if self._rank_watch is None:
            if not self._directory.rank_files():
                return snapshot
            from tuiprobe.run.ranks import RankWatch

            self._rank_watch = RankWatch(self._directory, self._now)
        from tuiprobe.run.ranks import whole_progress

        views = self._rank_watch.look()
        measuring = any(view.condition in ("extract", "late", "wait") for view in views)
        if not views or not self._planned or not measuring:
            return replace(snapshot, ranks=views)
        kept, total = kept_images(self._directory)
        whole = whole_progress(views, published_shards(self._directory), kept, total)
        return replace(
            snapshot, ranks=views, done=max(whole.through - snapshot.skipped, 0),
            total=total, rate=whole.rate, eta=whole.eta,
        )  # fmt: skip

    def _read_taps(self, ranks: dict[int, RankState]) -> dict[tuple[str, str], LiveTap]:
        from tuiprobe.run.live import read_taps

        found: dict[tuple[str, str], list[LiveTap]] = {}
        for number, state in ranks.items():
            for place, tap in read_taps(self._directory, number, state):
                found.setdefault(place, []).append(tap)
        return {place: merged for place, taps in found.items() if (merged := _merge(taps))} or (
            self._taps
        )

    def _read_events(self) -> None:
        for name in self._directory.event_files()[:_MOST_EVENT_FILES]:
            tail = self._event_files.setdefault(name, Tail(self._directory.at(name)))
            for line in tail.lines():
                with suppress(ValueError):
                    value = parse_json(line)
                    if isinstance(value, dict):
                        self._hear(value)

    def _hear(self, event: dict[str, Any]) -> None:
        kind, message = _text(event.get("kind")), _text(event.get("message"))
        data = event.get("data")
        if kind == "stage":
            self._outcome = ""
            self._stage_message = message
            if isinstance(data, dict) and isinstance(data.get("stage"), str):
                self._stage = _text(data["stage"])
        if kind in ("done", "interrupted", "failed"):
            # A stopped run is still merged and probed; it ends only after that.
            self._outcome = kind if kind != "interrupted" else ""
        if kind in ("stage", "warning", "skipped", "interrupted", "failed", "done"):
            self._events.append(Said(kind, message))


class WatchThread:
    """Polls a run in a thread of its own that never holds back the exit.

    Args:
        watch: What to poll.
        seconds: Between two polls.
    """

    def __init__(self, watch: Watch, seconds: float = 0.2) -> None:
        self.latest = Snapshot()
        self._watch, self._seconds = watch, seconds
        self._stop = threading.Event()
        threading.Thread(target=self._loop, daemon=True, name="watch").start()

    def stop(self) -> None:
        """Ends the thread at its next poll."""
        self._stop.set()

    def _loop(self) -> None:
        while not self._stop.is_set():
            try:
                self.latest = self._watch.poll()
            except Exception as error:
                # A view frozen at the last good figures would look like a hanging run.
                message = f"{type(error).__name__}: {error}"[:_MOST_TEXT]
                self.latest = replace(self.latest, state="unreadable", stage_message=message)
            self._stop.wait(self._seconds)


def _text(value: Any) -> str:
    return value[:_MOST_TEXT] if isinstance(value, str) else ""


def _merge(taps: list[LiveTap]) -> LiveTap | None:
    """Returns the figures of several ranks as one; each saw other images."""
    taps = [tap for tap in taps if tap.n > 0 and tap.shares.shape == taps[0].shares.shape]
    if len(taps) < 2:
        return taps[0] if taps else None
    n = sum(tap.n for tap in taps)
    known = [tap for tap in taps if tap.kurtosis is not None]
    images = sum(tap.n for tap in known)
    mean = low = high = None
    if images:
        mean = sum(tap.n * (tap.kurtosis or 0.0) for tap in known) / images
        errors = [tap.n * ((tap.high or 0.0) - (tap.kurtosis or 0.0)) for tap in known]
        half = math.hypot(*errors) / images
        low, high = mean - half, mean + half
    leads = [tap.leads * tap.n for tap in taps if tap.leads is not None]
    above = [tap.above * tap.scanned for tap in taps if tap.above is not None]
    scanned = sum(tap.scanned for tap in taps if tap.above is not None)
    return replace(
        taps[0],
        kurtosis=mean,
        low=low,
        high=high,
        n=n,
        persistence=_mean(tap.persistence for tap in taps),
        effective_channels=_mean(tap.effective_channels for tap in taps),
        shares=sum((tap.shares * tap.n for tap in taps[1:]), taps[0].shares * taps[0].n) / n,
        leads=sum(leads[1:], leads[0]) / n if len(leads) == len(taps) else None,
        above=sum(above[1:], above[0]) / scanned if scanned else None,
        scanned=scanned,
    )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _merged_ends(ranks: list[RankState]) -> dict[tuple[str, int], Ends]:
    """Returns both ends by set and channel over all ranks."""
    found: dict[tuple[str, int], Ends] = {}
    for rank in ranks:
        for set_name, channels in rank.ends.items():
            for channel, ends in channels.items():
                place = (set_name, channel)
                found[place] = found[place].merged(ends) if place in found else ends
    return found


def _merged_sets(ranks: list[RankState], planned: Mapping[str, int]) -> dict[str, SetProgress]:
    """Returns the progress by set over all ranks.

    Args:
        ranks: The ranks.
        planned: Images of each set, if that is known: a shard that was taken over from a rank that
            died counts with both of them.
    """
    found: dict[str, SetProgress] = {}
    for rank in ranks:
        for name, one in rank.sets.items():
            found[name] = found[name].plus(one) if name in found else one
    for name, one in found.items():
        most = planned.get(name, one.total)
        if len(ranks) > 1 and one.total > most:
            done = max(min(one.done, most - one.kept - one.skipped), 0)
            found[name] = one.model_copy(update={"total": most, "done": done})
    return found


def _about(directory: RunDir) -> Mapping[str, str]:
    """Returns what the plan says of model and data; nothing if it is damaged."""
    from tuiprobe.run.records import read_plan

    try:
        plan = read_plan(directory)
    except DamagedFileError:
        return {}
    model = plan.model
    return {"model": model.name, "data": plan.sets[0].source, "weights": model.weights.kind}


def outliers_of(tap: LiveTap) -> frozenset[int]:
    """Returns the outlier channels of what was scanned so far, by the rule of the results."""
    if tap.above is None or not tap.scanned:
        return frozenset()
    from tuiprobe.probes.outliers.rule import outlying

    above = (tap.above * tap.scanned).round().astype("int64")
    return frozenset(outlying(above, tap.scanned).nonzero()[0].tolist())


_CHUNK = 2**18
_MAX_LINE = 4096


class Tail:
    """New lines of a file that grows; a file longer than a chunk is entered near its end.

    Args:
        file: The file. If it is missing or not a regular file, there are no lines.
    """

    def __init__(self, file: Entry) -> None:
        self._file = file
        self._offset = -1
        self._rest = b""

    def lines(self) -> list[str]:
        """Returns the whole lines that were added since the last call."""
        content = b""
        with suppress(DamagedFileError, OSError), self._file.open() as file:
            size = os.fstat(file.fileno()).st_size
            if self._offset < 0:
                self._offset = max(size - _CHUNK, 0)
            if size < self._offset:  # the file was rewritten
                self._offset, self._rest = 0, b""
            if size == self._offset:
                return []
            file.seek(self._offset)
            content = file.read(_CHUNK)
        self._offset += len(content)
        *whole, self._rest = (self._rest + content).split(b"\n")
        self._rest = self._rest[-_MAX_LINE:]
        return [line[:_MAX_LINE].decode("utf-8", "replace") for line in whole]
