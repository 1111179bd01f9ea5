"""The list of models as plain data."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from tuiprobe.catalog.listing import listed
from tuiprobe.catalog.presets import presets
from tuiprobe.tui import modellist
from tuiprobe.tui.modellist import GroupHeading, ModelRow


@pytest.fixture(scope="module")
def rows() -> list[ModelRow]:
    return [modellist.row_of(one) for one in listed()]


def test_the_first_rows_are_the_presets_with_the_default_on_top() -> None:
    first = modellist.first_rows()
    assert [row.name for row in first] == list(presets())
    assert first[0].name == "mini_clip"


def test_filter_and_order_work_on_raw_values(rows: list[ModelRow]) -> None:
    found = modellist.filtered(rows, "VIT-B-16 openai")
    assert found
    texts = [row.text.lower() for row in found]
    assert all("vit-b-16" in text and "openai" in text for text in texts)
    by_accuracy = modellist.ordered(rows, 7, True)
    known = [row.imagenet for row in by_accuracy if row.imagenet is not None]
    assert known == sorted(known, reverse=True)
    assert [row.imagenet for row in by_accuracy[len(known) :]] == [None] * (len(rows) - len(known))
    assert {row.name for row in by_accuracy} == {row.name for row in rows}
    smallest = modellist.ordered(rows, 5, False)[0]
    assert smallest.parameters == min(r.parameters for r in rows if r.parameters is not None)


@pytest.mark.parametrize("column", range(len(modellist.COLUMNS)))
def test_every_column_sorts_and_has_a_cell(column: int) -> None:
    first = modellist.first_rows()
    assert len(modellist.ordered(first, column, False)) == len(first)
    assert all(len(modellist.cells(row, False)) == len(modellist.COLUMNS) for row in first)


def test_every_model_stands_in_one_group_and_the_demonstration_comes_first(
    rows: list[ModelRow],
) -> None:
    lines = modellist.grouped(rows)
    headings = [line.title for line in lines if isinstance(line, GroupHeading)]
    assert [title.split()[0] for title in headings] == [
        "DEMONSTRATION", "ZERO-SHOT", "FINETUNED", "SUPERVISED", "ALL",
    ]  # fmt: skip
    models = [line for line in lines if isinstance(line, ModelRow)]
    assert len(models) == len(rows)
    assert {row.name for row in models} == {row.name for row in rows}
    assert models[0].name == "mini_clip"
    assert "(4)" in headings[0]
    assert not modellist.grouped([])


@pytest.mark.parametrize("width", [54, 76, 104, 160])
def test_no_name_is_cut_that_is_not_longer_than_the_window(
    rows: list[ModelRow], width: int
) -> None:
    for row in rows:
        cells = modellist.cells(row, False)
        text = modellist.line(modellist.COLUMNS, cells, width)
        assert cell_len(text) == width
        if cell_len(cells[0]) <= width:
            assert text.startswith(cells[0]), text
    preset = modellist.cells(rows[0], False)
    assert "zero-shot" in modellist.line(modellist.COLUMNS, preset, 76)  # no column is lost for it


def test_the_count_names_the_libraries_and_the_day_of_the_list(rows: list[ModelRow]) -> None:
    from tuiprobe.catalog import names

    said = modellist.catalogue(len(rows), rows, 0)
    for library, version in names.generated_with(names.current_file()).items():
        assert f"{library} {version}" in said
    assert said.startswith(f"{len(rows):,} models of ")
    assert said.endswith(f"list of {names.listed_on(names.current_file())}")
    assert modellist.catalogue(3, rows, 2).startswith("2 marked · 3 shown · ")


def test_a_list_without_a_day_is_read_as_before(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    from tuiprobe.catalog import names

    old = tmp_path / "names.tsv"
    old.write_text("# open_clip==3.0.0 timm==1.0.0\n")
    assert (names.generated_with(old), names.listed_on(old)) == (
        {"open_clip": "3.0.0", "timm": "1.0.0"},
        "",
    )
    monkeypatch.setattr(names, "current_file", lambda: old)
    assert modellist.catalogue(0, [], 0) == "0 models of open_clip 3.0.0 and timm 1.0.0"
