from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tuiprobe import __version__


def tuiprobe(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tuiprobe", *arguments], capture_output=True, text=True
    )


def test_version() -> None:
    done = tuiprobe("--version")
    assert (done.returncode, done.stdout) == (0, f"tuiprobe {__version__}\n")


def test_help_names_every_option_and_command() -> None:
    done = tuiprobe("--help")
    assert done.returncode == 0
    for name in ("--model", "--checkpoint", "--data", "--layers", "report", "reprobe"):
        assert name in done.stdout


def test_the_schema_of_results_is_printed() -> None:
    done = tuiprobe("report", "--schema")
    schema = json.loads(done.stdout)
    assert done.returncode == 0
    assert {"title", "model", "data", "parts"} <= set(schema["properties"])


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--headless", "--model", "nonsense", "--data", "imagefolder:."], 4, "no image"),
        (["--headless", "--model", "nonsense", "--data", "nonsense"], 2, "unknown data source"),
        (["--headless", "--data", "imagefolder:/does/not/exist"], 4, "does not exist"),
        (["report"], 2, "name a run directory"),
        (["report", "/does/not/exist"], 4, "cannot read"),
        (["nonsense"], 2, "nonsense"),
    ],
    ids=str,
)
def test_errors_go_to_stderr_with_their_code(
    arguments: list[str], code: int, said: str, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(str(tmp_path))
    done = tuiprobe(*arguments)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.skipif(sys.platform != "linux", reason="has no /dev/full")
def test_output_that_finds_no_room_is_no_bug_of_the_program() -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123  (a device)
        done = subprocess.run(
            [sys.executable, "-m", "tuiprobe", "models"],
            stdout=full, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    said = "error: cannot write output: No space left on device\n"
    assert (done.returncode, done.stderr) == (5, said)
