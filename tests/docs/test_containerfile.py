"""The Containerfile cannot be built here: what it names must exist, and its command must parse."""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.docs.blocks import ROOT
from tuiprobe.cli import app, headless
from tuiprobe.spec import make_spec


class Instruction(NamedTuple):
    word: str
    rest: str


@pytest.fixture(scope="module")
def instructions() -> list[Instruction]:
    text = (ROOT / "Containerfile").read_text("utf-8")
    code = "".join(line for line in text.splitlines(True) if not line.startswith("#"))
    lines = re.sub(r"\\\n\s*", " ", code).splitlines()
    return [Instruction(*line.split(maxsplit=1)) for line in lines if line.strip()]


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def rest_of(instructions: list[Instruction], word: str) -> list[str]:
    return [one.rest for one in instructions if one.word == word]


def arguments(instructions: list[Instruction]) -> dict[str, str]:
    pairs = (rest.partition("=") for rest in rest_of(instructions, "ARG"))
    return {name: default for name, _, default in pairs}


def test_instructions_are_known_and_variables_declared(instructions: list[Instruction]) -> None:
    known = {"ARG", "FROM", "RUN", "WORKDIR", "COPY", "ENV", "USER", "ENTRYPOINT", "CMD"}
    assert {one.word for one in instructions} == known
    declared = {*arguments(instructions), "PATH"}
    for one in instructions:
        assert set(re.findall(r"\$\{?(\w+)", one.rest)) <= declared, one


def test_a_stage_declares_the_arguments_that_it_uses(instructions: list[Instruction]) -> None:
    declared: set[str] = set()
    for one in instructions:
        if one.word == "FROM":
            used, declared = set(), set()  # arguments before FROM serve FROM alone
        elif one.word == "ARG":
            declared.add(one.rest.partition("=")[0])
        else:
            used = set(re.findall(r"\$\{(\w+)", one.rest))
            assert used <= declared, one


def test_python_and_extras_are_those_of_the_project(
    instructions: list[Instruction], project: dict[str, Any]
) -> None:
    given = arguments(instructions)
    assert f"Programming Language :: Python :: {given['PYTHON']}" in project["classifiers"]
    page = (ROOT / "docs" / "howto" / "anywhere.md").read_text("utf-8")
    for extras in (given["EXTRAS"], *re.findall(r"EXTRAS=([\w,]+)", page)):
        assert set(extras.split(",")) <= set(project["optional-dependencies"])
    assert any(".[${EXTRAS}]" in rest for rest in rest_of(instructions, "RUN"))
    assert given["TORCH"] == "cpu"


def test_it_does_not_run_as_root_and_starts_the_program(
    instructions: list[Instruction], project: dict[str, Any]
) -> None:
    last = max(at for at, one in enumerate(instructions) if one.word == "FROM")
    user = next(at for at, one in enumerate(instructions) if one.word == "USER")
    assert last < user
    assert rest_of(instructions, "USER") == ["probe"]
    assert any("useradd" in rest and " probe" in rest for rest in rest_of(instructions, "RUN"))
    assert all(one.word != "RUN" for one in instructions[user:])
    (entry,) = rest_of(instructions, "ENTRYPOINT")
    assert set(json.loads(entry)) <= set(project["scripts"])


def test_the_default_run_is_the_main_job_offline(
    instructions: list[Instruction], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def run_models(models: list[Any], *, data: str | None, options: Any, **_: Any) -> int:
        asked.append(make_spec(None, data, options))
        return 0

    monkeypatch.setattr(headless, "run_models", run_models)
    (command,) = rest_of(instructions, "CMD")
    assert app.run_cli(json.loads(command)) == 0
    assert asked == [make_spec(None, None, {"offline": True})]


def test_what_is_copied_exists_and_what_the_build_needs_is_not_ignored(
    instructions: list[Instruction],
) -> None:
    for rest in rest_of(instructions, "COPY"):
        source, target = [word for word in shlex.split(rest) if not word.startswith("--")]
        assert "--from=build" in rest or (ROOT / source).exists(), rest
        assert target.startswith(("/", "."))
    (virtual,) = {
        found for one in instructions for found in re.findall(r"/opt/\w+", one.rest)
    }  # the same folder is built, copied and on the path
    assert f"PATH={virtual}/bin:$PATH" in rest_of(instructions, "ENV")
    ignored = [
        line
        for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    needed = [
        "pyproject.toml",
        "CMakeLists.txt",
        "README.md",
        "LICENSE",
        "cmake",
        "csrc",
        "tuiprobe",
    ]
    for name in needed:
        assert (ROOT / name).exists()
        assert not any(fnmatch.fnmatch(name, pattern) for pattern in ignored), name
    assert {".git", ".venv", "build", "runs"} <= set(ignored)


def test_the_page_lists_it_as_unverified_with_the_command() -> None:
    page = (ROOT / "docs" / "howto" / "anywhere.md").read_text("utf-8")
    rest = page.partition("## Not verified here")[2]
    assert "podman build -t tuiprobe . && podman run --rm --network none tuiprobe" in rest
    for line in (ROOT / "Containerfile").read_text("utf-8").splitlines():
        if line.startswith("#   podman"):
            assert line.removeprefix("#").strip() in page


def test_files_that_cmake_reads_are_there() -> None:
    listed = re.findall(r"\b((?:cmake|csrc)/[\w/.]+)", Path(ROOT / "CMakeLists.txt").read_text())
    assert [name for name in listed if not (ROOT / name).exists()] == []
