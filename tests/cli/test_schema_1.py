"""`results.json` of schema 1: every reader says in one sentence what to do."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.report.samples import report
from tuiprobe.cli.app import run_cli
from tuiprobe.errors import DataError
from tuiprobe.files import DamagedFileError
from tuiprobe.report import read_report, write_reports
from tuiprobe.run.directory import RunDir
from tuiprobe.run.glance import write_results
from tuiprobe.run.listing import list_runs


@pytest.fixture
def root(tmp_path: Path) -> Path:
    tree = json.loads(report().to_json()) | {"schema_version": 1}
    tree |= {"verdict": {"outcome": "present"}, "outliers": []}
    del tree["parts"]
    old, new = (RunDir(tmp_path / "runs" / name) for name in ("old", "new"))
    for run in (old, new):
        run.key_file.write_text("cd" * 32 + "\n")
    old.spec_file.write_json({"model": "m", "data": "d", "sha256": "0" * 64})
    old.results_file.write_json(tree)
    write_results(new, report())
    return tmp_path / "runs"


def sentence(root: Path) -> str:
    run = root / "old"
    return (
        f"{run}/results.json is of schema 1, and this version of tuiprobe reads schema 2: run "
        f"`tuiprobe reprobe {run}` to write it again"
    )


@pytest.mark.parametrize("read", [read_report, write_reports])
def test_readers_of_a_report(root: Path, read) -> None:
    with pytest.raises(DamagedFileError) as refused:
        read(RunDir(root / "old"))
    assert str(refused.value) == sentence(root)


def test_the_list_of_runs(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    states = {row.name: (row.state, row.title) for row in list_runs(root)}
    assert states["old"] == ("damaged", sentence(root))
    assert states["new"][0] == "done"
    assert run_cli(["runs", "--root", str(root), "--json"]) == 0
    found = {one["name"]: one for one in json.loads(capsys.readouterr().out)["runs"]}
    assert found["old"]["title"] == sentence(root)


@pytest.mark.parametrize(
    "words",
    [
        ["report", "old"],
        ["report", "old", "--format", "md", "--to", "-"],
        ["compare", "old", "new"],
        ["compare", "new", "old"],
    ],
)
def test_commands(root: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(root / word) if word in ("old", "new") else word for word in words]
    assert run_cli(arguments) == DataError.exit_code
    said = capsys.readouterr()
    assert said.out == ""
    assert sentence(root) in said.err
    assert len(said.err.splitlines()) == 1


def test_the_screens(root: Path) -> None:
    from textual.widgets import Static

    from tuiprobe.tui.app import TuiprobeApp
    from tuiprobe.tui.screens.results import ResultsScreen

    async def shown() -> str:
        app = TuiprobeApp()
        async with app.run_test(size=(200, 40)) as pilot:
            await app.push_screen(ResultsScreen(root / "old"))
            await app.workers.wait_for_complete()
            await pilot.pause()
            return " ".join(str(one.render()) for one in app.screen.query(Static))

    assert "tuiprobe reprobe" in asyncio.run(shown())
