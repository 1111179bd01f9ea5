"""Every block of commands and Python on the pages runs as it stands, page by page.

Blocks that need more than tests have are only parsed (`test_commands.py`).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import shared
from tests.docs import world
from tests.docs.blocks import (
    PAGES,
    ROOT,
    Block,
    arguments,
    blocks,
    expected_code,
    lines,
    name,
    programs,
)
from tests.prepared import Prepared
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.show.report import read_report
from tuiprobe.show.tui.screens.results import tabs_of
from tuiprobe.show.tui.tabs.tab import RunResults

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

EVERYTHING = os.environ.get("TUIPROBE_DOCS") == "all"
PROGRAMS = {"tuiprobe": "-m tuiprobe", "python": "", "torchrun": "-m torch.distributed.run"}
NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")


def runs(block: Block) -> bool:
    """Tells whether a block runs here."""
    needs = set(block.marks) - ({"long"} if EVERYTHING else set())
    return block.language in ("sh", "python") and not needs


RUNNABLE = [page for page in PAGES if any(map(runs, blocks(page)))]
OF_THE_NIGHT = {
    "api.md", "frozen-encoder.md", "miniature.md", "models.md", "reports.md", "targets.md",
    "tutorial.md", "unlabelled.md", "watch.md",
}  # fmt: skip
"""Pages that take longest; by day `test_commands.py` parses their commands."""


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, prepared: Prepared) -> Path:
    with shared(tmp_path_factory, "world") as folder:
        if not (folder / world.LAST).exists():
            world.make(folder, prepared)
    return folder


@pytest.fixture
def reader(made: Path, tmp_path: Path, prepared: Prepared) -> Reader:
    shutil.copytree(made, tmp_path / "here")
    return Reader(tmp_path, prepared)


class Reader:
    """Somebody who types what a page says, in one folder from top to bottom."""

    def __init__(self, home: Path, prepared: Prepared) -> None:
        self._folder = home / "here"
        self._prepared = prepared
        self._names: dict[str, Any] = {}
        self.printed = ""
        folder = home / "bin"
        folder.mkdir()
        calls = {name: f'"{sys.executable}" {way} "$@"' for name, way in PROGRAMS.items()}
        if shutil.which("jq") is None:
            calls["jq"] = "cat"  # so that what comes before it runs
        for program, call in calls.items():
            script = folder / program
            script.write_text(f"#!/bin/sh\nexec {call}\n", "utf-8")
            script.chmod(0o755)
        self._variables = {
            "HOME": str(home),
            "PATH": f"{folder}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "TUIPROBE_DATA": "",
        }

    def follow(self, block: Block) -> None:
        """Does what a block says; one that begins with `# NAME.py` is that file."""
        if block.language == "python":
            if file := re.match(r"# (\w+\.py)\n", block.text):
                (self._folder / file[1]).write_text(block.text, "utf-8")
            with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as printed:
                patch.chdir(self._folder)
                exec(compile(block.text, block.place, "exec"), self._names)
            self.printed = printed.getvalue()
            return
        for line in lines(block.text):
            done = self._one(line)
            message = f"{block.place}: {line}\n{done.stdout}\n{done.stderr}"
            assert done.returncode == expected_code(line), message
            self.printed = done.stdout

    def _one(self, line: str) -> subprocess.CompletedProcess[str]:
        called = list(programs(line))
        given = arguments(called[0])
        for_a_shell = re.search("[>~*]", re.sub("'[^']*'|\"[^\"]*\"", "", line))
        if given is not None and len(called) == 1 and not for_a_shell:
            run = self._prepared.start(*given, cwd=self._folder, env=self._variables)
            code = run.wait(world.SECONDS)
            return subprocess.CompletedProcess(given, code, run.stdout, run.stderr)
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", line], cwd=self._folder, text=True,
            env={**os.environ, **self._variables}, capture_output=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=pytest.mark.nightly) if page.name in OF_THE_NIGHT else page
        for page in RUNNABLE
    ],
    ids=name,
)
def test_a_page_does_what_it_says(page: Path, reader: Reader) -> None:
    followed = False
    for block in blocks(page):
        if block.language in ("sh", "python"):
            followed = runs(block)
        if runs(block):
            reader.follow(block)
        elif followed and (block.language, block.marks) == ("text", ("output",)):
            missing = unsaid(block.text, reader.printed)
            assert missing == [], f"{block.place}\n{reader.printed}"


def test_pages_name_the_parts_that_the_screen_of_a_run_has(made: Path) -> None:
    run = RunDir(made / "RUN")
    parts = [part.replace("-", " ") for part in tabs_of(RunResults(run, read_report(run)))]
    text = " ".join((ROOT / "docs/tui.md").read_text("utf-8").split())
    assert f"this run has: {', '.join(parts)}." in text
    steps = re.findall(r"until \*(\w+)\* is", (ROOT / "docs/tutorial.md").read_text("utf-8"))
    assert steps
    assert {step.lower() for step in steps} <= set(parts)


def unsaid(visible: str, printed: str) -> list[str]:
    """Returns the lines of a page that were not printed, in their order."""
    left, missing = printed.splitlines(), []
    for line in visible.splitlines():
        while left and not agrees(line, left[0]):
            left.pop(0)
        if not left:
            missing.append(line)
    return missing


def agrees(visible: str, printed: str) -> bool:
    """Tells whether a printed line begins with one of a page, its numbers within a tenth."""
    words, numbers = NUMBER.split(visible.strip()), NUMBER.findall(visible)
    result = NUMBER.findall(printed)[: len(numbers)]
    beginning = NUMBER.split(printed.strip(), maxsplit=len(numbers))
    same = beginning[:-1] == words[:-1] and beginning[-1].startswith(words[-1])
    return same and all(map(_near, numbers, result))


def _near(visible: str, printed: str) -> bool:
    first, second = (float(text.replace(",", "")) for text in (visible, printed))
    return abs(first - second) <= 0.1 * max(first, second)


def test_what_a_page_shows_is_compared() -> None:
    assert unsaid("a 5.7 b\nc", "x\na 5.8 b and more\nc\n") == []
    assert unsaid("a 5.7 b", "a 8.7 b") == ["a 5.7 b"]
    assert unsaid("a 5.7 b", "a 5.7 c") == ["a 5.7 b"]
    assert unsaid("c\na 5.7", "a 5.7\nc") == ["a 5.7"]
