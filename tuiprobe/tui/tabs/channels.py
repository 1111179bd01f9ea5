"""Channels: the outcome, the layers, the channels of a layer, and the pictures at their ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Final

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget

from tuiprobe.catalog.glossary import mentioned
from tuiprobe.numbers import MISSING, interval, number, same_places
from tuiprobe.plaintext import plain
from tuiprobe.probes.outliers.describe import clause
from tuiprobe.probes.outliers.result import (
    ChannelShare,
    Heights,
    Outcome,
    OutlierChannel,
    OutlierResult,
    Outliers,
)
from tuiprobe.results import Figure, NotRun, given
from tuiprobe.results.base import places_of
from tuiprobe.results.report import ABSENT, Report
from tuiprobe.results.section import RowSubject
from tuiprobe.tui.figures import FigureText
from tuiprobe.tui.tabs.tab import ResultTab, RunResults
from tuiprobe.tui.text import DIM, inert
from tuiprobe.tui.widgets.bars import bar
from tuiprobe.tui.widgets.pictures import PictureGrid
from tuiprobe.tui.widgets.rows import RowColumn, RowTable, kept_columns

CHANNELS: Final = OutlierResult.probe
"""The probe whose result this tab shows."""

CHANNEL_COLUMNS = (
    RowColumn("  channel", 14, term="outlier-channel"),
    RowColumn("height", 20, right=True, term="height"),
    RowColumn("stands out in", 13, right=True, drop=1, term="above-6"),
    RowColumn("largest in", 10, right=True, drop=2, term="share"),
    RowColumn("energy", 8, right=True, drop=3, term="energy"),
    RowColumn("mean", 8, right=True, drop=4),
    RowColumn("std", 8, right=True, drop=5),
)
LAYER_COLUMNS = (
    RowColumn("layer", 10, term="tap"),
    RowColumn("kind", 6, drop=5, term="tap"),
    RowColumn("channels", 8, right=True, drop=4, term="channel"),
    RowColumn("kurtosis", 20, right=True, term="kurtosis"),
    RowColumn("same channel leads", 18, right=True, drop=1, term="persistence"),
    RowColumn("highest", 7, right=True, term="height"),
    RowColumn("offset, %", 10, right=True, drop=2, term="offset-share"),
    RowColumn("▲", 3, right=True, drop=3, term="outlier-channel"),
)


@dataclass(frozen=True)
class ChannelRow:
    """One channel of a layer, with its figures."""

    channel: int
    height: OutlierChannel | None
    share: ChannelShare | None
    outlier: bool

    @property
    def value(self) -> float:
        """Its height; 0 where there is none."""
        figure = self.height.height if self.height is not None else ABSENT
        return figure.value if given(figure) else 0.0


def channel_rows(layer: Outliers) -> list[ChannelRow]:
    """Returns the highest channels, then those of largest share that are not among them."""
    outliers = {channel.channel: channel for channel in layer.outlier_channels}
    leading = layer.heights.leading if isinstance(layer.heights, Heights) else ()
    heights = {channel.channel: channel for channel in leading} | outliers
    shares = {share.channel: share for share in layer.shares}
    order = dict.fromkeys([*heights, *shares])
    return [ChannelRow(c, heights.get(c), shares.get(c), c in outliers) for c in order]


def channels_of(report: Report) -> Callable[[RunResults], ChannelsTab] | None:
    """Returns what lays out the channels of a report; None where it has none.

    Raises:
        DamagedFileError: If they do not fit this version of their probe.
    """
    result = report.part(OutlierResult)
    if result is None:
        return None
    # The strips of the report hold the images.
    taps = [layer.model_copy(update={"top_images": ()}) for layer in result.taps]
    return partial(ChannelsTab, taps=taps)


class ChannelTable(RowTable[ChannelRow]):
    """The channels of a layer."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "layer(-1)", "layer", show=False, tooltip="Previous layer"),
        Binding("right", "layer(1)", "layer", show=False, tooltip="Next layer"),
    ]

    def action_layer(self, by: int) -> None:
        """Goes to the next or previous layer."""
        self.screen.query_one("#result-layers", RowTable).action_move(by)


class ChannelsTab(ResultTab):
    """The outcome, layers, channels, and the pictures at both ends of the channel at the cursor.

    Args:
        results: The run.
        taps: Its channels, one entry a set and layer.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d", "data", "data", tooltip="Next set of images"),
        Binding("p", "pin", "pin", tooltip="Keep this channel on top, in every layer and set"),
    ]
    SCOPED_CSS = False
    DEFAULT_CSS = """
    ChannelsTab #result-layers { height: auto; max-height: 8; }
    ChannelsTab #outcome { height: auto; max-height: 7; }
    .-low ChannelsTab #outcome { max-height: 2; }
    """

    def __init__(self, results: RunResults, taps: Sequence[Outliers]) -> None:
        super().__init__(results)
        self._taps = taps
        self._sets = list(dict.fromkeys(layer.data for layer in self._taps))
        self._set = 0
        self._tap = ""
        self._places: tuple[int | None, ...] = (None,) * 6

    @property
    def _pinned(self) -> set[int]:
        return self.app.pins.channels_of(self.results.run.path)

    @property
    def taps(self) -> list[Outliers]:
        """The layers of the set that is shown, the final representation last."""
        there = [layer for layer in self._taps if layer.data == self.data]
        return sorted(there, key=lambda layer: layer.final)

    @property
    def current_layer(self) -> Outliers:
        """The figures that are shown."""
        taps = self.taps
        return next((layer for layer in taps if layer.tap == self._tap), taps[-1])

    @property
    def data(self) -> str:
        """The set that is shown."""
        return self._sets[self._set]

    def compose(self) -> ComposeResult:
        """Lays out outcome and tables on the left, pictures on the right."""
        with Vertical(classes="main panel"):
            yield FigureText(self._outcome(), id="outcome")
            layers: RowTable[Outliers] = RowTable(LAYER_COLUMNS, layer_cells, id="result-layers")
            layers.display = len(self.taps) > 1
            yield layers
            yield ChannelTable(
                CHANNEL_COLUMNS, self._cells, empty="no channel", id="result-channels"
            )
        yield PictureGrid(id="grid", classes="aside panel")

    def on_mount(self) -> None:
        """Shows the final representation of the first set."""
        taps = self.taps
        self.query_one("#result-layers", RowTable).show_rows(taps, len(taps) - 1)
        self._show()

    @property
    def channels(self) -> ChannelTable:
        """The table of channels."""
        return self.query_one("#result-channels", ChannelTable)

    def first(self) -> Widget | None:
        """Returns the table of channels."""
        return self.channels

    def _outcome(self) -> Content:
        """Returns the outcome on the first set, and the figures that decided."""
        final = next(layer for layer in self._taps if layer.final)
        outcome = clause(final)
        sign = {Outcome.CHANNELS: "▲ ", Outcome.WITHHELD: "! "}.get(final.outcome, "")
        reasons = "; ".join(plain(reason) for reason in final.finding.reasons)
        warnings = [plain(warning) for warning in self.results.report.warnings]
        apart = [data for data in self.results.report.data if data.nonfinite]
        warnings += [f"{data.nonfinite:,} of {plain(data.name)} not finite" for data in apart]
        lines = [
            Content.assemble((f"{sign}{outcome[0].upper()}{outcome[1:]}", "bold")),
            Content.styled(reasons, DIM),
            *(Content.styled(f"! {warning}", "$warning") for warning in warnings),
        ]
        return Content("\n").join(lines)

    def _show(self) -> None:
        layer = self.current_layer
        self._tap = layer.tap
        about = f"{layer.tap} · {layer.data}"
        if len(self._sets) > 1:
            about += f" · {self._set + 1} of {len(self._sets)} sets"
        self.query_one(".main").border_title = inert(about)
        rows = channel_rows(layer)
        self._tallest = max((row.value for row in rows), default=0.0)
        self._places = column_places(rows)
        rows.sort(key=lambda row: row.channel not in self._pinned)
        self.channels.show_rows(rows)

    def _cells(self, row: ChannelRow) -> list[str]:
        width = self.channels.size.width
        kept = kept_columns(CHANNEL_COLUMNS, width)
        room = width - sum(CHANNEL_COLUMNS[i].width + 1 for i in kept[1:])
        return channel_cells(row, self._tallest, room, row.channel in self._pinned, self._places)

    def action_pin(self) -> None:
        """Keeps the channel under the cursor on top, or no longer."""
        row = self.channels.current
        if row is not None:
            self._pinned.symmetric_difference_update({row.channel})
            self._show()
            channels = [row.channel for row in self.channels.rows]
            self.channels.show_rows(self.channels.rows, channels.index(row.channel))

    @on(RowTable.Highlighted, "#result-layers")
    def _layer_changed(self, event: RowTable.Highlighted) -> None:
        row = event.table.current
        if isinstance(row, Outliers) and row.tap != self._tap:
            self._tap = row.tap
            self._show()

    @on(RowTable.Chosen, "#result-layers")
    def _layer_chosen(self, event: RowTable.Chosen) -> None:
        event.stop()  # Enter on a layer goes to its channels, on a channel to its evidence
        self.channels.focus()

    @on(RowTable.Highlighted, "#result-channels")
    def _moved(self) -> None:
        grid, subject = self.query_one(PictureGrid), self.subject()
        if subject is not None:
            grid.border_title = inert(f"channel {subject.number} · {self.data}")
            strip = self.results.strip(subject, self.data)
            grid.show(self.results.groups(strip) or [("no pictures were kept of it", [])])

    def action_data(self) -> None:
        """Goes to the next set of images."""
        self._set = (self._set + 1) % len(self._sets)
        taps = self.taps
        names = [layer.tap for layer in taps]
        at = names.index(self._tap) if self._tap in names else len(taps) - 1
        self.query_one("#result-layers", RowTable).show_rows(taps, at)
        self._show()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Returns whether a key does something: there may be a single set."""
        return action != "data" or len(self._sets) > 1

    def subject(self) -> RowSubject | None:
        """Returns the channel under the cursor."""
        row, layer = self.channels.current, self.current_layer
        if row is None:
            return None
        return RowSubject(
            kind="channel", number=row.channel, layer="" if layer.final else layer.tap
        )

    def figures(self) -> dict[str, str]:
        """Returns the figures of the channel under the cursor."""
        row = self.channels.current
        if row is None:
            return {}
        names = [column.title.strip() for column in CHANNEL_COLUMNS]
        cells = channel_cells(row, row.value, 0)
        cells[1:5] = map(_with_interval, _figures(row))
        return {name: cell.strip() for name, cell in zip(names, cells, strict=True)}

    def explained(self) -> tuple[str, ...]:
        """Returns the terms of the outcome."""
        return tuple(
            term.id for term in mentioned(self.query_one("#outcome", FigureText).whole.plain)
        )


def layer_cells(layer: Outliers) -> list[str]:
    """Returns the cells of one row of the layers."""
    kind = layer.kind if layer.tokens is None else layer.tokens
    return [
        layer.tap,
        kind,
        str(layer.channels),
        _with_interval(layer.kurtosis),
        layer.persistence.value.alone(),
        layer.highest.alone(bare=True),
        layer.offset.share.alone(bare=True),
        MISSING if isinstance(layer.heights, NotRun) else str(len(layer.outlier_channels)),
    ]


def column_places(rows: Sequence[ChannelRow]) -> tuple[int | None, ...]:
    """Returns the decimal places of each column: four figures, mean and standard deviation."""
    columns = zip(*map(_figures, rows), strict=True)
    moments = zip(*map(_moments, rows), strict=True)
    return (
        *map(places_of, columns),
        *(same_places([(value, None, None) for value in column]) for column in moments),
    ) or (None,) * 6


def channel_cells(
    row: ChannelRow,
    tallest: float,
    room: int,
    pinned: bool = False,
    places: Sequence[int | None] = (None,) * 6,
) -> list[str]:
    """Returns the cells of one row of the channels.

    Args:
        row: The channel.
        tallest: Height of a full bar.
        room: Cells of the first column, which the bar takes.
        pinned: Whether it is kept on top, which a letter behind its number says.
        places: Decimal places of the six columns of figures.
    """
    height, *others = _figures(row)
    head = f"{'▲' if row.outlier else ' '} {row.channel:>4}{'p' if pinned else ' '}"
    drawn = bar(row.value / tallest if tallest > 0 else 0.0, max(room - len(head) - 1, 0))
    mean, sd = _moments(row)
    return [
        head + drawn,
        _with_interval(height, places[0]),
        *(figure.alone(places=at) for figure, at in zip(others, places[1:4], strict=True)),
        number(mean, places=places[4]),
        number(sd, places=places[5]),
    ]


def _moments(row: ChannelRow) -> tuple[float, float]:
    """Returns mean and standard deviation of a channel."""
    if row.height is not None:
        return row.height.mean, row.height.sd
    return (row.share.mean, row.share.std) if row.share is not None else (0.0, 0.0)


def _figures(row: ChannelRow) -> tuple[Figure, Figure, Figure, Figure]:
    """Returns height, share of images in which it stands out and is largest, and energy."""
    high, leading = row.height, ABSENT if row.share is None else row.share.leading
    if high is None:
        return ABSENT, ABSENT, leading, ABSENT
    return high.height, high.above, leading, high.energy


def _with_interval(figure: Figure, places: int | None = None) -> str:
    """Returns a figure with its interval, as the sentences above the tables write it."""
    if not given(figure):
        return MISSING
    unit = "none" if figure.unit == "sigma" else figure.unit  # which the heading implies
    return interval(figure.value, figure.low, figure.high, unit, places=places)
