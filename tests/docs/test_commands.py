"""Every command on the pages fits the command line as it is; every Python block can be compiled."""

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
    OF_USERS,
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
from tuiprobe.request import make_spec
from tuiprobe.show.cli import app, headless

OF_OTHERS = {"--max-restarts", "--index", "--from", "--spec"}
"""Options of torchrun, podman and uvx."""
Check = Callable[[list[str]], int]


@pytest.fixture(scope="module")
def check() -> Iterator[Check]:
    """Yields a function that parses a command line, with its options, and runs nothing."""

    def nothing(**_: Any) -> None:
        pass

    with pytest.MonkeyPatch.context() as patch:
        # the folders of examples do not exist
        patch.setattr(headless, "user_spec", lambda *asked: make_spec(*asked[:3]))
        patch.setattr(headless, "read_models", lambda path: [("mini_clip", None)])
        patch.setattr(headless, "run_requests", lambda *_: 0)
        patch.setattr(headless, "dry_run", lambda *asked: asked[-1] or 0)
        for command in commands():
            if not hasattr(command, "commands"):
                patch.setattr(command, "callback", nothing)
        yield app.run_cli


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_blocks_are_named_and_fit_the_program_as_it_is(page, check, capsys):
    strays = []
    for block in blocks(page):
        if block.language not in ("sh", "yaml"):
            strays += [block.place for line in lines(block.text) if COMMAND.match(line)]
        if block.language in ("python", "py"):
            compile(block.text, block.place, "exec")
        assert block.language != "sh" or MARKS.issuperset(block.marks), block.place
        for line in command_lines(block):
            code = 2 if expected_code(line) == 2 else 0
            for program in programs(line):
                check_program(block.place, program, code, check, capsys)
    assert strays == []


def command_lines(block: Block) -> list[str]:
    """Returns the command lines of a block; those of a job for GitHub Actions too."""
    if block.language == "sh":
        return lines(block.text)
    if block.language != "yaml":
        return []
    jobs = yaml.safe_load(block.text)["jobs"].values()
    return [step["run"] for job in jobs for step in job["steps"] if "run" in step]


@pytest.mark.parametrize("page", OF_USERS, ids=name)
def test_commands_and_options_in_sentences_exist(page: Path) -> None:
    every = {flag for command in commands() for flag in flags(command)}
    for span in spans(page):
        words = span.split()
        if words[:1] == ["tuiprobe"]:
            assert unknown_words(words[1:]) == [], f"{name(page)}: {span}"
        else:
            named = {re.split("[^a-z-]", word)[0] for word in words if word.startswith("--")}
            assert named <= every | OF_OTHERS, f"{name(page)}: {span}"


def unknown_words(given: list[str]) -> list[str]:
    """Returns the command or the options that the command line does not have."""
    command = command_line()
    while given and hasattr(command, "commands") and re.match("[a-z]", given[0]):
        if given[0] not in command.commands:
            return given[:1]
        command = command.commands[given.pop(0)]
    named = [re.split("[^a-z-]", word)[0] for word in given if word.startswith("--")]
    return [word for word in named if word not in flags(command)]


def commands() -> Iterator[Any]:
    """Yields the root of the command line and every command below it."""
    waiting = [command_line()]
    while waiting:
        yield (command := waiting.pop())
        waiting += getattr(command, "commands", {}).values()


def command_line() -> Any:
    """Returns the root of the command line."""
    return typer.main.get_command(app.app)


def flags(command: Any) -> set[str]:
    """Returns the options of a command."""
    named = (flag for option in command.params for flag in (*option.opts, *option.secondary_opts))
    return {"--help", *named}


def optional() -> set[str]:
    """Returns the packages of all extras, which need not be installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    return {re.split("[^A-Za-z0-9_-]", line)[0] for listed in extras for line in listed}


def check_program(
    place: str, program: list[str], code: int, check: Check, capsys: pytest.CaptureFixture[str]
) -> None:
    """Checks that a program of a page takes its words, or that its module and files exist."""
    given = arguments(program)
    if given:
        assert check(given) == code, f"{place}: {capsys.readouterr().err}"
    elif "-m" in program and Path(program[0]).name.startswith("python"):
        module = program[program.index("-m") + 1]
        assert importlib.util.find_spec(module) is not None or module in optional(), place
    named = [word for word in program if word.startswith(("tests/", "benchmarks/", ".ci/"))]
    assert [item for item in named if not (ROOT / item).exists()] == [], place
