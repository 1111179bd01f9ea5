"""A part of a probe that is not installed here shows in every format, from its section alone."""

from __future__ import annotations

import asyncio
import csv
import io
import time
from pathlib import Path

import pytest

from tests.report.samples import PROBES, report
from tests.report.strangers import strange_report, stranger
from tuiprobe.report.formats import FORMATS, files_of
from tuiprobe.report.html import html
from tuiprobe.report.markdown import section_markdown
from tuiprobe.report.summary import summary
from tuiprobe.results import Report
from tuiprobe.run.directory import RunDir
from tuiprobe.run.glance import write_results


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    return files_of(strange_report(), None, list(FORMATS))


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


def test_the_probe_is_not_installed() -> None:
    assert "edges" not in PROBES


def test_markdown_tells_all_of_it(files: dict[str, str]) -> None:
    text = files["report.md"].partition("## Edges\n")[2].partition("\n## ")[0]
    assert (
        text
        == """\
Texture bias 0.62 (0.57 to 0.67) on `val`.
### How it leans
- It leans on **texture**, 0.25yes.
- first
- second `x`
- Rows in full: `tables/shares.csv` (1).

By layer:

| layer | `texture` bias |
|---|---|
| `stem` | 0.62 (0.57 to 0.67) |
| **none** | not run: flat |
| x | 3 |
"""
    )
    assert "- texture bias 0.62 (0.57 to 0.67)\n" in files["report.md"]


def test_a_comparison_is_told_in_full() -> None:
    section = stranger().section
    assert section is not None
    text = section_markdown(section)
    assert "| own table |" in text
    assert "- Edge `3`, roundest: `cat.jpg` (1.5)" in text


def test_the_page_has_its_section_charts_and_pictures() -> None:
    page = html(strange_report(), {("val", 7): b"\xff\xd8\xff"})
    own = page.partition("<h2>Edges</h2>")[2]
    assert own.count("<figure ") == 3
    assert "<title>Texture bias</title>" in own
    assert "Read with care." in own
    assert "<figcaption>Edge <code>3</code>, images of <code>val</code></figcaption>" in own
    assert '<p class="end">roundest:</p><div class="pictures">' in own
    assert "<details><summary>Shares (1 row)</summary>" in own


def test_tables_lose_no_row_and_no_file(files: dict[str, str]) -> None:
    assert rows(files["tables/edges.csv"]) == [
        ["layer", "value", "low", "high", "value_unit", "n", "method", "not_run_because"],
        ["stem", "0.62", "0.57", "0.67", "", "500", "bootstrap", ""],
        ["none", "", "", "", "", "", "", "flat"],
        ["x", "3", "", "", "", "", "", ""],
    ]
    assert rows(files["tables/shares.csv"]) == [["layer"], ["own table"]]
    figures = [row[:6] for row in rows(files["tables/figures.csv"]) if row[0] == "edges"]
    assert figures == [
        ["edges", "val", "final", "texture", "texture bias", "0.62"],
        ["edges", "val", "stem", "texture", "texture bias", "0.9"],
        ["edges", "val", "textures", "texture_robustness", "robustness to texture", "0.31"],
    ]


def test_charts_of_one_id_are_files_of_their_own(files: dict[str, str]) -> None:
    assert "Fourth moment by channel on val" in files["figures/shares.svg"]
    assert "Own shares" in files["figures/edges_shares.svg"]
    assert "Texture bias" in files["figures/edges.svg"]


def test_tables_of_one_id_are_files_of_their_own() -> None:
    first, second = stranger(), stranger().model_copy(update={"probe": "borders"})
    found = report()
    found = found.model_copy(update={"parts": (*found.parts, first, second, second)})
    names = {name for name in files_of(found, None, ["csv"]) if "edges" in name}
    assert names == {"tables/edges.csv", "tables/borders_edges.csv", "tables/borders_edges_2.csv"}


def test_the_summary_has_its_lines() -> None:
    assert "texture bias 0.62 (0.57 to 0.67)" in summary(strange_report())


def test_json_keeps_it(files: dict[str, str]) -> None:
    found = Report.parse(files["results.json"].encode(), "x")
    assert found.part_of("edges") == stranger()


def test_its_pictures_are_known() -> None:
    assert strange_report().pictured("val") == {3, 7, 9}
    assert strange_report().pictured("other") == set()


def test_the_screens_open_it(tmp_path: Path) -> None:
    from tuiprobe.tui.app import TuiprobeApp
    from tuiprobe.tui.screens.results import ResultsScreen
    from tuiprobe.tui.tabs.bar import PartBar

    run = RunDir(tmp_path / "run")
    write_results(run, strange_report())

    async def tabs() -> list[str]:
        app = TuiprobeApp()
        async with app.run_test(size=(200, 50)) as pilot:
            await app.push_screen(ResultsScreen(run.path))
            deadline = time.monotonic() + 60
            while not app.screen.query(PartBar) and time.monotonic() < deadline:
                await pilot.pause(0.02)
            return [one.id for one in app.screen.query_one(PartBar).names]

    assert "edges" in asyncio.run(tabs())
