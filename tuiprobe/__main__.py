"""Entry point: starts the screens without loading libraries, else the command line."""

from __future__ import annotations

import gc
import os
import signal
import sys
from typing import NoReturn

from tuiprobe.errors import INTERRUPTED


def main() -> None:
    """Runs `tuiprobe` and exits with its exit code."""
    if sys.platform == "win32":
        print("tuiprobe runs on Linux and macOS; on Windows use it inside WSL", file=sys.stderr)
        sys.exit(2)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, _stopped)
    # Read when torch and numpy are imported. Threads that spin while they wait keep processes that
    # decode images from their cores, and take half of the processor seconds of the probes.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "16")  # 2^16 ticks, instead of 2^26
    try:
        from tuiprobe.show.cli.output import printing

        code = printing(_run)
    except KeyboardInterrupt:  # SIGINT while libraries are imported
        # Sooner than Python, which may end itself by the signal in place of the exit code.
        _stopped(signal.SIGINT, None)
    gc.freeze()  # a second less of looking for garbage among what ends with the process
    sys.exit(code)


def _stopped(number: int, _frame: object) -> NoReturn:
    """Ends the program at once, as it would end without a handler, with the exit code of a stop."""
    try:
        os.write(2, f"stopped by {signal.Signals(number).name}\n".encode())
    finally:
        os._exit(INTERRUPTED)


def _run() -> int:
    if sys.argv[1:] == ["--version"]:
        from tuiprobe import __version__

        print(f"tuiprobe {__version__}")
        return 0
    completing = "_TUIPROBE_COMPLETE" in os.environ  # set by Typer's script, which passes no words
    if not completing and not sys.argv[1:]:  # no argument parser: paint sooner
        from tuiprobe.show.tui.start import start

        return start()
    # Objects of libraries are all that is there while they are imported: looking for garbage among
    # them takes a tenth of that time.
    gc.set_threshold(100_000, 20, 50)
    from tuiprobe.show.cli.app import run_cli

    return run_cli(sys.argv[1:])


if __name__ == "__main__":
    main()
