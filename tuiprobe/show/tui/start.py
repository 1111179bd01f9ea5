"""Opens the screens, or says why there are none."""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tuiprobe.errors import error_line
from tuiprobe.show.tui.worker import start_early

if TYPE_CHECKING:
    from textual.screen import Screen

NO_UTF8 = (
    "the screens draw with characters that {} has not: set LC_ALL=C.UTF-8, and your terminal to "
    "UTF-8, or use tuiprobe --headless"
)
NO_TERMINAL = (
    "the screens need a terminal, and {}: run it in a terminal, or use tuiprobe --headless "
    "(tuiprobe --help lists all commands)"
)


_AFTER_PAINT = 1.0
"""Seconds after which the first screen is there and the process beside the screens is started."""

_MMAP_THRESHOLD = -3
"""Its number in malloc.h of glibc."""


def obstacle() -> str:
    """Returns why the screens cannot be shown, or nothing; Textual writes to standard error."""
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        return "standard input, output or error is not one"
    return "TERM is dumb" if os.environ.get("TERM") == "dumb" else ""


def start(
    open_run: Path | None = None,
    first: Callable[[], Screen[None]] | None = None,
) -> int:
    """Runs the screens until the user leaves.

    Args:
        open_run: A run to open at once.
        first: Makes the screen to begin with, in place of that of a run.

    Returns:
        The exit code: 2 without a terminal, or without one that can show them.
    """
    if reason := obstacle():
        print(error_line(NO_TERMINAL.format(reason)), file=sys.stderr)
        return 2
    encoding = sys.stderr.encoding or "ascii"
    try:
        "╭".encode(encoding)
    except UnicodeEncodeError:
        print(error_line(NO_UTF8.format(encoding)), file=sys.stderr)
        return 2
    import ctypes

    gc.disable()  # until the first screen is drawn: nothing that a start loads is garbage
    from tuiprobe.show.tui.app import TuiprobeApp

    # The C library keeps large blocks, such as files of reports, after a few. Unless it returns
    # them to the system, opening ten runs takes 25 MB more.
    with suppress(OSError, AttributeError):  # only glibc has it
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, 128 * 1024)
    app = TuiprobeApp(open_run=open_run, first=first)
    early = threading.Timer(_AFTER_PAINT, start_early, (app.runs,))
    early.daemon = True
    early.start()
    app.run()
    if app.exit_message:
        print(app.exit_message, file=sys.stderr)
    return app.return_code or 0
