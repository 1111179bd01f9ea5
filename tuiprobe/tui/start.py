"""Opens the screens, or says why there are none."""

from __future__ import annotations

import os
import sys
from pathlib import Path

NO_TERMINAL = (
    "the screens need a terminal, and standard input, output or error is not one: run "
    "it in a terminal, or use tuiprobe --headless (tuiprobe --help lists all commands)"
)


def start(open_run: Path | None = None, ascii: bool = False) -> int:
    """Runs the screens until the user leaves.

    Args:
        open_run: A run to open at once.
        ascii: Draw with ASCII characters only.

    Returns:
        The exit code: 2 without a terminal.
    """
    # Textual writes to standard error.
    terminal = all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))
    if not terminal or os.environ.get("TERM") == "dumb":
        print(f"error: {NO_TERMINAL}", file=sys.stderr)
        return 2
    from tuiprobe.tui.app import TuiprobeApp

    app = TuiprobeApp(open_run=open_run, ascii=ascii)
    app.run()
    if app.farewell:
        print(app.farewell, file=sys.stderr)
    return app.return_code or 0
