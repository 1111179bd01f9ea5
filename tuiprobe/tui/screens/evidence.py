"""Evidence: the images, concepts and accuracies behind one channel or direction."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import ValidationError
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tuiprobe.catalog.glossary import mentioned, named
from tuiprobe.numbers import interval, number, plus_minus
from tuiprobe.plaintext import plain
from tuiprobe.probes.ablation.targeted_result import SetAblation, TargetedAblation
from tuiprobe.report.ablation import REPLACED
from tuiprobe.results import Figure
from tuiprobe.tui.child import ask
from tuiprobe.tui.figures import DIM, Entry, Told, headed, listed
from tuiprobe.tui.screens.base import ProbeScreen
from tuiprobe.tui.tabs.evidence_of import (
    EvidenceSubject,
    channel_rows,
    concepts_of,
    direction_of,
    family_of,
    images_of,
    leaning,
    outliers_at,
)
from tuiprobe.tui.tabs.tab import SHOWN, ShownRun
from tuiprobe.tui.text import inert
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


_NO_HEAD = "cannot be ablated: the run has no head; pass --classes or --head"


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
        Binding("p", "pictures", "pictures", tooltip="Put the cursor on the pictures, and back"),
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

    def __init__(self, found: ShownRun, subject: EvidenceSubject, ablate: bool = False) -> None:
        super().__init__()
        self.found, self.subject = found, subject
        self.answer: TargetedAblation | None = None
        self._at_once = ablate

    def compose_body(self) -> ComposeResult:
        """Lays out figures and ablation on the left, images on the right."""
        with Container(id="body"):
            with Vertical(classes="main panel") as main:
                with VerticalScroll(id="about-scroll"):
                    yield Told(about(self.found, self.subject), id="about")
                yield Told(Content(self._offer), id="said")
                yield AblationTable(ABLATION, ablation_cells, id="ablation")
            main.border_title = inert(self.subject.title)
            yield PictureGrid(id="evidence-images", classes="aside panel")

    async def on_mount(self) -> None:
        """Shows the images, and ablates if that was asked for."""
        self._title()
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

    def on_resize(self) -> None:
        """Fits the title to the new width."""
        self._title()

    def _title(self) -> None:
        left = f"{self.subject.title} · {self.found.about}"
        about = headed(left, self.found.warning, self.found.short_warning)
        self.query_one("#place", Static).update(about(self.size.width - 2))

    @property
    def shown_run(self) -> Path:
        """The run directory that is shown."""
        return self.found.run.path

    @property
    def _headless(self) -> bool:
        return self.found.directions is None

    @property
    def _offer(self) -> str:
        """What pressing a would do, or why it would do nothing."""
        if not self.subject.final:
            return _INNER
        if self._headless:
            return _NO_HEAD
        return "a: accuracy with it set to its mean over the first set; n: set to zero"

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
        if self._headless:
            self._say(_NO_HEAD)
            return
        self._say("computing the accuracies without it, in a separate process")
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
        self._say(answered(found))
        self.query_one("#ablation", AblationTable).show_rows(found.sets, 0)

    def _say(self, text: str) -> None:
        self.query_one("#said", Told).show(inert(text))

    def action_copy(self) -> None:
        """Copies the figures, and the accuracies if there are any."""
        lines = [self.subject.title, about(self.found, self.subject).plain]
        if self.answer is not None:
            lines += [" ".join(ablation_cells(one)) for one in self.answer.sets]
        self.app.copy(plain("\n".join(lines)).replace("\\n", "\n"), "evidence")

    def action_pictures(self) -> None:
        """Puts the cursor on the pictures, or back on the figures."""
        grid = self.query_one(PictureGrid)
        if grid.has_focus or not grid.pictures:
            self.query_one("#about-scroll").focus()
        else:
            grid.focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Returns whether a key does something here."""
        if action in ("ablate", "zero"):
            return self.subject.final and not self._headless
        if action == "pictures":
            return bool(self.query(PictureGrid)) and bool(self.query_one(PictureGrid).pictures)
        return True

    def explained(self) -> tuple[str, ...]:
        """Returns the terms of the figures that are shown, and of the ablation."""
        said = self.query_one("#about", Told).whole.plain
        kind = "channel" if self.subject.kind == "channel" else "privileged-direction"
        names = (named(text.partition("  ")[0]) for text in said.splitlines())
        found = [one.id for one in (*names, *mentioned(said)) if one is not None]
        return tuple(dict.fromkeys((kind, *found, "ablation", "set-to-mean", "set-to-zero")))

    def action_maximise(self) -> None:
        """Gives the whole window to the pictures, or takes it back."""
        self.toggle_class("-maximised")


def about(found: ShownRun, subject: EvidenceSubject) -> Content:
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
                ("singular value", number(one.singular_value)),
                ("leans on", ", ".join(str(channel) for channel in one.channels)),
            ]
            if one.outlier_share is not None:
                entries.append(("on ▲ channels", number(one.outlier_share, "share")))
    parts = [listed(entries)] if entries else []
    if lines:
        parts += [Content.styled("\ndirections that lean on it", "bold"), Content("\n".join(lines))]
    told = concepts_of(found, subject)
    parts.append(Content.styled("\nconcepts told best", "bold"))
    rows = [
        f"{plain(one.name)} ({plain(one.category)})  {number(min(one.train, one.val))} "
        f"{'+' if one.sign > 0 else '-'}"
        for one in sorted(told, key=lambda one: -min(one.train, one.val))
    ]
    parts.append(
        Content("\n".join(rows)) if rows else Content.styled(_no_concepts(found, subject), DIM)
    )
    return Content("\n").join(parts)


def _no_concepts(found: ShownRun, subject: EvidenceSubject) -> str:
    if found.concepts is None:
        return f"not run: {plain(found.report.why_not('concepts'))}"
    if not subject.final:
        return "of the final representation only"
    if found.concepts.top_of != family_of(subject):
        return f"listed for {found.concepts.top_of} only"
    return "none among the leading directions"


def _of_channel(found: ShownRun, subject: EvidenceSubject) -> tuple[list[Entry], list[str]]:
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
        entries.append(("mean", number(row.mean)))
        entries.append(("std", number(row.sd)))
    lean = leaning(found, subject.number) if subject.final else []
    lines = [
        f"v{d.index} of {basis.matrix}  importance {d.importance.plus_minus()}" for basis, d in lean
    ]
    return entries, lines


def answered(found: TargetedAblation) -> str:
    """Returns where an ablation gave an accuracy, and where and why not, once a reason."""
    count = len(found.sets)
    sets = "1 set" if count == 1 else f"{count} sets"
    parts = [f"accuracy without it ({REPLACED[found.replaced_by]}) on {sets}; * differs"]
    reasons: dict[str, list[str]] = {}
    for one in found.not_run:
        reasons.setdefault(one.reason, []).append(one.name)
    parts += [f"no accuracy on {', '.join(names)}: {why}" for why, names in reasons.items()]
    return "; ".join(parts)


def ablation_cells(one: SetAblation) -> list[str]:
    """Returns the cells of one set, before and after."""
    change = one.difference
    sign = "*" if change.high < 0 or change.low > 0 else " "
    text = interval(change.value, change.low, change.high, "points", signed=True, bare=True)
    value, _, ends = text.partition(" (")
    return [
        one.name,
        plus_minus(one.before.top1, one.before.low, one.before.high, "share", bare=True),
        plus_minus(one.after.top1, one.after.low, one.after.high, "share", bare=True),
        sign + value,
        f"({ends}",
    ]
