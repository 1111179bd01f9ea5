"""How the labels stand: the verdict, accuracies as a forest plot, bounds of differences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rich.cells import cell_len
from textual.content import Content

from tuiprobe.labelling.status import FINAL, CandidateStatus, LabelStatus, difference_words
from tuiprobe.plaintext import plain
from tuiprobe.results import given
from tuiprobe.tui.figures import FigureText
from tuiprobe.tui.progress import part_line
from tuiprobe.tui.text import DIM, fitted, inert
from tuiprobe.tui.widgets.spans import span

ROOMY, LOWEST = 24, 12
"""Cells of the plot that an interval in digits leaves, and below which names get own lines."""
AIRY = 20
"""Lines of a window from which on parts are set apart."""


@dataclass(frozen=True)
class LastLabel:
    """The label that was given last.

    Attributes:
        label: The class, or what stands for one; empty where the picture was skipped.
        answers: What each candidate answers there, by letter; nothing while it has no label.
    """

    label: str
    answers: Mapping[str, str]


class LabelForest(FigureText):
    """The verdict, the forest plot and what was answered last, for the width there is."""

    _known: tuple[LabelStatus, LastLabel | None, bool] | None = None
    _names = False

    def show_labels(
        self, state: LabelStatus, last: LastLabel | None, *, names: bool, bounds: bool
    ) -> None:
        """Shows how the labels stand.

        Args:
            state: The labels.
            last: The label that was given last; None before the first.
            names: Whether models are named, rather than A, B and C.
            bounds: Whether candidates that are not the best have their differences too.
        """
        self._known, self._names = (state, last, bounds), names
        self.on_resize()

    def on_resize(self) -> None:
        """Draws for the new width."""
        width = self.scrollable_content_region.width
        if self._known is not None and width:
            state, last, bounds = self._known
            parts = (
                _verdict(state, self._names, width),
                _forest(state, self._names, width),
                _differences(state, self._names, bounds),
                _remarks(state, last, self._names),
            )
            between = "\n\n" if self.app.size.height >= AIRY else "\n"
            joined = (Content("\n").join(part) for part in parts)
            self.show(Content(between).join(part for part in joined if part.plain))


def _verdict(state: LabelStatus, names: bool, width: int) -> Iterator[Content]:
    yield inert(state.sentence(names), "bold")
    if len(state.candidates) > 1 and state.verdict not in FINAL:
        words = "to a decision " if state.verdict == "open" else "to the best "
        percent = f" {int(100 * state.progress)} %"
        room = max(min(width - len(words) - len(percent), 24), 3)
        yield Content(f"{words}{part_line(state.progress, room)}{percent}")


def _by_letter(state: LabelStatus) -> list[CandidateStatus]:
    """Returns the candidates so that their order does not tell which is which."""
    return sorted(state.candidates, key=lambda row: (len(row.letter), row.letter))


def _forest(state: LabelStatus, names: bool, width: int) -> Iterator[Content]:
    """Yields accuracies from 0 to 100 %; a candidate that is not the best is in brackets."""
    rows = _by_letter(state)
    marks = [plain(row.name(names)) for row in rows]
    marks = [f"({mark})" if row.dropped else mark for row, mark in zip(rows, marks, strict=True)]
    head = max(map(cell_len, marks))
    figures = [_accuracy(row, whole=True) for row in rows]
    if width - head - max(map(len, figures)) - 2 < ROOMY:
        figures = [_accuracy(row, whole=False) for row in rows]
    figure_width = max(map(len, figures))
    stacked = width - head - figure_width - 2 < LOWEST
    head = 0 if stacked else head + 1
    room = max(width - head - figure_width - 1, 3)
    if state.labelled:
        yield Content.styled(" " * (head + figure_width + 1) + f"0{'100 %':>{room - 1}}", DIM)
    for row, mark, figure in zip(rows, marks, figures, strict=True):
        if stacked:
            yield Content(fitted(mark, width).rstrip())
        known, plot = row.accuracy, ""
        if state.labelled:
            value = known.value if known.known else (known.low + known.high) / 2
            plot = span(known.low, value, known.high, (0.0, 1.0), room)
        line = f"{fitted(mark, head) if head else ''}{figure:>{figure_width}} {plot}".rstrip()
        yield Content.styled(line, DIM) if row.dropped else Content(line)


def _accuracy(row: CandidateStatus, whole: bool) -> str:
    figure = row.accuracy.figure
    return figure.with_interval() if whole else figure.alone()


def _differences(state: LabelStatus, names: bool, bounds: bool) -> Iterator[Content]:
    figure = state.candidates[0].accuracy.figure
    if len(state.candidates) == 1 and state.labelled and not given(figure):
        yield inert(figure.reason)
    leader = state.candidates[state.leader].name(names)
    beaten = []
    for row in _by_letter(state):
        if row.dropped and not bounds:
            beaten.append(row.name(names))
        elif row.difference is not None and state.labelled:
            words = difference_words(row).replace(" ", "\N{NO-BREAK SPACE}")
            yield inert(f"{leader} minus {row.name(names)}: {words}")
    if beaten:
        yield inert(f"not the best: {', '.join(beaten)}")


def _remarks(state: LabelStatus, last: LastLabel | None, names: bool) -> Iterator[Content]:
    if last is not None:
        rows = _by_letter(state)
        answers = ", ".join(
            f"{row.name(names)} {last.answers[row.letter]}" for row in rows if last.answers
        )
        words = f"{last.label} ({answers})" if last.label else "skipped"
        yield inert(f"last picture: {words}", DIM)
    for remark in state.remarks():
        yield inert(remark, DIM)
