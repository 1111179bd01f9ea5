"""The evidence behind a row: pictures, rows of other tables that name its subject, ablation."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError
from textual import work
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content

from tuiprobe.catalog.glossary import mentioned
from tuiprobe.numbers import ends, number
from tuiprobe.probes.ablation.result import SetAblation, TargetedAblation
from tuiprobe.report.terminal import REPLACED
from tuiprobe.report.text import cells_of, line
from tuiprobe.results.section import RowSubject, Table
from tuiprobe.tui.child import ask
from tuiprobe.tui.figures import FigureText
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
OFFER = "a: accuracy without it (mean of the first set); n: set to zero"


class EvidencePanel(Vertical):
    """What the run holds about one channel or direction.

    Args:
        results: The run.
    """

    DEFAULT_CSS = """
    EvidencePanel PictureGrid { height: 2fr; }
    EvidencePanel #about-scroll { height: 1fr; padding: 0; }
    EvidencePanel #ablation { height: auto; max-height: 8; display: none; }
    """

    def __init__(self, results: RunResults) -> None:
        super().__init__(classes="aside panel")
        self.results = results
        self.subject: RowSubject | None = None

    def compose(self) -> ComposeResult:
        """Lays out pictures above figures and ablation."""
        yield PictureGrid()
        with VerticalScroll(id="about-scroll"):
            yield FigureText(id="about")
        yield FigureText(Content(OFFER), id="ablation-status")
        yield RowTable[SetAblation](ABLATION, ablation_cells, id="ablation")

    @property
    def pictures(self) -> PictureGrid:
        """The pictures."""
        return self.query_one(PictureGrid)

    def show(self, subject: RowSubject | None, title: str, table: Table) -> None:
        """Shows another subject.

        Args:
            subject: The channel or direction.
            title: Its row in a few words.
            table: The table of that row, which is not repeated.
        """
        self.border_title = inert(title)
        self.pictures.show(self.results.groups(self.results.strip(subject)))
        if subject == self.subject:
            return
        self.subject = subject
        self.query_one("#about", FigureText).show(Content("\n").join(self._about(table)))
        self._say("" if subject is None else OFFER)
        self.query_one("#ablation").display = False

    def _about(self, shown: Table) -> Iterator[Content]:
        """Yields the rows of other tables about the subject, then those that only name it."""
        for own in (True, False):
            for section in self.results.sections:
                for table in section.content:
                    if isinstance(table, Table) and not (own and table is shown):
                        yield from self._rows(table, section.title, own)

    def _rows(self, table: Table, title: str, own: bool) -> Iterator[Content]:
        rows = [
            i
            for i, named in enumerate(table.subjects)
            if named and (self.subject == named[0] if own else self.subject in named[1:])
        ]
        if not rows:
            return
        names = [line(column.title) for column in table.columns]
        texts = table_cells(table)
        where = f"{title}: {line(table.title)}".rstrip(": ")
        yield Content.styled(where if own else f"named in {where}", "bold $secondary")
        for i in rows:
            cells = {n: c for n, c in zip(names, texts[i], strict=True) if c not in ("", "-")}
            yield inert_lines([", ".join(f"{name} {cell}" for name, cell in cells.items())])

    @work(exclusive=True, group="ablation")
    async def ablate(self, *mode: str) -> None:
        """Asks for the accuracies without the subject, in a separate process.

        Args:
            mode: Options of `tuiprobe reprobe`, such as `--ablate-mode zero`.
        """
        subject = self.subject
        if subject is None:
            return
        self._say("computing the accuracies without it, in a separate process…")
        run = str(self.results.run.path.absolute())
        words = ["--ablate", f"{subject.kind}:{subject.number}"]
        words += ["--centred"] * subject.centred
        answer = await ask(["reprobe", run, *words, *mode, "--json"])
        if subject != self.subject:
            return
        try:
            ablation = TargetedAblation.model_validate_json(answer.out)
        except ValidationError:
            self._say(f"✗ {answer.reason}")
            return
        self._say(ablation_summary(ablation))
        table = self.query_one("#ablation", RowTable)
        table.display = True
        table.show_rows(ablation.sets, 0)

    def _say(self, text: str) -> None:
        self.query_one("#ablation-status", FigureText).show(inert(text))

    def explained(self) -> tuple[str, ...]:
        """Returns the terms of the figures that are shown, and of the ablation."""
        about = self.query_one("#about", FigureText).whole.plain
        return tuple(dict.fromkeys((*(term.id for term in mentioned(about)), "ablation")))


def table_cells(table: Table) -> list[list[str]]:
    """Returns the cells of each row as people read them."""
    return [[line((cell,)) for cell in row] for row in cells_of(table.rows, table.columns)]


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
