"""Completion gives commands, options, models and runs, and nothing that a shell would execute."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from tuiprobe.cli.app import app, run_cli
from tuiprobe.cli.completion import candidates


def completed(*words: str) -> list[str]:
    return candidates(typer.main.get_command(app), words)


def test_commands_options_and_values_are_completed() -> None:
    assert completed("re") == ["report", "reprobe"]
    assert completed("--tok") == ["--tokens"]
    assert completed("--tokens", "") == ["all", "class", "mean"]
    assert completed("--headless", "--device", "c") == ["cpu", "cuda"]
    assert completed("miniature", "") == ["export"]
    assert completed("completion", "") == ["bash", "fish", "zsh"]
    assert completed("completion", "bash", "") == []
    assert completed("--checkpoint", "") == []  # a file: the shell knows them
    assert {"--headless", "--help", "--offline"} <= set(completed("--"))
    assert completed() == completed("")


def test_models_are_completed_wherever_one_is_named() -> None:
    for before in (("--model",), ("fetch", "rn50_cc12m"), ("doctor", "--model")):
        assert completed(*before, "vitb16_openai") == ["vitb16_openai", "vitb16_openai_ft_in1k"]
    wanted = "open_clip:RN50-quickgelu/openai"
    assert completed("fetch", "--offline", wanted[:-2]) == [wanted]


def test_runs_are_completed_unless_a_shell_would_obey_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert completed("open", "") == []
    for name in ("a-1", "b", "$(touch x)", "c;d", "e f", "-n", "g\n"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "key").touch()
    (tmp_path / "runs" / "none").mkdir()
    for before in (("open",), ("report", "x"), ("compare", "x"), ("verify",)):
        assert completed(*before, "r") == ["runs/-n", "runs/a-1", "runs/b"]
    assert completed("open", "x", "") == []


BASH = """
source <(tuiprobe completion bash)
COMP_LINE=$1 COMP_POINT=${#1} COMP_WORDBREAKS=$2
_tuiprobe tuiprobe
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.slow
def test_bash_is_given_what_stands_behind_the_last_colon(tmp_path: Path) -> None:
    program = tmp_path / "tuiprobe"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -X importtime -m tuiprobe "$@"\n')
    program.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"

    def asked(line: str, breaks: str = " :=") -> tuple[list[str], str]:
        done = subprocess.run(
            ["bash", "--norc", "-c", BASH, "bash", line, breaks],
            capture_output=True, text=True, env={**os.environ, "PATH": path},
        )  # fmt: skip
        return done.stdout.splitlines(), done.stderr

    assert asked("tuiprobe fetch open_clip:RN50-quickgelu/o")[0] == ["RN50-quickgelu/openai"]
    whole = ["open_clip:RN50-quickgelu/openai"]
    assert asked("tuiprobe fetch open_clip:RN50-quickgelu/o", " ")[0] == whole
    assert asked("tuiprobe --tokens ")[0] == ["all", "class", "mean"]
    done = subprocess.run(
        [program, "--complete", "fetch", "open_clip:"], capture_output=True, text=True
    )
    assert len(done.stdout.splitlines()) > 100
    assert not {"torch", "numpy", "pydantic"} & {
        line.rpartition("|")[2].strip() for line in done.stderr.splitlines()
    }


def test_each_script_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    for shell in ("bash", "zsh", "fish"):
        assert run_cli(["completion", shell]) == 0
        assert "--complete" in capsys.readouterr().out
    assert run_cli(["completion", "tcsh"]) == 2
