"""Every command on the pages fits the command line as it is; every Python block can be compiled."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from tests.docs.blocks import (
    COMMAND,
    MARKS,
    PAGES,
    ROOT,
    Block,
    arguments,
    blocks,
    expected_code,
    lines,
    name,
    programs,
    spans,
)
from tuiprobe.cli import app, headless
from tuiprobe.spec import make_spec

EVERY = pytest.mark.parametrize("page", PAGES, ids=name)
Check = Callable[[list[str]], int]


@pytest.fixture(scope="module")
def check() -> Iterator[Check]:
    """Yields a function that parses a command line, with its options, and runs nothing."""

    def run_models(models: list[Any], *, data: str | None, options: Any, **_: Any) -> int:
        for model in [*models] or [None]:
            make_spec(model, data, options)
        return 0

    def nothing(**_: Any) -> None:
        pass

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(headless, "run_models", run_models)
        waiting: list[Any] = list(commands().values())
        while waiting:
            command = waiting.pop()
            waiting += getattr(command, "commands", {}).values()
            if not hasattr(command, "commands"):
                patch.setattr(command, "callback", nothing)
        yield app.run_cli


@EVERY
def test_commands_stand_in_blocks_named_sh_with_known_marks(page: Path) -> None:
    strays, marks = [], []
    for block in blocks(page):
        if block.language not in ("sh", "yaml"):
            strays += [block.place for line in lines(block.text) if COMMAND.match(line)]
        elif block.language == "sh" and not MARKS.issuperset(block.marks):
            marks.append(block.place)
    assert strays == []
    assert marks == []


@EVERY
def test_commands_take_these_options(
    page: Path, check: Check, capsys: pytest.CaptureFixture[str]
) -> None:
    for block in blocks(page):
        for line in command_lines(block):
            for program in programs(line):
                _one(block.place, program, check, capsys, 2 if expected_code(line) == 2 else 0)


def command_lines(block: Block) -> list[str]:
    """Returns the command lines of a block; those of a job for GitHub Actions too."""
    if block.language == "sh":
        return lines(block.text)
    if block.language != "yaml":
        return []
    jobs = yaml.safe_load(block.text)["jobs"].values()
    return [step["run"] for job in jobs for step in job["steps"] if "run" in step]


@pytest.mark.parametrize("page", [one for one in PAGES if one.name != "CHANGELOG.md"], ids=name)
def test_commands_in_sentences_have_these_options(page: Path) -> None:
    for span in spans(page):
        if span.startswith("tuiprobe "):
            unknown = unknown_words(span.split()[1:])
            assert unknown == [], f"{name(page)}: {span}"


def commands() -> dict[str, Any]:
    """Returns the commands by name."""
    root: Any = typer.main.get_command(app.app)
    return root.commands


def unknown_words(given: list[str]) -> list[str]:
    """Returns the command or the options that the command line does not have."""
    command: Any = typer.main.get_command(app.app)
    while given and hasattr(command, "commands") and re.match("[a-z]", given[0]):
        if given[0] not in command.commands:
            return given[:1]
        command = command.commands[given.pop(0)]
    known = {flag for one in command.params for flag in (*one.opts, *one.secondary_opts)}
    named = [re.split("[^a-z-]", word)[0] for word in given if word.startswith("--")]
    return [one for one in named if one not in {*known, "--help"}]


def optional() -> set[str]:
    """Returns the packages of all extras, which need not be installed."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    return {re.split("[^A-Za-z0-9_-]", one)[0] for listed in extras.values() for one in listed}


def _one(
    place: str, program: list[str], check: Check, capsys: pytest.CaptureFixture[str], code: int
) -> None:
    given = arguments(program)
    if given:
        assert check(given) == code, f"{place}: {capsys.readouterr().err}"
    elif "-m" in program and Path(program[0]).name.startswith("python"):
        module = program[program.index("-m") + 1]
        assert importlib.util.find_spec(module) is not None or module in optional(), place
    named = [word for word in program if word.startswith(("tests/", "benchmarks/", ".ci/"))]
    assert [one for one in named if not (ROOT / one).exists()] == [], place


def test_a_wrong_option_and_a_wrong_value_are_noticed(check: Check) -> None:
    assert check(["--headless", "--no-such-option"]) == 2
    assert check(["--headless", "--tokens", "several"]) == 2
    assert check(["reports", "RUN"]) == 2
    assert check(["report"]) == 0
    assert unknown_words(["reprobe", "RUN", "--oblate"]) == ["--oblate"]
    assert unknown_words(["report-s", "RUN"]) == ["report-s"]
    assert unknown_words(["miniature", "export", "--set"]) == []


@EVERY
def test_python_blocks_compile(page: Path) -> None:
    for block in blocks(page):
        if block.language in ("python", "py"):
            compile(block.text, block.place, "exec")
