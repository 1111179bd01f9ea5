"""The state of a run directory: one function decides it for the screens and the command line.

It reads the kernel's list of locks, the status of all ranks, the published shards and the results,
and takes no lock itself. A directory may come from anywhere: sizes are limited, and what
cannot be read counts as missing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, get_args

from tuiprobe.errors import TuiprobeError
from tuiprobe.files import DamagedFileError
from tuiprobe.run.counting import (
    images_done,
    named_ranks,
    published_shards,
    ranks_missing,
    set_plans,
)
from tuiprobe.run.directory import LOG_MARK, RunDir
from tuiprobe.run.locks import (
    is_held,
    is_running,
    last_host,
    lock_of,
    this_host,
)
from tuiprobe.run.ranks import RankView, StatusWatch, last_end

StateKind = Literal[
    "waiting", "running", "done", "partial", "unfinished", "failed", "damaged", "none"
]
STATES: Final[tuple[StateKind, ...]] = get_args(StateKind)

_TAIL = 2**18
_MOST_TEXT = 4000


@dataclass(frozen=True)
class RunState:
    """How a run stands.

    Attributes:
        kind: `waiting` while its engine starts; `running` while a process writes it; `done` with
            results of all images; `partial` with results of some, because it was stopped;
            `unfinished` without results, because it was stopped; `failed` if the last attempt
            failed; `damaged` if its key or results cannot be read; `none` if the directory is no
            run.
        reason: Why it failed, is damaged or is no run; of a damaged run a sentence that names the
            file.
        measured: Images that count as measured: a resumed run keeps them.
        planned: Images to measure, over all sets; 0 before the plan.
        results: Whether there are results to open.
        host: The other host that last wrote it, if nothing tells whether it still does.
        waits: Ranks that do not run and whose shards are missing, of a run of several ranks.
    """

    kind: StateKind
    reason: str = ""
    measured: int = 0
    planned: int = 0
    results: bool = False
    host: str = ""
    waits: tuple[int, ...] = ()

    @property
    def part(self) -> float | None:
        """The part of the images that is measured; None before the plan."""
        if self.kind == "done":
            return 1.0
        return min(self.measured / self.planned, 1.0) if self.planned else None

    @property
    def percent(self) -> str:
        """The part in words, rounded down; empty before the plan.

        >>> RunState("partial", measured=1999, planned=2000).percent
        '99 %'
        """
        return "" if self.part is None else f"{int(100 * self.part)} %"

    @property
    def resumable(self) -> bool:
        """Whether the same command would resume it or try it again."""
        return self.kind in ("partial", "unfinished", "failed")

    @property
    def words(self) -> str:
        """The state in words, as every reader shows it.

        >>> RunState("partial", measured=62, planned=100, waits=(1,)).words
        'stopped at 62 %, waits for shards of rank 1'
        """
        if self.kind in ("partial", "unfinished"):
            silent = f", or silent on {self.host}" if self.host else ""
            return self._stopped() + silent + self.waiting
        reason = " ".join(self.reason.split())  # in one line
        if self.kind == "failed":
            return f"failed: {reason}"
        words = {"waiting": "starting", "none": self.reason, "damaged": reason}
        return words.get(self.kind, self.kind) + self.waiting

    @property
    def word(self) -> str:
        """The state in one word, for a column."""
        words = {"waiting": "starting", "partial": "stopped", "unfinished": "stopped"}
        return words.get(self.kind, self.kind)

    @property
    def waiting(self) -> str:
        """Whose shards the run waits for; empty if it has one rank, or all others run."""
        return f", waits for shards of {named_ranks(self.waits)}" if self.waits else ""

    def _stopped(self) -> str:
        if not self.planned:
            return "stopped before the first image"
        done = self.measured >= self.planned
        return "stopped after measuring" if done else f"stopped at {self.percent}"


def run_state(
    run: RunDir,
    held: frozenset[str] | None,
    *,
    views: Sequence[RankView] | None = None,
    alive: bool = False,
) -> RunState:
    """Decides the state of a run.

    Args:
        run: The directory.
        held: From `held_locks`.
        views: Its ranks, as a `StatusWatch` sees them; only one that looks again and again knows
            whether those of other hosts run.
        alive: Whether the caller knows that an engine of its own is working on it.
    """
    starting = alive or is_held(run.engine_file, held)
    if not run.key_file.exists():
        return _without_key(run, starting or is_running(run.path, held))
    if run.read_key() is None:
        return RunState("damaged", f"{run.key_file} is damaged: it holds no key of a run")
    views = StatusWatch(run, trusting=False).look(held) if views is None else views
    count, results = images_done(run, views), run.results_file.exists()
    state = RunState("unfinished", "", count.done, count.total, results)
    host, busy = last_host(run.path), {view.number for view in views if view.may_run}
    if is_running(run.path, held):
        return replace(state, kind="running", waits=_waits(run, views, held, busy))
    last = last_end(views)
    end = None if last is None else last.status
    ended = None if end is None else end.phase
    if starting:
        engine, begun = (
            run.engine_file.modified() or 0,
            max((v.status.begun for v in views), default=0),
        )
        if end is None and begun * 1e9 > engine:  # it has released the run and is about to end
            return replace(state, kind="running")
        if end is None or end.time * 1e9 <= engine:
            return replace(state, kind="waiting")
    if any(view.runs for view in views):  # on another host
        return replace(state, kind="running", waits=_waits(run, views, held, busy))
    if last is not None and ended == "failed":
        who = f"rank {last.number}: " if last.status.world > 1 else ""
        return replace(state, kind="failed", reason=who + last.status.message)
    if results:
        from tuiprobe.run.results import summary

        try:
            about = summary(run)
        except (TuiprobeError, OSError) as error:
            return replace(state, kind="damaged", reason=str(error), results=False)
        if not about.partial and ended not in ("interrupted", "measured"):
            return replace(state, kind="done")
        state = replace(state, kind="partial")
        if not count.total:  # the results alone were copied
            state = replace(state, measured=about.images, planned=about.planned)
    files = [run.results_file, *(run.status_file(view.number) for view in views)]
    written = max(file.modified() or 0 for file in files)
    if (run.log_file.modified() or 0) > written and (cause := _error(run)):
        return replace(state, kind="failed", reason=cause)
    if ended is not None or host == this_host():
        host = next((view.status.host for view in views if view.may_run), "")
    return replace(state, host=host, waits=_waits(run, views, held, set()))


def _waits(
    run: RunDir, views: Sequence[RankView], held: frozenset[str] | None, busy: Collection[int]
) -> tuple[int, ...]:
    """Returns the ranks of the last attempt whose shards are missing, except those that are busy.

    A rank that holds its lock on this host is busy, whether it has a status yet or not.
    """
    last = max((view.status for view in views), key=lambda status: status.begun, default=None)
    if last is None or last.world == 1:
        return ()
    return tuple(
        number
        for number in ranks_missing(set_plans(run), published_shards(run), last.world)
        if number not in busy and not is_held(run.at(lock_of(number)), held)
    )


class Observer:
    """Decides states for a reader that looks again and again, and so sees ranks go on.

    Args:
        alive: Says whether an engine of this program works on a directory.
        trusting: Whether the status of a rank counts as fresh when it is seen first.
    """

    def __init__(
        self,
        alive: Callable[[Path], bool] = lambda path: False,
        trusting: bool = False,
    ) -> None:
        self._alive, self._trusting = alive, trusting
        self._watches: dict[Path, StatusWatch] = {}

    def state(self, run: RunDir, held: frozenset[str] | None) -> RunState:
        """Returns the state of a run; `held` comes from `held_locks`."""
        watch = self._watches.get(run.path)
        if watch is None:
            watch = StatusWatch(run, trusting=self._trusting)
            self._watches[run.path] = watch
        return run_state(run, held, views=watch.look(held), alive=self._alive(run.path))


def _without_key(run: RunDir, starting: bool) -> RunState:
    if starting:
        return RunState("waiting")
    if not run.path.is_dir():
        return RunState("none", f"{run.path} is no directory")
    if not run.log_file.exists():
        return RunState("none", f"{run.path} is no run directory: it holds no key")
    cause = _error(run)
    return RunState("failed", cause) if cause else RunState("unfinished")


def _error(run: RunDir) -> str:
    """Returns the error that the last engine of the log ended with; empty if it said none."""
    try:
        with run.log_file.open() as stream:
            stream.seek(max(os.fstat(stream.fileno()).st_size - _TAIL, 0))
            lines = stream.read(_TAIL).decode("utf-8", "replace").splitlines()
    except (DamagedFileError, OSError):
        return ""
    error = ""
    for line in lines:
        if line.startswith(LOG_MARK):
            error = ""
        elif line.startswith("error:"):
            error = line.removeprefix("error:").strip()[:_MOST_TEXT]
    return error
