"""The forest: estimates with their ranges, a line each, on one axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple, TypeVar

from rich.cells import cell_len
from rich.style import Style

from tuiprobe.measure.run.view import RunView
from tuiprobe.numbers import number
from tuiprobe.plaintext import plain
from tuiprobe.results import Estimate, is_known
from tuiprobe.results.accuracy import WORDS, Accuracy, with_range
from tuiprobe.show.tui.control import EngineApp, RunMark
from tuiprobe.show.tui.widgets.rows import RowColumn, RowTable, column_start

T = TypeVar("T")

ROOMY = 0.2
"""Length of an axis from which on its values need no decimal places."""

MIN_PLOT = 10
"""Cells below which an axis cannot be read, and figures stand alone."""


class RangeEnds(NamedTuple):
    """A value between the ends of its range; None for a range that has none."""

    low: float
    value: float | None
    high: float


@dataclass(frozen=True)
class ForestRow:
    """One estimate in words and on the axis.

    Attributes:
        names: What it is of, a text a column.
        figure: Value and range, which stay in one line, or why there is none.
        ends: What is drawn; None for nothing.
        evidence: What it rests on.
        sign: What stands for the value on the axis.
        mark: Sign and colour of the run that the last name is of; None for no sign.
        style: `bold`, `dim`, or empty.
    """

    names: tuple[str, ...]
    figure: str
    ends: RangeEnds | None = None
    evidence: str = ""
    sign: str = "◆"
    mark: RunMark | None = None
    style: str = ""

    @property
    def texts(self) -> list[str]:
        """The cells before the axis."""
        *names, last = map(plain, self.names)
        return [*names, f"{self.mark.sign} {last}" if self.mark else last, self.figure,
                self.evidence]  # fmt: skip


def accuracy_row(accuracy: Accuracy) -> ForestRow:
    """Returns the line of the accuracy of a set: ◆ where labels say it, ◇ where it is estimated.

    Confidence is no accuracy, and is not drawn as one.
    """
    about = {"estimate": "about ", "confidence": "mean confidence "}.get(accuracy.evidence, "")
    ends = None
    if accuracy.low is not None and accuracy.high is not None and accuracy.evidence != "confidence":
        ends = RangeEnds(accuracy.low, accuracy.value, accuracy.high)
    counts = {"labels": f"{accuracy.n:,} labels", "measured": f"{accuracy.n:,} images"}
    evidence = counts.get(accuracy.evidence, WORDS[accuracy.evidence])
    sign = "◆" if accuracy.evidence in counts else "◇"
    return ForestRow((accuracy.data,), f"{about}{with_range(accuracy)}", ends, evidence, sign)


def axis(width: int, ends: tuple[float, float] = (0.0, 1.0), unit: str = "share") -> str:
    """Returns the values at both ends, in the middle and between over `width` cells.

    >>> axis(22), axis(21, (-0.2, 0.2), "points")
    ('0   25 % 50 %    100 %', '−20 −10   0       +20')
    """
    first, last = ends
    cells = [" "] * width
    for part in (0.0, 1.0, 0.5, 0.25, 0.75):
        value = first + part * (last - first)
        points, coarse = unit == "points", last - first >= ROOMY
        decimals = None if unit == "none" else 0 if coarse else 1
        text = number(value, unit, signed=points, bare=points, decimals=decimals)
        text = text if value else "0"
        start = max(0, min(round(part * width) - len(text) // 2, width - len(text)))
        if not "".join(cells[max(start - 1, 0) : start + len(text) + 1]).strip():
            cells[start : start + len(text)] = text
    return "".join(cells)


def span(ends: RangeEnds, bounds: tuple[float, float], width: int, sign: str = "◆") -> str:
    """Returns a range with its value on a scale, as one line of text.

    Args:
        ends: The range.
        bounds: What the first and the last cell stand for; zero between them is marked.
        width: Cells; at least 3.
        sign: What stands for the value.

    >>> span(RangeEnds(0.5, 0.75, 1.0), (-1, 1), 13), span(RangeEnds(-1, 0.5, 1), (-1, 1), 9)
    ('      ┼  ├◆─┤', '├───┼─◆─┤')
    """
    first, last = bounds

    def cell(at: float) -> int:
        return max(0, min(round((at - first) / (last - first) * (width - 1)), width - 1))

    cells = [" "] * width
    start, end = cell(ends.low), cell(ends.high)
    if end > start:
        cells[start : end + 1] = ["├", *"─" * (end - start - 1), "┤"]
    if first < 0 < last:
        cells[cell(0.0)] = "┼"
    if ends.value is not None:
        cells[cell(ends.value)] = sign
    return "".join(cells)


class Forest(RowTable[T]):
    """Estimates on one axis: from 0 to 100 %, or of differences from behind to ahead.

    Ranges in digits are never cut: where there is no room, the evidence goes, then the axis.

    Args:
        row_of: Turns what a line is about into the line.
        titles: Headings: of each name, of the figure, of the evidence.
        terms: Ids of the terms that explain it.
        differences: Whether the axis has zero in its middle and ends with the farthest range.
        id: Id of the widget.
    """

    app: EngineApp
    COMPONENT_CLASSES: ClassVar[set[str]] = {"forest--bold", "forest--dim"}
    DEFAULT_CSS = """
    Forest { height: auto; }
    Forest > .rows--blurred { background: $background 0%; }
    Forest > .forest--bold { text-style: bold; }
    Forest > .forest--dim { color: $foreground 70%; }
    """

    def __init__(
        self,
        row_of: Callable[[T], ForestRow],
        headings: Sequence[str],
        terms: tuple[str, ...],
        *,
        differences: bool = False,
        id: str | None = None,
    ) -> None:
        columns = [RowColumn(title, cell_len(title)) for title in headings]
        super().__init__(columns, self._texts, empty="reading…", id=id)
        self._row_of, self._headings, self._terms = row_of, headings, terms
        self._differences, self._drawn = differences, list[ForestRow]()
        self._bounds = (-1.0 if differences else 0.0, 1.0)

    def show_rows(self, rows: Sequence[T], cursor: int | None = None) -> None:
        """Shows other estimates; the cursor stays where it is, or goes to `cursor`."""
        self._drawn = list(map(self._row_of, rows))
        self._fit()
        super().show_rows(rows, cursor)

    def on_resize(self) -> None:
        """Gives the axis the width that names and figures leave."""
        self._fit()
        super().on_resize()

    def _fit(self) -> None:
        width = self.scrollable_content_region.width
        if not width:
            return
        cells = [list(self._headings), *(row.texts for row in self._drawn)]
        *names, figure, evidence = (max(map(cell_len, texts)) for texts in zip(*cells, strict=True))
        most = max(width // (2 + len(names)), 8)
        cut = [min(name, most) for name in names]
        for widths in ([*names, figure, evidence], [*names, figure], [*cut, figure]):
            room = width - sum(widths) - len(widths)
            if room >= MIN_PLOT:
                break
        titled = zip(self._headings, widths, strict=False)
        columns = [RowColumn(texts[0], texts[1], i >= len(names)) for i, texts in enumerate(titled)]
        if room >= MIN_PLOT:
            if self._differences:
                every = (end for row in self._drawn for end in row.ends or ())
                ends = [abs(end) for end in every if end is not None]
                reach = max(ends, default=0.0) or 1.0
                self._bounds = (-reach, reach)
            unit = "points" if self._differences else "share"
            heading = axis(room, self._bounds, unit)
            columns.append(RowColumn(heading, room, drop=2, colour="primary"))
        self.columns = tuple(columns)
        self.refresh()

    def _texts(self, row: T) -> list[str]:
        line, plot = self._row_of(row), ""
        if line.ends is not None:
            plot = span(line.ends, self._bounds, self.columns[-1].width, line.sign)
        shown = len(self.columns) - bool(self.columns[-1].colour)
        return [*line.texts[:shown], plot][: len(self.columns)]

    def row_style(self, row: T) -> Style:
        """Returns the style of a line."""
        style = self._row_of(row).style
        return self.get_component_rich_style(f"forest--{style}") if style else self.rich_style

    def colours(self, row: T | None, width: int) -> list[tuple[int, int, str]]:
        """Returns the colours of the axis and of the sign of a run."""
        mark = None if row is None else self._row_of(row).mark
        start = column_start(self.columns, len(self._headings) - 3, width)
        signed = [] if mark is None else [(start, start + 1, mark.colour)]
        return [*(super().colours(row, width) if row is not None else ()), *signed]

    def current_cells(self) -> dict[str, str]:
        """Returns the cells of the line under the cursor by their headings, without the axis."""
        if self.current is None:
            return {}
        texts = zip(self._headings, self._row_of(self.current).texts, strict=True)
        return {title: text for title, text in texts if text}

    def action_move(self, by: int) -> None:
        """Moves the cursor; from the first or the last line on to what stands beside the forest."""
        if 0 <= self.cursor + by < max(len(self.rows), 1):
            super().action_move(by)
        elif by > 0:
            self.screen.focus_next()
        else:
            self.screen.focus_previous()

    def explained(self) -> tuple[str, ...]:
        """Returns the terms of the figures."""
        return self._terms


def set_rows(view: RunView) -> list[ForestRow]:
    """Returns a line for every set: those without labels, those with answers, the others.

    The accuracies of its results, where it has some, stand until a later attempt answers.
    """
    results = {} if view.answers else {one.data: one for one in view.summary.accuracies}
    unlabelled: list[ForestRow] = []
    answered: list[ForestRow] = []
    others: list[ForestRow] = []
    for name in dict.fromkeys([*results, *view.sets, *view.answers]):
        answers, accuracy = view.answers.get(name), results.get(name)
        if accuracy is None and answers is not None:
            accuracy = answers.accuracy(name)
        if accuracy is None:
            others.append(_row_without_answers(name, view))
        elif accuracy.evidence == "measured":
            answered.append(accuracy_row(accuracy))
        else:
            unlabelled.append(replace(accuracy_row(accuracy), style="bold"))
    if len(unlabelled) == 1:
        (row,) = unlabelled
        unlabelled = [replace(row, names=(f"your pictures ({row.names[0]})",))]
    return [*unlabelled, *answered, *others]


def _row_without_answers(name: str, view: RunView) -> ForestRow:
    count = view.sets.get(name)
    text = "waiting" if view.going else "not measured"
    if name in view.answers:
        text = "no estimate yet"
    elif count is None:
        text = ""
    elif count.done:
        text = f"{count.done:,} of {count.total:,} images"
    return ForestRow((name,), text, style="dim")


def model_row(view: RunView, mark: RunMark) -> ForestRow:
    """Returns the accuracy of a model: over the shifts, or on the first set where there are none.

    What is measured so far goes through the functions of the results, so the last live figures
    are those of the results but for copies of images, which only results know.

    Args:
        view: The run of the model.
        mark: Sign and colour of the run.
    """
    row = ForestRow((str(view.about.get("model") or view.summary.model or view.name),), "",
                    mark=mark)  # fmt: skip
    figure, evidence = _model_accuracy(view)
    if figure is None or figure.low is None or figure.high is None:
        measuring = view.state == "running"
        return replace(row, figure="no answers yet" if measuring else view.word)
    ends = RangeEnds(figure.low, figure.value, figure.high)
    return replace(row, figure=figure.with_interval(), ends=ends, evidence=evidence)


def _model_accuracy(view: RunView) -> tuple[Estimate | None, str]:
    """Returns the accuracy of a model and what it rests on; None before there is one."""
    from tuiprobe.results.proportions import many_empty, mean_share, share_right

    shifts = has_shifts(view)
    if not view.answers:
        figure = view.summary.shifts if shifts else view.summary.accuracy
        return (figure, "") if is_known(figure) else (None, "")
    names = [name for name, count in view.sets.items() if count.is_shift] or [*view.sets][:1]
    answers = [view.answers.get(name) for name in names]
    labelled = [one for one in answers if one is not None and one.right is not None]
    shares = [share_right(one.right or 0, one.images, one.empty) for one in labelled]
    unanswered = any(many_empty(one.empty, one.images) for one in labelled)
    known = [share for share in shares if is_known(share)]
    if not known:
        return None, ""
    least = f"{min(share.n for share in known):,} images"
    if not shifts:
        return known[0], least
    waiting = sum(one is None for one in answers)
    sets = f" of {len(known)} of {len(known) + waiting} sets" if waiting else " each"
    mean = mean_share(known, unanswered=unanswered)
    return mean, least + (sets if len(known) + waiting > 1 else "")


def has_shifts(view: RunView) -> bool:
    """Returns whether a run measures shifts; if not, its first set stands for its model."""
    return any(count.is_shift for count in view.sets.values())
