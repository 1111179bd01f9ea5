"""Reports progress and remaining time while a head is built."""

from __future__ import annotations

import time
from collections.abc import Callable

from tuiprobe.events import Event, Listener
from tuiprobe.run.status import bounded

TRIAL_SECONDS = 2.0
"""After which the rate is taken for that of the rest."""


class LongHeadError(Exception):
    """The head takes longer than it may."""


class HeadProgress:
    """A callback for (done, total) that tells the listener, and may stop.

    Args:
        what: The counted unit, for example `classes`.
        listen: Told about progress.
        check: Called each time; raises to stop.
        most: Seconds that the head may take; None for no limit.
    """

    def __init__(
        self, what: str, listen: Listener, check: Callable[[], None], most: float | None = None
    ) -> None:
        self._what, self._listen, self._check = what, listen, check
        self._begun, self._most = time.monotonic(), most
        self._total = -1
        self._from, self._since = 0, 0.0

    def __call__(self, done: int, total: int) -> None:
        """Reports that `done` of `total` are finished.

        Raises:
            LongHeadError: If all of them will take too long.
        """
        now = time.monotonic()
        if total != self._total:  # The first call: what was cached does not predict the speed.
            self._total, self._from, self._since = total, done, now
        seconds = now - self._since
        rate = (done - self._from) / seconds if seconds > 0 else 0.0
        eta = bounded(max(total - done, 0) / rate) if rate > 0 else None
        data = {"stage": "head", "unit": self._what, "done": done, "total": total}
        self._listen(Event("progress", "", {**data, "rate": rate, "eta": eta}))
        self._check()
        expected = now - self._begun + (eta if eta is not None and seconds > TRIAL_SECONDS else 0)
        if self._most is not None and done < total and expected > self._most:
            raise LongHeadError
