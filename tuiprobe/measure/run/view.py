"""How a run stands: one shape for the list of runs, the live screen, `open`, resume and `--json`.

`RunView.read` reads the kernel's list of locks, the status of all ranks, the published shards
and the results, and takes no lock itself. A directory may come from anywhere: sizes are limited,
no link is followed, and what cannot be read counts as missing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tuiprobe import limits
from tuiprobe.errors import TuiprobeError, errors_in
from tuiprobe.files import DamagedFileError, unless_damaged
from tuiprobe.measure.run import locks
from tuiprobe.measure.run.counting import (
    SetCount,
    images_done,
    named_ranks,
    published_shards,
    ranks_missing,
    set_counts,
)
from tuiprobe.measure.run.directory import LOG_MARK, RunDir
from tuiprobe.measure.run.locks import (
    held_locks,
    is_held,
    is_running,
    last_host,
    lock_of,
    this_host,
)
from tuiprobe.numbers import percent_done

if TYPE_CHECKING:  # the screens list directories without numpy and pydantic
    from tuiprobe.measure.run.results import Summary
    from tuiprobe.measure.run.status import Ends, LiveTap, Message, SetAnswers, Status

StateKind = Literal[
    "waiting", "running", "done", "partial", "unfinished", "failed", "damaged", "none"
]

MonotonicClock = Callable[[], float]
"""The reader's clock; only differences count."""

_PHASES = ("extract", "merge", "head", "probe")
"""Of several ranks the latest of these phases is shown that any of them is in."""
_TAIL = 2**18
_MOST_TEXT = 4000
_MOST_PLANS = 1000


@dataclass(frozen=True, eq=False)
class RankView:
    """A rank as a reader sees it by its lock and its status.

    Attributes:
        number: Its number.
        status: Its status file.
        changed: When the reader saw its status change, by the reader's clock.
        fresh: Whether the reader saw it change, or trusts the first status that it sees.
        silence: Seconds since `changed`.
        runs: Whether its process runs: on this host by its lock, on another one by its status,
            which changes. Clocks of other hosts do not matter.
        taps: Figures and channels by set and tap, the last that it wrote; empty for a list.
        ends: Images at both ends of the leading channels, by set and channel; empty for a list.
    """

    number: int
    status: Status
    changed: float = 0.0
    fresh: bool = False
    silence: float = 0.0
    runs: bool = False
    taps: Mapping[tuple[str, str], LiveTap] = field(default_factory=dict)
    ends: Mapping[tuple[str, int], Ends] = field(default_factory=dict)

    @property
    def beat(self) -> tuple[float, int]:
        """Changes whenever its status does."""
        return self.status.begun, self.status.sequence

    @property
    def may_run(self) -> bool:
        """Whether it may run: a rank of another host writes often only while it measures."""
        status = self.status
        quiet = status.phase == "extract" and self.silence >= locks.QUIET_SECONDS
        return self.runs or not (status.here or status.ended or quiet)


def _nothing() -> Summary:
    from tuiprobe.measure.run.results import Summary

    return Summary.absent()


@dataclass(frozen=True)
class RunView:
    """How a run stands.

    Attributes:
        state: `waiting` while its engine starts; `running` while a process writes it; `done` with
            results of all images; `partial` with results of some, because it was stopped;
            `unfinished` without results, because it was stopped; `failed` if the last attempt
            failed; `damaged` if its key, options, plan or results cannot be read; `none` if the
            directory is no run.
        reason: Why it failed, is damaged or is no run; of a damaged run a sentence that names the
            file.
        measured: Images that count as measured: a resumed run keeps them.
        planned: Images to measure, over all sets; 0 before the plan.
        results: Whether there are results to open.
        host: The other host that last wrote it, where this host cannot know whether it still
            runs; else empty.
        waits: Ranks that do not run and whose shards are missing, of a run of several ranks.
        path: The run directory.
        name: Its path below the listed directory.
        short_name: What a list calls it; empty where it is not of a list.
        changed: Time when results were last written, or when the run began, in nanoseconds since
            the epoch.
        summary: Model, data and key figures; without results only what was asked.
        sets: Progress by set, in the order of measuring.
        about: Model, data and kind of the weights as planned; empty for a list.
        damage: Why the status of a rank cannot be read.
        ranks: All ranks that have a readable status, by number.
    """

    state: StateKind
    reason: str = ""
    measured: int = 0
    planned: int = 0
    results: bool = False
    host: str = ""
    waits: tuple[int, ...] = ()
    path: Path = Path()
    name: str = ""
    short_name: str = ""
    changed: int = 0
    summary: Summary = field(default_factory=_nothing)
    sets: Mapping[str, SetCount] = field(default_factory=dict)
    about: Mapping[str, str] = field(default_factory=dict)
    damage: str = ""
    ranks: tuple[RankView, ...] = field(default=(), compare=False)

    @classmethod
    def read(
        cls,
        directory: RunDir,
        before: RunView | None = None,
        *,
        held: frozenset[str] | None = None,
        alive: bool = False,
        live: bool = False,
        now: MonotonicClock = time.monotonic,
    ) -> RunView:
        """Reads how a run stands.

        Args:
            directory: The run directory.
            before: What the same reader saw before. Only a reader that reads again knows whether
                ranks of other hosts run, since their status changes.
            held: From `held_locks`, which is asked if this is None.
            alive: Whether the caller knows that an engine that it started is working on it.
            live: Whether to read the figures of layers and channels too, and to keep the last ones
                while a status is damaged. This and `alive` trust the first status of another host.
            now: The reader's clock.
        """
        if live and before is not None and before.ranks and not directory.path.is_dir():
            vanished = f"{directory.path} is no directory"
            return replace(before, state="none", reason=vanished, results=False, host="", waits=())
        held = held_locks() if held is None else held
        ranks, damage = read_ranks(
            directory,
            before.ranks if before else (),
            held=held,
            trusting=live or alive,
            channels=live,
            now=now,
        )
        if live and (damage or not ranks):  # also while the directory is being deleted
            ranks = before.ranks if before else ()
        count = images_done(directory, [rank.status for rank in ranks if rank.runs])
        files = (directory.results_file, directory.key_file, directory.log_file)
        times = (file.modified() for file in files)
        view = cls(
            "unfinished",
            measured=count.done,
            planned=count.total,
            path=directory.path,
            name=directory.path.name,
            changed=next((time for time in times if time is not None), 0),
            sets=count.sets,
            about=_planned(directory.path, directory.plan_file.modified()) if live else {},
            damage=damage,
            ranks=ranks,
        )
        return _decided(_with_summary(view, directory), directory, held, alive)

    # The state in words.

    @property
    def going(self) -> bool:
        """Whether its engine starts or works."""
        return self.state in ("waiting", "running")

    @property
    def final(self) -> bool:
        """Whether its figures are those of results, in `summary`, and no longer live ones."""
        return not self.going and self.summary.kind is not None

    @property
    def resumable(self) -> bool:
        """Whether the same command would resume it or try it again."""
        return self.state in ("partial", "unfinished", "failed")

    @property
    def vanished(self) -> bool:
        """Whether its directory vanished; this is what was last seen."""
        return self.state == "none" and bool(self.ranks)

    @property
    def part(self) -> float | None:
        """The part of the images that is measured; None before the plan."""
        if self.state == "done":
            return 1.0
        return min(self.measured / self.planned, 1.0) if self.planned else None

    @property
    def percent(self) -> str:
        """The part in words, rounded down; empty before the plan.

        >>> RunView("partial", measured=1999, planned=2000).percent
        '99 %'
        """
        return "" if self.part is None else percent_done(self.part)

    @property
    def words(self) -> str:
        """The state in words, as every reader shows it.

        >>> RunView("partial", measured=62, planned=100, waits=(1,)).words
        'stopped at 62 %, waits for shards of rank 1'
        """
        if self.state in ("partial", "unfinished"):
            silent = f", or silent on {self.host}" if self.host else ""
            stopped = "stopped before the first image"
            if self.planned:
                after = self.measured >= self.planned
                stopped = "stopped after measuring" if after else f"stopped at {self.percent}"
            elif any(rank.status.phase == "extract" for rank in self.ranks):  # a watch has no plan
                stopped = "stopped before its figures were saved"
            return stopped + silent + self.waiting
        reason = " ".join(self.reason.split())  # in one line
        if self.state == "failed":
            return f"failed: {reason}"
        words = {"waiting": "starting", "none": self.reason, "damaged": reason}
        return words.get(self.state, self.state) + self.waiting

    @property
    def word(self) -> str:
        """The state in one word, for a column."""
        words = {"waiting": "starting", "partial": "stopped", "unfinished": "stopped"}
        return words.get(self.state, self.state)

    @property
    def waiting(self) -> str:
        """Whose shards the run waits for; empty if it has one rank, or all others run."""
        return f", waits for shards of {named_ranks(self.waits)}" if self.waits else ""

    # The status of its ranks.

    @property
    def unreadable(self) -> str:
        """Why the live status cannot be shown; empty if it can, or if all ranks have ended."""
        ended = bool(self.ranks) and all(rank.status.ended for rank in self.ranks)
        return "" if ended else self.damage

    @property
    def furthest(self) -> Status | None:
        """The status of the running rank in the latest phase; None before the first rank."""

        def order(rank: RankView) -> tuple[bool, int]:
            phase = rank.status.phase
            return rank.runs, _PHASES.index(phase) if phase in _PHASES else -1

        return max(self.ranks, key=order).status if self.ranks else None

    @property
    def progress(self) -> tuple[int, int, float, float | None]:
        """Items done, items in all, items per second, and seconds left (None if unknown).

        It counts images; while a head is built, what it is built from; then probes.
        """
        status = self.furthest
        if status is not None and status.phase in ("head", "probe") and status.to_build:
            return status.built, status.to_build, status.rate, status.eta
        running = [rank.status for rank in self.ranks if rank.runs and rank.status.shard_id]
        eta = max((status.eta for status in running if status.eta is not None), default=None)
        return self.measured, self.planned, sum(status.rate for status in running), eta

    @property
    def skipped(self) -> int:
        """Unreadable images of this attempt."""
        return sum(rank.status.skipped for rank in self.ranks)

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop, and reports what it has."""
        return any(rank.status.stopped and rank.runs for rank in self.ranks)

    @property
    def beat(self) -> tuple[object, ...]:
        """Changes whenever the status of any rank does."""
        return tuple(rank.beat for rank in self.ranks)

    @property
    def silence(self) -> float:
        """Seconds since the reader saw progress of any rank."""
        return min((rank.silence for rank in self.ranks), default=0.0)

    @property
    def messages(self) -> tuple[Message, ...]:
        """Messages of all ranks, unreadable images last."""
        from tuiprobe.measure.run.status import Message

        messages = [message for rank in self.ranks for message in rank.status.messages]
        names = [name for rank in self.ranks for name in rank.status.unreadable]
        return (*messages, *(Message(kind="skipped", message=name) for name in names))

    @property
    def unanswered(self) -> str:
        """Why there are no answers; empty if there are."""
        return next((rank.status.unanswered for rank in self.ranks), "")

    @property
    def answers(self) -> dict[str, SetAnswers]:
        """Answers so far: counts of all ranks, and the estimate of the rank with most images.

        Nothing once it is `final`.
        """
        if self.final:
            return {}
        by_set: dict[str, list[SetAnswers]] = {}
        for rank in self.ranks:
            for name, answers in rank.status.answers.items():
                by_set.setdefault(name, []).append(answers)
        merged = {}
        for name, ranks in by_set.items():
            right = [answers.right for answers in ranks if answers.right is not None]
            counts = {
                "images": sum(answers.images for answers in ranks),
                "right": sum(right) if len(right) == len(ranks) else None,
                "empty": sum(answers.empty for answers in ranks),
            }
            most = max(ranks, key=lambda answers: answers.estimated)
            merged[name] = most.model_copy(update=counts)
        return merged

    @property
    def taps(self) -> dict[tuple[str, str], LiveTap]:
        """The figures by set and tap so far, of the rank that has measured most images of that set.

        Nothing once it is `final`.
        """
        if self.final:
            return {}
        taps: dict[tuple[str, str], LiveTap] = {}
        for rank in self.ranks:
            for key, tap in rank.taps.items():
                if tap.n > (taps[key].n if key in taps else 0):
                    taps[key] = tap
        return taps

    @property
    def ends(self) -> dict[tuple[str, int], Ends]:
        """Images at both ends by set and channel, of the first rank that has them."""
        return {key: end for rank in reversed(self.ranks) for key, end in rank.ends.items()}


def read_ranks(
    directory: RunDir,
    before: Sequence[RankView] = (),
    *,
    held: frozenset[str] | None = None,
    trusting: bool = False,
    channels: bool = False,
    now: MonotonicClock = time.monotonic,
) -> tuple[tuple[RankView, ...], str]:
    """Reads all ranks that have a readable status, by number.

    Args:
        directory: The run directory.
        before: The ranks that the same reader saw before.
        held: From `held_locks`, which is asked if this is None.
        trusting: Whether the first status of another host counts as fresh.
        channels: Whether to read the figures of layers and channels too.
        now: The reader's clock.

    Returns:
        The ranks, and why the status of another one cannot be read.
    """
    if damage := _too_large(directory):
        return (), damage
    ranks, seen = [], {rank.number: rank for rank in before}
    for number in directory.status_ranks():
        try:
            rank = _read_rank(directory, number, seen.get(number), trusting, channels, now)
        except DamagedFileError as error:
            damage = str(error)[:_MOST_TEXT]
            continue
        if rank is None:
            continue
        if rank.status.here:
            held = held_locks() if held is None else held
            runs = is_held(directory.at(lock_of(number)), held)
        else:
            quiet = rank.silence >= locks.QUIET_SECONDS
            runs = rank.fresh and not quiet and not rank.status.ended
        ranks.append(replace(rank, runs=runs))
    return tuple(ranks), damage


def _read_rank(
    directory: RunDir,
    number: int,
    before: RankView | None,
    trusting: bool,
    channels: bool,
    now: MonotonicClock,
) -> RankView | None:
    """Reads the status of a rank, without whether it runs; None if there is no status."""
    from tuiprobe.measure.run.status import read_status, read_taps  # loads pydantic

    status = read_status(directory, number)
    if status is None:
        return None
    if before is not None and before.beat == (status.begun, status.sequence):
        return replace(before, status=status, silence=now() - before.changed)
    taps = dict(read_taps(directory, number, status)) if channels else {}
    ends = _ends(status) if channels else {}
    if before is not None:  # while the head is built there are statuses without channels
        taps, ends = taps or dict(before.taps), ends or dict(before.ends)
    fresh = before is not None or (trusting and status.sequence > 0)
    return RankView(number, status, now(), fresh, taps=taps, ends=ends)


def _too_large(directory: RunDir) -> str:
    """Returns why the status files of all ranks are too large together; empty if they are not."""
    for suffix, most in (
        ("json", limits.STATUSES_BYTES),
        ("safetensors", limits.STATUSES_ARRAY_BYTES),
    ):
        files = (directory.status_file(n, suffix).status() for n in directory.status_ranks())
        size = sum(file.st_size for file in files if file is not None)
        if size > most:
            folder = directory.path / "status"
            return f"{folder} holds {size:,} bytes of {suffix}, above the limit of {most:,}"
    return ""


def _ends(status: Status) -> dict[tuple[str, int], Ends]:
    return {
        (name, channel): ends
        for name, channels in status.ends.items()
        for channel, ends in channels.items()
    }


@lru_cache(maxsize=_MOST_PLANS)
def _planned(path: Path, written: int | None) -> Mapping[str, str]:
    """Returns model and data of the plan; nothing if there is none or it is damaged."""
    from tuiprobe.measure.run.records import read_plan

    plan = None if written is None else unless_damaged(partial(read_plan, RunDir(path)))
    if plan is None:
        return {}
    model = plan.model
    return {"model": model.name, "data": plan.sets[0].source, "weights": model.weights.kind}


def _with_summary(view: RunView, directory: RunDir) -> RunView:
    """Adds the summary of the results; a run whose results cannot be read is damaged."""
    from tuiprobe.measure.run.results import Summary, summary

    title = "no results yet"
    if directory.results_file.exists():
        try:
            return replace(view, results=True, summary=summary(directory))
        except (TuiprobeError, OSError) as error:
            title = str(error)
            view = replace(view, state="damaged", reason=title)
    spec = unless_damaged(directory.spec_json) or {}
    model, data = (str(spec.get(name, "")) for name in ("model", "data"))
    return replace(view, summary=Summary.absent(title, model, data, view.measured))


def _decided(view: RunView, directory: RunDir, held: frozenset[str] | None, alive: bool) -> RunView:
    """Decides the state of a run of which all else was read."""
    starting = alive or is_held(directory.engine_file, held)
    if not directory.key_file.exists():
        return _without_key(view, directory, starting or is_running(directory.path, held))
    if directory.read_key() is None:
        reason = f"{directory.key_file} is damaged: it holds no key of a run"
        return replace(view, state="damaged", reason=reason, results=False)
    if is_running(directory.path, held) or (starting and _is_ending(view.ranks, directory)):
        state: StateKind = "running"
    elif starting and not _has_ended_since(view.ranks, directory):
        return replace(view, state="waiting", reason="")
    elif any(rank.runs for rank in view.ranks):
        state = "running"  # on another host
    else:
        return _stopped(view, directory, held)
    busy = {rank.number for rank in view.ranks if rank.may_run}
    waits = _waits(directory, view.ranks, held, busy)
    return replace(view, state=state, reason="", waits=waits)


def _started(directory: RunDir) -> int:
    """Returns when the engine was started, in nanoseconds since the epoch."""
    return directory.engine_file.modified() or 0


def _is_ending(ranks: Sequence[RankView], directory: RunDir) -> bool:
    """Returns whether an engine that still lives has released the run, and is about to end."""
    begun = max((rank.status.begun for rank in ranks), default=0)
    return _last_end(ranks) is None and begun * 1e9 > _started(directory)


def _has_ended_since(ranks: Sequence[RankView], directory: RunDir) -> bool:
    """Returns whether an attempt ended after the engine that still lives was started."""
    last = _last_end(ranks)
    return last is not None and last.status.time * 1e9 > _started(directory)


def _stopped(view: RunView, directory: RunDir, held: frozenset[str] | None) -> RunView:
    """Decides the state of a run that no process writes."""
    last = _last_end(view.ranks)
    if last is not None and last.status.phase == "failed":
        who = f"rank {last.number}: " if last.status.world > 1 else ""
        return replace(view, state="failed", reason=who + last.status.message)
    if view.state == "damaged":
        return view
    records = (directory.spec_file, directory.plan_file)
    if damage := _damage(directory.path, *(record.changed() for record in records)):
        return replace(view, state="damaged", reason=damage)
    if view.results:
        early = last is not None and last.status.phase in ("interrupted", "measured")
        if not view.summary.partial and not early:
            return replace(view, state="done")
        view = replace(view, state="partial")
        if not view.planned:  # the results alone were copied
            about = view.summary
            view = replace(view, measured=about.images, planned=about.planned)
    if cause := _later_error(directory, view.ranks):
        return replace(view, state="failed", reason=cause)
    host = last_host(directory.path)
    if last is not None or host == this_host():
        host = next((rank.status.host for rank in view.ranks if rank.may_run), "")
    return replace(view, host=host, waits=_waits(directory, view.ranks, held, set()))


def _later_error(directory: RunDir, ranks: Sequence[RankView]) -> str:
    """Returns the error that an engine logged after results and status were written, if any."""
    files = [directory.results_file, *(directory.status_file(rank.number) for rank in ranks)]
    written = max(file.modified() or 0 for file in files)
    return _error(directory) if (directory.log_file.modified() or 0) > written else ""


@lru_cache(maxsize=_MOST_PLANS)
def _damage(path: Path, _of_spec: int, _of_plan: int) -> str:
    """Returns why options or plan of a run cannot be read; empty if they can or are missing."""
    from tuiprobe.measure.run.manifest import read_record

    run = RunDir(path)
    for record in (run.spec_file, run.plan_file):
        try:
            if record.exists():
                read_record(record)
        except DamagedFileError as error:
            return str(error)
    return ""


def _without_key(view: RunView, directory: RunDir, starting: bool) -> RunView:
    view = replace(view, state="unfinished", reason="", results=False)
    if starting:
        return replace(view, state="waiting")
    try:
        directory.key_file.path.lstat()
    except PermissionError as error:
        reason = f"cannot read {directory.path}: {error.strerror}"
        return replace(view, state="none", reason=reason)
    except OSError:
        pass  # there is none
    if not directory.path.is_dir():
        return replace(view, state="none", reason=f"{directory.path} is no directory")
    if not directory.log_file.exists():
        reason = f"{directory.path} is no run directory: it holds no key"
        return replace(view, state="none", reason=reason)
    cause = _error(directory)
    return replace(view, state="failed", reason=cause) if cause else view


def _last_end(ranks: Iterable[RankView]) -> RankView | None:
    """Returns the rank that tells how the last attempt ended."""
    from tuiprobe.measure.run.status import ENDS

    ranks = tuple(ranks)
    begun = max((rank.status.begun for rank in ranks), default=0.0)
    # Within a rank the order decides, also where the clock was set back in between.
    ends = [r for r in ranks if r.status.ended and max(r.status.begun, r.status.time) >= begun]
    return min(ends, key=lambda rank: ENDS.index(rank.status.phase), default=None)


def _waits(
    directory: RunDir,
    ranks: Sequence[RankView],
    held: frozenset[str] | None,
    busy: Collection[int],
) -> tuple[int, ...]:
    """Returns the ranks of the last attempt whose shards are missing, except those that are busy.

    A rank that holds its lock on this host is busy, whether it has a status yet or not.
    """
    last = max((rank.status for rank in ranks), key=lambda status: status.begun, default=None)
    if last is None or last.world == 1:
        return ()
    missing = ranks_missing(set_counts(directory), published_shards(directory), last.world)
    return tuple(
        number
        for number in missing
        if number not in busy and not is_held(directory.at(lock_of(number)), held)
    )


def _error(directory: RunDir) -> str:
    """Returns the error with which the last engine of the log ended."""
    try:
        with directory.log_file.open() as stream:
            stream.seek(max(os.fstat(stream.fileno()).st_size - _TAIL, 0))
            lines = stream.read(_TAIL).decode("utf-8", "replace").splitlines()
    except (DamagedFileError, OSError):
        return ""
    return (logged_errors(lines) or [""])[-1][:_MOST_TEXT]


def logged_errors(lines: Sequence[str]) -> list[str]:
    """Returns the errors among the lines that the last engine of a log has written."""
    begun = max((n for n, line in enumerate(lines) if line.startswith(LOG_MARK)), default=0)
    return errors_in(lines[begun:])
