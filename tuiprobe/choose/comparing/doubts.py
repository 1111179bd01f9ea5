"""Doubts about a comparison: those of its runs, and reasons not to compare these.

Runs whose answers are all equal are doubted too, as those of a model that did not change.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256

import numpy as np

from tuiprobe.choose.comparing.gates import Gate
from tuiprobe.choose.comparing.inference import image_doubts
from tuiprobe.choose.comparing.label_evidence import AnsweredPictures, LabelEvidence
from tuiprobe.choose.comparing.runs import Run, same_measurements
from tuiprobe.choose.comparing.same_pictures import MeasuredSet, other_pictures, pairing_of
from tuiprobe.errors import TuiprobeError
from tuiprobe.measure.run.head_file import class_name, read_head
from tuiprobe.plaintext import joined
from tuiprobe.results import NotRun, Report
from tuiprobe.results.doubt import Doubt, ordered

NAMED = 4
"""Models that a doubt names."""


def equal_answers(runs: Sequence[Run]) -> Iterator[Doubt]:
    """Yields a doubt on the runs that give equal answers on all pictures that they share."""
    answers = [_answers(run) for run in runs]
    noted: set[int] = set()
    for first, run in enumerate(runs):
        equal = {
            other: count
            for other in range(first + 1, len(runs))
            if {first, other}.isdisjoint(noted)
            and (count := _shared(run, runs[other], answers[first], answers[other]))
        }
        if equal:
            noted |= {first, *equal}
            names = [runs[index].report.model.name for index in (first, *equal)]
            count = next(iter(equal.values()))
            text = f"all answers equal, on {count:,} pictures: {joined(names, NAMED)}"
            yield Doubt(id="equal-answers", sentence=text, figures={"pictures": count})


def _answers(run: Run) -> Mapping[str, str]:
    """Returns a digest of the class that is answered on each picture, by set."""
    try:
        names = read_head(run.directory).classes
    except TuiprobeError:
        return {}
    digests = {}
    for data, values in run.images.items():
        if values.answers is not None:
            rows = values.answers.classes.tolist()
            by_row = {row: class_name(names, row) for row in rows}
            found, inverse = np.unique(values.answers.answer, return_inverse=True)
            texts = [by_row.get(row, "") for row in found.tolist()]
            order = sorted(range(len(texts)), key=texts.__getitem__)
            rank = np.argsort(order)
            content = "\0".join(sorted(texts)).encode("utf-8", "backslashreplace")
            digests[data] = sha256(content + rank[inverse].astype("<i4").tobytes()).hexdigest()
    return digests


def _shared(one: Run, other: Run, first: Mapping[str, str], second: Mapping[str, str]) -> int:
    """Returns the pictures that two runs share where all answers on them are equal, else 0."""
    shared = [
        name
        for name in first
        if name in second
        and MeasuredSet(one, name).differs_from(MeasuredSet(other, name)) is None
        and len(one.images[name].ids) == len(other.images[name].ids)
    ]
    equal = all(first[name] == second[name] for name in shared)
    return sum(len(one.images[name].ids) for name in shared) if equal else 0


def decision_doubts(
    runs: Sequence[Run],
    order: Sequence[int],
    sets: Collection[str],
    labels: LabelEvidence | NotRun | None,
    answered: AnsweredPictures | None,
) -> Iterator[Doubt]:
    """Yields the doubts about a decision; those about other sets withhold nothing.

    Args:
        runs: The runs.
        order: Indices of those that are compared, first the one that the others are compared with.
        sets: The sets that it rests on.
        labels: The evidence of labels.
        answered: The labelled pictures on which they are compared.
    """
    target = labels.status.target if isinstance(labels, LabelEvidence) else None
    by_model = [
        (doubt, run.report.model.name)
        for run in runs
        for doubt in run.report.doubts
        if doubt.data != target  # the labels of all runs say more
    ]
    for doubt in _of_models(by_model, len(runs)):
        about = doubt.data in ("", *sets)
        yield doubt.model_copy(update={"withholds": doubt.withholds and about})
    equal = [*equal_answers(runs)]
    if isinstance(labels, LabelEvidence):
        yield from (of for of in labels.status.doubts if of.id != "equal-answers" or not equal)
    if answered is not None:
        yield from _labels_of_a_model(answered, [runs[n] for n in answered.runs])
    first = runs[order[0]]
    matched = () if answered is None else answered.runs  # their pictures are the same
    images = [
        (doubt, runs[n].report.model.name)
        for n in order[1:]
        if not {n, order[0]} <= {*matched}
        for doubt in image_doubts(runs[n].report, first.report, pairing_of(runs[n], first))
    ]
    yield from _of_models(images, len(order) - 1)
    yield from equal


def _of_models(doubts: Iterable[tuple[Doubt, str]], everybody: int) -> Iterator[Doubt]:
    """Yields each doubt once, behind the models that it is about unless it is about all."""
    models: dict[str, tuple[Doubt, list[str]]] = {}
    for doubt, name in doubts:
        models.setdefault(doubt.sentence, (doubt, []))[1].append(name)
    for sentence, (doubt, names) in models.items():
        about = "" if len(names) == everybody else f"{joined(names, NAMED)}: "
        yield doubt.model_copy(update={"sentence": about + sentence})


def _labels_of_a_model(answered: AnsweredPictures, runs: Sequence[Run]) -> Iterator[Doubt]:
    """Yields the doubt that labels are the answers of a model; wrong answers count as different."""
    from tuiprobe.probes.evidence.labels import (  # needs scipy
        LabelledPictures,
        answers_as_labels,
        every_answer,
    )

    unfitted = [
        row for row, widening in enumerate(answered.widening) if widening == 1
    ]  # not fitted
    if not unfitted:
        return
    runs, right = [runs[row] for row in unfitted], answered.right[unfitted]
    names = [run.report.model.name for run in runs]
    models, n = right.shape
    wrong = np.repeat(np.arange(1, models + 1)[:, None], n, axis=1)
    answers = np.where(right, 0, wrong)
    labels = LabelledPictures(answered.sets[0], answers, np.zeros(n, dtype=np.int64))
    of_table = any(run.report.spec.get("labels") for run in runs)
    exact = list(every_answer(labels, names)) if of_table else []
    yield from exact or answers_as_labels(labels, None, names)


def gate_doubts(
    runs: Sequence[Run], index: int, gate: Gate, unpaired: bool, trust: Collection[str] = ()
) -> list[Doubt]:
    """Returns the doubts that keep a gate between the first run and another one from passing.

    Args:
        runs: The runs.
        index: Index of the other one.
        gate: The gate.
        unpaired: Whether other pictures are meant.
        trust: Ids of doubts that the user overrules.
    """
    pair = runs[0], runs[index]
    names = [run.report.model.name for run in pair]
    doubts = [
        doubt.model_copy(update={"sentence": f"{name}: {doubt.sentence}"})
        for name, run in zip(names, pair, strict=True)
        for doubt in run.report.doubts
        if doubt.data in ("", *_sets_of(gate, run.report))
    ]
    if same_measurements(pair):
        text = f"{names[1]} and {names[0]} are the same measurement, so nothing was compared"
        doubts.append(Doubt(id="same-measurement", sentence=text, withholds=True))
    shared = sorted(_sets_of(gate, pair[0].report) & _sets_of(gate, pair[1].report))
    if not unpaired and (other := other_pictures(*pair, shared)):
        text = (
            f"{names[1]} and {names[0]} cannot be compared on {joined([*other], NAMED)} "
            f"({joined(sorted({of.reason for of in other.values()}))}): measure the same pictures, "
            "or add --unpaired if this is intended"
        )
        doubts.append(Doubt(id="other-pictures", sentence=text, withholds=True))
    return [doubt for doubt in ordered(doubts, trust) if doubt.stops]


def _sets_of(gate: Gate, report: Report) -> set[str]:
    """Returns the sets of a report that a gate is about; the first one of a finding."""
    data = gate.where.partition("/")[0]
    sets: set[str] = set()
    for part in report.parts:
        for named in part.figures:
            if named.id == gate.name and data in ("", named.data) and not named.inner:
                sets |= {named.data} if named.mean_of is None else {*named.mean_of.sets}
        sets |= {of.data for of in part.sets if of.id == gate.name and data in ("", of.data)}
    return sets or {data or (report.data[0].name if report.data else "")}
