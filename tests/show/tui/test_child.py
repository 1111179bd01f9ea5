"""Processes that outlive the screens, and short questions."""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from tuiprobe import __version__
from tuiprobe.errors import RunError, TuiprobeError, UsageError
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.view import RunView
from tuiprobe.request import make_spec, shown_command
from tuiprobe.show.tui import child
from tuiprobe.show.tui.child import Engine, ask, resuming_arguments
from tuiprobe.show.tui.compared import Compared
from tuiprobe.show.tui.worker import READER, start_early


def wait(condition: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Lets an engine run a line of Python in place of tuiprobe."""

    def use(code: str) -> None:
        monkeypatch.setattr(child, "command", lambda *of: [sys.executable, "-c", code])

    return use


def test_the_engine_writes_to_its_log_and_ends_with_a_code(tmp_path: Path) -> None:
    log = tmp_path / "run" / "log.txt"
    engine = Engine(["--version"], log.parent)
    wait(lambda: engine.exit_code() is not None)
    assert engine.exit_code() == 0
    assert log.read_text() == f"$ tuiprobe --version\ntuiprobe {__version__}\n"
    assert engine.open_command == f"tuiprobe open {log.parent}"
    again = Engine(["--version"], log.parent)
    wait(lambda: again.exit_code() is not None)
    assert log.read_text().count(f"tuiprobe {__version__}") == 2
    log.unlink()
    log.symlink_to(tmp_path / "other")
    with pytest.raises(OSError, match=r"log\.txt"):
        Engine(["--version"], log.parent)


def test_cancelling_asks_the_whole_group(tmp_path: Path, script: Callable[[str], None]) -> None:
    script(
        "import os, subprocess, sys\n"
        "print(os.getsid(0) == os.getpid(), repr(sys.stdin.read()))\n"  # no input
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(p.pid, flush=True); p.wait()"
    )
    log = tmp_path / "log.txt"
    engine = Engine([], tmp_path)
    wait(lambda: log.exists() and log.read_text().count("\n") == 3)
    own, grandchild = log.read_text().splitlines()[1:]
    assert own == "True ''"
    engine.cancel()
    wait(lambda: engine.exit_code() is not None)
    assert engine.exit_code() == -15

    def gone() -> bool:
        with contextlib.suppress(OSError):
            return Path(f"/proc/{grandchild}/stat").read_text().split()[2] == "Z"
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(grandchild), 0)
            return False
        return True

    wait(gone)
    engine.kill()  # nothing is left: no error


def test_a_directory_has_one_engine_at_a_time(tmp_path, script):
    script("import time; time.sleep(600)")
    run = tmp_path / "run"
    engine = Engine([], run)
    with pytest.raises(RunError, match="an engine works on"):
        Engine([], run)
    assert RunView.read(RunDir(run)).state == "waiting"  # seen by every process
    engine.kill()
    wait(lambda: engine.exit_code() is not None)
    assert RunView.read(RunDir(run)).state == "unfinished"
    script("pass")
    again = Engine([], run)
    wait(lambda: again.exit_code() is not None)


def spec_of(run: Path, **options: object) -> Path:
    """Writes the spec of a run as its engine does."""
    spec = make_spec("mini_clip", "miniature:val", options)
    RunDir(run).spec_file.write_json(spec.to_json())
    return run


def test_a_run_is_resumed_by_its_spec_in_its_own_directory(tmp_path: Path) -> None:
    run = spec_of(tmp_path / "my run", sample=64, layers=("layer*",), max_unreadable=0.5)
    words = resuming_arguments(run)
    assert words[0] == "--headless"
    assert words[-2:] == ["--output", str(run)]
    for option, value in (
        ("--model", "mini_clip"), ("--data", "miniature:val"), ("--sample", "64"),
        ("--layers", "layer*"), ("--max-unreadable", "0.5"),
    ):  # fmt: skip
        assert words[words.index(option) + 1] == value


def test_a_group_is_resumed_with_all_its_models(tmp_path: Path) -> None:
    group = tmp_path / "group"
    for model in ("mini_clip", "mini_supervised"):
        spec = make_spec(model, "miniature:val", {"sample": 64})
        RunDir(group / model).spec_file.write_json(spec.to_json())
        (group / model / "key").write_text("0" * 64)
    words = resuming_arguments(group)
    models = [value for option, value in pairwise(words) if option == "--model"]
    assert models == ["mini_clip", "mini_supervised"]
    assert words[words.index("--sample") + 1] == "64"
    assert words[-2:] == ["--output", str(group)]
    other = make_spec("mini_supervised", "miniature:val", {"sample": 65})
    RunDir(group / "mini_supervised").spec_file.write_json(other.to_json())
    with pytest.raises(UsageError):
        resuming_arguments(group)


@pytest.mark.parametrize("name", ["model", "data", "concepts", "target"])
def test_a_file_never_starts_code(tmp_path: Path, name: str) -> None:
    run = spec_of(tmp_path)
    spec = RunDir(run).spec_file.read_json()
    source = "py:evil:build"
    spec[name] = [source] if name == "target" else source
    RunDir(run).spec_file.write_json(spec)
    with pytest.raises(UsageError, match=r"py:evil:build runs code.*type tuiprobe --headless"):
        resuming_arguments(run)


@pytest.mark.parametrize("text", ["[]", "{}", '{"model": 1, "data": "x"}', "no json"])
def test_a_spec_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "spec.json").write_text(text)
    with pytest.raises(TuiprobeError):
        resuming_arguments(tmp_path)


def test_questions_are_answered() -> None:
    answer = asyncio.run(ask(["models", "mini_clip", "--json"]))
    assert answer.code == 0
    assert '"mini_clip"' in answer.out
    wrong = asyncio.run(ask(["report", "/does/not/exist"]))
    assert wrong.code == 4
    assert wrong.reason.startswith("/does/not/exist is no directory")


def test_a_question_that_is_cancelled_leaves_no_process(
    tmp_path: Path, script: Callable[[str], None]
) -> None:
    pid_file = tmp_path / "pid"
    code = f"import os, time; open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    script(code)

    async def cancelled() -> None:
        task = asyncio.create_task(ask([]))
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


def test_the_reader_starts_early_only_where_it_will_be_asked_for(label_runs: list[Path]) -> None:
    root = label_runs[0].parent
    start_early(root / "nothing")
    assert READER._process is None
    start_early(root)
    assert READER._process is not None
    assert READER.call(Compared.read, label_runs) == READER.call(Compared.read, label_runs)
