"""Reads a run directory while it is being written: progress, figures, messages and log.

`Watch` returns a `Snapshot`; a thread polls it several times a second and keeps the last
one, so that a slow disk means fewer frames and never a screen that waits. The directory is not
trusted: sizes are capped, links are not followed, and a status that an engine could not have
written makes the state unreadable until it is valid again.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tuiprobe.files import DamagedFileError, Entry
from tuiprobe.run.counting import SetCount, images_done
from tuiprobe.run.directory import RunDir
from tuiprobe.run.locks import held_locks
from tuiprobe.run.state import RunState, run_state

if TYPE_CHECKING:
    from tuiprobe.run.ranks import RankView, StatusWatch
    from tuiprobe.run.status import Ends, LiveTap, Message, SetAnswers

WatchState = Literal["starting", "running", "ended", "gone", "unreadable"]

_MOST_TEXT = 1000
_KEPT_LINES = 2000
_PHASES = ("extract", "merge", "head", "probe")
"""Of several ranks the latest of these phases is shown that any of them is in."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A run as it stood when it was read.

    Attributes:
        state: `starting` before the first status; `gone` if the directory vanished; `unreadable`
            if what is there cannot be read, see `stage_message`.
        stage: What the engine does; of several ranks, the furthest.
        stage_message: The engine's own words for it.
        unit: What `done` and `total` count: images, or classes of a head that is built.
        done: Images that are measured or unreadable, those of earlier attempts included.
        skipped: Unreadable images of this attempt.
        total: Images to measure.
        rate: Images a second.
        eta: Seconds left; None if unknown.
        sets: Progress by set, in the order of measuring.
        taps: By set and tap.
        ends: Images at both ends of the leading channels, by set and channel.
        answers: What the head answers so far, by set.
        unanswered: Why there are no answers; empty if there are.
        stopping: Whether the run was asked to stop, and reports what it has.
        ranks: The ranks of the run; empty if it has only one.
        about: Model, data and kind of the weights as planned; empty before the plan is written.
        messages: The last milestones, warnings and unreadable images.
        log: The last lines of the log.
        beat: Changes whenever any rank's status does.
        silence: Seconds since this reader last saw it change.
        run: The state of the run, as every reader decides it; None before the first look.
    """

    state: WatchState = "starting"
    stage: str = "load"
    stage_message: str = ""
    unit: str = "images"
    done: int = 0
    skipped: int = 0
    total: int = 0
    rate: float = 0.0
    eta: float | None = None
    taps: dict[tuple[str, str], LiveTap] = field(default_factory=dict)
    sets: dict[str, SetCount] = field(default_factory=dict)
    ends: dict[tuple[str, int], Ends] = field(default_factory=dict)
    answers: dict[str, SetAnswers] = field(default_factory=dict)
    unanswered: str = ""
    stopping: bool = False
    ranks: tuple[RankView, ...] = ()
    about: Mapping[str, str] = field(default_factory=dict)
    messages: tuple[Message, ...] = ()
    log: tuple[str, ...] = ()
    beat: tuple[object, ...] = ()
    silence: float = 0.0
    run: RunState | None = None


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
        alive: Says whether an engine of this program works on a directory.
    """

    def __init__(
        self,
        run: Path,
        log: Entry | None = None,
        now: Callable[[], float] = time.monotonic,
        alive: Callable[[Path], bool] = lambda path: False,
    ) -> None:
        self.run, self._now, self._alive = run, now, alive
        self._directory = RunDir(run)
        self._log = Tail(log or self._directory.log_file)
        self._statuses: StatusWatch | None = None
        self._views: tuple[RankView, ...] = ()
        self._beat: tuple[object, ...] = ()
        self._damage = ""
        self._taps: dict[tuple[str, str], LiveTap] = {}
        self._ends: dict[tuple[str, int], Ends] = {}
        self._about: Mapping[str, str] | None = None

    def poll(self) -> Snapshot:
        """Reads what is new and returns the run as it stands."""
        if not self.run.is_dir():
            log, state = self._log.look(), self._run_state()
            return Snapshot(run=state, state="gone", log=log, messages=_messages(self._views))
        if self._about is None and self._directory.plan_file.exists():
            self._about = _about(self._directory)
        try:
            self._read_status()
        except DamagedFileError as error:
            self._damage = str(error)[:_MOST_TEXT]
        return self._snapshot()

    def _read_status(self) -> None:
        """Reads what the ranks say; keeps what they said before if a part is damaged."""
        from tuiprobe.run.ranks import StatusWatch

        if self._statuses is None:
            self._statuses = StatusWatch(self._directory, self._now)
        views = self._statuses.look(held_locks())
        if self._statuses.damage:
            raise DamagedFileError(self._statuses.damage)
        beat = tuple((view.status.begun, view.status.sequence) for view in views)
        if beat != self._beat or self._damage:
            self._taps = self._read_taps(views)
            # While the head is built there are statuses without channels.
            self._ends = _merged_ends(views) or self._ends
        self._beat, self._views, self._damage = beat, views, ""

    def _run_state(self) -> RunState:
        alive = self._alive(self.run)
        return run_state(self._directory, held_locks(), views=self._views, alive=alive)

    def _snapshot(self) -> Snapshot:
        views = self._views
        ended = bool(views) and all(view.status.ended for view in views)
        state: WatchState = "ended" if ended else "running" if views else "starting"
        damaged = bool(self._damage) and not ended
        furthest = max(views, key=_furthest).status if views else None
        running = [view.status for view in views if view.runs and view.status.place is not None]
        count = images_done(self._directory, views)
        snapshot = Snapshot(
            run=self._run_state(),
            state="unreadable" if damaged else state,
            stage=furthest.phase if furthest else "load",
            stage_message=self._damage if damaged else furthest.message if furthest else "",
            done=count.done,
            skipped=sum(view.status.skipped for view in views),
            total=count.total,
            rate=sum(status.rate for status in running),
            eta=max((status.eta for status in running if status.eta is not None), default=None),
            taps=self._taps,
            sets=count.sets,
            ends=self._ends,
            answers=_merged_answers(views),
            unanswered=next((view.status.unanswered for view in views), ""),
            stopping=any(view.status.stopped and view.runs for view in views),
            ranks=views if any(view.status.world > 1 for view in views) else (),
            about=self._about or {},
            messages=_messages(views),
            log=self._log.look(),
            beat=self._beat,
            silence=min((view.silence for view in views), default=0.0),
        )
        if furthest is None or furthest.phase != "head" or not furthest.to_build:
            return snapshot
        return replace(
            snapshot, unit="classes", done=furthest.built, total=furthest.to_build,
            rate=furthest.rate, eta=furthest.eta,
        )  # fmt: skip

    def _read_taps(self, views: Iterable[RankView]) -> dict[tuple[str, str], LiveTap]:
        """Returns the figures by set and tap, of the rank that has measured most images there."""
        from tuiprobe.run.status import read_taps

        taps: dict[tuple[str, str], LiveTap] = {}
        for view in views:
            for place, tap in read_taps(self._directory, view.number, view.status):
                if tap.n > (taps[place].n if place in taps else 0):
                    taps[place] = tap
        return taps or self._taps


def _furthest(view: RankView) -> tuple[bool, int]:
    phase = view.status.phase
    return view.runs, _PHASES.index(phase) if phase in _PHASES else -1


def _messages(views: Iterable[RankView]) -> tuple[Message, ...]:
    """Returns what all ranks say, unreadable images last."""
    from tuiprobe.run.status import Message

    messages = [message for view in views for message in view.status.messages]
    names = [name for view in views for name in view.status.unreadable]
    return (*messages, *(Message(kind="skipped", message=name) for name in names))


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


def _merged_answers(views: Iterable[RankView]) -> dict[str, SetAnswers]:
    """Returns the counts of all ranks together, and the estimate of the rank with most images."""
    by_set: dict[str, list[SetAnswers]] = {}
    for view in views:
        for name, answers in view.status.answers.items():
            by_set.setdefault(name, []).append(answers)
    merged = {}
    for name, ranks in by_set.items():
        labelled = [rank.right for rank in ranks if rank.right is not None]
        counts = {
            "images": sum(rank.images for rank in ranks),
            "right": sum(labelled) if len(labelled) == len(ranks) else None,
        }
        merged[name] = max(ranks, key=lambda rank: rank.estimated).model_copy(update=counts)
    return merged


def _merged_ends(views: Iterable[RankView]) -> dict[tuple[str, int], Ends]:
    """Returns both ends by set and channel, of the first rank that has them."""
    return {
        (name, channel): ends
        for view in reversed(list(views))
        for name, channels in view.status.ends.items()
        for channel, ends in channels.items()
    }


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
    from tuiprobe.probes.outliers.heights import outlying

    above = (tap.above * tap.scanned).round().astype("int64")
    return frozenset(outlying(above, tap.scanned).nonzero()[0].tolist())


_CHUNK = 2**18
_MAX_LINE = 4096


class Tail:
    """The last lines of a file that grows.

    Args:
        file: The file. If it is missing or not a regular file, there are no lines.
    """

    def __init__(self, file: Entry) -> None:
        self._file = file
        self._stamp: tuple[int, int] | None = None
        self._lines: tuple[str, ...] = ()

    def look(self) -> tuple[str, ...]:
        """Returns the last whole lines; once the file is gone, those that it had."""
        with suppress(DamagedFileError, OSError), self._file.open() as file:
            status = os.fstat(file.fileno())
            stamp = (status.st_size, status.st_mtime_ns)
            if stamp != self._stamp:
                file.seek(max(status.st_size - _CHUNK, 0))
                whole = file.read(_CHUNK).split(b"\n")[:-1][-_KEPT_LINES:]
                self._lines = tuple(line[:_MAX_LINE].decode("utf-8", "replace") for line in whole)
                self._stamp = stamp
        return self._lines
