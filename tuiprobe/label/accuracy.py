"""How accurate a run is by the labels beside it, also those collected for other runs.

An accuracy is stated only from pictures whose selection is known: from the blocks of the plan that
they were drawn in. For other labels it is only said how many the run answers rightly.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tuiprobe.label.candidates import NoCandidateError, read_candidate
from tuiprobe.label.files import LabelPlan
from tuiprobe.label.matching import CountedLabel, Matched, counted_labels, label_files, match
from tuiprobe.label.result import LabelledSet, unplanned
from tuiprobe.label.session import labelling_of
from tuiprobe.label.survey import LabelledAccuracy, Pool, StratifiedSample, block_accuracies
from tuiprobe.results import Figure, NotRun
from tuiprobe.run.directory import RunDir


def labelled_accuracy(directory: RunDir, target: str) -> LabelledSet | None:
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
    try:
        matched = match([read_candidate(directory, target)])
    except NoCandidateError:
        return None
    files = label_files(folder, matched)
    pictures, rows = matched.places.keys(), counted_labels(files, matched)
    if not rows:
        return None
    right = sum(int(matched.answers[0, row.place]) == row.label for row in rows)
    accuracy: Figure = NotRun(reason=unplanned(right, len(rows)))
    size = len(pictures)
    if len(rows) == size:
        accuracy = LabelledAccuracy(right / size, 0.0, size).figure
    else:
        plans = [plan for plan in files.plans() if pictures >= set(plan.pictures)]
        draws = {plan.id: sum(row.how(plan) != "outside" for row in rows) for plan in plans}
        for plan in sorted(plans, key=lambda plan: -draws[plan.id]):
            if draws[plan.id] and (by_plan := _by_plan(matched, plan, rows)):
                accuracy, size = by_plan.figure, len(plan.pictures)
                break
    return LabelledSet(
        data=matched.source_run.target,
        pictures=size,
        labelled=len(rows),
        right=right,
        accuracy=accuracy,
    )


def _by_plan(
    matched: Matched, plan: LabelPlan, rows: Sequence[CountedLabel]
) -> LabelledAccuracy | None:
    """Returns the accuracy by one plan; None if it has not enough labels."""
    places = np.array([matched.places[digest] for digest in plan.pictures], dtype=np.int64)
    own = matched.of(places)
    (digest,) = own.answers_digests
    mine = [
        row._replace(place=own.places[row.line.digest])
        for row in rows
        if row.line.digest in own.places
    ]
    if plan.answers == [digest]:  # whatever its directory is called by now
        survey = StratifiedSample(Pool(own.answers, own.confidences, plan.seed))
        for row in mine:
            survey.add(row.place, row.label, row.how(plan))
        return next(iter(survey.accuracies()), None)
    if digest in plan.answers:  # as its contest states it
        folder = own.source_run.directory.path.resolve().parent
        labelling = labelling_of(plan, folder, own.source_run.target)
        if labelling is not None:
            accuracies = labelling.survey.accuracies()
            return accuracies[plan.answers.index(digest)] if accuracies else None
    drawn = [row for row in mine if row.how(plan) != "outside"]
    if not drawn:  # the plan drew pictures that it does not list: it was edited
        return None
    before = mine[: mine.index(drawn[0])]
    sampled = np.array([row.place for row in drawn])
    known = np.array([row.place for row in before], dtype=np.int64)
    labels = np.array([row.label for row in (*drawn, *before)])
    right = (own.answers[:, [*sampled, *known]] == labels).astype(np.float64)
    return block_accuracies(right, own.confidences, np.array(plan.stages), sampled, known)[0]
