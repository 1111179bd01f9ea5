"""Standard output that cannot be written ends a command with one sentence and an exit code."""

from __future__ import annotations

import codecs
import errno
import io
import os
import shutil
import sys
from collections.abc import Callable
from stat import S_ISREG
from typing import TYPE_CHECKING, Final, TextIO

from tuiprobe.errors import TuiprobeError, error_line

if TYPE_CHECKING:
    from tuiprobe.show.report.terminal import Terminal

_LEAST: Final = 60
"""Columns that a table has at least; a narrower terminal wraps its lines."""
NO_FILE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENAMETOOLONG)
_NO_READER = (errno.EPIPE, errno.EIO)
"""Errors of a pipe whose reader has ended, and of a terminal that is closed."""

_PLAINER = {"\u2212": "-", "\u2013": "-", "±": "+-", "\u00d7": "x", "…": "...", "·": "-"}
"""What replaces characters of our sentences where the encoding lacks them."""


def printing(work: Callable[[], int]) -> int:
    """Runs a command that prints, and returns its exit code; 5 if output cannot be written.

    A reader that ends (`| head -1`, `2>&1 | head -1`, a closed terminal) changes nothing else: the
    command continues, and its exit code is that of its work. Messages that cannot be written are
    dropped. Characters that the encoding lacks are replaced or escaped.
    """
    if sys.stderr is None:  # closed by the caller; what is opened next would take its place
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115
    if sys.stdout is None:
        return _refused("it is closed")
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _tolerant(sys.stdout, False), _tolerant(sys.stderr, True)
    try:
        code = work()
        print(end="", flush=True)  # here, not at the interpreter's end, where an error says nothing
        return code
    except OSError as error:
        # Without a buffer nothing is left to be written; files that the program opened have a name.
        if drop_output() or (error.filename is None and error.errno in NO_FILE):
            return _refused(error.strerror)
        raise
    finally:
        sys.stdout, sys.stderr = before


def print_file(content: str) -> None:
    """Prints the content of a file: UTF-8, as the file would be, whatever the encoding of text."""
    sys.stdout.flush()
    sys.stdout.buffer.write(content.encode("utf-8", "replace"))


class _Tolerant(io.FileIO):
    """A stream whose reader may end; what is written from then on is discarded.

    Args:
        descriptor: The stream; it stays open.
        messages: Whether it carries messages, which are discarded for any error.
    """

    def __init__(self, descriptor: int, messages: bool) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._messages = messages

    def write(self, data: bytes) -> int | None:  # type: ignore[override]
        """Writes bytes, as `io.RawIOBase` does."""
        try:
            return super().write(data)
        except OSError as error:
            ended = error.errno in _NO_READER and not S_ISREG(os.fstat(self.fileno()).st_mode)
            if not (self._messages or ended):
                raise
            _discard(self.fileno())
            return len(data)


def _tolerant(stream: TextIO, messages: bool) -> TextIO:
    """Returns a stream whose reader may end; one that is no file as it is."""
    try:
        raw = _Tolerant(stream.fileno(), messages)
    except (OSError, ValueError):  # a test's, or a notebook's
        return stream
    stream.flush()
    unbuffered = isinstance(stream.buffer, io.RawIOBase)
    return io.TextIOWrapper(
        raw if unbuffered else io.BufferedWriter(raw),  # type: ignore[type-var]
        encoding=stream.encoding,
        errors=_plainer.__name__,
        line_buffering=bool(stream.line_buffering),
        write_through=unbuffered,
    )


def _plainer(error: UnicodeError) -> tuple[str | bytes, int]:
    """Replaces the first character that cannot be encoded, or escapes it."""
    assert isinstance(error, UnicodeEncodeError)
    error.end = error.start + 1
    character = error.object[error.start]
    return (_PLAINER.get(character) or codecs.backslashreplace_errors(error)[0]), error.end


def terminal() -> Terminal:
    """Returns the width of standard output, and whether it has colours; 100 columns of a pipe."""
    from tuiprobe.show.report.terminal import WIDTH, Terminal

    columns = terminal_width()
    return Terminal(max(columns, _LEAST) if columns else WIDTH, has_colours(sys.stdout))


def has_colours(stream: TextIO) -> bool:
    """Tells whether a stream is a terminal with colours that are not unwanted (`NO_COLOR`)."""
    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return wanted and stream.isatty()


def terminal_width() -> int:
    """Returns the columns of the terminal that is printed to, or of `COLUMNS`; 0 of neither."""
    if sys.stdout.isatty() or "COLUMNS" in os.environ:
        return shutil.get_terminal_size().columns
    return 0


codecs.register_error(_plainer.__name__, _plainer)


def _discard(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _refused(reason: str | None) -> int:
    print(error_line(f"cannot write output: {reason}"), file=sys.stderr)
    return TuiprobeError.exit_code


def drop_output() -> bool:
    """Discards output that cannot be written, so that the interpreter does not try again.

    Returns:
        Whether there was any.
    """
    try:
        print(end="", flush=True)
    except OSError:
        _discard(sys.stdout.fileno())
        return True
    return False
