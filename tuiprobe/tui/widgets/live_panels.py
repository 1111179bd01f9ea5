"""The panels of a run as it goes on: answers, channels, and images at both ends of a channel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from tuiprobe.numbers import interval, number
from tuiprobe.run.directory import RunDir
from tuiprobe.spec import FINAL_TAP
from tuiprobe.tui.livewatch import Snapshot, outliers_of
from tuiprobe.tui.text import inert
from tuiprobe.tui.widgets.answers import AXIS, AnswersSoFar
from tuiprobe.tui.widgets.bars import ChannelBars, Channels
from tuiprobe.tui.widgets.ends import EndPictures
from tuiprobe.tui.widgets.layers import LayerStrip

if TYPE_CHECKING:
    from tuiprobe.files import Entry

QUESTION = "inside: do the same few channels dominate every image?"
LEAST_CHANNELS = 5
"""Lines that the channels take at least, with their border."""
LEAST_PICTURES, TALLEST = 6, 14
BORDER = 2


class LivePanels(Vertical):
    """The answers so far, the channels, and pictures of the chosen one where there are some.

    Args:
        id: Id of the widget.
    """

    DEFAULT_CSS = """
    LivePanels .panel { border-subtitle-color: $foreground 80%; }
    """

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._pictured: tuple[Snapshot, RunDir, tuple[str, str]] | None = None

    def compose(self) -> ComposeResult:
        """Lays out the panels."""
        with Vertical(id="answers", classes="panel"):
            yield AnswersSoFar()
        with Vertical(id="channels", classes="panel"):
            yield ChannelBars()
            yield LayerStrip()
        with Horizontal(id="pictures"):
            yield EndPictures(id="strongest")
            yield EndPictures(id="other")

    def on_mount(self) -> None:
        """Titles the panels."""
        answers = self.query_one("#answers")
        answers.border_title, answers.border_subtitle = "so far", AXIS
        self.query_one("#channels").border_title = QUESTION
        self.query_one(LayerStrip).display = False
        self.on_resize()

    def show(
        self,
        snapshot: Snapshot,
        directory: RunDir,
        place: tuple[str, str] | None,
        taps: list[str],
        going: bool,
    ) -> None:
        """Shows another state of the run in place.

        Args:
            snapshot: The run.
            directory: Its directory, for pictures.
            place: Set and tap that are shown; None before the first image.
            taps: Taps of that set, in the order of the network.
            going: Whether the run goes on.
        """
        self._pictured = None if place is None else (snapshot, directory, place)
        self.query_one(AnswersSoFar).show(snapshot, going)
        if place is not None:
            tap, (set_name, tap_name) = snapshot.taps[place], place
            panel, even = self.query_one("#channels"), number(1 / len(tap.shares), "share")
            panel.border_title = inert(f"{QUESTION} · {set_name} · {tap_name}")
            kurtosis = interval(tap.kurtosis, tap.low, tap.high)
            panel.border_subtitle = f"kurtosis {kurtosis} · ┊ {even} if all were equal"
            self.query_one(ChannelBars).show(
                Channels(tap_name, tap.shares, tap.leads, tap.above, outliers_of(tap))
            )
            layers = self.query_one(LayerStrip)
            layers.display = len(taps) > 1
            values = [snapshot.taps[set_name, name].kurtosis for name in taps]
            layers.show(taps, values, taps.index(tap_name))
        self.on_resize()

    def on_resize(self) -> None:
        """Shares out the space anew."""
        self._arrange()

    @on(ChannelBars.Selected)
    def _arrange(self) -> None:
        """Gives the answers their lines, then the channels, and pictures what is left."""
        total = self.size.height
        if not total:
            return
        bars, layers = self.query_one(ChannelBars), self.query_one(LayerStrip)
        answers = min(self.query_one(AnswersSoFar).full_height + BORDER, total)
        if total - answers < LEAST_CHANNELS:
            answers = total
        lines = BORDER + bars.full_height + int(layers.display)
        left = total - answers
        pictures = 0
        if left - lines >= LEAST_PICTURES and self._show_pictures():
            # At least two square pictures in each half, and none beyond what a thumbnail holds.
            tallest = max(min(self.size.width // 8, TALLEST), LEAST_PICTURES)
            pictures = min(left - lines, tallest)
        heights = {"answers": answers, "channels": left - pictures, "pictures": pictures}
        for id, height in heights.items():
            panel = self.query_one(f"#{id}")
            panel.display = height > 0 or id == "channels"  # which keeps the focus
            panel.styles.height = height

    def _show_pictures(self) -> bool:
        """Shows pictures of both ends of the channel under the cursor; says if there are some."""
        from tuiprobe.report.reading import picture_file

        channel = self.query_one(ChannelBars).channel
        if self._pictured is None or channel is None:
            return False
        snapshot, directory, (name, tap) = self._pictured
        ends = snapshot.ends.get((name, channel)) if tap == FINAL_TAP else None
        if ends is None:
            return False
        both = True
        for id, images, title in (
            ("#strongest", ends.strongest, f"channel {channel}, strongest"),
            ("#other", ends.other, "opposite end" if ends.crosses else "weakest"),
        ):
            files: list[tuple[Entry | None, float]] = [
                (file, value)
                for image, value in images
                if (file := picture_file(directory, name, image)) and file.exists()
            ]
            self.query_one(id, EndPictures).show(title, files)
            both = both and bool(files)
        return both
