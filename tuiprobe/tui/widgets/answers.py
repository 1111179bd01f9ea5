"""The answers of a run so far as lines of a forest: one a set, and one a model of several."""

from __future__ import annotations

from dataclasses import replace

from tuiprobe.results import Estimate, is_known
from tuiprobe.run.view import RunView
from tuiprobe.tui.control import RunMark
from tuiprobe.tui.widgets.forest import ForestRow, RangeEnds, accuracy_row


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
