"""The status of a watched model, in the files of a run directory."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from tuiprobe.events import Event
from tuiprobe.measure.live import RunningTap, live_pace
from tuiprobe.run.directory import RunDir
from tuiprobe.run.status import LiveTap, StatusWriter
from tuiprobe.watching.saving import SET, claim
from tuiprobe.watching.seen import Observed, Seen


class LiveFiles:
    """Writes the status of a watch at most five times a second, and within 1 % of its time.

    Args:
        path: The run directory.
        watched: What is shown.
    """

    def __init__(self, path: Path, watched: Observed) -> None:
        self.path, self._watched = path, watched
        self._directory = RunDir(path)
        self._status = StatusWriter(self._directory)
        self._started = 0.0
        self._pace = live_pace()
        self._locked = ExitStack()

    def begin(self) -> None:
        """Claims the directory and locks it until `end`, so that readers see a running run.

        Raises:
            DataError: If it holds something else.
            RunError: If it cannot be written, or another process writes it.
        """
        self._directory.refuse_foreign(self._watched.key)
        with ExitStack() as stack:
            stack.enter_context(self._directory.locked())
            claim(self._directory, self._watched.key, self._watched)
            self._status.begin()
            self._status.update(unanswered="no answers: tuiprobe.watch looks at layers alone")
            self._status.hear(Event("stage", "measuring", {"stage": "extract"}))
            self._locked = stack.pop_all()
        self._started = time.monotonic()

    def end(self, failure: BaseException | None) -> None:
        """Says how the block ended, and lets go of the directory."""
        with self._locked:
            if failure is None:
                self._status.hear(Event("done", "saved by tuiprobe.watch"))
            else:
                self._status.hear(Event("failed", f"the block ended with {type(failure).__name__}"))

    def show(self) -> None:
        """Replaces the live files if they are due."""
        if not self._pace.due:
            return
        with self._pace.piece():
            layers = self._watched.shown
            done = max((seen.images for _, seen in layers), default=0)
            rate = done / max(time.monotonic() - self._started, 1e-9)
            self._status.update(set=SET, images=done, rate=rate)
            self._status.write({(SET, name): _shown(seen) for name, seen in layers})


def _shown(seen: Seen) -> LiveTap:
    width = seen.tap.channels
    none = RunningTap(np.zeros(width), np.zeros(width, np.int64))
    return none.plus(seen.stats.samples.compute()).figures()
