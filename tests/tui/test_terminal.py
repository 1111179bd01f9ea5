"""The whole way in a real terminal: choose, set up, watch, read, export, leave. Needs tmux."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tuiprobe.spec import run_option

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("tmux") is None, reason="needs tmux: apt-get install tmux runs this test"
    ),
    pytest.mark.timeout(1200),
]
SECONDS = 180.0  # for any one step, on a busy machine


class Terminal:
    """A tmux server of its own with one window; polls the screen and never sleeps blindly."""

    def __init__(self, socket: Path, folder: Path, command: str) -> None:
        self._socket = str(socket)
        environment = {"TERM": "xterm-256color", "HF_HUB_OFFLINE": "1", "LC_ALL": "C.UTF-8"}
        words = [
            "env",
            "-u",
            "COLUMNS",
            "-u",
            "LINES",
            *(f"{k}={v}" for k, v in environment.items()),
            "sh",
            "-c",
            command,
        ]
        self._tmux(
            "-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", "-c", str(folder),
            shlex.join(words),
        )  # fmt: skip

    def _tmux(self, *words: str) -> str:
        done = subprocess.run(
            ["tmux", "-S", self._socket, *words], capture_output=True, text=True, check=True
        )
        return done.stdout

    def keys(self, *names: str) -> None:
        """Presses keys by tmux's names."""
        self._tmux("send-keys", *names)

    def type(self, text: str) -> None:
        """Types text."""
        self._tmux("send-keys", "-l", text)

    def screen(self) -> str:
        """Returns what is on the screen."""
        return self._tmux("capture-pane", "-p")

    def until(self, condition: Callable[[str], object], what: str) -> str:
        """Waits until the screen meets a condition; fails with the screen."""
        deadline = time.monotonic() + SECONDS
        while not condition(shown := self.screen()):
            assert time.monotonic() < deadline, f"waited for {what}; the screen shows:\n{shown}"
            time.sleep(0.1)
        return shown

    def walk(self, *fields: str) -> None:
        """Walks down a form, a key a field; the form shows the help of the field that has the keys.

        The place of tmux's cursor says nothing: while the screen is painted, it is anywhere.
        """
        for number, field in enumerate(fields):
            if number:
                self.keys("Down")
            said = run_option(field).option.help.replace("`", "")[:17]
            self.until(lambda s, said=said: said in s, f"the help of {field}")  # type: ignore[misc]

    def close(self) -> None:
        """Ends the server."""
        subprocess.run(["tmux", "-S", self._socket, "kill-server"], capture_output=True)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    program = shlex.join([sys.executable, "-m", "tuiprobe"])
    terminal = Terminal(tmp_path / "socket", tmp_path, f"{program}; echo left with $?; exec cat")
    yield terminal
    terminal.close()


def start_a_run(terminal: Terminal, model: str) -> None:
    """Chooses a model, sets up 64 images a set, starts, and waits for the live screen."""
    terminal.until(lambda s: "set up run" in s, "the list of models")
    terminal.keys("/")
    terminal.until(lambda s: "set up run" not in s, "the cursor in the filter")
    terminal.type(model)
    terminal.until(lambda s: "shown ·" in s and model in s, "the filtered list")
    terminal.keys("Enter")
    terminal.until(lambda s: "set up run" in s, "the cursor in the list")
    terminal.keys("Enter")
    terminal.until(lambda s: "Run setup" in s and "--data miniature" in s, "the setup")
    terminal.walk("data", "target", "concepts", "sample")
    terminal.type("64")
    terminal.until(lambda s: "--sample 64" in s, "the sample in the command line")
    terminal.keys("Enter")
    terminal.until(lambda s: "starting" in s or "measuring" in s or "done" in s, "the live screen")


@pytest.mark.nightly
def test_from_start_to_an_exported_report(terminal: Terminal, tmp_path: Path) -> None:
    start_a_run(terminal, "mini_supervised")
    terminal.until(lambda s: "sets so far" in s and "val" in s and "now" in s, "figures")
    engine = int(next(tmp_path.glob("runs/*/lock")).read_text().split()[1])
    os.kill(engine, 9)
    terminal.until(lambda s: "stopped at" in s and "r resumes" in s, "what happened")
    terminal.keys("Escape")
    terminal.until(lambda s: "set up run" in s, "the list of models")
    terminal.keys("R")
    terminal.until(lambda s: "unfinished" in s and "mini_supervised" in s, "the run in the list")
    terminal.keys("r")
    terminal.until(lambda s: "Enter shows the results" in s, "the end of the resumed run")
    terminal.keys("Escape")
    terminal.until(lambda s: "compare what was measured" in s and "✓ done" in s, "the runs")

    terminal.keys("M")
    start_a_run(terminal, "mini_clip_soft")
    terminal.until(lambda s: "Enter shows the results" in s, "the end of the run")
    terminal.keys("Enter")
    terminal.until(lambda s: "[1 overview]" in s and "How sure" in s, "the overview")
    terminal.keys("2")
    terminal.until(lambda s: "[2 channels]" in s and "height" in s, "the channels")
    terminal.keys("Enter")
    terminal.until(lambda s: "images at both ends" in s and "▀" in s, "a channel's images")
    terminal.keys("a")
    terminal.until(lambda s: "val" in s and "±" in s and "change" in s, "accuracy without it")
    terminal.keys("Escape")
    terminal.until(lambda s: "[2 channels]" in s, "the channels again")
    terminal.keys("e")
    terminal.until(lambda s: "export ·" in s and "Write" in s, "the export dialog")
    run = next(one for one in (tmp_path / "runs").iterdir() if "mini_clip_soft" in one.name)
    terminal.keys("Space")  # leaves out the page, so that only Markdown is written
    (run / "report.md").unlink()
    terminal.keys("Enter")
    terminal.until(lambda s: "written" in s, "the report")
    assert (run / "report.md").is_file()
    assert (run / "results.json").is_file()

    terminal.keys("Escape")
    terminal.until(lambda s: "export ·" not in s, "the results")
    terminal.keys("R")
    terminal.until(lambda s: "compare what was measured" in s and "2 of 2" in s, "both runs")
    terminal.keys("Space", "Space")
    terminal.until(lambda s: "2 marked" in s, "two marked runs")
    terminal.keys("c")
    shown = terminal.until(lambda s: "headline figures" in s and "┼" in s, "the comparison")
    assert "top-1 on val" in shown

    terminal.keys("C-c")
    terminal.until(lambda s: "left with 0" in s, "the shell")
    terminal.type("typed after")  # the terminal is in order again: it echoes
    terminal.until(lambda s: "typed after" in s, "the echo")


def test_the_terminal_is_restored_when_the_engine_was_killed(
    terminal: Terminal, tmp_path: Path
) -> None:
    terminal.until(lambda s: "mini_clip" in s and "set up run" in s, "the list of models")
    terminal.keys("Enter")
    terminal.until(lambda s: "Run setup" in s and "--data miniature" in s, "the setup")
    terminal.keys("Enter")
    terminal.until(lambda s: "starting" in s or "measuring" in s, "the live screen")
    terminal.until(lambda s: list(tmp_path.glob("runs/*/lock")) and "measuring" in s, "the engine")
    lock = next(tmp_path.glob("runs/*/lock"))
    os.kill(int(lock.read_text().split()[1]), 9)
    terminal.until(lambda s: "SIGKILL" in s, "what happened")
    terminal.keys("q")
    terminal.until(lambda s: "left with 0" in s, "the shell")
