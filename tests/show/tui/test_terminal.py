"""A real terminal: choose, set up, watch, leave. Needs tmux."""

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("tmux") is None, reason="needs tmux: apt-get install tmux runs this test"
    ),
    pytest.mark.timeout(600),
]
SECONDS = 180.0  # for any one step, on a busy machine


class Terminal:
    """A tmux server of its own with one window; polls the screen and never sleeps blindly."""

    def __init__(self, socket: Path, folder: Path, command: str) -> None:
        self._socket = str(socket)
        environment = {"TERM": "xterm-256color", "HF_HUB_OFFLINE": "1", "LC_ALL": "C.UTF-8"}
        variables = [f"{name}={value}" for name, value in environment.items()]
        words = ["env", "-u", "COLUMNS", "-u", "LINES", *variables, "sh", "-c", command]
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
        """Returns the text of the screen."""
        return self._tmux("capture-pane", "-p")

    def until(self, condition: Callable[[str], object], what: str) -> str:
        """Waits until the screen meets a condition; fails with the screen."""
        deadline = time.monotonic() + SECONDS
        while not condition(drawn := self.screen()):
            assert time.monotonic() < deadline, f"waited for {what}; the screen shows:\n{drawn}"
            time.sleep(0.1)
        return drawn

    def close(self) -> None:
        """Ends the server."""
        subprocess.run(["tmux", "-S", self._socket, "kill-server"], capture_output=True)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    program = shlex.join([sys.executable, "-m", "tuiprobe"])
    terminal = Terminal(tmp_path / "socket", tmp_path, f"{program}; echo left with $?; exec cat")
    yield terminal
    terminal.close()


def test_the_terminal_is_restored_after_a_run_was_chosen_started_and_killed(terminal, tmp_path):
    terminal.until(lambda s: "set up run" in s, "the list of models")
    terminal.keys("/")
    terminal.until(lambda s: "set up run" not in s, "the cursor in the filter")
    terminal.type("mini_supervised")
    terminal.until(lambda s: "shown ·" in s and "mini_supervised" in s, "the filtered list")
    terminal.keys("Enter")
    terminal.until(lambda s: "set up run" in s, "the cursor in the list")
    terminal.keys("Enter")
    terminal.until(lambda s: "Run setup" in s and "--data miniature" in s, "the setup")
    terminal.keys("Enter")
    terminal.until(lambda s: "starting" in s or "img/s" in s, "the live screen")
    terminal.until(lambda s: list(tmp_path.glob("runs/*/lock")) and "img/s" in s, "the engine")
    lock = next(tmp_path.glob("runs/*/lock"))
    os.kill(int(lock.read_text().split()[1]), 9)
    terminal.until(lambda s: "SIGKILL" in s and "r resumes" in s, "what happened")
    terminal.keys("C-c")
    terminal.until(lambda s: "left with 0" in s, "the shell")
    terminal.type("typed after")  # the terminal is in order again: it echoes
    terminal.until(lambda s: "typed after" in s, "the echo")


@pytest.mark.parametrize(
    ("variable", "value", "told", "not_told"),
    [
        ("TERM", "dumb", "TERM is dumb", "is not one"),
        ("PYTHONIOENCODING", "latin-1", "LC_ALL=C.UTF-8", "\\u256d"),
    ],
)
def test_a_terminal_that_cannot_show_the_screens_is_told_why(variable, value, told, not_told):
    ours, theirs = os.openpty()
    words = [sys.executable, "-m", "tuiprobe"]
    ends = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    environment = {**os.environ, "TERM": "xterm", variable: value}
    ended = subprocess.run(words, env=environment, check=False, timeout=60, **ends)  # type: ignore[call-overload]
    assert ended.returncode == 2
    text = os.read(ours, 4096).decode()
    assert told in text
    assert not_told not in text
    os.close(ours)
    os.close(theirs)
