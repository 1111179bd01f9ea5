"""How the labels stand: the verdict, accuracies as a forest plot, bounds of differences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.cells import cell_len
from textual.content import Content

from tuiprobe.label.describe import difference_words
from tuiprobe.label.standing import FINAL, CandidateStanding, LabelStanding, unplanned
from tuiprobe.numbers import interval, number
from tuiprobe.plaintext import plain
from tuiprobe.tui.figures import DIM, Told
from tuiprobe.tui.progress import part_line
from tuiprobe.tui.text import fitted, inert
from tuiprobe.tui.widgets.spans import span

ROOMY, LOWEST = 24, 12
"""Cells of the plot that an interval in digits leaves, and below which names get own lines."""


@dataclass(frozen=True)
class LastLabel:
    """The label that was given last.

    Attributes:
        label: The class, or what stands for one.
        answers: What each candidate answers there.
    """

    label: str
    answers: tuple[str, ...]


class LabelForest(Told):
    """The verdict, the forest plot and what was answered last, for the width there is."""

    _known: tuple[LabelStanding, LastLabel | None, bool] | None = None
    _names = False

    def show_labels(
        self, found: LabelStanding, last: LastLabel | None, *, names: bool, bounds: bool
    ) -> None:
        """Shows how the labels stand.

        Args:
            found: The labels.
            last: The label that was given last; None before the first.
            names: Whether models are named, rather than A, B and C.
            bounds: Whether candidates that are not the best have their differences too.
        """
        self._known, self._names = (found, last, bounds), names
        self.on_resize()

    def on_resize(self) -> None:
        """Draws for the new width."""
        width = self.scrollable_content_region.width
        if self._known is not None and width:
            found, last, bounds = self._known
            lines = standing_lines(found, last, self._names, bounds, width)
            self.show(Content("\n").join(lines))


def standing_lines(
    found: LabelStanding, last: LastLabel | None, names: bool, bounds: bool, width: int
) -> Iterator[Content]:
    """Yields how the labels stand; arguments as for `LabelForest.show_labels`.

    Args:
        found: The labels.
        last: The label that was given last.
        names: Whether models are named.
        bounds: Whether all differences are wanted.
        width: Cells of a line.
    """
    yield inert(found.sentence(names), "bold")
    contest = len(found.candidates) > 1
    if contest and found.verdict not in FINAL:
        percent = f"{int(100 * found.progress)} % of the way to a decision"
        room = max(min(width - len(percent) - 1, 20), 0)
        yield Content(f"{part_line(found.progress, room)} {percent}".strip())
    yield from _forest(found, names, width)
    if contest:
        yield from _differences(found, names, bounds)
    elif found.outside:
        yield inert(unplanned(found.candidates[0].outside, found.outside))
    if last is not None:
        answers = zip(found.candidates, last.answers, strict=True)
        said = ", ".join(f"{row.name(names)} {answer}" for row, answer in answers)
        yield inert(f"last picture: {last.label} · answers: {said}", DIM)
    for remark in found.remarks():
        yield inert(remark, DIM)


def _forest(found: LabelStanding, names: bool, width: int) -> Iterator[Content]:
    """Yields accuracies from 0 to 100 %; a candidate that is not the best is in brackets."""
    rows = found.candidates
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
    if any(row.accuracy is not None for row in rows):
        yield Content.styled(" " * (head + figure_width + 1) + f"0{'100 %':>{room - 1}}", DIM)
    for row, mark, figure in zip(rows, marks, figures, strict=True):
        if stacked:
            yield Content(fitted(mark, width).rstrip())
        known = row.accuracy
        plot = ""
        if known is not None:
            plot = span(known.low, known.estimate, known.high, (0.0, 1.0), room)
        line = f"{fitted(mark, head) if head else ''}{figure:>{figure_width}} {plot}".rstrip()
        yield Content.styled(line, DIM) if row.dropped else Content(line)


def _accuracy(row: CandidateStanding, whole: bool) -> str:
    known = row.accuracy
    if known is None:
        return "-"
    write = interval if whole else number
    return write(known.estimate, low=known.low, high=known.high, unit="share")


def _differences(found: LabelStanding, names: bool, bounds: bool) -> Iterator[Content]:
    leader = found.candidates[found.leader].name(names)
    beaten = []
    for row in found.candidates:
        if row.dropped and not bounds:
            beaten.append(row.name(names))
        elif row.difference is not None:
            yield inert(f"{leader} minus {row.name(names)}: {difference_words(row)}")
    if beaten:
        yield inert(f"not the best: {', '.join(beaten)}")
