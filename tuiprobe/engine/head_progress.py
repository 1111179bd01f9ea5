"""How far a head is, and how long it still takes: told while it is built."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tuiprobe.events import Event, Listener
from tuiprobe.files import DamagedFileError, Entry
from tuiprobe.rundir import MAX_LIVE_BYTES, RunDir

_SECONDS = 1.0  # between two looks of the live view


class HeadProgress:
    """A callback of (done, total) that tells the listener and the live view, and may stop.

    Args:
        directory: Its live view shows the stage.
        rank: Of this process.
        what: What is counted, for example ``classes``.
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
        # What the extraction showed last stays: a fast run has no other moment to be seen.
        self._shown = _shown_last(directory.live_file(rank, "json"))

    def __call__(self, done: int, total: int) -> None:
        """Tells that ``done`` of ``total`` are there."""
        now = time.monotonic()
        if self._what == "classes" and done - self._last > 1:
            # A cached shard: its speed says nothing of the rest.
            self._from, self._since = done, now
        self._last = done
        seconds = now - self._since
        rate = (done - self._from) / seconds if seconds > 0 else 0.0
        state: dict[str, Any] = {
            "stage": "head",
            "set": "head",
            "unit": self._what,
            "done": done,
            "skipped": 0,
            "total": total,
            "rate": rate,
            "eta": (total - done) / rate if rate > 0 else None,
        }
        self._listen(Event("progress", "", state))
        if now >= self._next:
            self._next = now + _SECONDS
            self._shown |= {**state, "sequence": self._shown["sequence"] + 1}
            content = json.dumps(self._shown).encode()
            self._directory.live_file(self._rank, "json").replace(content)
        self._check()


def _shown_last(file: Entry) -> dict[str, Any]:
    """Returns what a live file holds; a new beginning if it is none, since it is written anew."""
    with suppress(DamagedFileError):
        state = file.read_json(MAX_LIVE_BYTES)
        if isinstance(state, dict) and isinstance(state.get("sequence"), int):
            return state
    return {"sequence": 0}
