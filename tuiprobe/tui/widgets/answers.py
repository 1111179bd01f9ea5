"""The answers of a run so far: an estimate or an accuracy of each set, with its range."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

from tuiprobe.numbers import interval
from tuiprobe.plaintext import plain
from tuiprobe.run.view import RunView
from tuiprobe.tui.text import DIM, fitted, inert
from tuiprobe.tui.widgets.spans import span

if TYPE_CHECKING:
    from tuiprobe.results.accuracy import Accuracy
    from tuiprobe.run.status import SetAnswers

LONGEST_NAME = 24
LEAST_PLOT = 10
"""Cells below which an axis cannot be read, and figures stand alone."""

AXIS = "├─◆─┤ on 0 to 100 %"


@dataclass(frozen=True)
class SetLine:
    """A set so far.

    Attributes:
        name: Its name.
        figure: What is known of it, with its range.
        ends: Low end, value and high end, as shares; None before there is a figure.
        tail: How many images it is of.
        target: Whether it is a set without labels.
    """

    name: str
    figure: str
    ends: tuple[float, float, float] | None = None
    tail: str = ""
    target: bool = False


def set_lines(view: RunView) -> list[SetLine]:
    """Returns a line for every set: those without labels, those with answers, the others.

    A run that does not go on shows the accuracies of its results, where it has some.
    """
    known = {known.data: known for known in view.summary.accuracies} if view.final else {}
    answers = view.answers
    names = dict.fromkeys([*known, *view.sets, *answers])
    lines = [
        _of_results(known[name]) if name in known else _so_far(name, view, answers.get(name))
        for name in names
    ]
    return sorted(lines, key=lambda line: (not line.target, line.ends is None and not line.tail))


def _of_results(accuracy: Accuracy) -> SetLine:
    from tuiprobe.results.accuracy import with_range

    about = {"estimate": "about ", "confidence": "mean confidence "}.get(accuracy.evidence, "")
    target = accuracy.evidence != "measured"
    ends = None
    if accuracy.low is not None and accuracy.high is not None:
        ends = accuracy.low, accuracy.value, accuracy.high
    tail = "" if about else f"n\N{NO-BREAK SPACE}{accuracy.n:,}"
    return SetLine(accuracy.data, f"{about}{with_range(accuracy)}", ends, tail, target)


def _so_far(name: str, view: RunView, answers: SetAnswers | None) -> SetLine:
    count = view.sets.get(name)
    if answers is None and count is not None and count.done:
        return SetLine(name, f"{count.done:,} of {count.total:,} images")
    if answers is None:
        waiting = "waiting" if view.going else "not measured"
        return SetLine(name, waiting if count is not None else "")
    if answers.right is not None:
        from tuiprobe.probes.intervals import wilson
        from tuiprobe.results import given

        tail = f"n\N{NO-BREAK SPACE}{answers.images:,}"
        figure = wilson(answers.right, answers.images)
        if not given(figure) or figure.low is None or figure.high is None:
            return SetLine(name, "-", tail=tail)
        text = interval(figure.value, figure.low, figure.high, "share")
        return SetLine(name, text, (figure.low, figure.value, figure.high), tail)
    value, low, high = answers.value, answers.low, answers.high
    if value is None:
        return SetLine(name, "no estimate yet", target=True)
    about = "about" if answers.calibrated else "mean confidence"
    text = f"{about} {interval(value, low, high, 'share')}"
    ends = None if low is None or high is None else (low, value, high)
    return SetLine(name, text, ends, target=True)


def model_line(view: RunView, sign: str) -> SetLine:
    """Returns what a model has right so far: over the shifts, or else on the first set.

    The interval of a mean over sets is that of independent images; with results it is theirs.

    Args:
        view: The run of the model.
        sign: The sign of the run.
    """
    from tuiprobe.probes.intervals import wilson
    from tuiprobe.results import given

    name = f"{sign} {view.about.get('model') or view.summary.model or view.name}"
    known, images = view.summary.shifts if view.final else None, 0
    if known is None:
        counted = [of for of in view.answers.values() if of.right is not None and of.images]
        counted = counted[1:] or counted  # the first one is in distribution
        images = min((of.images for of in counted), default=0)
        if not images:
            return SetLine(name, "no answers yet" if view.going else view.word)
        if len(counted) > 1:
            value, low, high = mean_so_far([(of.right or 0, of.images) for of in counted])
            text = interval(value, low, high, "share")
            return SetLine(name, text, (low, value, high), f"{images:,} images each")
        known = wilson(counted[0].right or 0, counted[0].images)
    if not given(known) or known.low is None or known.high is None:
        return SetLine(name, "done, without shifts")
    text = interval(known.value, known.low, known.high, "share")
    tail = f"n\N{NO-BREAK SPACE}{images:,}" if images else ""
    return SetLine(name, text, (known.low, known.value, known.high), tail)


def mean_so_far(counts: Sequence[tuple[int, int]]) -> tuple[float, float, float]:
    """Returns the mean of the shares of several sets with its 95 % interval.

    The variance of each share counts two right and two wrong images more (Agresti and Coull, 1998),
    so that it is not zero where all are right.

    Args:
        counts: Right images and images of each set.

    >>> [round(end, 3) for end in mean_so_far([(90, 100), (50, 100)])]
    [0.7, 0.643, 0.757]
    """
    variance = 0.0
    for right, images in counts:
        share = (right + 2) / (images + 4)
        variance += share * (1 - share) / (images + 4)
    value = sum(right / images for right, images in counts) / len(counts)
    half = 1.96 * math.sqrt(variance) / len(counts)
    return value, max(value - half, 0.0), min(value + half, 1.0)


class AnswersSoFar(Static):
    """Every set with its figure, on one axis from 0 to 100 %; as many as fit."""

    ALLOW_SELECT = False
    DEFAULT_CSS = "AnswersSoFar { height: 1fr; width: 1fr; }"

    def __init__(self) -> None:
        super().__init__("", markup=False)
        self._lines: list[SetLine] = []
        self._unanswered, self._empty = "", "reading…"

    @property
    def full_height(self) -> int:
        """Lines that all sets take."""
        return max(len(self._lines) + len(self._reason(self.size.width)), 1)

    def explained(self) -> tuple[str, ...]:
        """Returns the terms of the panel."""
        return ("estimate", "average-confidence", "top-1", "interval", "n", "set", "shift")

    def show(self, view: RunView, models: Sequence[SetLine] = ()) -> None:
        """Shows another state of the run in place.

        Args:
            view: The run.
            models: Lines above those of its sets.
        """
        self._lines = [*models, *set_lines(view)]
        answered = any(line.ends is not None or line.tail for line in self._lines)
        self._unanswered = "" if answered or view.answers else view.unanswered
        self._empty = "no image measured yet"
        self.on_resize()

    def on_resize(self) -> None:
        """Draws for the size there is."""
        width, height = self.size
        if width and height:
            self.update(Content("\n").join(self._drawn(width, height)))

    def _reason(self, width: int) -> list[str]:
        """Returns why there are no answers, in lines; empty where there are some."""
        return textwrap.wrap(plain(self._unanswered), max(width, 1))

    def _drawn(self, width: int, height: int) -> Iterator[Content]:
        reason = self._reason(width)
        for words in reason if reason or self._lines else [self._empty]:
            yield inert(fitted(words, width), DIM)
            height -= 1
        lines = self._lines if len(self._lines) <= height else self._lines[: max(height - 1, 1)]
        if not lines:
            return
        most = min(LONGEST_NAME, width // 3)
        alone = sum(line.target for line in self._lines) == 1
        names = []
        for line in lines:
            whole = f"your pictures ({line.name})" if line.target and alone else line.name
            names.append(plain(whole if len(whole) <= most else line.name))
        name = min(max(map(len, names)), most)
        figure = max(len(line.figure) for line in lines)
        tail = max(len(line.tail) for line in lines)
        plot = width - name - figure - tail - 3
        if plot < LEAST_PLOT:
            tail, plot = 0, width - name - figure - 2
        for line, text in zip(lines, names, strict=True):
            style = "bold" if line.target else "" if line.ends is not None else DIM
            axis = span(*line.ends, (0.0, 1.0), plot) if line.ends and plot >= LEAST_PLOT else ""
            yield Content.assemble(
                (f"{fitted(text, name)} {fitted(line.figure, figure)} ", style),
                (fitted(axis, max(plot, 0)), "$primary"),
                (f" {line.tail}" if tail else "", DIM),
            )
        if len(lines) < len(self._lines):
            yield Content.styled(f"… {len(self._lines) - len(lines)} more sets", DIM)
