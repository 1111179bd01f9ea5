"""The ranks of a run, as a reader sees them by their locks and their status."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tuiprobe import limits
from tuiprobe.files import DamagedFileError
from tuiprobe.run import locks
from tuiprobe.run.directory import RunDir
from tuiprobe.run.locks import held_locks, is_held, lock_of

if TYPE_CHECKING:
    from tuiprobe.run.status import Status


@dataclass(frozen=True)
class RankView:
    """A rank as a reader sees it.

    Attributes:
        number: Its number.
        status: What it says.
        silence: Seconds since the reader saw its status change.
        runs: Whether its process runs: on this host by its lock, on another one by its status,
            which changes. Clocks of other hosts do not matter.
    """

    number: int
    status: Status
    silence: float = 0.0
    runs: bool = False

    @property
    def may_run(self) -> bool:
        """Whether it may run: a rank of another host writes often only while it measures."""
        status = self.status
        quiet = status.phase == "extract" and self.silence >= locks.QUIET_SECONDS
        return self.runs or not (status.here or status.ended or quiet)


class StatusWatch:
    """Sees the status of all ranks change.

    Args:
        run: The run directory.
        now: The reader's own clock; only differences count.
        trusting: Whether a status of another host counts as fresh when it is seen first.

    Attributes:
        damage: Why the status of a rank cannot be read; empty if all can.
    """

    def __init__(
        self,
        run: RunDir,
        now: Callable[[], float] | None = None,
        trusting: bool = True,
    ) -> None:
        self._run, self._now = run, now or time.monotonic
        self._trusting = trusting
        self._seen: dict[int, tuple[tuple[float, int], float, bool]] = {}
        self.damage = ""

    def look(self, held: frozenset[str] | None = None) -> tuple[RankView, ...]:
        """Returns all ranks that have a readable status, by number.

        Args:
            held: From `held_locks`, which is asked if this is None.
        """
        from tuiprobe.run.status import read_status  # loads pydantic

        self.damage, views = _too_large(self._run), []
        numbers = [] if self.damage else self._run.status_ranks()
        held = held_locks() if held is None and numbers else held
        for number in numbers:
            try:
                status = read_status(self._run, number)
            except DamagedFileError as error:
                self.damage = str(error)
                continue
            if status is not None:
                views.append(self._view(number, status, held))
        return tuple(views)

    def _view(self, number: int, status: Status, held: frozenset[str] | None) -> RankView:
        beat, now = (status.begun, status.sequence), self._now()
        before = self._seen.get(number)
        if before is None or before[0] != beat:
            fresh = before is not None or (self._trusting and status.sequence > 0)
            before = self._seen[number] = (beat, now, fresh)
        silence = now - before[1]
        if status.here:
            runs = is_held(self._run.at(lock_of(number)), held)
        else:
            runs = before[2] and silence < locks.QUIET_SECONDS and not status.ended
        return RankView(number, status, silence, runs)


def last_end(views: Sequence[RankView]) -> RankView | None:
    """Returns the rank that tells how the last attempt ended; None if none does."""
    from tuiprobe.run.status import ENDS

    begun = max((view.status.begun for view in views), default=0.0)
    # Within a rank the order decides, also where the clock was set back in between.
    ends = [v for v in views if v.status.ended and max(v.status.begun, v.status.time) >= begun]
    return min(ends, key=lambda view: ENDS.index(view.status.phase), default=None)


def _too_large(run: RunDir) -> str:
    """Says that the files of all ranks are too large together; empty if they are not."""
    for suffix, most in (
        ("json", limits.STATUSES_BYTES),
        ("safetensors", limits.STATUSES_ARRAY_BYTES),
    ):
        files = (run.status_file(rank, suffix).status() for rank in run.status_ranks())
        size = sum(file.st_size for file in files if file is not None)
        if size > most:
            folder = run.path / "status"
            return f"{folder} holds {size:,} bytes of {suffix}, above the limit of {most:,}"
    return ""
