"""`results.json` of schema 1: every reader says in one sentence what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.report.samples import report
from tuiprobe.cli.app import run_cli
from tuiprobe.errors import DataError
from tuiprobe.run.directory import RunDir
from tuiprobe.run.listing import list_runs
from tuiprobe.run.results import write_results


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


def test_every_reader_says_what_to_do(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    states = {row.name: (row.state, row.title) for row in list_runs(root)}
    assert states["old"] == ("damaged", sentence(root))
    assert states["new"][0] == "done"
    old, new = str(root / "old"), str(root / "new")
    for words in (["report", old], ["report", new, old, "--to", "-"], ["compare", old, new]):
        assert run_cli(words) == DataError.exit_code
        printed = capsys.readouterr()
        assert printed.out == ""
        assert sentence(root) in printed.err
        assert len(printed.err.splitlines()) == 1
