"""Agreement on the line: accuracy on images without labels from how several models agree.

ALine-S and ALine-D (Baek et al. 2022, arXiv 2206.13089). Where the agreements of pairs of models,
in probits, lie on a line between the in-distribution set and another set, accuracies tend to lie on
the same line. ALine-S carries each accuracy over by it; ALine-D solves for the accuracies whose
pairs have the agreements that were measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Final

import numpy as np
from scipy.special import ndtr, ndtri

from tuiprobe.compare.runs import Run
from tuiprobe.compare.paired import KEEPS_NONE
from tuiprobe.errors import TuiprobeError, UsageError
from tuiprobe.numbers import number
from tuiprobe.probes.confidence import Logits
from tuiprobe.probes.content import ColumnOf, heading, prose, table, value_or_dash
from tuiprobe.probes.inputs import Bool, Float32, Float64, Int64
from tuiprobe.probes.intervals import around_draws
from tuiprobe.probes.proportions import wilson
from tuiprobe.probes.reader import RunReader
from tuiprobe.results.base import Count, Frozen, Many, NotRun, Real, Share
from tuiprobe.results.section import Content, Section, Value
from tuiprobe.results.subject import Model

MIN_MODELS: Final = 5
MOST_MODELS: Final = 40
MIN_R2: Final = 0.95
DRAWS = 300
DRAWN_AT_ONCE = 1 << 22
SEED = 22


class OnTheLine(Frozen):
    """What the line expects of one model on one set.

    Attributes:
        model: Name of the model.
        first: Its in-distribution accuracy.
        aline_s: Accuracy by ALine-S.
        aline_d: Accuracy by ALine-D.
        measured: Accuracy where the set has labels.
    """

    model: str
    first: Share
    aline_s: Share
    aline_d: Share
    measured: Share


class SetAgreement(Frozen):
    """The agreement line of one set.

    Attributes:
        data: Name of the set.
        images: Images that all models answered.
        pairs: Pairs of models; 0 where their answers cannot be put side by side.
        slope: Of the line in probits; None without pairs.
        intercept: Likewise.
        r2: Its coefficient of determination; None without pairs.
        refused: Why there is no estimate; empty where there is one.
        models: In the order of the command.
    """

    data: str
    images: Count = 0
    pairs: Count = 0
    slope: Real | None = None
    intercept: Real | None = None
    r2: Real | None = None
    refused: str = ""
    models: Many[OnTheLine] = ()


class Agreement(Frozen):
    """The agreement lines of several runs.

    Attributes:
        first: The in-distribution set; empty where no set was looked at.
        refused: Why no set was looked at; empty where they were.
        sets: The labelled shifts and target sets that all runs share.
    """

    first: str = ""
    refused: str = ""
    sets: Many[SetAgreement] = ()


@dataclass(frozen=True, eq=False)
class JointAnswers:
    """What every model answers on the same images.

    Attributes:
        data: Name of the set.
        answer: int64 [M, n], classes.
        right: bool [M, n]; None without labels.
    """

    data: str
    answer: Int64
    right: Bool | None = None


def agreement_of(runs: Sequence[Run]) -> Agreement:
    """Fits the agreement line of every labelled shift and target set that all runs share.

    What is refused or cannot be read is the result's reason and no error, because it is a part of a
    comparison. One run's arrays are in memory at a time.

    Args:
        runs: Runs, read from directories.
    """
    models = [run.report.model for run in runs]
    if reason := why_unfit(models):
        return Agreement(refused=reason)
    names = [model.name for model in models]
    try:
        answers = [_answers(run) for run in runs]
        shared = [name for name in answers[0] if all(name in sets for sets in answers)]
        if list(answers[0])[:1] != shared[:1]:
            raise UsageError("the runs have no in-distribution set in common")
        first, *others = shared
        if not others:
            raise UsageError(f"the runs have no other set than {first} in common")
        own = _joint(first, runs, answers)
    except TuiprobeError as error:
        return Agreement(refused=str(error))
    sets = []
    for name in others:
        try:
            sets.append(agreement(names, own, _joint(name, runs, answers)))
        except UsageError as error:
            sets.append(SetAgreement(data=name, refused=str(error)))
    return Agreement(first=first, sets=tuple(sets))


def why_unfit(models: Sequence[Model]) -> str:
    """Returns why agreement on the line does not hold for these models; empty if it may."""
    if not MIN_MODELS <= len(models) <= MOST_MODELS:
        return (
            f"it takes {MIN_MODELS} to {MOST_MODELS} models with heads on the same labelled and "
            f"target images, not {len(models)}"
        )
    weights = {model.weights.digest for model in models}
    if len(weights) < len(models):
        return (
            f"it takes different models: {len(models)} runs have {len(weights)} different weights"
        )
    kinds = sorted({model.training for model in models})
    if len(kinds) > 1:
        return f"it takes models of one training kind, not {len(kinds)}: {', '.join(kinds)}"
    return ""


@dataclass(frozen=True, eq=False)
class _ModelAnswers:
    """What one model answers on one set.

    Attributes:
        classes: What tells the lists of classes of two heads apart.
        ids: int64 [n], the images with a finite representation, ascending.
        answer: int64 [n], classes.
        right: bool [n]; None without labels.
    """

    classes: tuple[bytes, Sequence[str]]
    ids: Int64
    answer: Int64
    right: Bool | None


def _answers(run: Run) -> dict[str, _ModelAnswers]:
    """Returns what a run answers on each of its sets, the in-distribution one first."""
    assert run.directory is not None  # every run of a comparison is read from one
    reader = RunReader(run.directory)
    if isinstance(reader.head, NotRun):
        raise UsageError(f"{run.report.model.name} has no head: {reader.head.reason}")
    answers = {}
    for images in reader.answered_sets:
        logits = Logits(reader.head, images)
        confidences = logits.confidences()
        ids = reader.features(images.name)["ids"]
        order = np.argsort(ids)
        answers[images.name] = _ModelAnswers(
            classes=(np.unique(logits.classes).tobytes(), reader.plan.sets[0].classes),
            ids=ids[order],
            answer=confidences.answer[order],
            right=None if confidences.right is None else confidences.right[order],
        )
    return answers


def _joint(
    name: str, runs: Sequence[Run], answers: Sequence[Mapping[str, _ModelAnswers]]
) -> JointAnswers:
    """Returns what all models answer on the images of a set that every run could use.

    Raises:
        UsageError: If the runs measured other images, or answer with other classes.
    """
    images = [run.images[name] for run in runs if name in run.images]
    if len(images) < len(runs):
        without = next(run for run in runs if name not in run.images)
        raise UsageError(f"{without.report.model.name}: {KEEPS_NONE}")
    first, models = images[0], [sets[name] for sets in answers]
    for run, other in zip(runs, images, strict=True):
        reason = first.differs_from(other)
        if reason and not (first.contents and first.contents == other.contents):
            raise UsageError(f"{run.report.model.name} on {name}: {reason}")
    if (classes := len({model.classes for model in models})) > 1:
        raise UsageError(f"the heads answer with {classes} different lists of classes")
    ids = reduce(np.intersect1d, [model.ids for model in models])
    if ids.size < 2:
        raise UsageError(f"{name}: {ids.size} images are usable in every run")
    pairs = [(model, np.isin(model.ids, ids)) for model in models]
    right = [model.right[rows] for model, rows in pairs if model.right is not None]
    return JointAnswers(
        name,
        np.stack([model.answer[rows] for model, rows in pairs]),
        np.stack(right) if len(right) == len(models) else None,
    )


def describe_agreement(result: Agreement) -> Section:
    """Describes the agreement lines: for each set its line, and each model's accuracy by it."""
    if result.refused:
        headline = f"Not estimated: {result.refused}."
    else:
        headline = f"Accuracy without labels, from how the models agree here and on {result.first}."
    return Section(
        title="Agreement on the line", headline=(headline,), content=tuple(_content(result))
    )


def _content(result: Agreement) -> Iterator[Content]:
    columns: list[ColumnOf] = [
        "model", ("first", f"measured on {result.first}"), ("aline_s", "ALine-S"),
        ("aline_d", "ALine-D"), "measured",
    ]  # fmt: skip
    for place, line in enumerate(result.sets):
        yield heading(line.data)
        if line.pairs:
            yield prose(
                f"{line.pairs} pairs of models on {line.images:,} images; line in probits: slope ",
                line.slope, ", intercept ", line.intercept, ", R^2 ", line.r2, ".",
            )  # fmt: skip
        if line.refused:
            yield prose(f"Refused: {line.refused}.")
            continue
        rows: list[list[Value]] = [
            [row.model, row.first, row.aline_s, row.aline_d, value_or_dash(row.measured)]
            for row in line.models
        ]
        yield table(f"agreement_{place}", columns, rows, shown=len(rows), file=False)


def agreement(models: Sequence[str], first: JointAnswers, other: JointAnswers) -> SetAgreement:
    """Fits the agreement line of one set, and estimates the accuracy of every model.

    Args:
        models: Name of each of M models.
        first: Answers on the labelled in-distribution set.
        other: Answers on another set.
    """
    if first.right is None:
        raise UsageError(f"{first.data} has no labels")
    n, m = first.answer.shape[1], other.answer.shape[1]
    own, theirs = _agreeing(first.answer), _agreeing(other.answer)
    right = first.right.T.astype(np.float32)
    line = _Line(_rates(own, n), _rates(theirs, m), _rates(right, n))
    result = SetAgreement(
        data=other.data, images=m, pairs=own.shape[1], slope=line.slope,
        intercept=line.intercept, r2=line.r2,
    )  # fmt: skip
    if line.r2 < MIN_R2:
        why = f"the agreement line has R^2 {number(line.r2)}, below {MIN_R2}"
        return result.model_copy(update={"refused": why})
    drawn = _drawn(own, theirs, right)
    how = "bootstrap over both sets, line refitted"
    rows = tuple(
        OnTheLine(
            model=name,
            first=wilson(int(first.right[i].sum()), n),
            aline_s=around_draws(float(line.aline_s[i]), drawn[0, :, i], m, how),
            aline_d=around_draws(float(line.aline_d[i]), drawn[1, :, i], m, how),
            measured=NotRun(reason="no labels")
            if other.right is None
            else wilson(int(other.right[i].sum()), m),
        )
        for i, name in enumerate(models)
    )
    return result.model_copy(update={"models": rows})


def _agreeing(answer: Int64) -> Float32:
    """Returns whether each pair of models agrees on each image, [n, pairs]."""
    i, j = np.triu_indices(len(answer), 1)
    return np.stack([answer[a] == answer[b] for a, b in zip(i, j, strict=True)], axis=1).astype(
        np.float32
    )


def _rates(columns: Float32, n: int) -> Float64:
    """Returns the share of each column, pulled off 0 and 1, where probits are infinite."""
    return np.asarray((columns.sum(axis=0, dtype=np.float64) + 0.5) / (n + 1))


class _Line:
    """The least-squares line of agreements in probits, and the accuracies by it.

    Args:
        own: Agreement of each pair in distribution.
        theirs: On the other set.
        right: In-distribution accuracy of each model.
    """

    def __init__(self, own: Float64, theirs: Float64, right: Float64) -> None:
        x, y, accuracy = ndtri(own), ndtri(theirs), ndtri(right)
        centred = x - x.mean()
        spread = float(centred @ centred)
        self.slope = float(centred @ y) / spread if spread > 0 else 0.0
        self.intercept = float(y.mean() - self.slope * x.mean())
        total = float(((y - y.mean()) ** 2).sum())
        left = float(((y - self.slope * x - self.intercept) ** 2).sum())
        self.r2 = 1 - left / total if total > 0 else 0.0
        self.aline_s = ndtr(self.slope * accuracy + self.intercept)
        i, j = np.triu_indices(right.size, 1)
        pairs = np.zeros((i.size, right.size))
        pairs[np.arange(i.size), i] = pairs[np.arange(i.size), j] = 0.5
        means = y + self.slope * (pairs @ accuracy - x)
        self.aline_d = ndtr(np.linalg.lstsq(pairs, means, rcond=None)[0])


def _drawn(own: Float32, theirs: Float32, right: Float32) -> Float64:
    """Returns ALine-S and ALine-D of `DRAWS` draws of the images of both sets, [2, B, M]."""
    rng = np.random.default_rng(SEED)
    n, m = len(own), len(theirs)
    both = np.concatenate([own, right], axis=1)
    accuracies = np.zeros((2, DRAWS, right.shape[1]))
    step = max(1, DRAWN_AT_ONCE // max(n, m))
    for start in range(0, DRAWS, step):
        count = min(step, DRAWS - start)
        first = (_weights(rng, count, n) @ both + 0.5) / (n + 1)
        other = (_weights(rng, count, m) @ theirs + 0.5) / (m + 1)
        for k in range(count):
            line = _Line(first[k, : own.shape[1]], other[k], first[k, own.shape[1] :])
            accuracies[:, start + k] = line.aline_s, line.aline_d
    return accuracies


def _weights(rng: np.random.Generator, draws: int, n: int) -> Float32:
    """Returns how often each of n images is drawn, [draws, n]."""
    at = rng.integers(0, n, (draws, n)) + n * np.arange(draws)[:, None]
    counts = np.bincount(at.ravel(), minlength=draws * n).reshape(draws, n)
    return counts.astype(np.float32)
