"""Runs of the program that are processes of their own, forked from one that has its imports done.

Starting Python and importing the libraries takes seconds, most of what a small run takes. A forked
run has an exit code, standard streams, an environment and a working directory of its own, and
receives signals like any process. Tests of the start itself, and of variables that libraries read
when they are imported (`OMP_NUM_THREADS`), use `subprocess`.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

Before = Sequence[tuple[str, Sequence[object]]]
"""What a run calls before it starts: functions as `module:name`, with their arguments."""


class Forked:
    """A forked run; what of `subprocess.Popen` tests need.

    Attributes:
        pid: Its process, and its process group if it has a session of its own.
        returncode: Its exit code once it has ended, negative for a signal.
    """

    def __init__(self, prepared: Prepared, pid: int, out: Path, err: Path) -> None:
        self._prepared, self._out, self._err = prepared, out, err
        self.pid = pid
        self.returncode: int | None = None

    @property
    def stdout(self) -> str:
        """What it has printed so far."""
        return self._out.read_text("utf-8", "replace")

    @property
    def stderr(self) -> str:
        """What it has narrated so far."""
        return self._err.read_text("utf-8", "replace")

    def poll(self) -> int | None:
        """Returns the exit code, None while it runs."""
        if self.returncode is None:
            self.returncode = self._prepared.ask({"ended": self.pid})
        return self.returncode

    def wait(self, seconds: float = 240) -> int:
        """Waits for the end and returns the exit code.

        Raises:
            TimeoutExpired: If it runs on.
        """
        deadline = time.monotonic() + seconds
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(["tuiprobe"], seconds, self.stdout, self.stderr)
            time.sleep(0.005)
        return code

    def send_signal(self, number: int) -> None:
        """Sends a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Ends it at once."""
        self.send_signal(signal.SIGKILL)


class Prepared:
    """A process that waits to be forked; a context manager."""

    def __enter__(self) -> Prepared:
        # No thread may run in it: threads do not survive a fork.
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.prepared"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        self._folder = tempfile.TemporaryDirectory()
        self._count = 0
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stdin.close()
        self._server.wait(60)
        self._server.stdout.close()
        self._folder.cleanup()

    def ask(self, question: Mapping[str, Any]) -> Any:
        """Returns the answer of the process; see `main`."""
        self._server.stdin.write(json.dumps(question) + "\n")
        self._server.stdin.flush()
        return json.loads(self._server.stdout.readline())

    def start(
        self,
        *arguments: str | Path,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        session: bool = False,
        before: Before = (),
    ) -> Forked:
        """Starts the program with these arguments.

        Args:
            arguments: Of the command line.
            cwd: Its working directory.
            env: Variables that differ from those of this process.
            session: Whether it leads a session of its own, as a shell's job does.
            before: What it calls first.
        """
        self._count += 1
        out, err = (Path(self._folder.name) / f"{self._count}-{name}" for name in ("out", "err"))
        for path in (out, err):
            path.touch()
        question = {
            "arguments": [str(argument) for argument in arguments],
            "cwd": str(cwd),
            "env": {**os.environ, **(env or {})},
            "session": session,
            "before": [[name, list(given)] for name, given in before],
            "out": str(out),
            "err": str(err),
        }
        return Forked(self, self.ask(question), out, err)

    def run(self, *arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
        """Runs the program to its end; for the options see `start`."""
        run = self.start(*arguments, **options)
        code = run.wait()
        return subprocess.CompletedProcess([*arguments], code, run.stdout, run.stderr)


FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    ["PIL.Image", "scipy.special", "tuiprobe.miniature", "tuiprobe.choose.labelling.reading",
     "tuiprobe.show.tui.compared", "tuiprobe.show.tui.label_session"]
)  # fmt: skip


class ForkedWorker:
    """The process of a `Worker` of the screens as `Popen` starts it, in a twentieth of the time.

    Args:
        words: Its command line; the last word is the code that it runs.
        streams: What `Popen` takes.
    """

    def __init__(self, words: Sequence[str], **streams: object) -> None:
        requests, to = FORKS.Pipe(duplex=False)
        answers, results = FORKS.Pipe(duplex=False)
        self._process = FORKS.Process(target=_serve, args=(requests, results, words[-1]))
        self._process.start()
        self.stdin, self.stdout = (
            os.fdopen(os.dup(to.fileno()), "wb"),
            os.fdopen(os.dup(answers.fileno()), "rb"),
        )
        for end in (requests, to, answers, results):
            end.close()

    def poll(self) -> int | None:
        """Returns the exit code, None while it runs."""
        return self._process.exitcode

    def wait(self) -> None:
        """Waits for its end."""
        self._process.join()

    def __enter__(self) -> ForkedWorker:
        return self

    def __exit__(self, *_: object) -> None:
        self.stdin.close()
        self.stdout.close()
        self.wait()


def _serve(requests: Connection, results: Connection, code: str) -> None:
    for stream, end in enumerate((requests, results)):
        os.dup2(end.fileno(), stream)
        end.close()
    exec(code)


PREPARED = (
    "jinja2.ext", "safetensors.numpy", "safetensors.torch", "scipy.optimize", "scipy.sparse",
    "threadpoolctl", "tuiprobe.show.cli.app", "tuiprobe.show.cli.headless",
    "tuiprobe.choose.comparing.decision_section", "tuiprobe.datasets.decode",
    "tuiprobe.datasets.imagefolder", "tuiprobe.measure.engine.head_choice",
    "tuiprobe.probes.evidence.labels", "tuiprobe.probes.evidence.slips",
    "tuiprobe.probes.evidence.values", "tuiprobe.models.checks.data_checks",
    "tuiprobe.models.checks.known_answer", "tuiprobe.models.checks.text_checks",
    "tuiprobe.models.checks.trial", "tuiprobe.models.load",
    "tuiprobe.models.loaders.from_python", "tuiprobe.show.report.html",
)  # fmt: skip
"""What a run imports, but for the native core, which refuses to be forked, and what needs it."""


def main() -> None:
    """Answers questions until standard input ends: the exit code of a process, or a new one."""
    import PIL.Image
    import torch

    from tuiprobe.probes import BUILT_IN

    for name in PREPARED:
        importlib.import_module(name)
    for name, probe in BUILT_IN.items():
        if name != "concepts":
            importlib.import_module(probe.import_path.partition(":")[0])
    assert "tuiprobe._native" not in sys.modules
    PIL.Image.init()
    torch.set_num_threads(1)
    os.sched_getaffinity = lambda pid: {0}  # see `one_core` of tests/conftest.py
    gc.freeze()  # a collection in a child would copy every page
    running: set[int] = set()
    for line in sys.stdin:
        question = json.loads(line)
        if pid := question.get("ended"):
            result, status = os.waitpid(pid, os.WNOHANG)
            if result:
                running.remove(pid)
            answer = os.waitstatus_to_exitcode(status) if result else None
        else:
            answer = os.fork()
            if not answer:
                _be_the_program(question)
            running.add(answer)
        print(json.dumps(answer), flush=True)
    for pid in running:
        os.kill(pid, signal.SIGKILL)


def _be_the_program(question: dict[str, Any]) -> NoReturn:
    """Runs the program in this process and ends it."""
    if question["session"]:
        os.setsid()
    for stream, path in ((0, os.devnull), (1, question["out"]), (2, question["err"])):
        opened = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.dup2(opened, stream)
        os.close(opened)
    os.chdir(question["cwd"])
    os.environ.clear()
    os.environ.update(question["env"])
    sys.argv = ["tuiprobe", *question["arguments"]]
    for name, arguments in question["before"]:
        module, _, function = name.partition(":")
        getattr(importlib.import_module(module), function)(*arguments)
    from tuiprobe.show.cli.app import run_cli

    code = run_cli(question["arguments"])
    # What the interpreter does at its end, but for taking down a thousand modules.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
