"""Asks for doubts about labels: whether they can be those of the pictures that were measured."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Final

import numpy as np

from tuiprobe.choose.labelling.betting import Ints
from tuiprobe.choose.labelling.contest import Contest
from tuiprobe.choose.labelling.matching import UNREADABLE_PICTURE, Matched
from tuiprobe.choose.labelling.session import Labelling
from tuiprobe.choose.labelling.survey import NOT_SURE
from tuiprobe.errors import DataError, UsageError
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.head_file import class_name, read_head
from tuiprobe.measure.run.manifest import MANIFEST
from tuiprobe.measure.run.per_image import read_per_image
from tuiprobe.measure.run.records import read_plan
from tuiprobe.plaintext import joined, plain
from tuiprobe.probes.evidence.labels import (
    CHECK_HEAD,
    FEWEST_LABELS,
    LabelledPictures,
    answers_as_labels,
    are_related,
    at_chance,
    every_answer,
    found_by_any,
    one_answer,
    same_table,
)
from tuiprobe.probes.evidence.orders import LabelledAnswers, other_orders
from tuiprobe.probes.evidence.slips import RowOrder, row_orders, slips
from tuiprobe.probes.evidence.values import no_answers
from tuiprobe.results.doubt import Doubt, ordered, stopping

WHY: Final = "check whether these are labels of these pictures, and in which order"


def label_doubts(labelling: Labelling) -> Iterator[Doubt]:
    """Yields reasons to doubt the labels of a session."""
    matched, n = labelling.matched, labelling.survey.sure
    for candidate in matched.candidates:
        read = sum(digest != UNREADABLE_PICTURE for digest in candidate.digests.values())
        empty = read - len(candidate.ids)
        yield from no_answers(candidate.target, read, empty, candidate.model)
    yield from _same_answers(labelling)
    if not n:
        return
    rows = [row for row in labelling.counted if row.label is not None]
    indices = np.array([row.picture for row in rows])
    labels = np.array([row.label for row in rows])
    sure = labels != NOT_SURE
    labelled = _labelled(matched, indices[sure], labels[sure])
    yield from answers_as_labels(labelled, _in_distribution(matched), labelling.models)
    yield from slips(_row_orders(matched, indices, labels, "the labels"))
    if n < FEWEST_LABELS:
        return
    orders = _orders(matched, labelling.leader, indices[sure], labels[sure])
    yield from orders
    best = max(labelling.accuracies(), key=lambda of: (of.known, of.value or of.low))
    if best.known and not orders:
        middle = (best.low + best.high) / 2 if best.value is None else best.value
        ends = (middle, best.low, best.high)
        classes, count = len(matched.classes), best.labels or n
        # Of one candidate of several the labelled pictures are no random ones.
        found = found_by_any(labelled, classes) if len(matched.answers) > 1 else (0, 0, 0.0)
        yield from at_chance(
            labelled.data, ends, count, classes, WHY, found,
            lambda: any(are_related(answers, labelled.labels) for answers in labelled.answers),
        )  # fmt: skip


def _same_answers(labelling: Labelling) -> Iterator[Doubt]:
    """Yields a doubt if all candidates answer alike, and for each that always gives one answer."""
    matched, survey = labelling.matched, labelling.survey
    if isinstance(survey, Contest) and survey.equal_answers:
        n, target = len(matched.digests), matched.source_run.target
        text = f"all answers equal, on {n:,} pictures: no label tells which model is better"
        yield Doubt(id="equal-answers", data=target, sentence=text, figures={"pictures": n})
    models: dict[str, tuple[Doubt, list[str]]] = {}
    for name, of in zip(labelling.models, matched.candidates, strict=True):
        if len(of.classes) < 2:
            continue
        for doubt in one_answer(of.target, of.answers, None, of.classes, CHECK_HEAD):
            models.setdefault(doubt.sentence, (doubt, []))[1].append(name)
    for sentence, (doubt, names) in models.items():
        about = "" if len(names) == len(matched.candidates) else f"{joined(names)}: "
        yield doubt.model_copy(update={"sentence": about + sentence})


def refuse_doubted(
    labelling: Labelling, path: Path, rows: Sequence[tuple[int, str]], trust: Collection[str]
) -> None:
    """Refuses a table of labels before one of them is recorded, if doubts withhold what it says.

    Args:
        labelling: The session.
        path: The table.
        rows: Index in the pool and class of each row that is of a picture of it, in order; the
            class is empty where there is none.
        trust: Ids of doubts that the user overrules.

    Raises:
        UsageError: If a doubt withholds the labelling; says what overrules it.
    """
    matched, names = labelling.matched, labelling.models
    indices = np.array([index for index, _ in rows], dtype=np.int64)
    labels = np.array(
        [matched.number(label, str(path)) if label else NOT_SURE for _, label in rows],
        dtype=np.int64,
    )
    sure = labels != NOT_SURE
    labelled = _labelled(matched, indices[sure], labels[sure])
    digest = sha256(path.read_bytes()).hexdigest()
    tables = [read_plan(run.directory).model.weights.digest for run in matched.candidates]
    doubts = [
        *(
            same_table(labelled.data, name, len(rows))
            for name, table in zip(names, tables, strict=True)
            if table == digest
        ),
        *every_answer(labelled, names),
        *slips(_row_orders(matched, indices, labels, path.name)),
    ]
    for doubt in stopping(ordered(doubts, trust)):
        raise UsageError(f"{plain(str(path))}: {plain(doubt.words)}; no label was taken")


def _labelled(matched: Matched, indices: Ints, labels: Ints) -> LabelledPictures:
    return LabelledPictures(matched.source_run.target, matched.answers[:, indices], labels)


def _row_orders(matched: Matched, indices: Ints, labels: Ints, name: str) -> list[RowOrder]:
    """Returns labels in their order, in that of the pictures and in those of answers' tables.

    Args:
        matched: The candidates.
        indices: int64 `[n]`, the picture of each label.
        labels: int64 `[n]`.
        name: What the labels' order is of, in words.
    """
    data, models = matched.source_run.target, [of.model for of in matched.candidates]
    rows = zip(models, matched.answer_rows[:, indices], range(len(models)), strict=True)
    orders = ((name, np.arange(len(indices)), None), (data, matched.ids[indices], None), *rows)
    return row_orders(data, matched.answers[:, indices], labels, orders)


def _orders(matched: Matched, candidate: int, indices: Ints, labels: Ints) -> tuple[Doubt, ...]:
    """Returns whether names in another order fit the answers of a candidate better."""
    known = labels >= 0
    images = LabelledAnswers(
        name=matched.source_run.target,
        rows=matched.answers[candidate, indices[known]],
        classes=np.arange(len(matched.classes)),
        labels=labels[known],
        ids=matched.ids[indices[known]],
    )
    return other_orders([images], matched.classes)


def _in_distribution(matched: Matched) -> LabelledPictures | None:
    """Returns labelled pictures in distribution that all candidates answer."""
    directories = [candidate.directory for candidate in matched.candidates]
    states = tuple(directory.at(MANIFEST).changed() for directory in directories)
    try:
        return _read_known(tuple(directory.path for directory in directories), states)
    except DataError:  # a run that was copied in part
        return None


@lru_cache(maxsize=16)
def _read_known(paths: tuple[Path, ...], states: tuple[int, ...]) -> LabelledPictures | None:
    """Reads the first labelled set of runs; `states` changes whenever they may."""
    runs = [RunDir(path) for path in paths]
    name = next((of.name for of in read_plan(runs[0]).sets if not of.target and of.classes), None)
    sets = [read_per_image(run).get(name or "") for run in runs]
    numbers: dict[str, int] = {}
    rows = []
    for run, values in zip(runs, sets, strict=True):
        if values is None or values.answers is None or sets[0] is None:
            return None
        if sets[0].differs_from(values) is not None or (values.answers.truth < 0).all():
            return None
        names = read_head(run).classes
        number = {-1: -1} | {
            row: numbers.setdefault(class_name(names, row), len(numbers))
            for row in values.answers.classes.tolist()
        }
        rows.append(
            [
                [number[row] for row in of.tolist()]
                for of in (values.answers.answer, values.answers.truth)
            ]
        )
    answers, truth = np.array(rows).transpose(1, 0, 2)
    known = truth[0] >= 0
    return LabelledPictures(name or "", answers[:, known], truth[0, known])
