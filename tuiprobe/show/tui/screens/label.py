"""Label: pictures of a target set, one after the other, until it is known which run is best."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import ClassVar, TypeVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.content import Content
from textual.events import ScreenResume
from textual.widgets import ContentSwitcher

from tuiprobe.choose.labelling.candidates import shared_targets
from tuiprobe.choose.labelling.label_log import NONE_OF_THESE, UNSURE
from tuiprobe.choose.labelling.session import LastLabel, PictureToLabel
from tuiprobe.choose.labelling.standing import LabelStatus, difference_words
from tuiprobe.errors import TuiprobeError
from tuiprobe.numbers import MISSING, NO_BREAK
from tuiprobe.plaintext import plain
from tuiprobe.results import is_known
from tuiprobe.show.tui.keys import KEYS, NUMBER_KEYS
from tuiprobe.show.tui.label_session import LabelView, release, renew_reports, view_after
from tuiprobe.show.tui.screens.base import ProbeScreen
from tuiprobe.show.tui.screens.dialogs import ChoiceScreen
from tuiprobe.show.tui.text import DIM, FigureText, inert, inert_lines
from tuiprobe.show.tui.widgets.forest import Forest, ForestRow, RangeEnds
from tuiprobe.show.tui.widgets.thumbnail import PictureView
from tuiprobe.show.tui.worker import Worker

READING_SECONDS, CLOSE_SECONDS = 0.3, 2.0
"""Seconds until the screen says that it reads, and that its end waits for the last label."""

T = TypeVar("T")


class LabelScreen(ProbeScreen):
    """Say what a picture shows: labels decide which run is best, with at most 5 % risk.

    Each label is on disk before the next picture shows: leave and come back at any time.

    Args:
        runs: The candidates; one for its accuracy alone.
        target: Name of the target set; None for the only one, or to choose it here.
        narrow: Whether to narrow differences once the best is known.
        trust: Ids of doubts about the labels that the user overrules.
        tolerated: Share of wrong answers, to certify what the run may answer alone; None for its
            accuracy, or which run is best.
    """

    AUTO_FOCUS = "#so-far"
    IMPORTANT = ("choose(0)", "another", "answer('none')", "answer('unsure')", "undo", "more")
    BINDINGS: ClassVar[list[BindingType]] = KEYS["label"]

    def __init__(
        self,
        runs: Sequence[Path],
        target: str | None = None,
        narrow: bool = False,
        trust: Sequence[str] = (),
        tolerated: float | None = None,
    ) -> None:
        super().__init__()
        self._tolerated = tolerated
        self.runs = list(runs)
        self.view: LabelView | None = None
        self._target, self._narrow, self._trust = target, narrow, trust
        self._worker, self._thread = Worker(idle=None), ThreadPoolExecutor(max_workers=1)
        self._changing = self._show_names = self._asked = False

    def compose_body(self) -> ComposeResult:
        """Lays out the picture beside the answers and how they stand."""
        with Container(id="body"):
            with ContentSwitcher(initial="picture-words"):
                yield FigureText("reading…", id="picture-words")
                yield PictureView(id="picture")
            with Vertical(classes="answers"):
                yield FigureText(id="choices")
                with VerticalScroll(id="so-far", classes="panel"):
                    yield FigureText(id="verdict")
                    forest = Forest[ForestRow](lambda row: row, ("model", "right", ""), ())
                    forest.can_focus = False  # its keys are answers here
                    yield forest
                    yield FigureText(id="differences")
                    yield FigureText(id="remarks")

    def on_mount(self) -> None:
        """Opens or resumes the labels."""
        self._start_change()

    def on_unmount(self) -> None:
        """Releases the labels for other processes, once the last one is written.

        The screen below, which resumed before that, resumes again: it may show what they say.
        Reports of the runs are written again meanwhile, which nothing waits for but the end of the
        program.
        """
        if self._asked:
            wait([self._thread.submit(self._worker.call, release)], CLOSE_SECONDS)
            self._thread.submit(self._worker.call, renew_reports)
            if self.app.return_code is None:
                self.app.screen.post_message(ScreenResume())
        self._thread.submit(self._worker.end)
        self._thread.shutdown(wait=False)

    @property
    def shown_run(self) -> Path | None:
        """The run directory that is shown; None where there are several."""
        return self.runs[0] if len(self.runs) == 1 else None

    @property
    def picture(self) -> PictureToLabel | None:
        """The picture that waits for an answer."""
        return self.view.picture if self.view is not None and not self._changing else None

    # The labels, which one process has: a change is written before the next one begins.

    def _start_change(self, *change: object) -> None:
        """Makes a change, unless one is being made, and shows what follows; see `view_after`."""
        if not self._changing:
            self._changing = True
            self._apply_change(*change)

    @work
    async def _apply_change(self, *change: object) -> None:
        slow = self.set_timer(READING_SECONDS, partial(self._show_text, Content("reading…")))
        try:
            if self._target is None:
                names = await self._called(shared_targets, self.runs)
                self._target = names[0] if len(names) == 1 else None
                if len(names) > 1:
                    slow.stop()
                    dialog = ChoiceScreen(names, "which pictures to label", ("target",))
                    self._target = await self.app.push_screen_wait(dialog)
                    if self._target is None:
                        await self.app.run_action("back")
                        return
            self._asked = True
            question = (self.runs, self._target, self._trust, self._tolerated)
            view = await self._called(view_after, question, self._narrow, *change)
        except TuiprobeError as error:
            view, reason = None, str(error)
        finally:
            slow.stop()
            self._changing = False
        if not self.alive:
            return
        if view is None and change:
            self.app.fail(plain(reason))
            self._start_change()
            return
        self.view = view
        self.refresh_bindings()
        if view is not None:
            self._show()
        else:
            self._show_text(inert_lines([reason, "", "esc goes back"]))

    async def _called(self, function: Callable[..., T], *arguments: object) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._worker.call, function, *arguments)

    # What is shown.

    def _show_text(self, text: Content) -> None:
        """Shows words in place of the picture."""
        self.query_one("#picture-words", FigureText).show(text)
        self.query_one(ContentSwitcher).current = "picture-words"

    def _show(self) -> None:
        view = self.view
        if view is None:
            return
        self.title_line.show(f"tuiprobe  {view.state.headline()}", view.models)
        if view.image is not None:
            self.query_one(PictureView).show_image(view.image)
            self.query_one(ContentSwitcher).current = "picture"
        elif view.reason:
            self._show_text(inert(view.reason, "$error"))
        else:
            self._show_text(self._end_text(view))
        choices = _choices(view.picture, len(view.classes))
        self.query_one("#choices", FigureText).show(choices)
        named = self._show_names or len(self.runs) == 1
        self.query_one(Forest).show_rows(candidate_rows(view.state, named))
        for id, lines in (
            ("verdict", _verdict(view.state, named)),
            ("differences", _differences(view.state, named, self._narrow)),
            ("remarks", _remarks(view.state, view.last, named)),
        ):
            self.query_one(f"#{id}", FigureText).show(Content("\n").join(lines))
        other = f" ({'letters' if self._show_names else 'names'}: v)" if self._can_name else ""
        self.query_one("#so-far").border_title = f"so far{other}"

    def _end_text(self, view: LabelView) -> Content:
        """Returns the text in place of a picture where none is to be labelled."""
        state = view.state
        lines = [Content.styled(plain(state.sentence(self._show_names)), "bold"), Content()]
        if state.decisions and state.unattended is None:
            lines.append(inert(f"after {state.decisions[-1].labels:,} labels"))
        if state.labelled == state.pictures:
            lines.append(inert("every picture is labelled"))
        elif self._tolerated is None:
            lines.append(inert("d labels on and narrows what is known"))
        if self._can_name and not self._show_names:
            lines.append(inert("v shows the names of the models"))
        lines.append(inert("u takes the last label back, esc goes back"))
        lines.append(inert(f"the labels are in {view.file}", DIM))
        return Content("\n").join(lines)

    def explained(self) -> tuple[str, ...]:
        """Returns the terms of labels, and of what they decide."""
        return ("labelling", "accuracy-by-labels", "target")

    # Keys.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Returns whether a key does something now."""
        view = self.view
        picture = view.picture if view is not None else None
        if action == "choose":
            return picture is not None and int(str(parameters[0])) < len(picture.choices)
        if action in ("another", "answer", "open"):
            return picture is not None
        if action == "undo":
            return view is not None and view.last is not None
        if action == "names":
            return self._can_name
        if action == "more":
            unlabelled = view is not None and view.state.labelled < view.state.pictures
            return picture is None and unlabelled and self._tolerated is None
        return True

    @property
    def _can_name(self) -> bool:
        """Whether there are letters in place of names, and a label was given without names."""
        return len(self.runs) > 1 and self.view is not None and self.view.last is not None

    def _label(self, label: str | None) -> None:
        """Gives the picture on the screen a label."""
        picture = self.picture
        if picture is not None and label is not None:
            self._start_change("label", picture.index, label)

    def action_choose(self, number: int) -> None:
        """Takes the answer of this number."""
        if self.picture is not None and number < len(self.picture.choices):
            self._label(self.picture.choices[number])

    def action_answer(self, kind: str) -> None:
        """Labels the picture as none of the classes or as unsure, or skips it."""
        self._label({"none": NONE_OF_THESE, "unsure": UNSURE}.get(kind, ""))

    def action_another(self) -> None:
        """Searches in all classes."""
        if self.picture is not None and self.view is not None:
            self.app.push_screen(
                ChoiceScreen(self.view.classes, "another class", ("head",)), self._label
            )

    def action_undo(self) -> None:
        """Takes the last label back."""
        self._start_change("undo")

    def action_more(self) -> None:
        """Labels on after the decision."""
        self._narrow |= not self._changing
        self._start_change()

    def action_names(self) -> None:
        """Shows models by name, or as A, B and C again."""
        self._show_names = not self._show_names
        self._show()

    def action_open(self) -> None:
        """Opens the file of the picture in the program that the system has for it."""
        if self.picture is None or self.view is None:
            return
        if self.view.original is None:
            self.app.fail("this picture has no file of its own to open")
        else:
            self._open(self.view.original.absolute())

    @work(thread=True)
    def _open(self, path: Path) -> None:
        program = "open" if sys.platform == "darwin" else "xdg-open"
        try:
            subprocess.run(  # noqa: S603  (a list of words, and the path is absolute)
                [program, str(path)], stdin=subprocess.DEVNULL, capture_output=True,
                start_new_session=True, check=True,
            )  # fmt: skip
        except (OSError, subprocess.CalledProcessError) as error:
            self.app.call_from_thread(self.app.fail, plain(f"cannot open it: {error}"))


def _choices(picture: PictureToLabel | None, classes: int) -> Content:
    """Returns the answers with their keys, without who answers what.

    Args:
        picture: The picture to label; None without one.
        classes: Number of classes that may be answered.
    """
    if picture is None:
        return Content()
    lines = [
        Content.assemble((f"{number} ", "bold $accent"), plain(choice))
        for number, choice in enumerate(picture.choices[:NUMBER_KEYS], 1)
    ]
    if len(picture.choices) > NUMBER_KEYS:
        lines.append(inert(f"  {len(picture.choices) - NUMBER_KEYS} more: /", DIM))
    others = (
        ("/", "another class"), ("n", f"none of these {classes:,} classes"), ("s", "unsure"),
        ("k", "skip again: unsure" if picture.skipped else "skip"),
    )  # fmt: skip
    keys = [
        Content.assemble((key, "bold $accent"), f" {words}".replace(" ", "\N{NO-BREAK SPACE}"))
        for key, words in others
    ]
    return Content("\n").join([*lines, Content("  ").join(keys)])


# How the labels stand.


def _verdict(state: LabelStatus, named: bool) -> Iterator[Content]:
    yield inert(state.sentence(named), "bold")
    for doubt in state.doubts:  # some tell who answers what
        if named or doubt.id not in ("answers-as-labels", "one-answer"):
            yield inert(doubt.words, "$warning")


def candidate_rows(state: LabelStatus, named: bool) -> list[ForestRow]:
    """Returns the accuracy of each candidate; one that is not the best is in brackets.

    Args:
        state: How the labels stand.
        named: Whether models are named, rather than A, B and C.
    """
    rows = []
    for row in state.by_letter:
        accuracy, name = row.accuracy, row.name(named)
        ends = RangeEnds(accuracy.low, accuracy.value, accuracy.high) if accuracy.known else None
        name, style = (f"({name})", "dim") if row.dropped else (name, "")
        text = accuracy.sentence() if accuracy.known else MISSING
        rows.append(ForestRow((name,), text, ends, style=style))
    return rows


def _differences(state: LabelStatus, named: bool, bounds: bool) -> Iterator[Content]:
    figure = state.candidates[0].accuracy.figure
    if len(state.candidates) == 1 and state.labelled and not is_known(figure):
        yield inert(figure.reason)
    leader = state.candidates[state.leader].name(named)
    dropped = []
    for row in state.by_letter:
        if row.dropped and not bounds:
            dropped.append(row.name(named))
        elif row.difference is not None and state.labelled:
            words = difference_words(row).replace(" ", NO_BREAK)
            yield inert(f"{leader} minus {row.name(named)}: {words}")
    if dropped:
        yield inert(f"not the best: {', '.join(dropped)}")


def _remarks(state: LabelStatus, last: LastLabel | None, named: bool) -> Iterator[Content]:
    if last is not None:
        rows = state.by_letter
        answers = ", ".join(
            f"{row.name(named)} {last.answers[row.letter]}" for row in rows if last.answers
        )
        words = f"{last.label} ({answers})" if last.label else "skipped"
        yield inert(f"last picture: {words}", DIM)
    for remark in state.remarks():
        yield inert(remark, DIM)
