"""Entry point: starts the screens without loading libraries, else the command line."""

from __future__ import annotations

import gc
import os
import sys


def main() -> None:
    """Runs `tuiprobe` and exits with its exit code."""
    if sys.platform == "win32":
        print("tuiprobe runs on Linux and macOS; on Windows use it inside WSL", file=sys.stderr)
        sys.exit(2)
    # Read when torch is imported. Threads of OpenMP that spin while they wait keep processes that
    # decode images from their cores: the default run then takes half as long again.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from tuiprobe.cli.output import printing

    sys.exit(printing(_run))


def _run() -> int:
    if sys.argv[1:] == ["--version"]:
        from tuiprobe import __version__

        print(f"tuiprobe {__version__}")
        return 0
    completing = "_TUIPROBE_COMPLETE" in os.environ  # set by Typer's script, which passes no words
    if not completing and not sys.argv[1:]:  # no argument parser: paint sooner
        from tuiprobe.tui.start import start

        return start()
    # Objects of libraries are all that is there while they are imported: looking for garbage among
    # them takes a tenth of that time.
    gc.set_threshold(100_000, 20, 50)
    from tuiprobe.cli.app import run_cli

    return run_cli(sys.argv[1:])


if __name__ == "__main__":
    main()
