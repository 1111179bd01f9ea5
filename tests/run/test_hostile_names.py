"""Run directories with names that terminals, shells and encodings trip over."""

from __future__ import annotations

import json
import os
import shutil
import unicodedata
from pathlib import Path

import pytest

from tests.fuzz.runs import make_template
from tuiprobe.cli.app import run_cli

NAMES = [
    b"--fresh\n\x1b[31mb" + "\u202eb\u2066".encode() + b"$(touch x)`y`", b"\xff\xfe[bold red]x[",
    b"=1+1<script>alert(1)<script>", b"W" * 255,
]  # fmt: skip
COMMANDS = [
    "runs --root {root}", "runs --root {root} --json", "compare {run} {other} {run}",
    "report {run}", "report {run} --format html --to -", "report {run} --format card --to -",
    "compare {run} {other}", "compare {other} {run} --json", "verify {run}", "report {missing}",
    "label {run} {other}",
]  # fmt: skip


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory.mktemp("template") / "runs")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_no_name_of_a_directory_is_obeyed(name, template, tmp_path, capsys):
    root = tmp_path / "runs"
    run = root / os.fsdecode(name)
    shutil.copytree(template / "run", run)
    shutil.copytree(template / "other", root / "other")
    where = {"root": root, "run": run, "other": root / "other", "missing": run / "gone"}
    for command in COMMANDS:
        code = run_cli([word.format(**where) for word in command.split()])
        captured = capsys.readouterr()
        assert code in ((4,) if "missing" in command else (0, 4)), (command, captured.err)
        assert "this is a bug" not in captured.err
        for text in (captured.out, captured.err):
            text.encode("utf-8")
            assert all(
                unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Zl", "Zp")
                for letter in set(text) - {"\n"}
            ), command
        if "--json" in command:
            json.loads(captured.out)
    assert not (tmp_path / "x").exists()
