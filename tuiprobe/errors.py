"""Errors a user can cause or must act on, each with the exit code it ends the program with.

Exit codes are part of the interface: 0 done, 1 a gate tripped, 2 usage, 3 weights not available,
4 data unusable, 5 the run failed, 130 interrupted.
"""

from collections.abc import Iterable

INTERRUPTED = 130
"""Exit code of a program that was asked to stop."""

_MARK = "error: "


class TuiprobeError(Exception):
    """Base of all errors shown to a user as one message, without a traceback."""

    exit_code = 5


class UsageError(TuiprobeError):
    """The command line or a file it names cannot be understood."""

    exit_code = 2


class WeightsError(TuiprobeError):
    """Weights are missing, damaged, of another architecture, or not to be trusted."""

    exit_code = 3


class DataError(TuiprobeError):
    """The data set is missing, empty, or too damaged to use."""

    exit_code = 4


class UnreadableImageError(DataError):
    """One image cannot be decoded; the engine skips, counts and lists it."""


class RunError(TuiprobeError):
    """The run itself failed: disk full, directory not writable, out of memory."""

    exit_code = 5


def error_line(message: str) -> str:
    """Returns the line that a command ends with on standard error."""
    return _MARK + message


def errors_in(lines: Iterable[str]) -> list[str]:
    """Returns the messages of those lines that `error_line` has made."""
    return [line.strip().removeprefix(_MARK) for line in lines if line.startswith(_MARK)]
