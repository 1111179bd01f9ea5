"""What the stages of one planned run share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TypeAlias

from tuiprobe.errors import TuiprobeError
from tuiprobe.events import Event, Kind, Listener
from tuiprobe.measure.clock import Clock
from tuiprobe.measure.failures import explaining_failures
from tuiprobe.measure.fingerprint import current_fingerprint
from tuiprobe.measure.merge import empty_states
from tuiprobe.measure.plan import Plan
from tuiprobe.measure.resume import ShardReader
from tuiprobe.measure.stopping import KEPT, Interrupted, StopRequest
from tuiprobe.results import Report
from tuiprobe.run.directory import RunDir
from tuiprobe.run.status import StatusWriter

Answer: TypeAlias = Callable[[RunDir], Report]
"""Runs the probes on a merged run and returns the report."""


@dataclass(frozen=True)
class Job:
    """A planned run in its locked directory.

    Attributes:
        plan: The plan.
        clock: The clock, started with the run.
        outside: Told about all events.
        answer: Runs the probes on the merged run.
        reader: Reads the shards of the run.
        stop: The stop requests to it.
        status: The status of this rank.
        results_before: When the results of an earlier attempt were written; None without.
    """

    plan: Plan
    clock: Clock
    outside: Listener
    answer: Answer
    reader: ShardReader
    stop: StopRequest
    status: StatusWriter
    results_before: int | None

    @classmethod
    def of(cls, plan: Plan, clock: Clock, listen: Listener, answer: Answer, mix: bool) -> Job:
        """Returns the job of a plan whose directory is locked."""
        directory, encoder = plan.directory, plan.encoder
        fingerprint = current_fingerprint(plan.device, plan.spec.top_k, encoder.memory_format)
        states = empty_states(plan)
        reader = ShardReader(directory, plan.set_keys, fingerprint, states, plan.row_sets, mix)
        stop = StopRequest(directory.cancel_file)
        status = StatusWriter(directory, plan.rank.number, plan.rank.world)
        before = directory.results_file.modified()
        return cls(plan, clock, listen, answer, reader, stop, status, before)

    def listen(self, event: Event) -> None:
        """Tells the status and the listener about an event."""
        self.status.hear(event)
        self.outside(event)

    def say(self, kind: Kind, message: str, **data: str) -> None:
        """Tells an event of a kind."""
        self.listen(Event(kind, message, dict(data)))

    @contextmanager
    def noting_failure(self) -> Iterator[None]:
        """Says in the status of this rank if the block fails or is interrupted.

        Raises:
            TuiprobeError: If the block fails.
            Interrupted: If a stop was requested before or after measuring.
        """
        try:
            with explaining_failures():
                yield
        except (TuiprobeError, Interrupted) as reason:
            stopped = isinstance(reason, Interrupted)
            message = f"stopped by {reason}; {KEPT}" if stopped else str(reason)
            with suppress(TuiprobeError):
                self.status.hear(Event("interrupted" if stopped else "failed", message))
                if stopped:
                    self.status.end("interrupted", message)
            raise
