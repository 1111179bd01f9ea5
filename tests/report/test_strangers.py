"""A part of a probe that is not installed here shows in every format, from its section alone."""

from __future__ import annotations

import csv
import io

import pytest

from tests.report.samples import PROBES, report
from tests.report.strangers import strange_report, stranger
from tuiprobe.report.formats import RENDERED, files_of
from tuiprobe.report.html import html
from tuiprobe.report.terminal import summary
from tuiprobe.results import Report


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    return files_of(strange_report(), None, list(RENDERED))


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


def test_markdown_tells_all_of_it(files: dict[str, str]) -> None:
    assert "edges" not in PROBES
    text = files["report.md"].partition("## Edges\n")[2].partition("\n## ")[0]
    assert (
        text
        == """\
Texture bias 0.62 (0.57 to 0.67) on `val`.
### How it leans
- It leans on **texture**, 0.25yes.
- first
- second `x`
- Rows in full: `tables/heights.csv` (1).

By layer:

| layer | `texture` bias |
|---|---|
| `stem` | 0.62 (0.57 to 0.67) |
| **none** | not run: flat |
| x | 3 |
"""
    )
    assert "- texture bias 0.62 (0.57 to 0.67)\n" in files["report.md"]


def test_the_page_has_its_section_charts_and_pictures() -> None:
    page = html(strange_report(), {("val", 7): b"\xff\xd8\xff"})
    own = page.partition("<h2>Edges</h2>")[2]
    assert own.count("<figure ") == 3
    assert "<title>Texture bias</title>" in own
    assert "Read with care." in own
    assert "<figcaption>Edge <code>3</code>, images of <code>val</code></figcaption>" in own
    assert '<p class="end">roundest:</p>\n<div class="pictures">' in own
    assert "<details><summary>Heights (1 row)</summary>" in own


def test_tables_lose_no_row_and_no_file(files: dict[str, str]) -> None:
    assert rows(files["tables/edges.csv"]) == [
        ["layer", "value", "low", "high", "value_unit", "n", "method", "not_run_because"],
        ["stem", "0.62", "0.57", "0.67", "", "500", "bootstrap", ""],
        ["none", "", "", "", "", "", "", "flat"],
        ["x", "3", "", "", "", "", "", ""],
    ]
    assert rows(files["tables/heights.csv"]) == [["layer"], ["own table"]]
    figures = [row[:6] for row in rows(files["tables/figures.csv"]) if row[0] == "edges"]
    assert figures == [
        ["edges", "val", "final", "texture", "texture bias", "0.62"],
        ["edges", "val", "stem", "texture", "texture bias", "0.9"],
        ["edges", "val", "textures", "texture_robustness", "robustness to texture", "0.31"],
    ]


def test_charts_and_tables_of_one_id_are_files_of_their_own(files: dict[str, str]) -> None:
    assert "Highest channels on val" in files["figures/heights.svg"]
    assert "Own heights" in files["figures/edges_heights.svg"]
    assert "Texture bias" in files["figures/edges.svg"]
    first, second = stranger(), stranger().model_copy(update={"probe": "borders"})
    result = report()
    result = result.model_copy(update={"parts": (*result.parts, first, second, second)})
    names = {name for name in files_of(result, None, ["csv"]) if "edges" in name}
    assert names == {"tables/edges.csv", "tables/borders_edges.csv", "tables/borders_edges_2.csv"}


def test_summary_json_and_pictures_have_it(files: dict[str, str]) -> None:
    assert "texture bias 0.62 (0.57 to 0.67)" in summary(strange_report())
    result = Report.parse(files["results.json"].encode(), "x")
    assert result.part_of("edges") == stranger()
    assert strange_report().pictured("val") == {3, 7, 9}
    assert strange_report().pictured("other") == set()
