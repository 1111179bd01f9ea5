"""How a run is asked to stop: Ctrl-C, SIGTERM, or a ``cancel`` file from another host."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from tuiprobe.files import Entry

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_POLL_SECONDS = 0.5


class Interrupted(Exception):  # noqa: N818  (a request, not an error)
    """The run was asked to stop; what is published stays."""


class StopRequest:
    """Remembers that a stop was asked for; the engine asks between batches.

    Args:
        cancel_file: Its appearance counts as a request.
    """

    def __init__(self, cancel_file: Entry) -> None:
        self._cancel_file = cancel_file
        self._reason: str | None = None
        self._next_poll = 0.0
        self._previous: dict[int, Any] = {}

    def check(self) -> None:
        """Raises :class:`Interrupted` once a stop was asked for."""
        if self._reason is None and time.monotonic() >= self._next_poll:
            self._next_poll = time.monotonic() + _POLL_SECONDS
            if self._cancel_file.exists():
                self._reason = "cancelled"
        if self._reason is not None:
            raise Interrupted(self._reason)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Takes SIGINT and SIGTERM as requests; a second SIGINT ends the process at once.

        Nested, all the requests hear the signal: several runs in one process stop together.
        """
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread may install handlers; the cancel file still works
            return
        self._previous = {s: signal.signal(s, self._on_signal) for s in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in self._previous.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._reason = signal.Signals(number).name
        outer = self._previous[number]
        if getattr(outer, "__func__", None) is StopRequest._on_signal:
            outer(number, frame)
        signal.signal(signal.SIGINT, signal.default_int_handler)
