"""Standard output that cannot be written ends a command with one sentence and an exit code."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable

from tuiprobe.errors import TuiprobeError

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def printing(work: Callable[[], int]) -> int:
    """Runs a command that prints, and returns its exit code; 5 if output cannot be written.

    A closed pipe (`| head -1`) ends the command with exit code 1.
    """
    if sys.stderr is None:  # closed by the caller; what is opened next would take its place
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115
    if sys.stdout is None:
        return _refused("it is closed")
    try:
        code = work()
        print(end="", flush=True)  # here, not at the interpreter's end, where an error says nothing
        return code
    except BrokenPipeError:
        drop_output()
        return 1
    except OSError as error:
        # Without a buffer nothing is left to be written; files of the program's own have a name.
        if drop_output() or (error.filename is None and error.errno in NO_ROOM):
            return _refused(error.strerror)
        raise


def _refused(reason: str | None) -> int:
    print(f"error: cannot write output: {reason}", file=sys.stderr)
    return TuiprobeError.exit_code


def drop_output() -> bool:
    """Discards output that cannot be written, so that the interpreter does not try again.

    Returns:
        Whether there was any.
    """
    try:
        print(end="", flush=True)
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        return True
    return False
