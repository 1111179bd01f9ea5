"""Runs the engine in a forked process for each line of standard input, with a fault of the disk.

A line is a JSON object: arguments of the command line, and `at`, `kind`, `after`, `log` of
:class:`tests.faults.Faults`. The answer is a line: exit code (negative for a signal) and output.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

import torch

from tests.faults import Faults


def main() -> None:
    """Answers until standard input ends."""
    torch.set_num_threads(1)  # a pool of threads would not survive the fork
    # What takes time to import. Not the native core, which refuses to be forked.
    import open_clip  # noqa: F401
    import scipy.stats  # noqa: F401
    import timm  # noqa: F401

    import tuiprobe.cli.headless
    import tuiprobe.report  # noqa: F401
    from tuiprobe.cli.app import run_cli

    for line in sys.stdin:
        asked = json.loads(line)
        with tempfile.TemporaryFile() as output:
            child = os.fork()
            if child == 0:
                for stream in (1, 2):
                    os.dup2(output.fileno(), stream)
                log = Path(asked["log"]) if asked["log"] else None
                Faults(asked["at"], asked["kind"], after=asked["after"], log=log).install()
                code = run_cli(asked["arguments"])
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            output.seek(0)
            said = output.read().decode("utf-8", "replace")
        print(json.dumps({"code": code, "said": said}), flush=True)


if __name__ == "__main__":
    main()
