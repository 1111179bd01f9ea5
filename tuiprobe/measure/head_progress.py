"""Reports progress and remaining time while a head is built."""

from __future__ import annotations

import time
from collections.abc import Callable

from tuiprobe.events import Event, Listener
from tuiprobe.files import DamagedFileError
from tuiprobe.run.directory import RunDir
from tuiprobe.run.live import Progress, RankState, read_state, write_state

_SECONDS = 1.0  # between two updates of the live view


class HeadProgress:
    """A callback for (done, total) that updates the listener and the live view, and may stop.

    Args:
        directory: The run directory, whose live view shows the stage.
        rank: Number of this process.
        what: The counted unit, for example `classes`.
        listen: Told about progress.
        check: Called each time; raises to stop.
    """

    def __init__(
        self,
        directory: RunDir,
        rank: int,
        what: str,
        listen: Listener,
        check: Callable[[], None],
    ) -> None:
        self._directory, self._rank, self._what = directory, rank, what
        self._listen, self._check = listen, check
        self._last = self._from = 0
        self._since = time.monotonic()
        self._next = 0.0
        # Keep the extraction's last figures: in a fast run they are shown only now.
        self._shown = _shown_last(directory, rank)

    def __call__(self, done: int, total: int) -> None:
        """Reports that `done` of `total` are finished."""
        now = time.monotonic()
        if self._what == "classes" and done - self._last > 1:
            # A cached shard does not predict the speed of the rest.
            self._from, self._since = done, now
        self._last = done
        seconds = now - self._since
        rate = (done - self._from) / seconds if seconds > 0 else 0.0
        progress = Progress(
            stage="head",
            set="head",
            unit=self._what,
            done=done,
            total=total,
            rate=rate,
            eta=max(total - done, 0) / rate if rate > 0 else None,
        ).model_dump()
        self._listen(Event("progress", "", progress))
        if now >= self._next:
            self._next = now + _SECONDS
            progress["sequence"] = self._shown.sequence + 1
            self._shown = self._shown.model_copy(update=progress)
            write_state(self._directory, self._rank, self._shown)
        self._check()


def _shown_last(directory: RunDir, rank: int) -> RankState:
    """Returns a rank's last state; an empty one if it is damaged or missing."""
    try:
        return read_state(directory, rank) or RankState()
    except DamagedFileError:
        return RankState()
