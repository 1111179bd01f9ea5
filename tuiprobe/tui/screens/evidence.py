"""Evidence: the rows, images and accuracies behind one channel or direction."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from pydantic import ValidationError
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.content import Content

from tuiprobe.catalog.glossary import mentioned, named
from tuiprobe.numbers import ends, number
from tuiprobe.plaintext import plain
from tuiprobe.probes.ablation.result import SetAblation, TargetedAblation
from tuiprobe.report.terminal import REPLACED
from tuiprobe.report.text import line
from tuiprobe.results.section import RowSubject, Table
from tuiprobe.tui.child import ask
from tuiprobe.tui.figures import FigureText
from tuiprobe.tui.screens.base import ProbeScreen
from tuiprobe.tui.tabs.section import table_cells
from tuiprobe.tui.tabs.tab import RunResults
from tuiprobe.tui.text import inert, inert_lines
from tuiprobe.tui.widgets.pictures import PictureGrid
from tuiprobe.tui.widgets.rows import RowColumn, RowTable

ABLATION = (
    RowColumn("set", 9, term="set"),
    RowColumn("before, %", 10, right=True, drop=2, term="ablation"),
    RowColumn("after, %", 10, right=True, drop=1, term="ablation"),
    RowColumn("points", 8, right=True, term="difference"),
    RowColumn("interval", 16, right=True, drop=3, term="interval"),
)
_INNER = (
    "only channels of the final representation can be ablated here; for this layer start a new run"
)
_OFFER = "a: accuracy with it set to its mean over the first set; n: set to zero"


class EvidenceScreen(ProbeScreen):
    """What the run holds about one channel or direction; a ablates it.

    Args:
        results: The run.
        subject: The channel or direction.
        row: The figures of the row that led here, by name; empty for those of the tables.
        data: The set that pictures are of, where there are some.
        ablate: Whether to ablate at once.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "ablate", "ablate", tooltip="Accuracy with it set to its mean"),
        Binding("n", "zero", "to zero", tooltip="Accuracy with it set to zero"),
        Binding("y", "copy", "copy", tooltip="Copy what is shown about it"),
    ]

    def __init__(
        self,
        results: RunResults,
        subject: RowSubject,
        row: dict[str, str],
        data: str = "",
        ablate: bool = False,
    ) -> None:
        super().__init__()
        self.results, self.subject = results, subject
        self.ablation: TargetedAblation | None = None
        self._row, self._data, self._at_once = row, data, ablate

    def compose_body(self) -> ComposeResult:
        """Lays out figures and ablation on the left, images on the right."""
        with Container(id="body"):
            with Vertical(classes="main panel") as main:
                with VerticalScroll(id="about-scroll"):
                    yield FigureText(Content("\n").join(self._about()), id="about")
                yield FigureText(
                    Content(_INNER if self.subject.layer else _OFFER), id="ablation-status"
                )
                yield RowTable[SetAblation](ABLATION, ablation_cells, id="ablation")
            main.border_title = inert(self.title_text)
            strip = self.results.strip(self.subject, self._data)
            groups = self.results.groups(strip) or [("no pictures were kept of it", [])]
            grid = PictureGrid(groups, classes="aside panel")
            grid.border_title = inert(f"pictures of {strip.data}" if strip is not None else "")
            yield grid

    def on_mount(self) -> None:
        """Ablates if that was asked for."""
        self.title_line.show(f"{self.title_text} · {self.results.about}", [self.results.spec])
        self.query_one("#about-scroll").focus()
        if self._at_once and not self.subject.layer:
            self.action_ablate()

    @property
    def title_text(self) -> str:
        """What it is, in words; quotes names from outside."""
        if self.subject.kind == "channel":
            where = self.subject.layer or "the final representation"
            return f"channel {self.subject.number} of {where}"
        matrix = "class weights, centred" if self.subject.centred else "class weights"
        return f"direction {self.subject.number} of the {matrix}"

    @property
    def shown_run(self) -> Path:
        """The run directory that is shown."""
        return self.results.run.path

    def _about(self) -> Iterator[Content]:
        """Yields the figures of the subject, then the rows of other tables that name it."""
        if self._row:
            yield _listed(self._row)
        for own in (True, False):
            for section in self.results.sections:
                for table in section.content:
                    if isinstance(table, Table) and not (own and self._row):
                        yield from self._rows(table, section.title, own)

    def _rows(self, table: Table, title: str, own: bool) -> Iterator[Content]:
        """Yields the rows of a table that are about the subject, or those that only name it."""
        rows = [
            i
            for i, named in enumerate(table.subjects)
            if (self.subject == named[0] if own else self.subject in named[1:])
        ]
        if not rows or not table.subjects:
            return
        names = [line(column.title) for column in table.columns]
        texts = table_cells(table)
        where = f"{title}: {line(table.title)}".rstrip(": ")
        yield Content.styled(where if own else f"named in {where}", "bold $secondary")
        for i in rows:
            cells = {n: c for n, c in zip(names, texts[i], strict=True) if c not in ("", "-")}
            text = ", ".join(f"{name} {cell}" for name, cell in cells.items())
            yield _listed(cells) if len(rows) == 1 else Content(text)
        yield Content()

    def action_ablate(self) -> None:
        """Asks for the accuracy with it set to its mean."""
        self._ablate()

    def action_zero(self) -> None:
        """Asks for the accuracy with it set to zero."""
        self._ablate("--ablate-mode", "zero")

    @work(exclusive=True, group="ablation")
    async def _ablate(self, *mode: str) -> None:
        self._say("computing the accuracies without it, in a separate process…")
        run = str(self.results.run.path.absolute())
        words = ["--ablate", f"{self.subject.kind}:{self.subject.number}"]
        words += ["--centred"] * self.subject.centred
        answer = await ask(["reprobe", run, *words, *mode, "--json"])
        try:
            self.ablation = TargetedAblation.model_validate_json(answer.out)
        except ValidationError:
            self._say(f"✗ {answer.reason}")
            return
        self._say(ablation_summary(self.ablation))
        table = self.query_one("#ablation", RowTable)
        table.display = True
        table.show_rows(self.ablation.sets, 0)

    def _say(self, text: str) -> None:
        self.query_one("#ablation-status", FigureText).show(inert(text))

    def action_copy(self) -> None:
        """Copies the figures, and the accuracies if there are any."""
        lines = [self.title_text, *self.query_one("#about", FigureText).whole.plain.splitlines()]
        if self.ablation is not None:
            lines += [" ".join(ablation_cells(row)) for row in self.ablation.sets]
        self.app.copy("\n".join(map(plain, lines)), "evidence")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Returns whether a key does something here."""
        return not self.subject.layer if action in ("ablate", "zero") else True

    def explained(self) -> tuple[str, ...]:
        """Returns the terms of the figures that are shown, and of the ablation."""
        about = self.query_one("#about", FigureText).whole.plain
        kind = "channel" if self.subject.kind == "channel" else "privileged-direction"
        figures = (named(line.partition("  ")[0]) for line in about.splitlines())
        terms = [term.id for term in (*figures, *mentioned(about)) if term is not None]
        return tuple(dict.fromkeys((kind, *terms, "ablation")))


def _listed(cells: dict[str, str]) -> Content:
    """Returns one line for each figure: its name, then what it is."""
    width = max(map(len, cells), default=0)
    return inert_lines(f"{name:<{width}}  {cell}" for name, cell in cells.items())


def ablation_summary(ablation: TargetedAblation) -> str:
    """Returns where an ablation gave an accuracy, and where and why not, once a reason."""
    count = len(ablation.sets)
    sets = "1 set" if count == 1 else f"{count} sets"
    parts = [f"accuracy without it ({REPLACED[ablation.replaced_by]}) on {sets}; * differs"]
    reasons: dict[str, list[str]] = {}
    for row in ablation.not_run:
        reasons.setdefault(row.reason, []).append(row.name)
    parts += [f"no accuracy on {', '.join(names)}: {why}" for why, names in reasons.items()]
    return "; ".join(parts)


def ablation_cells(row: SetAblation) -> list[str]:
    """Returns the cells of one set, before and after."""
    change = row.difference
    sign = "*" if change.high < 0 or change.low > 0 else " "
    span = (change.value, change.low, change.high)
    value = number(change.value, "points", change.low, change.high, signed=True, bare=True)
    return [
        row.name,
        number(row.before.top1, "share", row.before.low, row.before.high, bare=True),
        number(row.after.top1, "share", row.after.low, row.after.high, bare=True),
        sign + value,
        f"({ends(*span, 'points', signed=True)})",
    ]
