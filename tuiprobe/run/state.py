"""The state of a run directory: one function decides it for the screens and the command line.

It reads the kernel's list of locks, the events of the last attempt, the published shards and the
results, and takes no lock itself. A directory may come from anywhere: sizes are limited, and what
cannot be read counts as missing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal, get_args

from tuiprobe.errors import TuiprobeError
from tuiprobe.files import DamagedFileError, Entry, parse_json
from tuiprobe.run.directory import LOG_MARK, RunDir
from tuiprobe.run.locks import held_locks, is_held, is_running, last_host, this_host
from tuiprobe.run.shard_list import kept_images

State = Literal["waiting", "running", "done", "partial", "unfinished", "failed", "damaged", "none"]
STATES: Final[tuple[State, ...]] = get_args(State)

QUIET_SECONDS = 20.0
"""Without a new heartbeat for this long, a run of another host no longer counts as running."""

_TAIL = 2**18
_MOST_TEXT = 4000
_CACHED = 10_000


@dataclass(frozen=True)
class RunState:
    """How a run stands.

    Attributes:
        kind: `waiting` while its engine starts; `running` while a process writes it; `done` with
            results of all images; `partial` with results of some, because it was stopped;
            `unfinished` without results, because it was stopped; `failed` if the last attempt
            failed; `damaged` if its key or results cannot be read; `none` if the directory is no
            run.
        reason: Why it failed, is damaged or is no run.
        measured: Images that count as measured: a resumed run keeps them.
        planned: Images to measure, over all sets; 0 before the plan.
        results: Whether there are results to open.
        host: The other host that last wrote it, if nothing tells whether it still does.
    """

    kind: State
    reason: str = ""
    measured: int = 0
    planned: int = 0
    results: bool = False
    host: str = ""

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
        """Whether the same command would go on with it or try it again."""
        return self.kind in ("partial", "unfinished", "failed")

    @property
    def words(self) -> str:
        """The state in words, as every reader shows it.

        >>> RunState("partial", measured=62, planned=100).words
        'stopped at 62 %'
        """
        if self.kind in ("partial", "unfinished"):
            silent = f", or silent on {self.host}" if self.host else ""
            return self._stopped() + silent
        if self.kind in ("failed", "damaged"):
            return f"{self.kind}: {self.reason}"
        return {"waiting": "starting", "none": self.reason}.get(self.kind, self.kind)

    def _stopped(self) -> str:
        if not self.planned:
            return "stopped before the first image"
        done = self.measured >= self.planned
        return "stopped after measuring" if done else f"stopped at {self.percent}"


def run_state(
    run: RunDir, held: frozenset[str] | None, *, moves: bool = False, alive: bool = False
) -> RunState:
    """Decides the state of a run.

    Args:
        run: The directory.
        held: From `held_locks`.
        moves: Whether its heartbeat was seen to change lately; matters only for other hosts.
        alive: Whether the caller knows that an engine of its own is working on it.
    """
    starting = alive or is_held(run.engine_file, held)
    if not run.key_file.exists():
        return _without_key(run, starting or is_running(run, held))
    if run.read_key() is None:
        return RunState("damaged", f"{run.key_file} holds no key of a run")
    measured, planned = kept_images(run)
    results = run.results_file.modified()
    found = RunState("unfinished", "", measured, planned, results is not None)
    if is_running(run, held):
        return _running(run, found)
    end = _last_end(run)
    if starting and end.time * 1e9 <= (run.engine_file.modified() or 0):
        return replace(found, kind="waiting")
    host = last_host(run)
    if end.kind == "" and moves and host != this_host():
        return _running(run, found)
    if end.kind == "failed":
        return replace(found, kind="failed", reason=end.reason)
    if results is not None:
        from tuiprobe.run.glance import summary  # loads pydantic

        try:
            about = summary(run)
        except (TuiprobeError, OSError) as error:
            return replace(found, kind="damaged", reason=str(error), results=False)
        if not about.partial and end.kind != "interrupted":
            return replace(found, kind="done")
        found = replace(found, kind="partial")
        if not planned:  # the results alone were copied
            found = replace(found, measured=about.images, planned=about.wanted)
    if (run.log_file.modified() or 0) > max(_times(run), default=0) and (said := _error(run)):
        return replace(found, kind="failed", reason=said)
    away = end.kind == "" and host != this_host()
    return replace(found, host=host if away else "")


class Observer:
    """Decides states for a reader that looks again and again, and so sees heartbeats change.

    Args:
        alive: Says whether an engine of this program works on a directory.
        trusting: Whether a heartbeat counts as fresh when it is seen first.
        seconds: How long a heartbeat counts as fresh.
    """

    def __init__(
        self,
        alive: Callable[[Path], bool] = lambda path: False,
        trusting: bool = False,
        seconds: float = QUIET_SECONDS,
    ) -> None:
        self._alive, self._trusting, self._seconds = alive, trusting, seconds
        self._beats: dict[Path, tuple[int, float]] = {}

    def state(self, run: RunDir, held: frozenset[str] | None) -> RunState:
        """Returns the state of a run; `held` comes from `held_locks`."""
        return run_state(run, held, moves=self._moves(run), alive=self._alive(run.path))

    def look(self, run: RunDir) -> RunState:
        """Returns the state of a single run."""
        return self.state(run, held_locks())

    def _moves(self, run: RunDir) -> bool:
        from tuiprobe.run.live import pulse

        beat, now = pulse(run).beat, time.monotonic()
        if run.path not in self._beats:
            self._beats[run.path] = (beat, now if self._trusting and beat else -self._seconds)
        elif beat != self._beats[run.path][0]:
            self._beats[run.path] = (beat, now)
        return now - self._beats[run.path][1] < self._seconds


def _running(run: RunDir, found: RunState) -> RunState:
    """Counts the images of unfinished shards too."""
    from tuiprobe.run.live import pulse

    now = pulse(run)
    planned = found.planned or now.total
    return replace(
        found, kind="running", measured=min(max(found.measured, now.through), planned),
        planned=planned,
    )  # fmt: skip


def _without_key(run: RunDir, starting: bool) -> RunState:
    if starting:
        return RunState("waiting")
    if not run.path.is_dir():
        return RunState("none", f"{run.path} is no directory")
    if not run.log_file.exists():
        return RunState("none", f"{run.path} is no run directory: it holds no key")
    said = _error(run)
    return RunState("failed", said) if said else RunState("unfinished")


@dataclass(frozen=True)
class _End:
    """How the last attempt ended, as its events say.

    Attributes:
        kind: `done`, `interrupted` (also if results followed) or `failed`; empty if it did not
            say.
        reason: Of a failure.
        time: When, in seconds since the epoch.
        begun: When the attempt began.
    """

    kind: str = ""
    reason: str = ""
    time: float = 0.0
    begun: float = 0.0


def _event_files(run: RunDir) -> list[Entry]:
    return [run.at(name) for name in run.event_files()[:256]]


def _times(run: RunDir) -> Iterator[int]:
    """Yields when events and results were last written."""
    yield from (file.modified() or 0 for file in (*_event_files(run), run.results_file))


def _last_end(run: RunDir) -> _End:
    """Returns the end of the last attempt over all ranks; a failure counts before a stop."""
    ends = [_end_of(file, written) for file in _event_files(run) if (written := file.modified())]
    begun = max((one.begun for one in ends), default=0.0)
    # Within a file the order decides, also where the clock was set back in between.
    last = [one for one in ends if one.kind and (one.begun == begun or one.time >= begun)]
    order = ("failed", "interrupted", "done")
    return min(last, key=lambda one: order.index(one.kind), default=_End(begun=begun))


@lru_cache(maxsize=_CACHED)
def _end_of(file: Entry, _written: int) -> _End:
    found = _End()
    for line in _tail(file):
        if '"kind": "shard"' in line:
            continue
        with suppress(ValueError):
            event = parse_json(line)
            if isinstance(event, dict):
                found = _after(found, event)
    return found


def _after(found: _End, event: dict[str, Any]) -> _End:
    kind, when, data = event.get("kind"), event.get("time"), event.get("data")
    now = float(when) if isinstance(when, int | float) else 0.0
    stage = data.get("stage") if isinstance(data, dict) else None
    if kind == "stage" and stage in ("load", "extract"):
        return _End(begun=now)
    if kind == "failed":
        return replace(found, kind=kind, reason=str(event.get("message"))[:_MOST_TEXT], time=now)
    if kind in ("interrupted", "done"):  # results may follow a stop; they are of a part
        stopped = found.kind == "interrupted" or kind == "interrupted"
        return replace(found, kind="interrupted" if stopped else "done", reason="", time=now)
    return found


def _tail(file: Entry) -> list[str]:
    """Returns the last lines of a file; none if it cannot be read."""
    try:
        with file.open() as stream:
            stream.seek(max(os.fstat(stream.fileno()).st_size - _TAIL, 0))
            return stream.read(_TAIL).decode("utf-8", "replace").splitlines()
    except (DamagedFileError, OSError):
        return []


def _error(run: RunDir) -> str:
    """Returns the error that the last engine of the log ended with; empty if it said none."""
    said = ""
    for line in _tail(run.log_file):
        if line.startswith(LOG_MARK):
            said = ""
        elif line.startswith("error:"):
            said = line.removeprefix("error:").strip()[:_MOST_TEXT]
    return said
