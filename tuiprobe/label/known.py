"""How accurate a run is by the labels that lie beside it, whoever they were collected for.

An accuracy is stated only from pictures whose selection is known: from the blocks of the plan that
they were drawn in. For other labels it is only said how many the run answers rightly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tuiprobe.errors import TuiprobeError
from tuiprobe.label.alone import Alone
from tuiprobe.label.answers import LabelledAccuracy, block_accuracies
from tuiprobe.label.candidates import Matched, NoCandidateError, match, read_candidate
from tuiprobe.label.counted import CountedLabel, counted_labels
from tuiprobe.label.files import LabelFiles, LabelPlan, label_targets
from tuiprobe.label.session import open_labelling
from tuiprobe.label.standing import unplanned
from tuiprobe.numbers import interval
from tuiprobe.run.directory import RunDir


@dataclass(frozen=True)
class AccuracyBeside:
    """What the labels beside a run say of it.

    Attributes:
        target: Name of the target set.
        accuracy: Its accuracy; None where the selection of the labelled pictures is not known.
        pictures: Pictures that the accuracy is about; 0 without one.
        labelled: Labelled pictures that the run answers.
        right: On how many of them it is right.
    """

    target: str
    accuracy: LabelledAccuracy | None
    pictures: int
    labelled: int
    right: int

    def sentence(self) -> str:
        """Returns what is known, in words."""
        known = self.accuracy
        if known is None:
            return unplanned(self.right, self.labelled)
        share = interval(known.estimate, known.low, known.high, "share")
        return f"measured on {known.labels:,} of your pictures: {share}"


def accuracy_beside(directory: RunDir, target: str | None = None) -> AccuracyBeside | None:
    """Returns what the labels beside a run say of it; None without labels of its answers.

    Args:
        directory: A finished run.
        target: Name of the target set; None for the only one.

    Raises:
        UsageError: If labels contradict each other, or are of classes that the run does not have.
        DataError: If the run cannot be read, or has no such target set, or a file is damaged.
    """
    folder = directory.path.resolve().parent
    targets = label_targets(folder)
    if not targets:
        return None
    try:
        matched = match([read_candidate(directory, target)])
    except NoCandidateError:
        return None
    results = [_beside(LabelFiles(folder, name), matched) for name in targets]
    return max((r for r in results if r is not None), key=lambda r: r.labelled, default=None)


def _beside(files: LabelFiles, matched: Matched) -> AccuracyBeside | None:
    """Returns what one file of labels says of a run."""
    pictures = set(matched.digests)
    rows = counted_labels(files.lines(), matched, files)
    if not rows:
        return None
    right = sum(int(matched.answers[0, row.place]) == row.label for row in rows)
    target, size = matched.source_run.target, len(pictures)
    if len(rows) == size:
        return AccuracyBeside(target, LabelledAccuracy(right / size, 0.0, size), size, size, right)
    plans = [plan for plan in files.plans() if pictures.issuperset(plan.pictures)]
    draws = {plan.id: sum(row.how(plan) != "outside" for row in rows) for plan in plans}
    for plan in sorted(plans, key=lambda plan: -draws[plan.id]):
        if draws[plan.id] and (accuracy := _by_plan(matched, plan, rows)):
            return AccuracyBeside(target, accuracy, len(plan.pictures), len(rows), right)
    return AccuracyBeside(target, None, 0, len(rows), right)


def _by_plan(
    matched: Matched, plan: LabelPlan, rows: Sequence[CountedLabel]
) -> LabelledAccuracy | None:
    """Returns the accuracy by one plan; None if it has not enough labels."""
    place = {digest: n for n, digest in enumerate(matched.digests)}
    places = np.array([place[digest] for digest in plan.pictures], dtype=np.int64)
    own = matched.of(places)
    answers = [candidate.answers for candidate in plan.candidates]
    if own.answers_digest(0) in answers and len(answers) > 1:
        accuracy = _as_candidate(own, plan, answers.index(own.answers_digest(0)))
        if accuracy is not None:
            return accuracy
    numbers = {int(n): i for i, n in enumerate(places)}
    mine = [replace(row, place=numbers[row.place]) for row in rows if row.place in numbers]
    if len(answers) == 1 and own.answers_digest(0) in answers:
        alone = Alone(own.pool(plan.seed))
        for row in mine:
            alone.add(row.place, row.label, row.how(plan))
        return next(iter(alone.accuracies()), None)
    drawn = [row for row in mine if row.how(plan) != "outside"]
    if not drawn:
        return None
    before = mine[: mine.index(drawn[0])]
    sampled = np.array([row.place for row in drawn])
    known = np.array([row.place for row in before], dtype=np.int64)
    labels = np.array([row.label for row in (*drawn, *before)])
    right = (own.answers[:, [*sampled, *known]] == labels).astype(np.float64)
    return block_accuracies(right, own.confidences, np.array(plan.stages), sampled, known)[0]


def _as_candidate(matched: Matched, plan: LabelPlan, number: int) -> LabelledAccuracy | None:
    """Returns the accuracy of a candidate as its contest states it; None if a rival is gone."""
    folder = matched.source_run.directory.path.resolve().parent
    if any(Path(candidate.run).name != candidate.run for candidate in plan.candidates):
        return None  # a plan from a stranger opens nothing elsewhere
    try:
        labelling = open_labelling(
            [folder / candidate.run for candidate in plan.candidates],
            matched.source_run.target,
        )
    except TuiprobeError:
        return None
    same = labelling.plan.id == plan.id
    return labelling.survey.accuracies()[number] if same else None
