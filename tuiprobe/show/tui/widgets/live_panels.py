"""The panels of a run as it goes on: answers, channels, and images at both ends of a channel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.view import RunView
from tuiprobe.numbers import interval, number
from tuiprobe.show.tui.text import DIM, FigureText, inert, wrapped
from tuiprobe.show.tui.widgets.bars import NO_FIGURES, ChannelBars, Channels
from tuiprobe.show.tui.widgets.forest import Forest, ForestRow, has_shifts, set_rows
from tuiprobe.show.tui.widgets.pictures import HEIGHT, Picture, PictureGrid
from tuiprobe.show.tui.widgets.rows import RowTable
from tuiprobe.spec import FINAL_TAP

if TYPE_CHECKING:
    from tuiprobe.measure.run.status import LiveTap


ANSWERS = ("estimate", "average-confidence", "top-1", "interval", "n", "set", "shift")
"""Terms of the answers."""

QUESTION = "do the same few channels dominate every image?"
MIN_CHANNELS = 5
"""Lines that the channels take at least, with their border."""
BORDER = 2
PICTURES = HEIGHT + 3 + BORDER
"""Lines of pictures with their heading, values and names."""


def outliers_of(tap: LiveTap) -> frozenset[int]:
    """Returns the outlier channels of what was scanned so far, by the rule of the results."""
    if tap.above is None or not tap.scanned:
        return frozenset()
    from tuiprobe.channels.heights import outlying

    above = (tap.above * tap.scanned).round().astype("int64")
    return frozenset(outlying(above, tap.scanned).nonzero()[0].tolist())


class LivePanels(Vertical):
    """The answers so far, the channels, and pictures of the chosen one where there are some.

    Args:
        id: Id of the widget.
    """

    DEFAULT_CSS = """
    LivePanels Forest { height: 1fr; }
    LivePanels PictureGrid { width: 1fr; }
    """

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._pictured: tuple[RunView, tuple[str, str]] | None = None

    def compose(self) -> ComposeResult:
        """Lays out the panels."""
        with Vertical(id="answers", classes="panel"):
            yield FigureText(id="reason")
            yield Forest[ForestRow](lambda row: row, ("set", "right so far", "evidence"), ANSWERS)
        with Vertical(id="channels", classes="panel"):
            yield ChannelBars()
        with Horizontal(id="pictures"):
            yield PictureGrid(id="strongest", classes="panel")
            yield PictureGrid(id="other", classes="panel")

    def on_mount(self) -> None:
        """Titles the panels."""
        if not self.query(PictureGrid):  # the screen was left meanwhile
            return
        self.query_one("#answers").border_title = "so far"
        self.query_one("#channels").border_title = QUESTION
        self._arrange()

    def show(
        self,
        view: RunView,
        figures: Mapping[tuple[str, str], LiveTap],
        place: tuple[str, str] | None,
        taps: list[str],
        models: Sequence[ForestRow] = (),
    ) -> None:
        """Shows another state of the run in place.

        Args:
            view: The run.
            figures: Its figures by set and tap, `view.taps`.
            place: Set and tap that are shown; None before the first image, and once the run has
                results, whose figures are of all images.
            taps: Taps of that set, in the order of the network.
            models: A line a model, where several are measured together.
        """
        self._pictured = None if place is None else (view, place)
        rows = [*models, *set_rows(view)]
        unanswered = not view.answers and not any(row.ends for row in rows)
        reason = view.unanswered if unanswered else ""
        reason = reason if rows else reason or "no image measured yet"
        self.query_one("#reason", FigureText).show(inert(reason, DIM))
        self.query_one("#reason").display = bool(reason)
        self.query_one(Forest).show_rows(rows)
        model = view.about.get("model") or view.summary.model
        by_model = "mean of shifts" if has_shifts(view) else f"right on {next(iter(view.sets), '')}"
        title = f"so far: {by_model} by model, then the sets of {model}" if models else "so far"
        self.query_one("#answers").border_title = inert(title)
        panel = self.query_one("#channels")
        if place is None:
            text = "Enter shows the channels of the results" if view.final else NO_FIGURES
            self.query_one(ChannelBars).clear(text)
            panel.border_title, panel.border_subtitle = QUESTION, ""
        else:
            tap, (set_name, tap_name) = figures[place], place
            even = number(1 / len(tap.shares), "share")
            layer = f" ({taps.index(tap_name) + 1} of {len(taps)})" if len(taps) > 1 else ""
            panel.border_title = inert(f"{set_name} · {tap_name}{layer} · {QUESTION}")
            kurtosis = interval(tap.kurtosis, tap.low, tap.high)
            panel.border_subtitle = f"kurtosis {kurtosis} · ┊ {even} if all were equal"
            self.query_one(ChannelBars).show(
                Channels(tap_name, tap.shares, tap.leads, tap.above, outliers_of(tap))
            )
        self._arrange()

    def on_resize(self) -> None:
        """Shares out the space anew."""
        self._arrange()

    @on(RowTable.Highlighted, "ChannelBars")
    def _arrange(self) -> None:
        """Gives the answers their lines, then the channels, and pictures what is left."""
        total = self.size.height
        if not total:
            return
        bars = self.query_one(ChannelBars)
        reason = self.query_one("#reason", FigureText)
        lines = wrapped(reason.unwrapped, self.size.width - 4).plain.count("\n") + 1
        lines = len(self.query_one(Forest).rows) + 1 + (lines if reason.display else 0)
        answers = min(lines + BORDER, total)
        if total - answers < MIN_CHANNELS:
            answers = total
        lines = BORDER + bars.full_height
        left = total - answers
        pictures = PICTURES if left - lines >= PICTURES and self._show_pictures() else 0
        heights = {"answers": answers, "channels": left - pictures, "pictures": pictures}
        for id, height in heights.items():
            panel = self.query_one(f"#{id}")
            panel.display = height > 0 or id == "channels"  # which keeps the focus
            panel.styles.height = height

    def _show_pictures(self) -> bool:
        """Shows pictures of both ends of the channel under the cursor; says if there are some."""
        from tuiprobe.show.report.pictures import picture_file

        channel = self.query_one(ChannelBars).channel
        if self._pictured is None or channel is None:
            return False
        view, (name, tap) = self._pictured
        ends = view.ends.get((name, channel)) if tap == FINAL_TAP else None
        if ends is None:
            return False
        both = True
        for id, images, title in (
            ("#strongest", ends.strongest, f"channel {channel}, strongest"),
            ("#other", ends.other, "opposite end" if ends.crosses else "weakest"),
        ):
            pictures = [
                Picture(file, f"id {image}", (number(value, signed=True),))
                for image, value in images
                if (file := picture_file(RunDir(view.path), name, image)) and file.exists()
            ]
            self.query_one(id, PictureGrid).show([(title, pictures)])
            both = both and bool(pictures)
        return both
