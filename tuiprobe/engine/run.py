"""Executes the run of a request."""

from __future__ import annotations

import os
from contextlib import ExitStack

from tuiprobe.engine.job import AskProbes
from tuiprobe.engine.opening import PythonObjects, open_run
from tuiprobe.engine.stages import RunOutcome, finish, measure, prepare
from tuiprobe.engine.stopping import catching_signals, explaining_failures
from tuiprobe.errors import UsageError
from tuiprobe.request import RunRequest
from tuiprobe.run.status import Listener

_measuring_process: int | None = None
"""The process that has begun to measure; threads that libraries started then exist only there."""


def refuse_forked_child() -> None:
    """Refuses to measure in a process that was forked from one that has measured.

    Raises:
        UsageError: If this is such a process, which would wait for threads that it does not have.
    """
    global _measuring_process
    if _measuring_process not in (None, os.getpid()):
        raise UsageError(
            "this process was forked from one that has measured, and would hang: start it with "
            "multiprocessing.get_context('spawn'), or measure in the parent alone"
        )
    _measuring_process = os.getpid()


def run(
    request: RunRequest,
    *,
    listen: Listener = lambda event: None,
    answer: AskProbes,
    own: PythonObjects = PythonObjects(),  # noqa: B008 - frozen
) -> RunOutcome:
    """Measures, merges and probes; resumes an earlier attempt.

    Args:
        request: What to measure, where and how.
        listen: Receives all events.
        answer: Runs the probes on the merged run.
        own: Encoder and images that have no name to load them by.

    Raises:
        TuiprobeError: If anything fails; states the cause and the next step, and has the exit code.
        Interrupted: If a stop was requested before the first image or after the last.
    """
    refuse_forked_child()
    with catching_signals(), explaining_failures(), ExitStack() as locks:
        job = open_run(request, locks, listen=listen, answer=answer, own=own)
        with job.noting_failure():
            inventory = prepare(job)
            measured = measure(job, inventory)
            return finish(job, inventory, measured)
