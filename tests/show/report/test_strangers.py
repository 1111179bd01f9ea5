"""A part of a probe that is not installed here shows in every format, from its section alone."""

import pytest

from tests.show.report.samples import PROBES, report
from tests.show.report.strangers import strange_report, stranger
from tuiprobe.show.report.formats import RENDERED, files_of


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    return files_of(strange_report(), None, list(RENDERED))


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


def test_charts_and_tables_of_one_id_are_files_of_their_own(files: dict[str, str]) -> None:
    assert "Highest channels on val" in files["figures/heights.svg"]
    assert "Own heights" in files["figures/edges_heights.svg"]
    assert "Texture bias" in files["figures/edges.svg"]
    first, second = stranger(), stranger().model_copy(update={"probe": "borders"})
    result = report()
    result = result.model_copy(update={"parts": (*result.parts, first, second, second)})
    names = {name for name in files_of(result, None, ["csv"]) if "edges" in name}
    assert names == {"tables/edges.csv", "tables/borders_edges.csv", "tables/borders_edges_2.csv"}
