"""Images: the strongest images at both ends of each leading channel."""

from __future__ import annotations

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widget import Widget
from textual.widgets import Static

from tuiprobe.numbers import number
from tuiprobe.probes.outliers.result import ChannelImages, Outliers
from tuiprobe.tui.tabs.evidence_of import EvidenceSubject, channel_rows, ends_of
from tuiprobe.tui.tabs.tab import SHOWN, ResultTab, ShownRun
from tuiprobe.tui.text import inert
from tuiprobe.tui.widgets.pictures import PictureGrid
from tuiprobe.tui.widgets.rows import RowColumn, RowTable

COLUMNS = (
    RowColumn("channel", 9, term="channel"),
    RowColumn("share", 7, right=True, term="share"),
    RowColumn("largest", 8, right=True, drop=2, term="image-ends"),
    RowColumn("smallest", 8, right=True, drop=1, term="image-ends"),
)


class ImageTable(RowTable[ChannelImages]):
    """Channels that have images."""


class ImagesTab(ResultTab):
    """The strongest images of each leading channel, at both ends."""

    ANSWERS = frozenset({"ablate", "data", "copy", "maximise"})
    SCOPED_CSS = False
    DEFAULT_CSS = """
    ImagesTab .main { width: 38; }
    ImagesTab .aside { width: 1fr; }
    .-narrow ImagesTab .main { width: 1fr; height: 7; }
    .-narrow ImagesTab .aside { height: 1fr; }
    """

    def __init__(self, found: ShownRun) -> None:
        super().__init__(found)
        self._finals = [one for one in found.taps if one.final and one.top_images]
        self._set = 0

    @property
    def shown(self) -> Outliers | None:
        """The set that is shown."""
        return self._finals[self._set % len(self._finals)] if self._finals else None

    def compose(self) -> ComposeResult:
        """Lays out channels on the left, their images on the right."""
        if self.shown is None:
            yield Static("No images were kept in this run.", classes="none", id="no-images")
            return
        with Vertical(classes="main panel"):
            yield ImageTable(COLUMNS, self._cells, id="imaged")
        yield PictureGrid(id="grid", classes="aside panel")

    def on_mount(self) -> None:
        """Shows the first set."""
        self._show()

    def first(self) -> Widget | None:
        """Returns the table of channels."""
        return self.query_one("#imaged") if self.shown is not None else None

    def _show(self) -> None:
        one = self.shown
        if one is None:
            return
        self._marks = {row.channel: row for row in channel_rows(one)}
        self.query_one(".main").border_title = inert(f"{one.tap} · {one.data}")
        self.query_one("#imaged", ImageTable).show_rows(one.top_images)
        self._draw()

    def _cells(self, row: ChannelImages) -> list[str]:
        known = self._marks.get(row.channel)
        mark = "▲" if known is not None and known.outlier else " "
        share = "-"
        if known is not None and known.share is not None:
            share = known.share.share.alone()
        return [
            f"{mark} {row.channel}",
            share,
            number(row.largest[0].value) if row.largest else "-",
            number(row.smallest[0].value) if row.smallest else "-",
        ]

    @on(RowTable.Highlighted, "#imaged")
    def _moved(self) -> None:
        self._draw()

    @work(exclusive=True, group="pictures")
    async def _draw(self) -> None:
        row, one = self.query_one("#imaged", ImageTable).current, self.shown
        if row is None or one is None:
            return
        grid = self.query_one(PictureGrid)
        grid.border_title = inert(f"channel {row.channel} · {one.data}")
        await grid.show(
            [
                (name, [self.found.picture(one.data, i) for i in images[:SHOWN]])
                for name, images in ends_of(row)
            ]
        )

    def switch_data(self) -> None:
        """Goes to the next set of images."""
        self._set += 1
        self._show()

    def subject(self) -> EvidenceSubject | None:
        """Returns the channel under the cursor."""
        one = self.shown
        row = self.query_one("#imaged", ImageTable).current if one is not None else None
        return (
            None
            if row is None or one is None
            else EvidenceSubject("channel", row.channel, one.data, one.tap, one.final)
        )

    def copied(self) -> str:
        """Returns the channel under the cursor with the paths of its images."""
        one = self.shown
        row = self.query_one("#imaged", ImageTable).current if one is not None else None
        if row is None:
            return ""
        paths = [i.path or f"id {i.sample_id}" for i in (*row.largest, *row.smallest)]
        return f"channel {row.channel}: {', '.join(paths)}"
