"""Evidence: the images, concepts and accuracies behind one channel or direction."""

from __future__ import annotations

from typing import ClassVar

from pydantic import ValidationError
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tuiprobe.plaintext import plain
from tuiprobe.probes.ablation.targeted_result import SetAblation, TargetedAblation
from tuiprobe.report.ablation import REPLACED
from tuiprobe.report.numbers import few, short
from tuiprobe.results import Figure
from tuiprobe.tui.child import ask
from tuiprobe.tui.figures import DIM, Entry, listed
from tuiprobe.tui.screens.base import ProbeScreen
from tuiprobe.tui.tabs.evidence_of import (
    Subject,
    channel_rows,
    concepts_of,
    direction_of,
    images_of,
    leaning,
    outliers_at,
)
from tuiprobe.tui.tabs.tab import SHOWN, Found
from tuiprobe.tui.text import inert
from tuiprobe.tui.widgets.pictures import PictureGrid
from tuiprobe.tui.widgets.rows import Column, RowTable

ABLATION = (
    Column("set", 9),
    Column("before", 11, right=True, drop=2),
    Column("after", 11, right=True, drop=1),
    Column("change", 8, right=True),
    Column("interval", 16, right=True, drop=3),
)
_INNER = (
    "only channels of the final representation can be ablated here; for this layer start a new run"
)


class AblationTable(RowTable[SetAblation]):
    """Accuracy on each set without the channel or direction."""


class EvidenceScreen(ProbeScreen):
    """The images and concepts behind one channel or direction; a ablates it.

    Args:
        found: The run.
        subject: The channel or direction.
        ablate: Whether to ablate at once.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "ablate", "ablate", tooltip="Accuracy with it set to its mean"),
        Binding("n", "zero", "to zero", tooltip="Accuracy with it set to zero"),
        Binding("y", "copy", "copy", tooltip="Copy what is shown about it"),
        Binding("m", "maximise", "maximise", show=False, tooltip="The pictures alone, and back"),
    ]
    DEFAULT_CSS = """
    EvidenceScreen #body { layout: horizontal; }
    EvidenceScreen #about-scroll { height: 1fr; }
    EvidenceScreen #about, EvidenceScreen #said { height: auto; }
    EvidenceScreen .main { width: 64; height: 1fr; }
    EvidenceScreen #ablation { height: 9; }
    EvidenceScreen .aside { width: 1fr; height: 1fr; }
    .-wide EvidenceScreen .main { width: 76; }
    EvidenceScreen.-wide .main { width: 76; }
    EvidenceScreen.-narrow #body { layout: vertical; }
    EvidenceScreen.-narrow .main { width: 1fr; height: 1fr; }
    EvidenceScreen.-narrow.-low .main { height: 2fr; }
    EvidenceScreen.-low #ablation { height: 5; }
    EvidenceScreen.-maximised .main { display: none; }
    """

    def __init__(self, found: Found, subject: Subject, ablate: bool = False) -> None:
        super().__init__()
        self.found, self.subject = found, subject
        self.answer: TargetedAblation | None = None
        self._at_once = ablate

    def compose_body(self) -> ComposeResult:
        """Lays out figures and ablation on the left, images on the right."""
        with Container(id="body"):
            with Vertical(classes="main panel") as main:
                with VerticalScroll(id="about-scroll"):
                    yield Static(about(self.found, self.subject), id="about", markup=False)
                yield Static("a ablates it: accuracy without it", id="said", markup=False)
                yield AblationTable(ABLATION, ablation_cells, id="ablation")
            main.border_title = inert(self.subject.title)
            yield PictureGrid(id="evidence-images", classes="aside panel")

    async def on_mount(self) -> None:
        """Shows the images, and ablates if that was asked for."""
        self.place(f"tuiprobe  Results · {self.subject.title} · {self.found.report.title}")
        groups = [
            (name, [self.found.picture(data, image) for image in images[:SHOWN]])
            for name, data, images in images_of(self.found, self.subject)
        ]
        grid = self.query_one(PictureGrid)
        grid.border_title = "images at both ends"
        await grid.show(groups or [("No images were kept for it.", [])])
        self.query_one("#about-scroll").focus()
        if self._at_once:
            self.action_ablate()

    def action_ablate(self) -> None:
        """Asks for the accuracy with it set to its mean."""
        self._ask([])

    def action_zero(self) -> None:
        """Asks for the accuracy with it set to zero."""
        self._ask(["--ablate-mode", "zero"])

    def _ask(self, more: list[str]) -> None:
        if not self.subject.final:
            self._say(_INNER)
            return
        if self.found.directions is None and self.found.robustness is None:
            self._say("cannot ablate: the run has no head; pass --classes or --head")
            return
        self._say("ablating in a separate process")
        self._measure(more)

    @work(exclusive=True, group="ablation")
    async def _measure(self, more: list[str]) -> None:
        run = str(self.found.run.path.absolute())
        answer = await ask(["reprobe", run, *self.subject.question, *more, "--json"])
        try:
            found = TargetedAblation.model_validate_json(answer.out)
        except ValidationError:
            self._say(f"✗ {answer.reason}")
            return
        self.answer = found
        parts = [f"without it ({REPLACED[found.replaced_by]}): accuracy on {len(found.sets)} sets"]
        parts += [f"{one.name} not run: {one.reason}" for one in found.not_run]
        self._say("; ".join(parts))
        self.query_one("#ablation", AblationTable).show_rows(found.sets, 0)

    def _say(self, text: str) -> None:
        self.query_one("#said", Static).update(inert(text))

    def action_copy(self) -> None:
        """Copies the figures, and the accuracies if there are any."""
        lines = [self.subject.title, about(self.found, self.subject).plain]
        if self.answer is not None:
            lines += [" ".join(ablation_cells(one)) for one in self.answer.sets]
        self.app.copy(plain("\n".join(lines)).replace("\\n", "\n"), "evidence")  # type: ignore[attr-defined]

    def action_maximise(self) -> None:
        """Gives the whole window to the pictures, or takes it back."""
        self.toggle_class("-maximised")


def about(found: Found, subject: Subject) -> Content:
    """Returns the figures of a channel or direction, and the evidence behind it."""
    entries: list[Entry] = []
    lines: list[str] = []
    if subject.kind == "channel":
        entries, lines = _of_channel(found, subject)
    else:
        one = direction_of(found, subject)
        if one is not None:
            entries += [
                ("importance", one.importance),
                ("singular value", few(one.singular_value)),
                (
                    "on ▲ channels",
                    "-" if one.outlier_share is None else few(one.outlier_share),
                ),
                ("leans on", ", ".join(str(channel) for channel in one.channels)),
            ]
    parts = [listed(entries)] if entries else []
    if lines:
        parts += [Content.styled("\ndirections that lean on it", "bold"), Content("\n".join(lines))]
    told = concepts_of(found, subject)
    parts.append(Content.styled("\nconcepts told best", "bold"))
    rows = [
        f"{plain(one.name)} ({plain(one.category)})  {min(one.train, one.val):.3f} "
        f"{'+' if one.sign > 0 else '-'}"
        for one in sorted(told, key=lambda one: -min(one.train, one.val))
    ]
    parts.append(Content("\n".join(rows)) if rows else Content.styled(_no_concepts(found), DIM))
    return Content("\n").join(parts)


def _no_concepts(found: Found) -> str:
    if found.concepts is None:
        return "no concept set was probed"
    return "none among the leading directions"


def _of_channel(found: Found, subject: Subject) -> tuple[list[Entry], list[str]]:
    one = outliers_at(found, subject.data, subject.tap)
    rows = channel_rows(one) if one is not None else []
    row = next((row for row in rows if row.channel == subject.number), None)
    entries: list[Entry] = []
    if row is not None:
        known: list[tuple[str, Figure | None]] = [
            ("share", row.share.share if row.share else None),
            ("leads in", row.share.leading if row.share else None),
            ("height", row.height.height if row.height else None),
            ("above 6 in", row.height.above if row.height else None),
            ("energy", row.height.energy if row.height else None),
            ("constant part", row.height.offset if row.height else None),
        ]
        entries += [(name, "-" if figure is None else figure) for name, figure in known]
        entries.append(("mean", few(row.mean)))
        entries.append(("std", few(row.sd)))
    lean = leaning(found, subject.number) if subject.final else []
    lines = [f"v{d.index} of {basis.matrix}  importance {short(d.importance)}" for basis, d in lean]
    return entries, lines


def ablation_cells(one: SetAblation) -> list[str]:
    """Returns the cells of one set, before and after."""
    change = one.difference
    sign = "▼" if change.high < 0 else "▲" if change.low > 0 else " "
    return [
        one.name,
        _accuracy(one.before.top1, one.before.low, one.before.high),
        _accuracy(one.after.top1, one.after.low, one.after.high),
        f"{sign}{change.value:+.3f}",
        f"{change.low:+.3f} to {change.high:+.3f}",
    ]


def _accuracy(value: float, low: float, high: float) -> str:
    return f"{few(value)} ±{few((high - low) / 2)}"
