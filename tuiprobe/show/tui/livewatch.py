"""Reads a run directory again and again while it is written, in a thread.

A slow disk then means fewer frames and never a screen that waits.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from tuiprobe.files import DamagedFileError, Entry
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.view import RunView
from tuiprobe.show.tui.worker import with_labels

_MAX_TEXT = 1000
_TAIL_LINES = 2000
_CHUNK = 2**18
_MAX_LINE = 4096


def runs_of(path: Path) -> list[Path]:
    """Returns the run directories of a path: itself, or those directly below a group."""
    if RunDir(path).key_file.exists() or not path.is_dir():
        return [path]
    below = sorted(entry.parent for entry in path.glob("*/key") if not entry.is_symlink())
    return below or [path]


def finished_group(group: Path, alive: Callable[[Path], bool]) -> list[Path]:
    """Returns the runs of a group of several models once all have results; empty before.

    Args:
        group: The directory of the group.
        alive: Says whether an engine of this program works on a directory.
    """
    runs = runs_of(group)
    views = [RunView.read(RunDir(run), alive=alive(run)) for run in runs if len(runs) > 1]
    return runs if views and all(view.results and not view.going for view in views) else []


def load_readers() -> None:
    """Loads what reading a run loads.

    A thread that reads must not load it itself: of a package that two threads load at once, one may
    get a module without its content.
    """
    import numpy  # noqa: F401

    import tuiprobe.choose.labelling.reading
    import tuiprobe.measure.run.results
    import tuiprobe.measure.run.status  # noqa: F401


def read_live(run: Path, before: RunView | None = None, alive: bool = False) -> RunView:
    """Reads a run with its live figures; results count the labels beside it."""
    view = RunView.read(RunDir(run), before, alive=alive, live=True)
    return next(with_labels([view]))


class WatchThread:
    """Reads a run in a thread of its own that never holds back the exit.

    Args:
        run: The run directory.
        log: The engine's output.
        alive: Says whether an engine of this program works on a directory.
        first: What was already read.
        seconds: Between two reads.

    Attributes:
        latest: The run as it stands; None before it was read.
        log: The last lines of the output.
        other_runs: Runs that are read too, without channels: those of other models.
        other_views: How they stand.
    """

    def __init__(
        self,
        run: Path,
        log: Entry,
        alive: Callable[[Path], bool] = lambda path: False,
        first: RunView | None = None,
        seconds: float = 0.2,
    ) -> None:
        load_readers()
        self.latest = first
        self.log: tuple[str, ...] = ()
        self.other_runs: tuple[Path, ...] = ()
        self.other_views: dict[Path, RunView] = {}
        self._run, self._tail, self._alive, self._seconds = run, Tail(log), alive, seconds
        self._stop = threading.Event()
        threading.Thread(target=self._loop, daemon=True, name="watch").start()

    def stop(self) -> None:
        """Ends the thread after its next read."""
        self._stop.set()

    def _loop(self) -> None:
        while not self._stop.is_set():
            self.log = self._tail.lines()
            try:
                self.latest = read_live(self._run, self.latest, self._alive(self._run))
                before, alive = self.other_views, self._alive
                self.other_views = {
                    run: RunView.read(RunDir(run), before.get(run), alive=alive(run))
                    for run in self.other_runs
                }
            except Exception as error:
                # A view frozen at the last good figures would look like a hanging run.
                damage = f"{type(error).__name__}: {error}"[:_MAX_TEXT]
                self.latest = replace(self.latest or RunView("waiting"), damage=damage)
            self._stop.wait(self._seconds)


class Tail:
    """The last lines of a file that grows.

    Args:
        file: The file. If it is missing or not a regular file, there are no lines.
    """

    def __init__(self, file: Entry) -> None:
        self._file = file
        self._stamp: tuple[int, int] | None = None
        self._lines: tuple[str, ...] = ()

    def lines(self) -> tuple[str, ...]:
        """Returns the last complete lines; once the file is gone, those that it had."""
        with suppress(DamagedFileError, OSError), self._file.open() as file:
            status = os.fstat(file.fileno())
            stamp = (status.st_size, status.st_mtime_ns)
            if stamp != self._stamp:
                file.seek(max(status.st_size - _CHUNK, 0))
                complete = file.read(_CHUNK).split(b"\n")[:-1][-_TAIL_LINES:]
                self._lines = tuple(x[:_MAX_LINE].decode("utf-8", "replace") for x in complete)
                self._stamp = stamp
        return self._lines
