"""Typer completes commands, options and models, and gives a shell nothing that it would execute."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tuiprobe.catalog import published_models
from tuiprobe.show.cli.app import run_cli
from tuiprobe.show.cli.options import model_names


@pytest.fixture
def completed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Returns the completions that bash gets for the last word of a command line."""

    def complete(*words: str) -> list[str]:
        monkeypatch.setenv("_TUIPROBE_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", shlex.join(["tuiprobe", *words]))
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        assert run_cli([]) == 0
        return capsys.readouterr().out.split()

    return complete


def test_commands_options_and_values_are_completed(completed) -> None:
    assert completed("rep") == ["report", "reprobe"]
    assert completed("--tok") == ["--tokens"]
    assert completed("--tokens", "") == ["all", "class", "mean"]
    assert completed("--headless", "--dtype", "b") == ["bfloat16"]
    assert completed("reprobe", "--ablate-mode", "m") == ["mean"]
    assert completed("miniature", "") == ["export"]
    assert completed("--checkpoint", "") == []  # a file: the shell knows them
    assert {"--headless", "--help", "--top-k", "--install-completion"} <= set(completed("--"))
    assert completed("--model", "vitb16_openai") == ["vitb16_openai", "vitb16_openai_ft_in1k"]


def test_no_name_is_completed_that_a_shell_would_obey(monkeypatch: pytest.MonkeyPatch) -> None:
    known = published_models.all_published()
    assert {"rn50_openai", "open_clip:RN50-quickgelu/openai"} <= set(model_names())
    bad = {name: next(iter(known.values())) for name in ("$(touch x)", "c;d", "e f", "g\n")}
    monkeypatch.setattr(published_models, "all_published", lambda: {**bad, **known})
    assert not bad.keys() & set(model_names())
    assert known.keys() <= set(model_names())


@pytest.mark.slow
def test_bash_completes_what_typer_installed(tmp_path: Path) -> None:
    program = tmp_path / "tuiprobe"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -X importtime -m tuiprobe "$@"\n')
    program.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"

    def bash(script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "--norc", "-c", f"{script}\ntrue"], capture_output=True, text=True,
            env={**os.environ, "PATH": path, "HOME": str(tmp_path)},
        )  # fmt: skip

    assert "bash completion installed" in bash("tuiprobe --install-completion").stdout
    done = bash(
        "source ~/.bashrc\n"
        "COMP_WORDS=(tuiprobe compare --fail) COMP_CWORD=2\n"
        "$(complete -p tuiprobe | grep -o '_[a-z_]*completion') tuiprobe\n"
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    assert done.stdout.splitlines() == ["--fail-if"]
    assert not {"torch", "numpy", "textual"} & {  # Typer itself takes pydantic to read a value
        line.rpartition("|")[2].strip() for line in done.stderr.splitlines()
    }
