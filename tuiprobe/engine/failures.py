"""Turns every failure of a run into one sentence with a cause and a next step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tuiprobe.engine.stopping import KEPT
from tuiprobe.errors import RunError, TuiprobeError
from tuiprobe.plugins import in_code


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
            f"the run failed with {in_code(error)}; {KEPT}; --debug shows the traceback"
        ) from error
