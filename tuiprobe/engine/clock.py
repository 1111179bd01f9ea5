"""Times the stages of a run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from tuiprobe.results.report import Timings


class Pace:
    """Spaces out work so that it takes at most a part of the time.

    Args:
        share: That part, above 0.
        seconds: Least time between the end of one piece and the next.
    """

    def __init__(self, share: float, seconds: float = 0.0) -> None:
        self._share, self._seconds = share, seconds
        self._next = 0.0

    @property
    def due(self) -> bool:
        """Whether the next piece may begin."""
        return time.monotonic() >= self._next

    @contextmanager
    def piece(self) -> Iterator[None]:
        """Times a piece of work, and sets the time of the next one by its cost."""
        begin = time.monotonic()
        yield
        end = time.monotonic()
        self._next = end + max(self._seconds, (end - begin) / self._share)


class Clock:
    """A clock that starts with the run.

    Attributes:
        images: Number of images that this process measured.
    """

    def __init__(self) -> None:
        self.images = 0
        self._started = _now()
        self._seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds the time of the block to that of a stage."""
        begin = time.monotonic()
        try:
            yield
        finally:
            self._seconds[name] = self._seconds.get(name, 0.0) + time.monotonic() - begin

    def timings(self) -> Timings:
        """Returns the timings for the report."""
        extract = self._seconds.get("extract", 0.0)
        return Timings(
            started=self._started,
            finished=_now(),
            seconds={name: round(seconds, 3) for name, seconds in self._seconds.items()},
            images_per_second=round(self.images / extract, 3) if extract and self.images else None,
        )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
