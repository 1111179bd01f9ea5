"""Processes that outlive the screens, and short questions."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.measure.conftest import write_pictures
from tuiprobe import __version__
from tuiprobe.tui import child
from tuiprobe.tui.child import Engine, ask, ask_python, shown_command


def wait(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Lets an engine run a line of Python in place of tuiprobe."""

    def use(code: str) -> None:
        monkeypatch.setattr(child, "command", lambda arguments: [sys.executable, "-c", code])

    return use


def test_the_engine_writes_to_its_log_and_ends_with_a_code(tmp_path: Path) -> None:
    log = tmp_path / "run" / "log.txt"
    engine = Engine(["--version"], log.parent)
    wait(lambda: engine.ended() is not None)
    assert (engine.ended(), log.read_text()) == (0, f"tuiprobe {__version__}\n")
    assert engine.reopened_by == f"tuiprobe open {log.parent}"
    again = Engine(["--version"], log.parent)
    wait(lambda: again.ended() is not None)
    assert log.read_text().count("tuiprobe") == 2


def test_the_engine_has_a_group_of_its_own_and_no_input(
    tmp_path: Path, script: Callable[[str], None]
) -> None:
    script("import os, sys; print(os.getsid(0) == os.getpid(), repr(sys.stdin.read()))")
    engine = Engine([], tmp_path)
    wait(lambda: engine.ended() is not None)
    assert (tmp_path / "log.txt").read_text() == "True ''\n"


def test_cancelling_asks_the_whole_group(tmp_path: Path, script: Callable[[str], None]) -> None:
    script(
        "import subprocess, sys\n"
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(p.pid, flush=True); p.wait()"
    )
    log = tmp_path / "log.txt"
    engine = Engine([], tmp_path)
    wait(lambda: log.exists() and log.read_text().strip())
    grandchild = int(log.read_text())
    engine.cancel()
    wait(lambda: engine.ended() is not None)
    assert engine.ended() == -15

    def gone() -> bool:
        with contextlib.suppress(OSError):
            return Path(f"/proc/{grandchild}/stat").read_text().split()[2] == "Z"
        with contextlib.suppress(ProcessLookupError):
            os.kill(grandchild, 0)
            return False
        return True

    wait(gone)
    engine.kill()  # nothing is left: no error


def test_killing_ends_what_ignores_the_request(
    tmp_path: Path, script: Callable[[str], None]
) -> None:
    script(
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('ready', flush=True); time.sleep(600)"
    )
    log = tmp_path / "log.txt"
    engine = Engine([], tmp_path)
    wait(lambda: log.exists() and "ready" in log.read_text())
    engine.cancel()
    assert engine.ended() is None
    engine.kill()
    wait(lambda: engine.ended() is not None)
    assert engine.ended() == -9


def test_a_log_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log.txt").symlink_to(tmp_path / "other")
    with pytest.raises(OSError, match=r"log\.txt"):
        Engine(["--version"], tmp_path)


def test_questions_are_answered() -> None:
    answer = asyncio.run(ask(["models", "mini_clip", "--json"]))
    assert answer.code == 0
    assert '"mini_clip"' in answer.out
    wrong = asyncio.run(ask(["report", "/does/not/exist"]))
    assert wrong.code == 4
    assert wrong.reason.startswith("cannot read")


def test_a_question_that_is_cancelled_leaves_no_process(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    code = f"import os, time; open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(600)"

    async def cancelled() -> None:
        task = asyncio.create_task(ask_python(["-c", code]))
        while not (pid_file.exists() and pid_file.read_text()):
            await asyncio.sleep(0.02)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)


def test_a_shown_command_is_one_quoted_line() -> None:
    line = shown_command(["--data", "imagefolder:a b\nrm -rf /", "--model", "$(x)"])
    assert "\n" not in line
    assert "'$(x)'" in line


@pytest.mark.slow
def test_cancelling_ends_an_engine_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pictures(tmp_path / "photos", 8)
    monkeypatch.setenv("FAULT", "load:hang")
    log = tmp_path / "run" / "log.txt"
    model = ["--headless", "--model", "py:tests.measure.faulty:build", "--workers", "0"]
    engine = Engine([*model, "--data", f"imagefolder:{tmp_path / 'photos'}"], log.parent)
    wait(lambda: log.exists() and "at load" in log.read_text())
    engine.cancel()
    wait(lambda: engine.ended() is not None, 20)
    assert engine.ended() == 130
    assert "stopped by SIGTERM; what is measured is kept" in log.read_text()
