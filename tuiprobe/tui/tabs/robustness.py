"""Robustness: accuracy on every set, effective robustness, and the scatter behind it."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from tuiprobe.probes.robustness.result import Accuracy, EffectiveRobustness, Robustness
from tuiprobe.results import NotRun, given
from tuiprobe.tui.figures import DIM, Told, told
from tuiprobe.tui.tabs.tab import Found, ResultTab
from tuiprobe.tui.text import inert
from tuiprobe.tui.widgets.chart import ChartView
from tuiprobe.tui.widgets.rows import Column, RowTable

COLUMNS = (
    Column("set", 12, term="set"),
    Column("top-1", 12, right=True, term="top-1"),
    Column("top-5", 12, right=True, drop=2, term="top-5"),
    Column("n", 6, right=True, drop=1, term="n"),
    Column("classes", 7, right=True, drop=3, term="class-mask"),
    Column("published as", 15, drop=4, term="shift"),
)


class AccuracyTable(RowTable[Accuracy]):
    """Accuracies, the in-distribution set first."""


class RobustnessTab(ResultTab):
    """Accuracy under shift, with the baseline and published models behind."""

    ANSWERS = frozenset({"data", "copy", "maximise"})
    SCOPED_CSS = False
    DEFAULT_CSS = """
    RobustnessTab #accuracies { height: 2fr; min-height: 3; }
    RobustnessTab #effective { height: auto; max-height: 12; }
    .-low RobustnessTab #effective { max-height: 3; }
    RobustnessTab .aside { width: 58%; }
    .-narrow RobustnessTab .aside { width: 1fr; height: 2fr; }
    """

    def __init__(self, found: Found) -> None:
        super().__init__(found)
        self._charts = found.charts("robustness")
        self._chart = 0

    def compose(self) -> ComposeResult:
        """Lays out accuracies on the left, the scatter on the right."""
        found = self.found.robustness
        if found is None:
            reason = self.found.why_not("robustness")
            yield Static(inert(reason), classes="none", id="no-robustness")
            return
        with Vertical(classes="main panel"):
            yield AccuracyTable(COLUMNS, accuracy_cells, id="accuracies")
            yield Told(effective_text(found), id="effective")
        yield ChartView("no shifted set was measured", id="scatter", classes="aside panel")

    def on_mount(self) -> None:
        """Shows accuracies and the first chart."""
        found = self.found.robustness
        if found is not None:
            self.query_one(".main").border_title = "accuracy"
            self.query_one("#accuracies", AccuracyTable).show_rows(found.accuracies)
            self._show()

    def first(self) -> Widget | None:
        """Returns the table of accuracies."""
        return self.query_one("#accuracies") if self.found.robustness is not None else None

    def _show(self) -> None:
        chart = self._charts[self._chart % len(self._charts)] if self._charts else None
        self.query_one("#scatter", ChartView).show(chart)

    def switch_data(self) -> None:
        """Shows the scatter of the next baseline."""
        if self._charts:
            self._chart += 1
            self._show()

    def copied(self) -> str:
        """Returns the accuracy under the cursor."""
        if self.found.robustness is None:
            return ""
        row = self.query_one("#accuracies", AccuracyTable).current
        if row is None:
            return ""
        pairs = zip((column.title for column in COLUMNS), accuracy_cells(row), strict=True)
        return ", ".join(f"{name} {cell}" for name, cell in pairs)

    def explained(self) -> tuple[str, ...]:
        """Returns the terms of effective robustness and of the scatter."""
        return ("effective-robustness", "baseline", "precision-interval", "prediction-interval",
                "mean-of-shifts")  # fmt: skip


def accuracy_cells(row: Accuracy) -> list[str]:
    """Returns the cells of one row of the accuracies."""
    return [
        row.data,
        row.top1.plus_minus(),
        row.top5.plus_minus(),
        f"{row.images:,}",
        str(row.classes),
        row.shift or "-",
    ]


def effective_text(found: Robustness) -> Content:
    """Returns the mean of the shifts, and effective robustness by each baseline."""
    lines = [Content.assemble("mean of shifts  ", told(found.mean_shift))]
    if isinstance(found.effective, NotRun):
        reason = f"effective robustness: not run, because {found.effective.reason}"
        return Content("\n").join([*lines, inert(reason, DIM)])
    for one in found.headlines():
        lines += _baseline(one)
    return Content("\n").join(lines)


def _baseline(one: EffectiveRobustness) -> list[Content]:
    name = f"against {one.baseline} ({one.models} models, {one.axis})"
    lines = [inert(name, DIM), Content.assemble("  precision   ", told(one.value))]
    if given(one.prediction):
        verdict = {True: ", above the baseline", False: ", not above it", None: ""}[one.above]
        extrapolated = ", extrapolated" if one.extrapolated else ""
        lines.append(
            Content.assemble("  prediction  ", told(one.prediction), verdict + extrapolated)
        )
    return lines
