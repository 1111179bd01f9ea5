"""Widgets and words as plain strings, without an app."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.tui.live_run import write_pictures
from tuiprobe.files import Entry
from tuiprobe.tui.text import fitted, inert, inert_lines
from tuiprobe.tui.widgets.rows import RowColumn, row_text
from tuiprobe.tui.widgets.thumbnail import read_picture

HOSTILE = "[red]x[/]\x1b[31m\u202e\n"


def test_outside_text_is_shown_and_never_obeyed() -> None:
    content = inert(HOSTILE)
    assert content.plain == "[red]x[/]\\x1b[31m\\u202e\\n"
    assert not content.spans
    assert len(inert_lines([HOSTILE, "b"]).plain.splitlines()) == 2
    assert "\x1b" not in row_text([RowColumn("name", 8)], [HOSTILE], 40)


@pytest.mark.parametrize("width", [0, 1, 5, 9, 40])
def test_text_is_cut_to_cells_not_to_characters(width: int) -> None:
    for text in ("", "abc", "獅子獅子獅子", "Löwe ▲ 獅", "a" * 50):
        assert cell_len(fitted(text, width)) == width


@pytest.mark.parametrize("kind", ["missing", "text", "link", "huge", "pipe"])
def test_what_is_no_picture_is_left_out(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    if kind == "text":
        path.write_text("no picture")
    elif kind == "link":
        write_pictures(tmp_path, ids=(3,))
        path.symlink_to(tmp_path / "thumbs" / "val" / "3.jpg")
    elif kind == "huge":
        path.write_bytes(b"\xff\xd8" + bytes(2**21))
    elif kind == "pipe":
        os.mkfifo(path)
    assert read_picture(Entry(path.parent, path.name), 4, 4) is None
