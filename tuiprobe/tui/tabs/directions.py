"""Directions: importance of the head's directions, pruning curves with their controls."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from tuiprobe.numbers import number
from tuiprobe.probes.directions.result import Basis, Direction
from tuiprobe.report.text import line
from tuiprobe.results import given
from tuiprobe.tui.figures import DIM, Entry, Told, listed
from tuiprobe.tui.tabs.evidence_of import EvidenceSubject
from tuiprobe.tui.tabs.tab import ResultTab, ShownRun
from tuiprobe.tui.text import inert
from tuiprobe.tui.widgets.chart import ChartView
from tuiprobe.tui.widgets.rows import RowColumn, RowTable

COLUMNS = (
    RowColumn("direction", 9, term="privileged-direction"),
    RowColumn("importance", 14, right=True, term="importance"),
    RowColumn("singular", 8, right=True, drop=2, term="singular-value"),
    RowColumn("on ▲", 6, right=True, drop=3, term="share-on-outliers"),
    RowColumn("leans on channels", 20, drop=1, term="leans-on"),
)


class DirectionTable(RowTable[Direction]):
    """The most important directions."""


class DirectionsTab(ResultTab):
    """Importance of directions, pruning curves, ablation of the outlier channels."""

    ANSWERS = frozenset({"ablate", "data", "basis", "copy", "maximise"})
    SCOPED_CSS = False
    DEFAULT_CSS = """
    DirectionsTab #basis { height: auto; max-height: 7; }
    .-low DirectionsTab #basis { max-height: 2; }
    DirectionsTab #importance { height: 2fr; }
    DirectionsTab #pruning { height: 3fr; }
    .-narrow DirectionsTab #importance { display: none; }
    """

    def __init__(self, found: ShownRun) -> None:
        super().__init__(found)
        directions = found.directions
        self._bases = directions.bases if directions is not None else ()
        self._basis = len(self._bases) - 1  # the centred one, without the mean class embedding
        self._set = 0
        marked = [one.outlier_share for basis in self._bases for one in basis.directions]
        hidden = "on ▲" if set(marked) == {None} else ""  # no channel passes the rule
        self._kept = [i for i, column in enumerate(COLUMNS) if column.title != hidden]
        self._columns = [COLUMNS[i] for i in self._kept]

    def _cells(self, row: Direction) -> list[str]:
        cells = direction_cells(row)
        return [cells[i] for i in self._kept]

    @property
    def basis(self) -> Basis | None:
        """The basis that is shown."""
        return self._bases[self._basis] if self._bases else None

    def compose(self) -> ComposeResult:
        """Lays out directions on the left, curves on the right."""
        if self.basis is None:
            reason = self.found.why_not("directions")
            yield Static(inert(reason), classes="none", id="no-directions")
            return
        with Vertical(classes="main panel"):
            yield Told(id="basis")
            yield DirectionTable(self._columns, self._cells, id="directions")
        with Vertical(classes="aside"):
            yield ChartView(id="importance", classes="panel")
            yield ChartView("no pruning curve", id="pruning", classes="panel")

    def on_mount(self) -> None:
        """Shows the first basis."""
        self._show()

    def first(self) -> Widget | None:
        """Returns the table of directions."""
        return self.query_one("#directions") if self.basis is not None else None

    def _show(self) -> None:
        basis, found = self.basis, self.found.directions
        if basis is None or found is None:
            return
        other = "W" if basis.centred else "W minus its mean row"
        self.query_one(".main").border_title = inert(f"{basis.matrix} · B shows {other}")
        self.query_one("#basis", Told).show(basis_text(basis, self.found))
        ordered = sorted(basis.directions, key=lambda one: one.index)
        self.query_one("#directions", DirectionTable).show_rows(ordered)
        slug = "centred" if basis.centred else "plain"
        importance = self.found.charts("directions", f"importance_{slug}")
        self.query_one("#importance", ChartView).show(importance[0] if importance else None)
        curves = self.found.charts("directions", f"pruning_{slug}")
        chart = curves[self._set % len(curves)] if curves else None
        self.query_one("#pruning", ChartView).show(chart)

    def switch_basis(self) -> None:
        """Shows the other basis."""
        if self._bases:
            self._basis = (self._basis + 1) % len(self._bases)
            self._show()

    def switch_data(self) -> None:
        """Shows the pruning curves of the next set."""
        self._set += 1
        self._show()

    @on(RowTable.Highlighted, "#directions")
    def _moved(self) -> None:
        self.query_one("#directions").refresh()

    def subject(self) -> EvidenceSubject | None:
        """Returns the direction under the cursor."""
        found, basis = self.found.directions, self.basis
        if found is None or basis is None:
            return None
        row = self.query_one("#directions", DirectionTable).current
        if row is None:
            return None
        return EvidenceSubject("direction", row.index, found.data, centred=basis.centred)

    def explained(self) -> tuple[str, ...]:
        """Returns the terms of the basis and the curves."""
        basis = "basis-centred" if self.basis is not None and self.basis.centred else "basis-w"
        return (basis, "effective-rank", "gini", "mean-row-cosine", "pruning", "control-band",
                "ablation")  # fmt: skip

    def copied(self) -> str:
        """Returns the direction under the cursor."""
        basis = self.basis
        row = self.query_one("#directions", DirectionTable).current if basis is not None else None
        if row is None or basis is None:
            return ""
        pairs = zip((column.title for column in self._columns), self._cells(row), strict=True)
        told = ", ".join(f"{name} {cell}" for name, cell in pairs)
        return f"{told} ({basis.matrix})"


def direction_cells(row: Direction) -> list[str]:
    """Returns the cells of one row of the directions."""
    return [
        f"v{row.index}",
        row.importance.plus_minus(),
        number(row.singular_value),
        number(row.outlier_share, "share"),
        ", ".join(str(channel) for channel in row.channels),
    ]


def basis_text(basis: Basis, about: ShownRun) -> Content:
    """Returns the figures of a basis, and in the words of the card what channels are worth to it.

    "On ▲ channels" is left out where no channel passes the rule.
    """
    entries: list[Entry] = [
        ("effective rank", basis.effective_rank),
        ("Gini", basis.gini),
        ("|cos| to mean row", basis.mean_row_cosine),
    ]
    if given(basis.outlier_share):
        entries.append(("on ▲ channels", basis.outlier_share))
    lines = [listed(entries)]
    part = about.report.part_of("ablation")
    if part is None or part.section is None:
        text = f"channels not ablated: {about.report.why_not('ablation')}; a ablates the row below"
        lines.append(inert(text, DIM))
    else:
        lines.append(inert(line(part.section.headline)))
    return Content("\n").join(lines)
