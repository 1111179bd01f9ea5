"""Outliers: the outcome, the layers, the channels of a layer, and the figures beside them."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widget import Widget

from tuiprobe.catalog.glossary import mentioned
from tuiprobe.numbers import number
from tuiprobe.plaintext import plain
from tuiprobe.probes.outliers.channel_result import Heights, Outcome
from tuiprobe.probes.outliers.result import Outliers
from tuiprobe.probes.outliers.saying import clause
from tuiprobe.results import Figure, NotRun, given
from tuiprobe.results.report import Report
from tuiprobe.texttable import TextColumn, text_table
from tuiprobe.tui.figures import DIM, Entry, Told, listed
from tuiprobe.tui.tabs.evidence_of import ChannelRow, EvidenceSubject, channel_rows
from tuiprobe.tui.tabs.tab import ResultTab, ShownRun
from tuiprobe.tui.text import inert
from tuiprobe.tui.widgets.bars import bar
from tuiprobe.tui.widgets.rows import RowColumn, RowTable, kept_columns

CHANNELS = (
    RowColumn("  channel", 14, term="outlier-channel"),
    RowColumn("height", 11, right=True, term="height"),
    RowColumn("above 6 in", 12, right=True, drop=1, term="above-6"),
    RowColumn("energy", 13, right=True, drop=2, term="energy"),
    RowColumn("mean", 8, right=True, drop=3, term="channel-mean"),
    RowColumn("std", 8, right=True, drop=4, term="channel-std"),
)
LAYERS = (
    RowColumn("layer", 10, term="layer"),
    RowColumn("kind", 6, drop=5, term="tap"),
    RowColumn("C", 5, right=True, drop=4, term="channel"),
    RowColumn("kurtosis", 11, right=True, term="kurtosis"),
    RowColumn("P", 13, right=True, drop=1, term="persistence"),
    RowColumn("highest", 10, right=True, term="height"),
    RowColumn("offset, %", 10, right=True, drop=2, term="offset-share"),
    RowColumn("▲", 3, right=True, drop=3, term="outlier-channel"),
)


_NAMES = 16
"""Cells of the names of figures: as many as the longest has."""


class OutliersTab(ResultTab):
    """The outcome, layers, channels, figures with their references."""

    ANSWERS = frozenset({"ablate", "data", "layer", "copy", "maximise"})
    SCOPED_CSS = False
    DEFAULT_CSS = """
    OutliersTab .aside { width: 54; }
    .-narrow OutliersTab .aside, .-only-aside OutliersTab .aside { width: 1fr; }
    OutliersTab #result-layers { height: auto; max-height: 8; }
    OutliersTab #outcome { height: auto; max-height: 7; }
    .-low OutliersTab #outcome { max-height: 2; }
    """

    def __init__(self, found: ShownRun) -> None:
        super().__init__(found)
        self._sets = list(dict.fromkeys(one.data for one in found.taps))
        self._set = 0
        self._tap = ""

    @property
    def taps(self) -> list[Outliers]:
        """The layers of the set that is shown, the final representation last."""
        name = self._sets[self._set] if self._sets else ""
        there = [one for one in self.found.taps if one.data == name]
        return sorted(there, key=lambda one: one.final)

    @property
    def shown(self) -> Outliers | None:
        """The figures that are shown."""
        taps = self.taps
        return next((one for one in taps if one.tap == self._tap), taps[-1] if taps else None)

    def compose(self) -> ComposeResult:
        """Lays out outcome and tables on the left, figures on the right."""
        with Vertical(classes="main panel"):
            yield Told(outcome(self.found), id="outcome")
            layers: RowTable[Outliers] = RowTable(LAYERS, layer_cells, id="result-layers")
            layers.display = len(self.taps) > 1
            yield layers
            yield ChannelTable(
                CHANNELS, self._channel_cells, empty="no channel", id="result-channels"
            )
        with VerticalScroll(classes="aside panel spare", id="figures-scroll") as aside:
            aside.can_focus = False
            yield Told(id="figures")

    def on_mount(self) -> None:
        """Shows the final representation of the first set."""
        taps = self.taps
        self.query_one("#result-layers", RowTable).show_rows(taps, max(len(taps) - 1, 0))
        self._show()

    @property
    def channels(self) -> RowTable[ChannelRow]:
        """The table of channels."""
        return self.query_one("#result-channels", ChannelTable)

    def first(self) -> Widget | None:
        """Returns the table of channels."""
        return self.channels

    def _show(self) -> None:
        one = self.shown
        if one is None:
            return
        self._tap = one.tap
        self.channels.show_rows(channel_rows(one))
        about = f"{one.tap} · {one.data}"
        if len(self._sets) > 1:
            about += f" · {self._set + 1} of {len(self._sets)} sets"
        self.query_one(".main").border_title = inert(about)
        figures = self.query_one("#figures-scroll")
        figures.border_title = inert(f"figures · {one.channels} channels")
        self.query_one("#figures", Told).show(figures_of(one, self.found))

    def _channel_cells(self, row: ChannelRow) -> list[str]:
        width = self.channels.size.width
        kept = kept_columns(CHANNELS, width)
        room = width - sum(CHANNELS[i].width + 1 for i in kept[1:])
        return channel_cells(row, _height(self.channels.rows[0]), room)

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

    def switch_layer(self, by: int) -> None:
        """Goes to the next or previous layer."""
        self.query_one("#result-layers", RowTable).action_move(by)

    def switch_data(self) -> None:
        """Goes to the next set of images."""
        self._set = (self._set + 1) % max(len(self._sets), 1)
        taps = self.taps
        names = [one.tap for one in taps]
        at = names.index(self._tap) if self._tap in names else len(taps) - 1
        self.query_one("#result-layers", RowTable).show_rows(taps, at)
        self._show()

    def subject(self) -> EvidenceSubject | None:
        """Returns the channel under the cursor."""
        row, one = self.channels.current, self.shown
        if row is None or one is None:
            return None
        return EvidenceSubject("channel", row.channel, one.data, one.tap, one.final)

    def copied(self) -> str:
        """Returns the channel under the cursor with its figures."""
        row = self.channels.current
        if row is None:
            return ""
        names = [column.title.strip() for column in CHANNELS]
        pairs = zip(names, channel_cells(row, _height(row), 0), strict=True)
        return ", ".join(f"{name} {cell.strip()}" for name, cell in pairs)

    def explained(self) -> tuple[str, ...]:
        """Returns the terms of the outcome and of the figures beside the channels."""
        texts = [self.query_one(name, Told).whole.plain for name in ("#outcome", "#figures")]
        return tuple(one.id for one in mentioned(" . ".join(texts)))


class ChannelTable(RowTable[ChannelRow]):
    """The channels of a layer."""


def outcome(about: ShownRun) -> Content:
    """Returns the outcome on the first set, and the figures that decided."""
    if about.outliers is None:
        return inert(about.why_not("outliers"))
    final = about.outliers.finals()[0]
    said = clause(final)
    sign = {Outcome.CHANNELS: "▲ ", Outcome.WITHHELD: "! "}.get(final.outcome, "")
    reasons = "; ".join(plain(reason) for reason in final.finding.reasons)
    head = (f"{sign}{said[0].upper()}{said[1:]}", "bold")
    lines = [Content.assemble(head), Content.styled(reasons, DIM)]
    lines += [Content.styled(f"! {plain(one)}", "$warning") for one in about.report.warnings]
    return Content("\n").join(lines)


def layer_cells(one: Outliers) -> list[str]:
    """Returns the cells of one row of the layers."""
    kind = one.kind if one.tokens is None else one.tokens
    return [
        one.tap,
        kind,
        str(one.channels),
        one.kurtosis.plus_minus(),
        one.persistence.value.plus_minus(),
        one.highest.plus_minus(bare=True),
        one.offset.share.plus_minus(bare=True),
        "-" if isinstance(one.heights, NotRun) else str(len(one.outlier_channels)),
    ]


def channel_cells(row: ChannelRow, tallest: float, room: int) -> list[str]:
    """Returns the cells of one row of the channels; the bar takes the first column's `room`."""
    mark = "▲" if row.outlier else " "
    found = row.height
    head = f"{mark} {row.channel:>4} "
    drawn = bar(_height(row) / tallest if tallest > 0 else 0.0, max(room - len(head) - 1, 0))
    figures = ("-",) * 3
    if found is not None:
        shares = (found.above.plus_minus(), found.energy.plus_minus())
        figures = (found.height.plus_minus(bare=True), *shares)
    return [head + drawn, *figures, number(row.mean), number(row.sd)]


def _height(row: ChannelRow) -> float:
    return row.height.height.value if row.height is not None and given(row.height.height) else 0.0


def figures_of(one: Outliers, about: ShownRun) -> Content:
    """Returns the figures of a layer, each with its reference, and the curve over cuts."""
    entries: list[Entry] = [
        ("outlier ch. ▲", _channels(one)),
        ("highest", one.highest),
        ("offset share", one.offset.share),
        ("  its kurtosis", one.offset.kurtosis),
        ("  random .999", _at_most(one.offset.null_999)),
        ("  explains", one.offset.explained),
        ("kurtosis", one.kurtosis),
        ("  after rotation", number(one.basis_reference)),
        *_untrained(one, about),
        ("  after centring", one.residual.kurtosis),
        ("persistence P", one.persistence.value),
        ("  if shuffled", _at_most(one.persistence.null_high)),
        ("  after centring", one.residual.persistence),
        ("effective ch.", one.persistence.effective_channels),
        ("RMS kurtosis", one.rms_kurtosis),
        ("mean cosine", one.mean_cosine),
        ("images", _images(one, about.report)),
    ]
    parts = [listed(entries, _NAMES)]
    if isinstance(one.heights, Heights):
        parts += [Content.styled("\nchannels above a height", "bold"), _curve(one.heights)]
    criteria = [
        (c.name, "not run: " + c.figure.reason if isinstance(c.figure, NotRun) else c.figure)
        for c in one.criteria
    ]
    if criteria:
        parts += [Content.styled("\nrelated criteria", "bold"), listed(criteria)]
    return Content("\n").join(parts)


def _curve(heights: Heights) -> Content:
    """Returns how many channels exceed each height in 50, 90 and 99 % of the images."""
    columns = [TextColumn(title, right=True) for title in ("above", "50 %", "90 %", "99 %")]
    rows = [(number(r.cut), *map(number, (r.in_50, r.in_90, r.in_99))) for r in heights.curve]
    return Content("\n".join(text_table(columns, rows)))


def _at_most(figure: Figure) -> Figure | str:
    return f"at most {figure.alone()}" if given(figure) else figure


def _channels(one: Outliers) -> str:
    if isinstance(one.heights, NotRun):
        return f"not run: {one.heights.reason}"
    return ", ".join(str(found.channel) for found in one.outlier_channels[:12]) or "none"


def _images(one: Outliers, report: Report) -> str:
    """Returns the number of images, and how many of the set are in no figure here."""
    apart = sum(data.nonfinite for data in report.data if one.final and data.name == one.data)
    said = [f"{one.images:,}"]
    said += [f"{apart:,} not finite"] if apart else []
    said += [f"{one.degenerate:,} left out"] if one.degenerate else []
    return ", ".join(said)


def _untrained(one: Outliers, about: ShownRun) -> list[Entry]:
    """Returns the figures of the same architecture with random weights, which are not zero."""
    reference = about.outliers.untrained if about.outliers is not None else None
    if not one.final or reference is None:
        return []
    return [("  untrained", reference.kurtosis)]
