"""Turns every failure of a run into one sentence with a cause and a next step."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from tuiprobe.errors import RunError, TuiprobeError
from tuiprobe.measure.stopping import KEPT


@contextmanager
def explaining_failures() -> Iterator[None]:
    """Turns every error of the block into a `tuiprobe.errors.TuiprobeError`.

    Libraries and a user's own model may raise anything, including `SystemExit`. Stop requests pass
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
            f"the run failed with {describe(error)}; {KEPT}; --debug shows the traceback"
        ) from error


def worker_died(exit_code: int | None) -> RunError:
    """Returns the error for a worker process that died; a negative code is that of a signal."""
    if exit_code is not None and exit_code < 0:
        how = f"by {signal.Signals(-exit_code).name}"
    else:
        how = f"with exit code {exit_code}"
    return RunError(
        f"a process that decodes images died {how}; most often the memory is full, or the shared "
        "memory in /dev/shm: try fewer --workers, or --workers 0; the same command resumes"
    )


def describe(error: BaseException) -> str:
    r"""Returns an error's type and the first line of its message, or our own errors' message.

    >>> describe(ValueError("no such axis\nmore")), describe(SystemExit())
    ('ValueError: no such axis', 'SystemExit')
    """
    if isinstance(error, TuiprobeError):
        return str(error)
    name = type(error).__name__
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{name}: {first}" if first else name
