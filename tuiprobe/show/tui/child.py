"""Other processes of tuiprobe: the engine, which outlives the screens, and short queries.

Each has its own process group and no standard input, so that neither Ctrl-C at the terminal
nor its closing reaches it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tuiprobe.errors import RunError, UsageError, errors_in
from tuiprobe.measure.run.directory import LOG_MARK, RunDir
from tuiprobe.measure.run.locks import BusyError, holding, note_holder
from tuiprobe.options import words_of
from tuiprobe.plugins import DATASETS, MODELS, foreign_names, is_foreign
from tuiprobe.show.tui.livewatch import runs_of


def command(arguments: Sequence[str], module: str = "tuiprobe") -> list[str]:
    """Returns the command line of a process of tuiprobe or of one of its modules.

    `-P` keeps the working directory off the import path.
    """
    return [sys.executable, "-P", "-m", module, *arguments]


def resuming_arguments(path: Path) -> list[str]:
    """Returns the arguments that resume the run of a directory, or all runs of a group, in place.

    Args:
        path: The run directory, or that of a group; not trusted.

    Raises:
        UsageError: If a spec names code to run, or options that this version does not know, or if
            the runs of a group differ in more than their models.
        DamagedFileError: If a run has no readable spec.
    """
    from tuiprobe.request import headless_arguments, shown_command  # a start can wait for both
    from tuiprobe.spec import kind_of, run_option

    specs = [RunDir(run).spec_json() for run in runs_of(path)]
    words, *_ = [headless_arguments(spec) for spec in specs]  # refuses what is no spec
    spec, models = specs[0], [spec["model"] for spec in specs]
    if len(specs) > 1:
        if any({**other, "model": models[0]} != spec for other in specs):
            raise UsageError(f"its runs differ in more than their models: resume each in {path}")
        words += words_of([run_option("model")], {"model": models[1:]})
    words += ["--output", str(path)]
    images = (spec["data"], spec.get("concepts"), *(spec.get("target") or ()))
    sources = [(DATASETS, name) for name in images]
    if kind_of(spec["data"]) == "images":  # else the model is named by a file
        sources[:0] = [(MODELS, model) for model in models]
    for group, name in sources:
        if name and is_foreign(name, foreign_names(group)):
            raise UsageError(
                f"{name} runs code, which no file may start: if it is yours, type "
                f"{shown_command(words)}"
            )
    return words


class Engine:
    """A run that goes on in a process of its own and writes to `log.txt` of its directory.

    Args:
        arguments: Arguments of `tuiprobe`, without the program's name.
        run: The run directory; the engine's output is appended to its log.

    Attributes:
        killed: Whether `kill` was called.

    Raises:
        OSError: If the log cannot be opened or the process not started.
        RunError: If the log is not a regular file, or an engine works on the directory.
    """

    def __init__(self, arguments: Sequence[str], run: Path) -> None:
        from tuiprobe.request import shown_command

        self.arguments, self.run, self.killed = tuple(arguments), run, False
        with _locked_for(run) as lock:
            descriptor = RunDir(run).log_file.descriptor(os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            try:
                words = shown_command(arguments).removeprefix("tuiprobe ")
                os.write(descriptor, f"{LOG_MARK}{words}\n".encode("utf-8", "replace"))
                self._process = subprocess.Popen(  # noqa: S603  (our own program, no shell)
                    command(arguments),
                    stdin=subprocess.DEVNULL,
                    stdout=descriptor,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=(lock,),
                )
            finally:
                os.close(descriptor)
            note_holder(lock, self.pid)

    @property
    def open_command(self) -> str:
        """The command that shows the run again."""
        from tuiprobe.request import shown_command

        return shown_command(["open", str(self.run)])

    @property
    def pid(self) -> int:
        """Number of the process, which is that of its group too."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """Returns the exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    def cancel(self) -> None:
        """Asks the engine to stop; it keeps and reports what it has measured."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kills the process at once; published shards are kept."""
        self.killed = True
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self.exit_code() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)


@contextlib.contextmanager
def _locked_for(run: Path) -> Iterator[int]:
    """Takes the lock that the engine inherits and holds until it ends, however it ends."""
    try:
        with holding(RunDir(run).engine_file) as lock:
            yield lock
    except BusyError as error:
        raise RunError(f"an engine works on {run}: wait for it, or cancel it") from error


@dataclass(frozen=True)
class ProcessOutput:
    """The output of a short process.

    Attributes:
        code: Exit code; negative for a signal.
        out: Standard output.
        err: Standard error.
    """

    code: int
    out: str
    err: str

    @property
    def reason(self) -> str:
        """The error that the process ended with, or else its last line of standard error."""
        lines = [line.strip() for line in self.err.splitlines() if line.strip()]
        if not lines:
            return f"the process ended with code {self.code}"
        return (errors_in(lines) or lines)[-1]


async def ask(arguments: Sequence[str], module: str = "tuiprobe") -> ProcessOutput:
    """Runs a short command of `module` and returns its output; ends it when cancelled."""
    pipe = subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command(arguments, module), stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe,
        start_new_session=True,
    )  # fmt: skip
    try:
        out, err = await process.communicate()
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()  # the child must not outlive the screens
        raise
    code = process.returncode or 0
    return ProcessOutput(code, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))
