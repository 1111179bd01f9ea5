"""Widgets and words as plain strings, without an app."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rich.segment import Segment
from textual.color import Color

from tests.tui.live_run import write_pictures
from tuiprobe.files import Entry
from tuiprobe.tui.ascii import AsciiFilter
from tuiprobe.tui.text import fitted, inert, inert_lines
from tuiprobe.tui.widgets.bars import binned, spectrum
from tuiprobe.tui.widgets.layers import strip_line
from tuiprobe.tui.widgets.rows import RowColumn, row_text
from tuiprobe.tui.widgets.thumbnail import half_blocks, read_pixels, shades

HOSTILE = "[red]x[/]\x1b[31m\u202e\n"


def test_outside_text_is_shown_and_never_obeyed() -> None:
    shown = inert(HOSTILE)
    assert shown.plain == "[red]x[/]\\x1b[31m\\u202e\\n"
    assert not shown.spans
    assert len(inert_lines([HOSTILE, "b"]).plain.splitlines()) == 2
    assert "\x1b" not in row_text([RowColumn("name", 8)], [HOSTILE], 40)


@pytest.mark.parametrize("width", [0, 1, 5, 9, 40])
def test_text_is_cut_to_cells_not_to_characters(width: int) -> None:
    from rich.cells import cell_len

    for text in ("", "abc", "獅子獅子獅子", "Löwe ▲ 獅", "a" * 50):
        assert cell_len(fitted(text, width)) == width


def test_ascii_drawing_keeps_every_cell() -> None:
    line = [Segment("▲ 獅 ███▌ ⣿ é κ 3.0 … ☑")]
    drawn = AsciiFilter().apply(line, Color.parse("black"))
    text = "".join(segment.text for segment in drawn)
    assert text.isascii()
    assert len(text) == sum(segment.cell_length for segment in line)
    assert "###=" in text


def test_the_spectrum_keeps_the_loudest_channel_of_each_column() -> None:
    values = np.zeros(1000)
    values[777] = 1.0
    assert max(binned(values.tolist(), 40)) == 1.0
    lines = spectrum(values.tolist(), 40, 4)
    assert [len(line) for line in lines] == [40] * 4
    assert all(line[777 * 40 // 1000] == "█" for line in lines)
    assert sum(line.count("█") for line in lines) == 4


def test_layers_grow_darker_with_kurtosis_and_scroll_to_the_selected_one() -> None:
    line = strip_line([3.0, 10.0, 40.0, 100.0], 3, 20)
    assert line.rstrip().endswith("[█]")
    shades = [line[1], line[3], line[5], line[7]]
    assert shades == sorted(shades, key="·░▒▓█".index)
    many = strip_line([3.0] * 99 + [50.0], 99, 20)
    assert "[█]" in many
    assert len(many) == 20


def test_a_picture_becomes_half_blocks_or_shades(tmp_path: Path) -> None:
    write_pictures(tmp_path, ids=(3,))
    pixels = read_pixels(Entry(tmp_path, "thumbs/val/3.jpg"), 8, 8)
    assert pixels is not None
    lines = half_blocks(pixels)
    assert [len(line) for line in lines] == [8] * 4
    assert all(segment.text == "▀" for line in lines for segment in line)
    assert len(set(map(str, (segment.style for line in lines for segment in line)))) > 16
    drawn = shades(pixels)
    assert [len(line) for line in drawn] == [8] * 4
    assert "".join(drawn).isascii()


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
        import os

        os.mkfifo(path)
    assert read_pixels(Entry(path.parent, path.name), 4, 4) is None
