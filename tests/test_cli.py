import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.prepared import Prepared
from tests.show.report.samples import report
from tuiprobe import __version__
from tuiprobe.__main__ import main as program
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.results import write_results


def test_version() -> None:
    words = [sys.executable, "-m", "tuiprobe", "--version"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"tuiprobe {__version__}\n")


@pytest.mark.parametrize("chosen", [None, "26"])
@pytest.mark.parametrize(
    ("variable", "sleep"), [("OMP_WAIT_POLICY", "passive"), ("OPENBLAS_THREAD_TIMEOUT", "16")]
)
def test_threads_sleep_while_they_wait_unless_the_user_says_otherwise(
    variable: str, sleep: str, chosen: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["tuiprobe", "--version"])
    monkeypatch.delenv(variable, raising=False)
    if chosen is not None:
        monkeypatch.setenv(variable, chosen)
    with pytest.raises(SystemExit, match=r"^0$"):
        program()
    assert os.environ[variable] == (chosen or sleep)


@pytest.mark.parametrize("command", ["report", "reprobe", "verify", "compare", "open"])
def test_a_place_that_is_no_run_is_refused_and_left_as_it_is(command, tmp_path, program):
    (tmp_path / "photos").mkdir()
    for place, message in (
        ("photos", "no run directory: it holds no key"),
        ("typo/run", "directory"),
    ):
        path = str(tmp_path / place)
        err = program(command, path, *([path] if command == "compare" else []), code=4).err
        assert f"{path} is no {message.removeprefix('no ')}" in err
    assert list(tmp_path.iterdir()) == [tmp_path / "photos"]
    assert list((tmp_path / "photos").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--headless", "--model", "nonsense", "--data", "imagefolder:."], 4, "no image"),
        (["report"], 2, "name a run directory"),
        (["--output", "a", "compare", "b", "c"], 2, "--output"),
        (["nonsense"], 2, "nonsense"),
    ],
    ids=str,
)
def test_errors_go_to_stderr_with_their_code(arguments, code, message, prepared, tmp_path):
    done = prepared.run(*arguments, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


NO_ROOM = "error: cannot write output: No space left on device"
PRINT = ("models", "report run --format md --to -")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run, of which commands have something to print."""
    folder = tmp_path_factory.mktemp("place")
    run = RunDir(folder / "run")
    run.key_file.write_text("cd" * 32 + "\n")
    write_results(run, report())
    return folder


def ended(
    command: str, place: Path, to: str, buffer: bool = True, keep: tuple[int, ...] = ()
) -> tuple[int, list[str]]:
    """Returns exit code and lines of messages of a command with redirected output."""
    words = shlex.join([sys.executable, "-m", "tuiprobe", *shlex.split(command)])
    done = subprocess.run(
        ["bash", "-c", f"{words} {to}"], stderr=subprocess.PIPE, text=True, cwd=place,
        pass_fds=keep,
        env={**os.environ, "PYTHONUNBUFFERED": "" if buffer else "1"},
    )  # fmt: skip
    return done.returncode, done.stderr.splitlines()


@pytest.mark.skipif(sys.platform != "linux", reason="has no /dev/full")
@pytest.mark.parametrize("command", PRINT)
def test_output_that_finds_no_room_is_one_sentence(command: str, place: Path) -> None:
    code, message = ended(command, place, "> /dev/full")
    assert (code, message[-1]) == (5, NO_ROOM)
    assert len(message) == (2 if command == "models" else 1)  # it says how many it shows


def test_output_that_cannot_be_written_in_other_ways(place: Path) -> None:
    command = "runs --root ."
    if sys.platform == "linux":
        assert ended(command, place, "> /dev/full", buffer=False) == (5, [NO_ROOM])
    assert ended(command, place, ">&-") == (5, ["error: cannot write output: it is closed"])
    assert ended(f"{command} no-such-run", place, "2>&- > seen") == (0, [])
    assert (place / "seen").read_text() == ""  # messages do not take the place of output
    reader, writer = os.pipe()
    os.close(reader)
    assert ended(command, place, f">&{writer}", keep=(writer,)) == (0, [])
    assert ended(command, place, f">&{writer} 2>&1", buffer=False, keep=(writer,)) == (0, [])
    os.close(writer)


def test_a_reader_that_ends_changes_no_exit_code(place: Path, prepared: Prepared) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    for command, code in (("compare run run --fail-if 'kurtosis < 0.5'", 1), ("report nowhere", 4)):
        assert ended(command, place, f">&{writer} 2>&1", keep=(writer,))[0] == code, command
    os.close(writer)
    run = "--headless --data miniature:val --sample 8 --output small --concepts none"
    alone = prepared.start(*run.split(), cwd=place, before=[("tests.hooks:without_reader", ())])
    assert alone.wait() == 0
    assert (place / "small/report.html").exists()


def test_characters_that_the_encoding_lacks_are_replaced_and_files_are_utf_8(place, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    for command in ("compare run run", "models RN50"):
        assert ended(command, place, "> seen")[0] == 0, command
        text = (place / "seen").read_text("ascii")
        assert text.count("\n") > 1
        assert "\\u22" not in text  # a minus sign is one
    assert ended("report run --format html --to -", place, "> seen") == (0, [])
    assert not (place / "seen").read_text("utf-8").isascii()


@pytest.mark.parametrize(
    "failure",
    [EOFError("cut"), BrokenPipeError(32, "Broken pipe"), SystemExit("a config")],
    ids=repr,
)
def test_code_1_is_for_gates_alone(failure, tmp_path, monkeypatch, program):
    def fails(*_: object) -> None:
        raise failure

    monkeypatch.setattr("tuiprobe.measure.run.listing.list_runs", fails)
    err = program("runs", "--root", str(tmp_path), code=5).err
    assert err.splitlines()[-1].startswith("error: ")
