"""Widgets and words as plain strings, without an app."""

from pathlib import Path

import pytest
from rich.cells import cell_len

from tuiprobe.files import Entry
from tuiprobe.show.tui.text import fitted
from tuiprobe.show.tui.widgets.thumbnail import read_picture


@pytest.mark.parametrize("width", [0, 1, 5, 9, 40])
def test_text_is_cut_to_cells_not_to_characters(width: int) -> None:
    for text in ("", "abc", "獅子獅子獅子", "Löwe ▲ 獅", "a" * 50):
        assert cell_len(fitted(text, width)) == width


@pytest.mark.parametrize("kind", ["missing", "text", "huge"])
def test_what_is_no_picture_is_left_out(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    if kind == "text":
        path.write_text("no picture")
    elif kind == "huge":
        path.write_bytes(b"\xff\xd8" + bytes(2**21))
    assert read_picture(Entry(path.parent, path.name), 4, 4) is None
