"""Widgets of the live view: absolute bars, kurtosis with its axis, sets so far, both ends."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from rich.color import Color as RichColor
from textual.color import Color
from textual.strip import Strip

from tests.tui.conftest import until
from tests.tui.live_run import CHANNELS, shares_of, write_pictures
from tuiprobe.files import Entry
from tuiprobe.run.counting import SetCount
from tuiprobe.run.status import LiveTap
from tuiprobe.tui.app import TuiprobeApp
from tuiprobe.tui.livewatch import Snapshot
from tuiprobe.tui.widgets.bars import HEAD, TAIL, ChannelBars, Channels
from tuiprobe.tui.widgets.ends import EndPictures
from tuiprobe.tui.widgets.history import SetHistory, sets_so_far
from tuiprobe.tui.widgets.layers import LayerStrip
from tuiprobe.tui.widgets.plot import Point, plotted
from tuiprobe.tui.widgets.thumbnail import Thumbnail

WIDTH = 80


class OneWidget(TuiprobeApp):
    """An app with one widget over its first screen."""

    def __init__(self, widget: ChannelBars | SetHistory | EndPictures, ascii: bool = False) -> None:
        super().__init__(ascii=ascii)
        self.widget = widget

    def on_ready(self) -> None:
        widget = self.widget
        widget.styles.dock = "top"
        widget.styles.width = WIDTH
        self.screen.mount(widget)


def lines(widget: ChannelBars | SetHistory) -> list[str]:
    return [widget.render_line(y).text for y in range(widget.size.height)]


def skewed(channels: int, first: float, second: float) -> np.ndarray:
    """Returns shares with two channels in front, 0 and 1."""
    shares = np.full(channels, (1 - first - second) / (channels - 2))
    shares[:2] = first, second
    return shares


def bar_of(line: str) -> float:
    """Returns the length of a row's bar as a fraction of the axis."""
    room = line[HEAD : WIDTH - TAIL]
    return sum(c in "█┊" for c in room.rstrip()) / len(room)


@pytest.mark.asyncio
async def test_bars_are_on_an_absolute_scale_so_that_two_models_differ_at_a_glance() -> None:
    bars = ChannelBars()
    bars.styles.height = 10
    app = OneWidget(bars)
    async with app.run_test(size=(WIDTH, 30)) as pilot:
        lengths = {}
        for share in (0.8, 0.4, 0.02):
            bars.show(Channels("embedding", skewed(128, share, 0.01)))
            await pilot.pause()
            heading, row = lines(bars)[:2]
            assert [heading.count(mark) for mark in ("25 %", "50 %", "75 %", "100 %")] == [1] * 4
            lengths[share] = bar_of(row)
        assert lengths[0.8] == pytest.approx(0.8, abs=0.02)
        assert lengths[0.4] == pytest.approx(0.4, abs=0.02)
        assert lengths[0.02] < 0.05


@pytest.mark.asyncio
async def test_the_even_share_is_marked_on_the_axis_and_in_the_bars() -> None:
    bars = ChannelBars()
    bars.styles.height = 10
    app = OneWidget(bars)
    async with app.run_test(size=(WIDTH, 30)) as pilot:
        bars.show(Channels("embedding", skewed(10, 0.7, 0.01)))
        await pilot.pause()
        room = WIDTH - HEAD - TAIL
        at = HEAD + room // 10
        for row in lines(bars)[1:4]:
            assert row[at] == "┊"
        covered = next(s for s in bars.render_line(1) if s.text == "┊")
        assert covered.style is not None
        assert covered.style.reverse  # visible on the bar of .7


@pytest.mark.asyncio
async def test_only_rows_that_matter_are_shown_and_the_rest_is_one_line() -> None:
    bars = ChannelBars()
    bars.styles.height = 20
    app = OneWidget(bars)
    async with app.run_test(size=(WIDTH, 30)) as pilot:
        shares = np.full(128, 0.15 / 123)
        shares[[12, 11, 40, 7, 99]] = 0.41, 0.13, 0.12, 0.1, 0.09
        bars.show(Channels("embedding", shares))
        await pilot.pause()
        shown = [line for line in lines(bars) if line.strip()]
        assert [int(line[2:8]) for line in shown[1:6]] == [12, 11, 40, 7, 99]
        assert "… 123 more, together 15.0 %" in shown[6]
        assert shown[6].rstrip().endswith("▁")
        assert len(shown) == 7
        assert bars.wanted_height == 7
        bars.show(Channels("embedding", np.full(128, 1 / 128)))
        await pilot.pause()
        assert len([line for line in lines(bars) if line.strip()]) == 5  # three rows at least


@pytest.mark.asyncio
@pytest.mark.slow
async def test_the_cursor_stays_on_its_channel_while_rows_reorder() -> None:
    bars = ChannelBars()
    bars.styles.height = 8
    app = OneWidget(bars)
    async with app.run_test(size=(WIDTH, 30)) as pilot:
        bars.show(Channels("embedding", shares_of(13, 0.6)))
        await pilot.pause()
        assert bars.channel == 13
        bars.focus()
        await pilot.press("down")
        chosen = bars.channel
        assert chosen == 0
        for loud in (20, 5, 0, 63):
            bars.show(Channels("embedding", shares_of(loud, 0.6)))
            await pilot.pause()
            assert bars.channel == 0
            assert next(line for line in lines(bars) if line.startswith("▸")).split()[1] == "0"
        falling = np.linspace(0.1, 2.0, CHANNELS)  # channel 0 is now the last of all
        bars.show(Channels("embedding", falling / falling.sum()))
        await pilot.pause()
        assert bars.channel == 0
        assert any(line.startswith("▸") and line[2:8].strip() == "0" for line in lines(bars))
        bars.show(Channels("layer1", shares_of(9, 0.6)))  # channels of another layer
        await pilot.pause()
        assert bars.channel == 9


def luminance(color: Color) -> float:
    parts = [c / 255 for c in (color.r, color.g, color.b)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: RichColor | None, other: RichColor | None) -> float:
    assert one is not None
    assert other is not None
    high, low = sorted((luminance(Color.from_rich_color(c)) for c in (one, other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.asyncio
@pytest.mark.parametrize("how", ["colour", "NO_COLOR", "ascii"])
async def test_the_cursor_is_visible_in_every_theme(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how == "NO_COLOR":
        monkeypatch.setenv("NO_COLOR", "1")
    bars = ChannelBars()
    bars.styles.height = 8
    app = OneWidget(bars, ascii=how == "ascii")

    def row(number: int) -> Strip:
        strip = bars.render_lines(bars.size.region)[number].crop(0, HEAD)
        for part in app._filters:
            strip = strip.apply_filter(part, bars.background_colors[1])
        return strip

    async with app.run_test(size=(WIDTH, 30)) as pilot:
        bars.show(Channels("embedding", shares_of(13, 0.6), outliers=frozenset({13})))
        for theme, focused in product(("tuiprobe-dark", "tuiprobe-light"), (True, False)):
            app.theme = theme
            app.screen.set_focus(bars if focused else None)
            await pilot.pause()
            head, other = row(1), row(2)
            style, beside = next(iter(head)).style, next(iter(other)).style
            assert style is not None
            assert beside is not None
            assert contrast(style.color, style.bgcolor) >= 4.5
            assert contrast(style.bgcolor, beside.bgcolor) >= 3
            assert head.text.startswith(">^" if how == "ascii" else "▸▲")
            assert not other.text.strip().startswith((">", "▸"))


def test_outlier_marks_are_those_given_and_no_others() -> None:
    bars = ChannelBars()
    bars.show(Channels("embedding", shares_of(13, 0.9)))
    assert "outlier-channel" not in bars.explained()
    bars.show(Channels("embedding", shares_of(13, 0.9), outliers=frozenset({13})))
    assert bars.explained()[0] == "outlier-channel"


# Kurtosis.


def drawn(points: list[Point], reference: float, width: int = 60, height: int = 8) -> list[str]:
    return ["".join(c for c, _ in line) for line in plotted(points, reference, width, height)]


def test_kurtosis_has_an_axis_the_rotation_line_and_the_ends_of_its_interval() -> None:
    points = [Point(n, 8.5, 8.5 - 20 / n, 8.5 + 20 / n) for n in range(10, 500, 10)]
    shown = drawn(points, 2.95)
    assert [len(line) for line in shown] == [60] * 8
    line = next(line for line in shown if line.lstrip().startswith("8.5┤"))
    assert any(c >= "⠀" for c in line[7:])
    rotation = next(line for line in shown if line.lstrip().startswith("2.95┤"))
    assert "┄┄┄" in rotation
    assert "random rotation" in rotation
    # The interval is its two ends, not a filled area.
    dots = sum(c > "⠀" for line in shown for c in line)
    assert dots < 3 * (60 - 7)


def test_a_kurtosis_near_the_rotation_keeps_both_readable() -> None:
    shown = drawn([Point(n, 2.95, 2.9, 3.0) for n in (10, 500)], 2.95)
    assert any("random rotation" in line for line in shown)
    assert sum("┤" in line for line in shown) == 2


def test_early_intervals_do_not_squeeze_the_scale() -> None:
    points = [
        Point(2, 5.0, -200.0, 210.0),
        *(Point(n, 8.5, 8.4, 8.6) for n in range(100, 900, 100)),
    ]
    shown = drawn(points, 2.95)
    at = [next(i for i, line in enumerate(shown) if f"{v}┤" in line) for v in ("8.5", "2.95")]
    assert at[1] - at[0] >= 5


# Sets so far.


def run_of(**fields: object) -> Snapshot:
    def tap(kurtosis: float, n: int) -> LiveTap:
        return LiveTap(kurtosis, kurtosis - 0.05, kurtosis + 0.05, n, 0.9, 4.0, np.ones(4) / 4)

    known: dict[str, object] = {
        "state": "running",
        "set": "r",
        "sets": {
            "old": SetCount(2000, 2000),
            "val": SetCount(2000, 2000),
            "r": SetCount(1056, 2000),
            "sketch": SetCount(0, 2000),
        },
        "taps": {("val", "embedding"): tap(8.21, 1490), ("r", "embedding"): tap(8.58, 1056)},
    }
    return Snapshot(**{**known, **fields})  # type: ignore[arg-type]


def test_every_set_says_what_it_is_and_its_kurtosis() -> None:
    sets = sets_so_far(run_of(), "embedding", "r")
    assert [(one.sign, one.name) for one in sets] == [
        ("✓", "old"), ("✓", "val"), ("●", "r"), ("○", "sketch"),
    ]  # fmt: skip
    assert sets[0].forms[0] == "measured before this start"
    assert sets[1].forms[0] == "8.21 (8.16 to 8.26)  n\xa01,490  done"
    assert sets[2].forms[0] == "8.58 (8.53 to 8.63)  n\xa01,056  now"
    assert sets[3].forms == ("waiting",)


def test_a_stopped_run_has_partial_sets() -> None:
    for sets in (
        sets_so_far(run_of(state="ended"), "embedding", "r"),
        sets_so_far(run_of(), "embedding", "r", going=False),  # the engine was killed
    ):
        assert sets[2].sign == "◐"
        assert sets[2].forms[0].endswith("1,056 of 2,000")
        assert (sets[3].sign, sets[3].forms) == ("○", ("not measured",))


@pytest.mark.asyncio
async def test_sets_shrink_to_the_width_and_keep_the_one_measured_now() -> None:
    history = SetHistory()
    history.styles.height = 2
    app = OneWidget(history)  # type: ignore[arg-type]
    async with app.run_test(size=(WIDTH, 30)) as pilot:
        history.show(sets_so_far(run_of(), "embedding", "r"))
        await pilot.pause()
        assert [line.split()[1] for line in lines(history)] == ["r", "sketch"]
        history.styles.width = 26
        await pilot.pause()
        assert lines(history)[0].rstrip() == "● r      8.58 ± 0.05  now"


# Pictures.


@pytest.mark.asyncio
async def test_pictures_are_square(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    panel = EndPictures(id="strongest")
    app = OneWidget(panel)
    async with app.run_test(size=(WIDTH, 30)) as pilot:
        await until(pilot, lambda: panel.query(Thumbnail))
        files = [(Entry(tmp_path, f"thumbs/val/{n}.jpg"), -97.0 + n) for n in (5, 6, 7)]
        for height in (5, 8, 14):
            panel.styles.height = height
            await pilot.pause()
            panel.show("ch 12 strongest (−92)", files)  # noqa: RUF001
            await pilot.pause()
            shown = [one for one in panel.query(Thumbnail) if one.display]
            assert shown
            # A cell is twice as high as wide.
            sizes = {(one.size.width, one.size.height) for one in shown}
            assert sizes == {(2 * (height - 2), height - 2)}
            assert "▀" in shown[0].render_line(0).text
            values = str(panel.border_subtitle).split()
            assert values == ["−92", "−91", "−90"][: len(shown)]  # noqa: RUF001


def test_the_strip_names_its_layer() -> None:
    strip = LayerStrip()
    strip.show(["layer1", "embedding"], [3.0, 54.0], 1)
    assert strip._words() == "embedding · kurtosis 54 · layer 2 of 2"
