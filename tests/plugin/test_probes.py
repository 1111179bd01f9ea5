"""A stranger's probe is in every format, in compare, in a gate and on the screens, untouched."""

import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.plugin.conftest import Typed
from tests.plugin.test_sources_and_loaders import SMALL
from tests.prepared import Prepared
from tuiprobe.show.report.formats import FORMATS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def runs(stranger: Path, prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder with two runs that the stranger's probe was asked of."""
    root = tmp_path_factory.mktemp("runs")
    for name, data, longest in (("a", "bands:36", "2"), ("b", "bands:45", "4")):
        done = prepared.run(
            "--headless", "--model", "toy:8", "--data", data,
            "--probe", f"lengths.longest={longest}", "--output", name, *SMALL,
            cwd=root, before=[("tests.hooks:on_the_path", [str(stranger)])],
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "length " in done.stdout
    return root


def part(runs: Path, name: str) -> dict:
    report = json.loads((runs / name / "results.json").read_text())
    return next(item for item in report["parts"] if item["probe"] == "lengths")


def test_a_run_over_its_source_with_its_loader(runs: Path) -> None:
    report = json.loads((runs / "a" / "results.json").read_text())
    assert (report["model"]["name"], report["model"]["loader"]) == ("toy:8", "toy")
    (measured,) = [item for item in report["data"] if item["name"] == "bands"]
    assert measured["source"] == "bands:36"
    # The colour of each picture is its class, and the head reads it off: all right.
    (robustness,) = [item for item in report["parts"] if item["probe"] == "robustness"]
    assert robustness["result"]["accuracies"][0]["top1"]["value"] == 1


def test_its_options_are_typed(runs: Path) -> None:
    assert [len(part(runs, name)["result"]["longest"]) for name in "ab"] == [2, 4]


def test_every_format_shows_it_where_the_package_is_not_installed(runs, typed, tmp_path):
    run = str(runs / "a")
    every = [word for name in FORMATS for word in ("--format", name)]
    done = typed(None, "report", run, *every, "--to", "out")
    assert done.returncode == 0, done.stderr
    out = tmp_path / "out"
    assert "Longer than most \\<b\\>say\\</b\\> little." in (out / "report.md").read_text()
    html = (out / "report.html").read_text()
    assert "Longer than most &lt;b&gt;say&lt;/b&gt; little." in html
    assert (out / "figures" / "lengths.svg").exists()
    rows = list(csv.DictReader(io.StringIO((out / "tables" / "longest.csv").read_text())))
    assert [row["image"] for row in rows] == [
        item["path"] for item in part(runs, "a")["result"]["longest"]
    ]
    named = list(csv.DictReader(io.StringIO((out / "tables" / "figures.csv").read_text())))
    (figure,) = [row for row in named if row["figure"] == "mean_length"]
    assert float(figure["value"]) == part(runs, "a")["result"]["mean"]["value"]


def test_runs_are_compared_and_gated_by_it(runs: Path, typed: Typed) -> None:
    done = typed(None, "compare", str(runs / "a"), str(runs / "b"), "--all")
    assert done.returncode == 0, done.stderr
    assert "mean_length" in done.stdout
    assert "longest images on bands" in done.stdout
    for gate, code in (
        ("mean_length > 100", 0), ("mean_length < 100", 1), ("reach differs", 0),
        ("longest differ", 1),
    ):  # fmt: skip
        done = typed(
            None, "compare", str(runs / "a"), str(runs / "b"), "--unpaired", "--fail-if", gate
        )
        assert done.returncode == code, (gate, done.stderr)


def test_answering_again_without_the_package_keeps_the_part(runs, stranger, typed, tmp_path):
    shutil.copytree(runs / "a", tmp_path / "copy")
    for package in (None, stranger):
        assert typed(package, "reprobe", "copy").returncode == 0
        assert part(tmp_path, "copy") == part(runs, "a")


def test_its_options_are_tried_on_a_finished_run(runs, stranger, typed, tmp_path):
    shutil.copytree(runs / "a", tmp_path / "copy")
    done = typed(stranger, "reprobe", "copy", "--probe", "lengths.longest=5")
    assert done.returncode == 0, done.stderr
    assert len(part(tmp_path, "copy")["result"]["longest"]) == 5
    spec = json.loads((tmp_path / "copy" / "spec.json").read_text())
    assert spec["probe"] == ["lengths.longest=5"]
    assert typed(stranger, "reprobe", "copy").returncode == 0  # and it is kept
    assert len(part(tmp_path, "copy")["result"]["longest"]) == 5
    before = (tmp_path / "copy" / "results.json").read_bytes()
    refused = typed(stranger, "reprobe", "copy", "--probe", "lengths.longst=3")
    assert (refused.returncode, "did you mean longest?" in refused.stderr) == (2, True)
    assert (tmp_path / "copy" / "results.json").read_bytes() == before


SCREENS = """
import asyncio, sys
from pathlib import Path
from tuiprobe.show.tui.app import TuiprobeApp

async def show():
    app = TuiprobeApp(open_run=Path(sys.argv[1]))
    async with app.run_test(size=(110, 40)) as pilot:
        while getattr(app.screen, "tab", None) is None:
            await pilot.pause(0.02)
        shown = set()
        while (name := app.screen.tab.id) not in shown:
            shown.add(name)
            texts = app.screen.tab.query("Static")
            print(name, " ".join(str(text.render()) for text in texts).replace("\\n", " "))
            await pilot.press("tab")
            await pilot.pause(0.05)
        print({"numpy", "scipy", "torch", "stranger"} & sys.modules.keys())

asyncio.run(show())
"""


def test_the_screens_show_it_without_its_package_and_libraries_of_arrays(runs: Path) -> None:
    """In a process of its own, for this one has loaded torch for other tests."""
    done = subprocess.run(
        [sys.executable, "-c", SCREENS, runs / "a"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    tabs = dict(line.partition(" ")[::2] for line in done.stdout.splitlines())
    assert {"tab-overview", "tab-channels", "tab-inside", "tab-checks"} <= set(tabs)
    assert "Representations are" in tabs["tab-inside"]
    assert "<b>say</b>" in tabs["tab-inside"]
    assert done.stdout.splitlines()[-1] == "set()"
