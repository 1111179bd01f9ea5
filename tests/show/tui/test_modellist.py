"""The list of models as plain data."""

import pytest
from rich.cells import cell_len

from tuiprobe.catalog.model_list import list_models
from tuiprobe.catalog.published_models import ListedModel
from tuiprobe.show.tui import modellist


@pytest.fixture(scope="module")
def rows() -> list[ListedModel]:
    return [*list_models()]


def test_every_model_stands_in_one_group_and_the_demonstration_comes_first(rows):
    lines = modellist.grouped(rows)
    headings = [line for line in lines if isinstance(line, str)]
    assert [title.split()[0] for title in headings] == [
        "DEMONSTRATION", "ZERO-SHOT", "FINETUNED", "SUPERVISED", "ALL",
    ]  # fmt: skip
    models = [line for line in lines if isinstance(line, ListedModel)]
    assert len(models) == len(rows)
    assert {row.name for row in models} == {row.name for row in rows}
    assert models[0].name == "mini_clip"
    assert "(4)" in headings[0]
    assert not modellist.grouped([])


@pytest.mark.parametrize("width", [54, 76, 104, 160])
def test_no_name_is_cut_that_is_not_longer_than_the_window(rows, width):
    for row in rows:
        cells = modellist.cells(row, False)
        text = modellist.line(modellist.COLUMNS, cells, width)
        assert cell_len(text) == width
        if cell_len(cells[0]) <= width:
            assert text.startswith(cells[0]), text
    preset = modellist.cells(rows[0], False)
    assert "zero-shot" in modellist.line(modellist.COLUMNS, preset, 76)  # no column is lost for it
