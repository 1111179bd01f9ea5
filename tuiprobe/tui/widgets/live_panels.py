"""The panels of a run as it goes on: channels, kurtosis, sets, and images at both ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from tuiprobe.numbers import interval, number, plus_minus
from tuiprobe.run.directory import RunDir
from tuiprobe.spec import FINAL_TAP
from tuiprobe.tui.livewatch import Snapshot, outliers_of
from tuiprobe.tui.text import inert
from tuiprobe.tui.widgets.bars import ChannelBars, Channels
from tuiprobe.tui.widgets.ends import EndPictures
from tuiprobe.tui.widgets.history import SetHistory, sets_so_far
from tuiprobe.tui.widgets.layers import LayerStrip
from tuiprobe.tui.widgets.plot import KurtosisPlot, Point

if TYPE_CHECKING:
    from tuiprobe.run.status import LiveTap

QUESTION = "do the same few channels dominate every image?"
BAND = 5
"""Lines that the pictures take at least, and kurtosis and sets: one less below `LOW`."""
LOW = 18
TALLEST = 14
SPECTRUM = 10
BORDER = 2


@dataclass(frozen=True, eq=False)
class PanelData:
    """What the panels show.

    Attributes:
        snapshot: The run.
        directory: Its directory, for pictures.
        place: Set and tap that are shown; None before the first image.
        taps: Taps of that set, in the order of the network.
        points: Kurtosis over the images, of the place.
        going: Whether the run goes on.
    """

    snapshot: Snapshot
    directory: RunDir
    place: tuple[str, str] | None
    taps: tuple[str, ...]
    points: list[Point]
    going: bool = True

    @property
    def tap(self) -> LiveTap | None:
        """Figures and channels of the place."""
        return self.snapshot.taps.get(self.place) if self.place is not None else None


class LivePanels(Vertical):
    """Bars on top, kurtosis beside the sets so far, and the images of the chosen channel.

    Args:
        id: Id of the widget.
    """

    DEFAULT_CSS = """
    LivePanels #middle > Vertical { width: 1fr; }
    LivePanels .panel { border-subtitle-color: $foreground 80%; }
    """

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._shown: PanelData | None = None

    def compose(self) -> ComposeResult:
        """Lays out the panels."""
        with Vertical(id="channels", classes="panel"):
            yield ChannelBars()
            yield LayerStrip()
        with Horizontal(id="middle"):
            with Vertical(id="kurtosis", classes="panel"):
                yield KurtosisPlot()
            with Vertical(id="sets", classes="panel"):
                yield SetHistory()
        with Horizontal(id="pictures"):
            yield EndPictures(id="strongest")
            yield EndPictures(id="other")

    def on_mount(self) -> None:
        """Titles the panels."""
        self.query_one("#channels").border_title = QUESTION
        self.query_one("#kurtosis").border_title = "kurtosis"
        self.query_one("#sets").border_title = "sets so far"
        self.query_one(LayerStrip).display = False
        self.show_pictures()

    def on_resize(self) -> None:
        """Shares out the space anew."""
        self._arrange()
        if self._shown is not None:
            self.show(self._shown)

    def show(self, shown: PanelData) -> None:
        """Shows another state of the run in place."""
        self._shown = shown
        tap, place = shown.tap, shown.place
        if tap is None or place is None:
            return
        panel, width = self.query_one("#channels"), len(tap.shares)
        panel.border_title = inert(f"{QUESTION} · {place[0]} · {place[1]}")
        panel.border_subtitle = f"{width:,} channels · ┊ even share {number(1 / width, 'share')}"
        self.query_one(ChannelBars).show(
            Channels(place[1], tap.shares, tap.leads, tap.above, outliers_of(tap))
        )
        self._show_kurtosis(tap, shown.points)
        self.query_one(SetHistory).show(
            sets_so_far(shown.snapshot, place[1], place[0], shown.going)
        )
        layers, taps = self.query_one(LayerStrip), shown.taps
        layers.display = len(taps) > 1
        values = [shown.snapshot.taps[place[0], name].kurtosis for name in taps]
        layers.show(list(taps), values, taps.index(place[1]))
        self._arrange()
        self.show_pictures()

    def _show_kurtosis(self, tap: LiveTap, points: list[Point]) -> None:
        panel, width = self.query_one("#kurtosis"), len(tap.shares)
        room = self.size.width // 2 - 2 * BORDER
        ends = tap.kurtosis, tap.low, tap.high
        forms = (f"kurtosis {interval(*ends)}", f"kurtosis {plus_minus(*ends)}", "kurtosis")
        panel.border_title = next((form for form in forms if len(form) <= room), forms[-1])
        said = []
        if tap.persistence is not None:
            said.append(f"persistence {number(tap.persistence)}")
        if tap.effective_channels is not None:
            said.append(f"effective channels {number(tap.effective_channels)}")
        while said and len(" · ".join(said)) > room:
            said.pop()
        panel.border_subtitle = " · ".join(said)
        self.query_one(KurtosisPlot).show(points, 3 * (width - 1) / (width + 1))

    # Pictures.

    @on(ChannelBars.Selected)
    def _channel_selected(self) -> None:
        self._arrange()
        self.show_pictures()

    def show_pictures(self) -> None:
        """Shows the images at both ends of the channel under the cursor."""
        from tuiprobe.report.pictures import picture_file

        strongest, other = (
            self.query_one("#strongest", EndPictures),
            self.query_one("#other", EndPictures),
        )
        shown, channel = self._shown, self.query_one(ChannelBars).channel
        if shown is None or shown.place is None or channel is None:
            strongest.show("strongest images")
            other.show("weakest")
            return
        name, tap = shown.place
        ends = shown.snapshot.ends.get((name, channel)) if tap == FINAL_TAP else None
        if ends is None or not ends.strongest:
            strongest.show(f"ch {channel} strongest", words=self._why_none(shown))
            other.show("weakest")
            return
        for panel, images, title in (
            (strongest, ends.strongest, f"ch {channel} strongest"),
            (other, ends.other, "opposite end" if ends.crosses else "weakest"),
        ):
            files = [(picture_file(shown.directory, name, i), value) for i, value in images]
            first = f" ({number(images[0][1], signed=True)})" if images else ""
            if len(title + first) > self.size.width // 2 - 3 * BORDER:
                title = title.removesuffix(" strongest")
            panel.show(title + first, files)

    @staticmethod
    def _why_none(shown: PanelData) -> str:
        if FINAL_TAP not in shown.taps:
            return "There are no pictures of these layers."
        if shown.place is not None and shown.place[1] != FINAL_TAP:
            return "Inner layers have no pictures: → goes to the embedding."
        return "Only the eight channels of largest share have pictures."

    # Height.

    def _arrange(self) -> None:
        """Gives the bars the rows that matter, and shares the rest between the other panels.

        Where there is too little, the pictures go first, then kurtosis and sets.
        """
        total = self.size.height
        if not total:
            return
        bars, layers = self.query_one(ChannelBars), self.query_one(LayerStrip)
        wanted = BORDER + (SPECTRUM if bars.whole else bars.wanted_height) + int(layers.display)
        bands = 2 if total >= 3 * BAND else 1 if total >= 2 * BAND else 0
        least = bands * BAND - int(bands == 2 and total < LOW)
        channels = min(wanted, total - least) if bands else total
        left = total - channels - least
        # At least two square pictures in each half, and none beyond what a thumbnail holds.
        tallest = max(min(self.size.width // 8, TALLEST), BAND)
        pictures = min(BAND + round(left * 0.6), tallest) if bands == 2 else 0
        middle = total - channels - pictures if bands else 0
        for id, height in (("channels", channels), ("middle", middle), ("pictures", pictures)):
            panel = self.query_one(f"#{id}")
            panel.display = height > 0
            panel.styles.height = height
