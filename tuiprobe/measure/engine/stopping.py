"""How a run ends early: by a stop request, or by a failure that one sentence explains.

Stop requests are Ctrl-C, SIGTERM, SIGHUP, a `cancel` file, and the end of its torchrun.

While images are measured or a head is built, a request waits for the end of the current batch, so
that the measured images can be reported. Everywhere else it raises at once: files are published by
rename, so there is nothing to wait for. If the program owns its process, a thread ends the process
if it does not reach the end of a batch in time, or at a second request.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from types import FrameType

from tuiprobe.errors import INTERRUPTED, RunError, TuiprobeError
from tuiprobe.files import Entry
from tuiprobe.measure.run.status import Event
from tuiprobe.plugins import in_code

RESUMABLE = "finished measurements are saved, and the same command resumes"

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STALL_SECONDS = 300.0
"""Decoding processes that give nothing for this long count as hung."""

_POLL_SECONDS = 0.5
_LONGEST_STEP = 5.0
_GRACE_SECONDS = 10.0
_SAME_REQUEST_SECONDS = 0.5
"""Repeats within this time are ignored: `timeout` and torchrun forward a signal twice."""


class Interrupted(KeyboardInterrupt):
    """The run was asked to stop; published files are kept.

    Not an `Exception`: it may be raised anywhere, and no `except Exception` may catch it.
    """

    exit_code = INTERRUPTED


def failure_event(reason: TuiprobeError | Interrupted) -> Event:
    """Returns the event of a run that ends without an outcome."""
    if isinstance(reason, Interrupted):
        return Event("interrupted", f"stopped by {reason}; {RESUMABLE}")
    return Event("failed", str(reason), {"exit_code": reason.exit_code})


class Signals:
    """The stop requests to this process by signals; see `catching_signals`.

    Args:
        owner: Whether the process ends with the run, so that a thread may end it at once.

    Attributes:
        finished: Whether requests come too late to change anything.
    """

    def __init__(self, owner: bool = False) -> None:
        self._owner = owner
        self.finished = False
        self._reason: str | None = None
        self._requested_at = 0.0
        self._deferred = 0
        self._noticed = False
        self._checked_at: float | None = None
        self._longest = 0.0  # time between two checks

    def check(self) -> None:
        """Raises `Interrupted` if a stop was requested."""
        now = time.monotonic()
        if self._checked_at is not None:
            self._longest = max(self._longest, now - self._checked_at)
        self._checked_at = now
        if self._reason is not None:
            self._noticed = True
            raise Interrupted(self._reason)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Defers requests to the next check, or to the end of the block.

        Raises:
            Interrupted: If there is an unhandled request at the end of the block.
        """
        self._deferred += 1
        try:
            yield
        finally:
            self._deferred -= 1
            self._checked_at = None
        if self._deferred == 0 and not self._noticed:
            self.check()
            self._checked_at = None

    def on_signal(self, number: int, _frame: FrameType | None) -> None:
        """Handles a signal in the main thread."""
        now = time.monotonic()
        if self._reason is None:
            self._reason, self._requested_at = signal.Signals(number).name, now
            if not self._deferred:
                raise Interrupted(self._reason)
        elif not self._owner and now - self._requested_at >= _SAME_REQUEST_SECONDS:
            raise Interrupted(self._reason)

    def finish(self) -> None:
        """Ignores requests until the process ends, if it is owned: its exit code stands."""
        if self._owner:
            self.finished = self._noticed = True
            for number in SIGNALS:
                signal.signal(number, signal.SIG_IGN)

    def watch(self, pipe: int) -> None:
        """Reads signals as they arrive, whatever the main thread does, until it reads a zero.

        Args:
            pipe: The descriptor that `signal.set_wakeup_fd` writes to.
        """
        first: float | None = None
        while True:
            ready, _, _ = select.select([pipe], [], [], self._seconds_left(first))
            if not ready:
                if self._seconds_left(first) == 0:  # else the request was noticed meanwhile
                    end_process("the run did not stop within seconds")
                continue
            for number in os.read(pipe, 512):
                now = time.monotonic()
                if number == 0:
                    return
                if number not in SIGNALS:
                    continue
                if first is None:
                    first = now
                elif now - first >= _SAME_REQUEST_SECONDS:
                    end_process(f"stopped at once by a second {signal.Signals(number).name}")

    def _seconds_left(self, first: float | None) -> float | None:
        """Returns the seconds until the process is ended; None without a request."""
        if first is None or self._noticed:
            return None
        # A slow process that is not hung needs about as long as before.
        grace = max(_GRACE_SECONDS, 2 * self._longest)
        return max(first + grace - time.monotonic(), 0.0)


class StallTimer:
    """A timer that finds stalls; time in which the process was suspended does not count."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Restarts the timer after progress."""
        self._waited, self._checked_at = 0.0, time.monotonic()

    def expired(self) -> bool:
        """Returns whether `STALL_SECONDS` have passed; to be called often."""
        now = time.monotonic()
        self._waited += min(now - self._checked_at, _LONGEST_STEP)
        self._checked_at = now
        return self._waited >= STALL_SECONDS


def end_process(reason: str) -> None:
    """Ends the process at once, without any cleanup or further output."""
    cursor = "\r\x1b[K\x1b[?25h" if sys.stderr.isatty() else ""  # a progress bar hides it
    with suppress(OSError):  # a closed terminal, or a log whose reader has ended
        os.write(2, f"{cursor}{reason}; {RESUMABLE}\n".encode())
    os._exit(INTERRUPTED)


_current: Signals | None = None
_NOBODY = Signals()


def stop_signals() -> Signals:
    """Returns the active stop requests; an empty object outside `catching_signals`."""
    return _NOBODY if _current is None else _current


@contextmanager
def catching_signals(owner: bool = False) -> Iterator[Signals]:
    """Handles `SIGNALS` as stop requests; a nested block shares the outer one's.

    Under `nohup`, which ignores SIGHUP, it stays ignored.

    Args:
        owner: Whether the process ends with the block, so that it may be ended if it hangs.
    """
    global _current
    if _current is not None:
        yield _current
        return
    if threading.current_thread() is not threading.main_thread():
        yield _NOBODY  # handlers need the main thread; the cancel file still works
        return
    signals = Signals(owner)
    previous = {number: signal.getsignal(number) for number in SIGNALS}
    if previous[signal.SIGHUP] is signal.SIG_IGN:
        del previous[signal.SIGHUP]
    _current = signals
    try:
        with _watched(signals) if owner else nullcontext():
            for number in previous:
                signal.signal(number, signals.on_signal)
            yield signals
    finally:
        _current = None
        program = previous[signal.SIGTERM] is not signal.SIG_DFL  # it set handlers at its start
        for number, handler in previous.items():
            signal.signal(number, signal.SIG_IGN if signals.finished and program else handler)


@contextmanager
def _watched(signals: Signals) -> Iterator[None]:
    """Runs a thread that sees signals even if the main thread hangs outside Python."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    thread = threading.Thread(target=signals.watch, args=(reader,), name="signals", daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.write(writer, b"\0")
        thread.join()
        os.close(reader)
        os.close(writer)


class StopRequest:
    """The stop requests to one run; the engine checks them between batches.

    Args:
        cancel_file: Creating this file is a stop request, as is a signal to the process.
    """

    def __init__(self, cancel_file: Entry) -> None:
        self._cancel_file = cancel_file
        self._cancelled = False
        self._next_poll = 0.0
        self._agent = os.getppid() if "TORCHELASTIC_RUN_ID" in os.environ else None

    def check(self) -> None:
        """Raises `Interrupted` if a stop was requested."""
        stop_signals().check()
        if not self._cancelled and time.monotonic() >= self._next_poll:
            self._next_poll = time.monotonic() + _POLL_SECONDS
            self._cancelled = self._cancel_file.exists()
            # Nobody else would end a rank whose torchrun was killed outright.
            if self._agent not in (None, os.getppid()):
                raise Interrupted("the torchrun that started this rank is gone")
        if self._cancelled:
            raise Interrupted("cancelled")


@contextmanager
def explaining_failures() -> Iterator[None]:
    """Turns every error of the block into a `tuiprobe.errors.TuiprobeError`.

    Libraries and a user's model may raise anything, including `SystemExit`. Stop requests pass
    unchanged.

    Raises:
        RunError: If the block fails; states the cause, and has the original error as `__cause__`.
    """
    try:
        yield
    except (TuiprobeError, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        raise RunError(
            f"the run failed with {in_code(error)}; {RESUMABLE}; --debug shows the traceback"
        ) from error
