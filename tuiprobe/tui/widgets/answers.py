"""The answers of a run so far as lines of a forest: one a set, and one a model of several."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tuiprobe.results import Estimate, is_known
from tuiprobe.results.accuracy import Accuracy, accuracy_from
from tuiprobe.run.view import RunView
from tuiprobe.tui.control import RunMark
from tuiprobe.tui.widgets.forest import ForestRow, RangeEnds, accuracy_row

if TYPE_CHECKING:
    from tuiprobe.run.status import SetAnswers


def set_rows(view: RunView) -> list[ForestRow]:
    """Returns a line for every set: those without labels, those with answers, the others.

    The accuracies of its results, where it has some, stand until a later attempt answers.
    """
    results = {} if view.answers else {one.data: one for one in view.summary.accuracies}
    unlabelled: list[ForestRow] = []
    answered: list[ForestRow] = []
    others: list[ForestRow] = []
    for name in dict.fromkeys([*results, *view.sets, *view.answers]):
        accuracy = results.get(name) or _live_accuracy(name, view.answers.get(name))
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


def _live_accuracy(name: str, answers: SetAnswers | None) -> Accuracy | None:
    """Returns how right a model is on a set so far; None before that is known."""
    if answers is None:
        return None
    if answers.right is not None:
        from tuiprobe.results.proportions import wilson

        figure = wilson(answers.right, answers.images)
        return accuracy_from(figure, name, "measured") if is_known(figure) else None
    if answers.value is None:
        return None
    return Accuracy(
        data=name, value=answers.value, low=answers.low, high=answers.high, range="estimates",
        evidence="estimate" if answers.calibrated else "confidence", n=answers.estimated,
        most_right=answers.most_right,
    )  # fmt: skip


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
    """Returns the accuracy of a model so far: over the shifts, or else on the first set.

    The interval of a mean over sets is that of independent images; with results it is theirs.

    Args:
        view: The run of the model.
        mark: Sign and colour of the run.
    """
    row = ForestRow((str(view.about.get("model") or view.summary.model or view.name),), "",
                    mark=mark)  # fmt: skip
    accuracy, images = None if view.answers else view.summary.shifts, 0
    if accuracy is None:
        counted = [one for one in view.answers.values() if one.right is not None and one.images]
        counted = counted[1:] or counted  # the first one is in distribution
        images = min((one.images for one in counted), default=0)
        if not images:
            measuring = view.state == "running"
            return replace(row, figure="no answers yet" if measuring else view.word)
        if len(counted) > 1:
            low, value, high = live_mean([(one.right or 0, one.images) for one in counted])
            accuracy = Estimate(value=value, low=low, high=high, unit="share", n=images, method="")
        else:
            from tuiprobe.results.proportions import wilson

            accuracy = wilson(counted[0].right or 0, counted[0].images)
    if not is_known(accuracy) or accuracy.low is None or accuracy.high is None:
        return replace(row, figure="done, without shifts" if view.final else view.word)
    ends = RangeEnds(accuracy.low, accuracy.value, accuracy.high)
    images_text = f"{images:,} images{' each' * (len(view.answers) > 2)}" if images else ""
    return replace(row, figure=accuracy.with_interval(), ends=ends, evidence=images_text)


def live_mean(counts: Sequence[tuple[int, int]]) -> tuple[float, float, float]:
    """Returns the mean of the shares of several sets between the ends of its 95 % interval.

    The variance of each share counts two right and two wrong images more (Agresti and Coull, 1998),
    so that it is not zero where all are right.

    Args:
        counts: Right images and images of each set.

    >>> [round(end, 3) for end in live_mean([(90, 100), (50, 100)])]
    [0.643, 0.7, 0.757]
    """
    variance = 0.0
    for right, images in counts:
        share = (right + 2) / (images + 4)
        variance += share * (1 - share) / (images + 4)
    value = sum(right / images for right, images in counts) / len(counts)
    half = 1.96 * math.sqrt(variance) / len(counts)
    return max(value - half, 0.0), value, min(value + half, 1.0)
