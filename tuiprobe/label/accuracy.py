"""How accurate a run is by the labels beside it, also those collected for other runs.

An accuracy is stated only from pictures whose selection is known: from the blocks of the plan that
they were drawn in. For other labels it is only said how many the run answers rightly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tuiprobe.label.candidates import NoCandidateError, read_candidate
from tuiprobe.label.files import LabelFiles, LabelPlan, label_targets
from tuiprobe.label.matching import CountedLabel, Matched, counted_labels, match
from tuiprobe.label.session import labelling_of
from tuiprobe.label.status import unplanned
from tuiprobe.label.survey import LabelledAccuracy, StratifiedSample, block_accuracies
from tuiprobe.run.directory import RunDir


@dataclass(frozen=True)
class TargetAccuracy:
    """What the labels beside a run say of it.

    Attributes:
        target: Name of the target set.
        accuracy: Its accuracy; None where the selection of the labelled pictures is not known.
        pictures: Pictures of the set that can be labelled.
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
        return f"measured on {known.labels:,} of your pictures: {known.text()}"


def labelled_accuracy(directory: RunDir, target: str) -> TargetAccuracy | None:
    """Returns what the labels beside a run say of it; None without labels of its answers.

    Args:
        directory: A finished run.
        target: Name of the target set. Labels under another name count if there are none under
            this one.

    Raises:
        UsageError: If labels contradict each other, or are of classes that the run does not have.
        DataError: If a file is damaged, or equal pictures got different answers.
    """
    folder = directory.path.resolve().parent
    names = sorted(label_targets(folder), key=lambda name: name != target)
    if not names:
        return None
    try:
        matched = match([read_candidate(directory, target)])
    except NoCandidateError:
        return None
    for name in names:
        if (result := _by_file(LabelFiles(folder, name), matched)) is not None:
            return result
    return None


def _by_file(files: LabelFiles, matched: Matched) -> TargetAccuracy | None:
    """Returns what one file of labels says of a run."""
    pictures = matched.places.keys()
    rows = counted_labels(files.lines(), matched, files)
    if not rows:
        return None
    right = sum(int(matched.answers[0, row.place]) == row.label for row in rows)
    target, size = matched.source_run.target, len(pictures)
    if len(rows) == size:
        return TargetAccuracy(target, LabelledAccuracy(right / size, 0.0, size), size, size, right)
    plans = [plan for plan in files.plans() if pictures >= set(plan.pictures)]
    draws = {plan.id: sum(row.how(plan) != "outside" for row in rows) for plan in plans}
    for plan in sorted(plans, key=lambda plan: -draws[plan.id]):
        if draws[plan.id] and (accuracy := _by_plan(matched, plan, rows)):
            return TargetAccuracy(target, accuracy, len(plan.pictures), len(rows), right)
    return TargetAccuracy(target, None, size, len(rows), right)


def _by_plan(
    matched: Matched, plan: LabelPlan, rows: Sequence[CountedLabel]
) -> LabelledAccuracy | None:
    """Returns the accuracy by one plan; None if it has not enough labels."""
    places = np.array([matched.places[digest] for digest in plan.pictures], dtype=np.int64)
    own = matched.of(places)
    answers = plan.answers
    (digest,) = own.answers_digests
    if digest in answers and len(answers) > 1:
        folder = own.source_run.directory.path.resolve().parent
        labelling = labelling_of(plan, folder, own.source_run.target)
        if labelling is not None:  # as its contest states it
            return labelling.survey.accuracies()[answers.index(digest)]
    numbers = {int(n): i for i, n in enumerate(places)}
    mine = [replace(row, place=numbers[row.place]) for row in rows if row.place in numbers]
    if answers == [digest]:
        survey = StratifiedSample(own.pool(plan.seed))
        for row in mine:
            survey.add(row.place, row.label, row.how(plan))
        return next(iter(survey.accuracies()), None)
    drawn = [row for row in mine if row.how(plan) != "outside"]
    if not drawn:
        return None
    before = mine[: mine.index(drawn[0])]
    sampled = np.array([row.place for row in drawn])
    known = np.array([row.place for row in before], dtype=np.int64)
    labels = np.array([row.label for row in (*drawn, *before)])
    right = (own.answers[:, [*sampled, *known]] == labels).astype(np.float64)
    return block_accuracies(right, own.confidences, np.array(plan.stages), sampled, known)[0]
