"""Widgets and words as plain strings, without an app."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.segment import Segment
from textual.color import Color

from tests.tui.live_run import write_pictures
from tuiprobe.files import Entry
from tuiprobe.spec import run_option
from tuiprobe.tui import modellist, runsetup
from tuiprobe.tui.ascii import AsciiFilter
from tuiprobe.tui.livewatch import Said, Snapshot
from tuiprobe.tui.progress import progress_line
from tuiprobe.tui.runsetup import Setup
from tuiprobe.tui.text import fitted, inert, inert_lines
from tuiprobe.tui.widgets.bars import bar, binned, spectrum
from tuiprobe.tui.widgets.layers import strip_line
from tuiprobe.tui.widgets.rows import Column, kept_columns, row_text
from tuiprobe.tui.widgets.thumbnail import half_blocks, read_pixels, shades

HOSTILE = "[red]x[/]\x1b[31m\u202e\n"


def test_outside_text_is_shown_and_never_obeyed() -> None:
    shown = inert(HOSTILE)
    assert shown.plain == "[red]x[/]\\x1b[31m\\u202e\\n"
    assert not shown.spans
    assert len(inert_lines([HOSTILE, "b"]).plain.splitlines()) == 2
    assert "\x1b" not in row_text([Column("name", 8)], [HOSTILE], 40)


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


def test_bars_grow_with_the_share() -> None:
    lengths = [len(bar(share / 10, 20).rstrip()) for share in range(11)]
    assert lengths == sorted(lengths)
    assert (bar(0, 20), bar(1, 20)) == ("", "█" * 20)


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


def test_columns_leave_by_their_number_and_the_first_takes_the_rest() -> None:
    columns = [Column("a", 10), Column("b", 10, drop=1), Column("c", 10, drop=2)]
    assert [kept_columns(columns, width) for width in (32, 31, 21, 20)] == [
        [0, 1, 2], [0, 1], [0, 1], [0],
    ]  # fmt: skip
    text = row_text([Column("a", 4), Column("n", 5, right=True)], ["name", "42"], 20)
    assert text == "name" + " " * 14 + "42"


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


def test_progress_is_told_in_words() -> None:
    one = Snapshot(set="val", done=640, skipped=2, total=2000, rate=212.4, eta=71.0)
    line = progress_line(one, 100)
    for part in ("val 642 of 2,000", "32 %", "212 img/s", "ETA 1:11", "2 skipped"):
        assert part in line
    assert progress_line(Snapshot(), 20)


def test_events_keep_their_kind() -> None:
    assert Said("warning", "x").kind == "warning"


# The list of models.


def test_the_first_rows_are_the_presets_with_the_default_on_top() -> None:
    from tuiprobe.catalog.presets import presets

    rows = modellist.first_rows()
    assert [row.name for row in rows] == list(presets())
    assert rows[0].name == "mini_clip"


def test_filter_and_order_work_on_raw_values() -> None:
    from tuiprobe.catalog.listing import listed

    rows = [modellist.row_of(one) for one in listed()]
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
    rows = modellist.first_rows()
    assert len(modellist.ordered(rows, column, False)) == len(rows)
    assert all(len(modellist.cells(row, False)) == len(modellist.COLUMNS) for row in rows)


def test_marks_and_details_are_told_without_colour() -> None:
    row = modellist.first_rows()[0]
    assert modellist.cells(row, True)[0].startswith("☑")
    assert modellist.cells(row, False)[0].startswith("☐")
    assert any("never evidence" in line for line in modellist.details(row))


# The setup of a run.


def test_the_command_line_says_what_differs_from_the_defaults() -> None:
    plain = ["--headless", "--model", "mini_clip", "--data", "miniature"]
    assert Setup(("mini_clip",)).options() == plain
    full = Setup(
        ("a", "b"),
        {
            "data": "imagefolder:my photos", "sample": "64", "layers": "layer* fc",
            "tokens": "mean", "device": "cuda:1", "dtype": "bfloat16", "batch_size": "8",
            "head": "probe", "classes": "c.txt", "templates": "t.txt", "offline": "yes",
        },
    )  # fmt: skip
    words = full.options()
    assert words.count("--model") == 2
    assert words.count("--layers") == 2
    for pair in (("--tokens", "mean"), ("--device", "cuda:1"), ("--batch-size", "8")):
        assert pair in pairwise(words)
    assert words[-1] == "--offline"


def test_a_value_that_is_the_default_is_left_out() -> None:
    plain = Setup(("m",)).options()
    for name in (*runsetup.FIRST, *runsetup.MORE):
        option = run_option(name)
        if name != "data" and option.default is not None and not option.many:
            text = runsetup.first_text(option) or str(option.default)
            assert Setup(("m",), {name: text}).options() == plain, name
    assert runsetup.usual_sample(["mini_clip", "rn50_openai"], "miniature") == 64


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"data": " "}, "data"),
        ({"sample": "many"}, "sample"),
        ({"batch_size": "0"}, "batch"),
        ({"device": "gpu"}, "device"),
        ({"dtype": "float64"}, "dtype: give one of float32"),
        ({"sample": "0", "batch_size": "32"}, ""),
        ({}, ""),
    ],
)
def test_a_problem_is_named_before_the_run(change: dict, word: str) -> None:
    assert Setup(("a",), change).problem().startswith(word)
    assert bool(Setup(("a",), change).problem()) == bool(word)
    assert Setup(("a", "b"), {"checkpoint": "w.pt"}).problem().startswith("checkpoint")


def test_the_same_options_go_to_the_same_directory() -> None:
    one = Setup(("mini_clip",), {"sample": "64"}).directory(Path("runs"))
    assert one == Setup(("mini_clip",), {"sample": "64"}).directory(Path("runs"))
    assert one != Setup(("mini_clip",), {"sample": "65"}).directory(Path("runs"))
    hostile = Setup(("../../x",), {"data": "imagefolder:/a/../\n;rm"}).directory(Path("runs"))
    assert hostile.parent == Path("runs")
    assert hostile.name.isprintable()


TRIAL: dict[str, Any] = {
    "width": 128,
    "taps": [{"name": "layer1", "channels": 8}, {"name": "layer1.0", "channels": 8}],
    "cost": {"images_per_second": 100.0},
    "text": {"templates": 8},
    "head": None,
}
FOUND = {"name": "x", "sets": [
    {"name": "val", "images": 1000, "classes": 40, "notes": ["a note"]},
    {"name": "r", "images": 200, "classes": 40, "notes": ["a note"]},
]}  # fmt: skip


def test_layers_are_previewed_with_the_engines_globs() -> None:
    assert runsetup.matched_layers(TRIAL["taps"], "layer* nothing") == [
        "✓ layer*: 1 of 2  layer1",
        "✗ nothing: 0 of 2  ",
    ]


def test_the_cost_grows_with_images_and_models() -> None:
    one = runsetup.estimate([TRIAL], [1000, 200], 500, "")
    assert one.images == 700
    assert one.seconds == pytest.approx(runsetup.SECONDS_TO_START + 7.0)
    two = runsetup.estimate([TRIAL, TRIAL], [1000, 200], 500, "layer*")
    assert (two.images, two.disk > 2 * one.disk) == (1400, True)
    assert runsetup.estimate([TRIAL], [1000, 200], 0, "").images == 1200


def test_what_was_recognised_and_what_will_run() -> None:
    lines = runsetup.recognised(FOUND)
    assert lines[0] == "✓ val: 1,000 images, 40 classes"
    assert lines.count("! a note") == 1
    all_run = runsetup.probes(Setup(("m",)), TRIAL, FOUND)
    assert all(line.startswith("✓") for line in all_run)
    flat = {"name": "x", "sets": [{"name": "val", "images": 9, "classes": 0, "notes": []}]}
    assert "- directions" in "\n".join(runsetup.probes(Setup(("m",)), TRIAL, flat))
