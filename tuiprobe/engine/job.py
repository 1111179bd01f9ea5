"""What the stages of one planned run share, and how a run ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from tuiprobe.engine.machine import current_fingerprint
from tuiprobe.engine.plan import Plan
from tuiprobe.engine.resume import ShardReader
from tuiprobe.engine.stopping import INTERRUPTED, Interrupted, StopRequest, failure_event
from tuiprobe.errors import RunError, TuiprobeError
from tuiprobe.results.report import Timings
from tuiprobe.run.directory import RunDir
from tuiprobe.run.status import Event, EventKind, Listener, StatusWriter


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


class Job:
    """A planned run in its locked directory.

    Args:
        plan: The plan.
        clock: The clock, started with the run.
        listen: Receives all events.
        mix: Whether to accept shards with another fingerprint.

    Attributes:
        reader: Reads the shards of the run.
        stop: The stop requests to it.
        status: The status of this rank.
        resumed: Number of images that earlier attempts had measured.
        results_before: When the results of an earlier attempt were written; None without.
    """

    def __init__(self, plan: Plan, clock: Clock, listen: Listener, mix: bool) -> None:
        self.plan, self.clock, self._listener = plan, clock, listen
        memory_format = plan.encoder.memory_format
        fingerprint = current_fingerprint(plan.device, plan.spec.top_k, memory_format)
        self.reader = ShardReader(plan, fingerprint, mix)
        self.stop = StopRequest(plan.directory.cancel_file)
        self.status = StatusWriter(plan.directory, plan.rank.number, plan.rank.world)
        self.resumed = 0
        self.results_before = plan.directory.results_file.modified()

    def listen(self, event: Event) -> None:
        """Passes an event to the status and to the listener."""
        self.status.record(event)
        self._listener(event)

    def emit(self, kind: EventKind, message: str, **data: str) -> None:
        """Emits an event."""
        self.listen(Event(kind, message, dict(data)))

    def note_probes(self, done: int, total: int) -> None:
        """Writes into the status of this rank how many probes are done."""
        self.status.update(built=done, to_build=total)
        self.status.write()

    def note(self, reason: TuiprobeError | Interrupted) -> None:
        """Writes into the status of this rank that it failed, or was stopped."""
        event = failure_event(reason)
        with suppress(TuiprobeError):
            self.status.record(event)
            if isinstance(reason, Interrupted):
                self.status.end("interrupted", event.message)


@dataclass(frozen=True)
class RunOutcome:
    """The outcome of a run that did not fail.

    Attributes:
        directory: The run directory.
        complete: Whether every image was measured.
        merged: Whether this process wrote the results.
        resumed: Number of images that an earlier attempt had measured.
        untrained: Whether the encoder has random weights.
        waits: Which shards of other ranks are missing before anyone can merge; empty if none.
        failures: Why probes failed, one sentence each; the other results hold.
    """

    directory: RunDir
    complete: bool
    merged: bool
    resumed: int
    untrained: bool
    waits: str = ""
    failures: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """The exit code of a command that makes this run alone."""
        return INTERRUPTED if not self.complete else RunError.exit_code if self.failures else 0
