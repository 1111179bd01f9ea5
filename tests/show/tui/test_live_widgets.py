"""Bars of the live view: an absolute scale, and a cursor that is seen in every theme."""

import subprocess
import sys
from itertools import product

import numpy as np
import pytest
from textual.color import Color
from textual.strip import Strip

from tests.show.tui.conftest import contrast
from tests.show.tui.live_run import CHANNELS, shares_of
from tuiprobe.show.tui.app import TuiprobeApp
from tuiprobe.show.tui.widgets.bars import HEAD, TAIL, ChannelBars, Channels

WIDTH = 80


class OneWidget(TuiprobeApp):
    """An app with one widget over its first screen."""

    def __init__(self, widget: ChannelBars) -> None:
        super().__init__()
        self.widget = widget

    def on_ready(self) -> None:
        widget = self.widget
        widget.styles.dock = "top"
        widget.styles.width = WIDTH
        self.screen.mount(widget)


def lines(widget: ChannelBars) -> list[str]:
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
@pytest.mark.slow
async def test_bars_end_at_the_largest_and_the_cursor_stays_on_its_channel() -> None:
    bars = ChannelBars()
    bars.styles.height = 10
    app = OneWidget(bars)

    async def drawn(shares: np.ndarray, tap: str = "embedding") -> list[str]:
        bars.show(Channels(tap, shares))
        bars.styles.height = bars.full_height
        await pilot.pause()
        await pilot.pause()
        return lines(bars)

    async with app.run_test(size=(WIDTH, 30)) as pilot:
        for share, top in ((0.78, 0.8), (0.4, 0.4), (0.0195, 0.02)):
            heading, row = (await drawn(skewed(128, share, 0.01)))[:2]
            assert heading[: WIDTH - TAIL].split()[-2:] in ([f"{100 * top:.0f}", "%"], ["2.0", "%"])
            assert bar_of(row) == pytest.approx(share / top, abs=0.04)

        at = HEAD + (WIDTH - HEAD - TAIL) // 7  # the even share, on the bar of .7 too
        assert {row[at] for row in (await drawn(skewed(10, 0.7, 0.01)))[1:4]} == {"┊"}
        covered = next(s for s in bars.render_line(1) if s.text == "┊")
        assert covered.style.reverse

        shares = np.full(128, 0.15 / 123)
        shares[[12, 11, 40, 7, 99]] = 0.41, 0.13, 0.12, 0.1, 0.09
        rows = [line for line in await drawn(shares) if line.strip()]
        assert [int(line[2:8]) for line in rows[1:6]] == [12, 11, 40, 7, 99]
        assert "… 123 more, together 15.0 %" in rows[6]
        assert len(rows) == bars.full_height == 7
        even = [line for line in await drawn(np.full(128, 1 / 128)) if line.strip()]
        assert len(even) == 5  # three rows at least

        await drawn(shares_of(13, 0.6), "layer2")  # another layer begins at its leading channel
        assert bars.channel == 13
        bars.focus()
        await pilot.press("down")
        falling = np.linspace(0.1, 2.0, CHANNELS)  # channel 0 is now the last of all
        for shares in (*(shares_of(loud, 0.6) for loud in (20, 5, 0, 63)), falling / falling.sum()):
            rows = await drawn(shares, "layer2")
            assert bars.channel == 0
            assert next(line for line in rows if line.startswith("▸"))[2:8].strip() == "0"
        small = np.array([0.9, 0.04, 0.04, 0.00611, 0.01389])
        bars.styles.height = 9
        bars.show(Channels("small", small, leads=np.ones(5)))
        await pilot.pause()
        assert all(line.rstrip().endswith("100 %") for line in lines(bars)[1:6])  # none is cut
        wide = np.random.default_rng(0).dirichlet(np.ones(8192))
        assert "… 8,18" in "\n".join(await drawn(wide, "layer1"))
        assert bars.channel == wide.argmax()


@pytest.mark.asyncio
@pytest.mark.parametrize("how", ["colour", "NO_COLOR"])
async def test_the_cursor_is_visible_in_every_theme(how, monkeypatch):
    if how == "NO_COLOR":
        monkeypatch.setenv("NO_COLOR", "1")
    bars = ChannelBars()
    bars.styles.height = 8
    app = OneWidget(bars)

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
            if how == "NO_COLOR":
                assert style.reverse
                assert not beside.reverse
            else:
                cursor, text = (Color.from_rich_color(c) for c in (style.bgcolor, style.color))
                assert contrast(text, cursor) >= 4.5
                assert contrast(cursor, Color.from_rich_color(beside.bgcolor)) >= 3
            assert head.text.startswith("▸▲")
            assert not other.text.strip().startswith((">", "▸"))


@pytest.mark.asyncio
@pytest.mark.slow
async def test_channel_numbers_stand_in_every_frame_while_the_bars_change(monkeypatch):
    """A frame may be drawn for a new size before the widget is told of it."""
    bars = ChannelBars()
    bars.styles.height = 12
    app = OneWidget(bars)
    async with app.run_test(size=(WIDTH, 30)) as pilot:
        await pilot.pause()
        bars.show(Channels("embedding", shares_of(13, 0.6)))
        await pilot.pause()
        monkeypatch.setattr(ChannelBars, "on_resize", lambda bars: None)
        for width, height in ((WIDTH - 1, 12), (WIDTH - 20, 12), (WIDTH - 20, 5), (WIDTH, 8)):
            bars.styles.width, bars.styles.height = width, height
            await pilot.pause()
            assert bars.size.width == width  # no bar to scroll takes a cell
            assert "    13" in bars.render_line(1).text, (width, height)


def test_outlier_channels_are_found_without_scipy() -> None:
    code = (
        "import sys, numpy as np\n"
        "from types import SimpleNamespace\n"
        "from tuiprobe.show.tui.widgets.live_panels import outliers_of\n"
        "tap = SimpleNamespace(above=np.array([1.0, 0.2]), scanned=64)\n"
        "print(sorted(outliers_of(tap)), 'scipy' in sys.modules)\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == "[0] False\n"
