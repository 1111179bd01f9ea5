"""A process beside the screens that computes: what it loads and holds ends with it."""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import subprocess
import sys
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from tuiprobe.errors import RunError, TuiprobeError

if TYPE_CHECKING:
    from tuiprobe.measure.run.directory import RunDir
    from tuiprobe.measure.run.results import Summary
    from tuiprobe.measure.run.view import RunView
    from tuiprobe.results import Report

T = TypeVar("T")

IDLE_SECONDS = 600
"""Seconds without a call after which a worker ends."""


class Worker:
    """A process that calls functions one after the other: what they load and hold is its memory.

    It starts with the first call, and ends with this program or when it was idle for long. Only one
    that may end as idle is asked twice: a change that was made is not made again.

    Args:
        idle: After how many seconds without a call it ends; None for a process with a state.
    """

    def __init__(self, idle: int | None = IDLE_SECONDS) -> None:
        self._idle = idle
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def call(self, function: Callable[..., T], *arguments: object) -> T:
        """Returns what a function of a module returns; blocks, so call it from a thread.

        Raises:
            TuiprobeError: What the function raises, with its text.
            RunError: If the process was killed.
        """
        request = pickle.dumps((function, arguments))
        with self._lock:
            for _ in range(1 if self._idle is None else 2):  # it may end as idle just now
                if self._process is None or self._process.poll() is not None:
                    self.end()
                    words = f"from tuiprobe.show.tui.worker import serve; serve({self._idle})"
                    self._process = subprocess.Popen(  # noqa: S603  (our own program, no shell)
                        [sys.executable, "-P", "-c", words], stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
                    )  # fmt: skip
                assert self._process.stdin is not None
                assert self._process.stdout is not None
                with contextlib.suppress(BrokenPipeError, EOFError):
                    self._process.stdin.write(request)
                    self._process.stdin.flush()
                    error, bug, result = pickle.load(self._process.stdout)  # noqa: S301  (its own)
                    break
                self._process.wait()
            else:
                raise RunError("the process that reads runs was killed: memory may have run out")
        if error:
            raise TuiprobeError(error)
        if bug:
            raise RuntimeError(bug)
        value: T = result
        return value

    def end(self) -> None:
        """Ends the process, and waits for that."""
        if self._process is not None:
            with contextlib.suppress(BrokenPipeError), self._process:
                self._process = None


def serve(idle: int | None) -> None:
    """Calls what arrives at standard input; see `Worker`."""
    requests = open(0, "rb", buffering=0)  # noqa: SIM115
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no result
    while select.select([requests], [], [], idle)[0]:
        try:
            function, arguments = pickle.load(requests)  # noqa: S301  (our own program's)
        except EOFError:
            return
        try:
            answer = pickle.dumps(("", "", function(*arguments)))
        except TuiprobeError as error:
            answer = pickle.dumps((str(error), "", None))
        except Exception:
            answer = pickle.dumps(("", traceback.format_exc(), None))
        results.write(answer)
        results.flush()


READER = Worker()
"""Reads runs with labels, and compares runs: both take scipy and much memory."""


_NEEDING = ("*/key", "*/*/key", "labels-*.csv", "*/labels-*.csv")


def start_early(root: Path) -> None:
    """Starts the reader where it will be asked for: beside labels, or two runs to compare.

    Args:
        root: Where run directories are kept.
    """
    with contextlib.suppress(OSError, TuiprobeError):
        if len([*islice(chain(*map(root.glob, _NEEDING)), 2)]) == 2:
            READER.call(_load)


def _load() -> None:
    import tuiprobe.probes.intervals  # and with it scipy
    import tuiprobe.show.tui.compared  # noqa: F401


def with_labels(views: Iterable[RunView]) -> Iterator[RunView]:
    """Yields runs, each with title and accuracies by its labels."""
    from tuiprobe.choose.labelling.reading import views_with_labels

    return views_with_labels(views, _labelled_summary)


def _labelled_summary(path: Path) -> Summary | None:
    from tuiprobe.choose.labelling.reading import labelled_summary

    return READER.call(labelled_summary, path)


def read_report(run: RunDir, results: Collection[str] | None = None) -> Report:
    """Reads a report as `report.read_report` does; one with labels in another process."""
    from tuiprobe.choose.labelling.report_part import labels_state
    from tuiprobe.show.report import read_report

    return (
        READER.call(read_report, run, results) if labels_state(run) else read_report(run, results)
    )
