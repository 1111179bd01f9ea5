"""Which of several models to choose on the same pictures, by the best available evidence.

Labels of the target come first, then the labelled pictures in question, then the mean of the same
labelled shifts. Neither an estimate without labels nor, where shifts are labelled, accuracy in
distribution orders models: both have ordered models wrongly, the latter backwards.

By measured accuracy, the best model is called "not the best" with a chance of at most 5 %, and all
ranges of differences, so also "behind", hold together with 95 %. Both levels count the models,
since which of them is the reference follows from the same images.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tuiprobe.choose.comparing.decision import DecidedModel, Decision, DecisionEvidence
from tuiprobe.choose.comparing.doubts import decision_doubts
from tuiprobe.choose.comparing.inference import ends_of, joint_reach
from tuiprobe.choose.comparing.label_evidence import (
    AnsweredPictures,
    LabelEvidence,
    answered_pictures,
    label_evidence,
)
from tuiprobe.choose.comparing.orders import (
    BEATEN,
    FEWEST_PICTURES,
    VERDICTS,
    ModelOrder,
    order_by_labels,
    order_by_pictures,
    order_by_shifts,
)
from tuiprobe.choose.comparing.runs import Run, same_measurements
from tuiprobe.choose.comparing.same_pictures import (
    MeasuredSet,
    left_out,
    pictures_groups,
    without_evidence,
)
from tuiprobe.choose.comparing.sentences import NAMED, sentence, weakening
from tuiprobe.errors import TuiprobeError
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.plaintext import count_of, joined, plain
from tuiprobe.results import Estimate, NotRun, SetSummary, is_known
from tuiprobe.results.accuracy import Accuracy, accuracy_from, best_accuracy
from tuiprobe.results.doubt import Doubt, ordered

if TYPE_CHECKING:
    from tuiprobe.choose.labelling.matching import Matched

REFERENCE: Final = NotRun(reason="the others are compared with this model")
NOT_COMPARED: Final = NotRun(reason="no measured mean over the same labelled shifts")


class _Evidence(NamedTuple):
    """The order of the models, and the sets that it rests on."""

    kind: DecisionEvidence
    order: ModelOrder
    sets: tuple[str, ...] = ()
    shifts: tuple[str, ...] = ()
    answered: AnsweredPictures | None = None


def decide(runs: Sequence[Run], target: str | None = None, trust: Collection[str] = ()) -> Decision:
    """Decides which of two or more models to take.

    Args:
        runs: The runs, whose models differ in their names; see `with_names`.
        target: Name of the target set; None for the first that is labelled, or that all have.
        trust: Ids of doubts that the user overrules.
    """
    same = same_measurements(runs)
    if not same:
        return _decide(runs, target, trust)
    indices = [n for n in range(len(runs)) if n not in same]
    decision = _decide([runs[n] for n in indices], target, trust)
    again, doubts = [], []
    for n, first in same.items():
        earlier = runs[first].report.model.name
        again.append(left_out(runs, n, "same measurement", f"the same as {earlier}"))
        text = f"{runs[n].report.model.name} is the same measurement as {earlier}"
        doubts.append(Doubt(id="same-measurement", sentence=text))
    changes: dict[str, Any] = {
        "models": tuple(
            row.model_copy(update={"place": indices[row.place]}) for row in decision.models
        ),
        "not_compared": (
            *again,
            *(of.model_copy(update={"place": indices[of.place]}) for of in decision.not_compared),
        ),
        "doubts": ordered((*decision.doubts, *doubts), trust),
    }
    if len(indices) == 1:
        changes["sentence"] = "Nothing to compare: all runs are the same measurement."
    return decision.model_copy(update=changes)


def _decide(runs: Sequence[Run], target: str | None, trust: Collection[str]) -> Decision:
    """Decides between different measurements; of one alone nothing."""
    labels = label_evidence(runs, target, trust) if len(runs) > 1 else None
    data = target_set(runs, target, labels)
    name = data.name if data is not None else None
    evidence = _evidence(runs, labels, name)
    order, answered = evidence.order, evidence.answered
    others = [n for n in range(len(runs)) if n not in order.order]
    leads = {order.order[0]: REFERENCE} | order.leads
    models = [
        DecidedModel(
            place=n,
            model=runs[n].report.model.name,
            run=plain(str(runs[n].directory.path)),
            accuracy=_accuracy(runs, n, name, labels, answered),
            standing=order.standings.get(n, "not compared"),
            difference=leads.get(n, NOT_COMPARED),
            at_least=order.at_least.get(n),
            images_per_second=_speed(runs[n]),
            **_by_class(answered, order.order, n),
        )
        for n in (*order.order, *others)
    ]
    fields: dict[str, Any]
    if answered is None:
        fields = {} if data is None else {"target": data.name, "pictures": data.measured}
        fields |= label_fields(runs, order, name, labels)
    else:
        fields = {
            "question": answered.data(order.order[0]),
            "pictures": answered.pictures,
            "left_out": answered.left_out,
            "unmeasured": answered.unmeasured,
            "paired_by": answered.paired_by,
            "fitted": bool(answered.headless),
            "more": order.more,
        }
    notes = [*_pictures_notes(answered, models), *weakening(runs, labels)]
    doubts = decision_doubts(runs, order.order, evidence.sets, labels, answered)
    decision = Decision(
        verdict=order.verdict,
        evidence=evidence.kind,
        models=tuple(models),
        shifts=evidence.shifts,
        close=order.close,
        doubts=ordered(doubts, trust),
        notes=tuple(notes),
        not_compared=without_evidence(runs, others, order.order[0], evidence.sets),
        **fields,
    )
    return decision.model_copy(update={"sentence": sentence(decision, runs)}).withheld()


def _evidence(
    runs: Sequence[Run], labels: LabelEvidence | NotRun | None, target: str | None
) -> _Evidence:
    """Returns the best evidence: labels, labelled pictures in question, labelled shifts."""
    answered = answered_pictures(runs)
    by_shifts, shifts = order_by_shifts(runs)
    chosen = _Evidence("none", ModelOrder("undecided", [*range(len(runs))], {}, {}))
    if answered is not None:
        order = order_by_pictures(runs, answered)
        name = answered.data(order.order[0])
        chosen = _Evidence("pictures", order, (name,), (), answered)
    elif by_shifts is not None:
        chosen = _Evidence("shifts", by_shifts, shifts, shifts)
    if isinstance(labels, LabelEvidence):
        order, before = order_by_labels(runs, labels), chosen.order
        lost = order.standings.get(before.order[0]) in BEATEN
        if order.verdict != "undecided" or before.verdict == "undecided" or lost:
            chosen = _Evidence("labels", order, (labels.status.target,), shifts)
    if chosen.kind == "none":
        group, sets = _on_the_same_pictures(runs, target)
        order = ModelOrder("undecided", group, dict.fromkeys(group, "undecided"), {})
        chosen = _Evidence("none", order, sets)
    return chosen


def _on_the_same_pictures(
    runs: Sequence[Run], target: str | None
) -> tuple[list[int], tuple[str, ...]]:
    """Returns the most runs that measured the same pictures, where nothing orders them.

    Args:
        runs: The runs.
        target: The target set; the first set of each run counts where that has none.

    Returns:
        Their indices, and the name of the set.
    """
    sets = {}
    for n, run in enumerate(runs):
        names = [data.name for data in run.report.data]
        sets[n] = MeasuredSet(run, target if target in names else (*names, "")[0])
    group = pictures_groups(sets)[0]
    return group, (sets[group[0]].name,)


def _by_class(
    answered: AnsweredPictures | None, order: Sequence[int], model: int
) -> dict[str, Any]:
    """Returns the fields of a model that count its labelled pictures by their classes."""
    if answered is None or not answered.names or model not in answered.runs:
        return {}
    row, first = answered.runs.index(model), answered.runs.index(order[0])
    reach = joint_reach(len(order))
    return {
        "balanced": answered.balanced(row),
        "balanced_difference": None if row == first else answered.balanced_lead(first, row, reach),
        "least_found": answered.found(row)[0],
    }


def _pictures_notes(
    answered: AnsweredPictures | None, models: Sequence[DecidedModel]
) -> Iterator[str]:
    """Yields notes on a decision by labelled pictures, first on a lead by balanced accuracy."""
    if answered is None:
        return
    changes = [(row.balanced_difference, row) for row in models if row.balanced_difference]
    if changes and answered.pictures >= FEWEST_PICTURES:
        change, other = min(changes, key=lambda of: of[0].value)
        low, high = ends_of(change)
        if high < 0:
            lead = change.model_copy(update={"value": -change.value, "low": -high, "high": -low})
            yield _balanced_note(answered, models[0], other, lead)
    if answered.left_out:
        left = count_of(answered.left_out, "labelled picture")
        yield f"{left} left out: not all models answer {'it' if answered.left_out == 1 else 'them'}"
    names = {row.place: row.model for row in models}
    if answered.headless:
        silent = joined([names[n] for n in answered.headless], NAMED)
        yield (
            f"no head of {silent} answers, so all models are compared by heads fitted to these "
            "labels"
        )
    widened = zip(answered.runs, answered.widening, strict=True)
    fitted = [names[n] for n, widening in widened if widening != 1]
    if 0 < len(fitted) < len(answered.runs):
        yield (
            f"{joined(fitted, NAMED)}: each picture is answered by a head that was not fitted to it"
        )
    if answered.paired_by == "rows":
        yield "vectors are paired by row number, since their counts and labels are equal"


def _speed(run: Run) -> float | None:
    """Returns the speed of a model; that of models whose answers or vectors are read is unknown."""
    return run.report.timings.images_per_second if run.report.model.parameters else None


def _balanced_note(
    answered: AnsweredPictures, first: DecidedModel, other: DecidedModel, lead: Estimate
) -> str:
    """Returns the note that a model leads by balanced accuracy, and where the first one gains."""
    text = f"by balanced accuracy {other.model} leads by {lead.with_interval()}"
    largest = answered.classes == answered.largest_class()
    rows = [answered.runs.index(model.place) for model in (first, other)]
    gains = answered.right[rows[0], largest].sum() > answered.right[rows[1], largest].sum()
    name = answered.names[answered.largest_class()]
    return f"{text}: {first.model} gains on the largest class, {name}" if gains else text


def _accuracy(
    runs: Sequence[Run],
    index: int,
    target: str | None,
    labels: LabelEvidence | NotRun | None,
    answered: AnsweredPictures | None,
) -> Accuracy | NotRun:
    """Returns the accuracy of a run by its best evidence; by labels as `tuiprobe label` does."""
    if answered is not None and answered.headless and index in answered.runs:
        fitted = runs[index].report.figure_or_absent("linear")
        if is_known(fitted):
            return accuracy_from(fitted, answered.data(index), "measured")
    known = best_accuracy(runs[index].report, target)
    if isinstance(labels, LabelEvidence) and index in labels.candidate_of:
        by_labels = labels.status.candidates[labels.candidate_of[index]].accuracy
        name, figure = labels.status.target, by_labels.figure
        if is_known(figure):
            among = (0, 0) if isinstance(known, NotRun) else (known.classes, known.of_classes)
            proven = by_labels.evidence == "proof"
            return accuracy_from(figure, name, "labels", "proven" if proven else "labels", among)
    return known


MOST_TO_LABEL: Final = 12
"""Models that a command to label names."""


def target_set(
    runs: Sequence[Run], target: str | None, labels: LabelEvidence | NotRun | None
) -> SetSummary | None:
    """Returns the target of a name, the labelled one, or the first that all with targets have."""
    sets = [[data for data in run.report.data if data.target] for run in runs]
    first, *others = [targets for targets in sets if targets] or [[]]
    if isinstance(labels, LabelEvidence):
        target = labels.status.target
    if target is not None:
        return next((data for data in first if data.name == target), None)
    names = [{data.name for data in targets} for targets in others]
    return next((data for data in first if all(data.name in other for other in names)), None)


def label_fields(
    runs: Sequence[Run],
    order: ModelOrder,
    target: str | None,
    labels: LabelEvidence | NotRun | None,
) -> dict[str, Any]:
    """Returns the fields about labels of the target: how many, and what more of them would take.

    A labelling that began continues with all its runs. Before that, labels are worth most for the
    models that may still be the best, or else for the first models of the order.
    """
    fields: dict[str, Any] = {}
    if isinstance(labels, LabelEvidence):
        status = labels.status
        fields |= {"pictures": status.pictures, "labels": status.labelled}
        if status.verdict in VERDICTS:
            return fields
        fields["more"] = status.more
    worth = _worth_labels(runs, order, target, labels)
    paths = dict.fromkeys(
        str(run.directory.path)
        for run in worth
        if not run.report.partial and run.report.model.weights.kind != "unknown"
    )
    if len(paths) < 2:
        return fields
    matched, fields["obstacle"] = _matched(paths, target)
    no_label_orders_them = matched is not None and (matched.answers == matched.answers[0]).all()
    unknown_target = matched is None and target is None
    if fields["obstacle"] or no_label_orders_them or unknown_target:
        return fields
    words = ["tuiprobe", "label", *paths]
    targets = [{data.name for data in run.report.data if data.target} for run in worth]
    if target is not None and len(set.intersection(*targets)) > 1:
        words += ["--target", target]
    begun = isinstance(labels, LabelEvidence)
    if matched is not None and not begun and (folder := _labelled_folder(matched)):
        fields["answers_from"] = folder
        words += ["--answers-from", folder]
    fields["command"] = plain(shlex.join(words))
    return fields


def _worth_labels(
    runs: Sequence[Run],
    order: ModelOrder,
    target: str | None,
    labels: LabelEvidence | NotRun | None,
) -> list[Run]:
    """Returns the runs that labels are for; see `label_fields`."""
    if isinstance(labels, LabelEvidence):
        return [runs[n] for n in labels.candidate_of]
    unbeaten = ("undecided", "as good", "take")
    still = [n for n in order.order if order.standings.get(n) in unbeaten]
    several = (of for of in (still, order.order) if len(of) > 1)
    some = sorted(next(several, [*range(len(runs))])[:MOST_TO_LABEL])
    return [runs[n] for n in some if _answers_on_target(runs[n], target)]


def _answers_on_target(run: Run, target: str | None) -> bool:
    """Returns whether a run answers on a target set, or on any where None is named."""
    names = [data.name for data in run.report.data if data.target and target in (None, data.name)]
    return any(
        (name in run.images and run.images[name].answers is not None)
        or not isinstance(best_accuracy(run.report, name), NotRun)
        for name in names
    )


def _matched(paths: Iterable[str], target: str | None) -> tuple[Matched | None, str]:
    """Returns runs that can be labelled together, or how they differ if they cannot."""
    from tuiprobe.choose.labelling.candidates import (
        read_candidate,  # scipy, which few decisions need
    )
    from tuiprobe.choose.labelling.matching import DifferentPoolsError, match

    try:
        return match([read_candidate(RunDir(Path(path)), target) for path in paths]), ""
    except DifferentPoolsError as error:
        return None, plain(str(error))
    except TuiprobeError:
        return None, ""


def _labelled_folder(matched: Matched) -> str:
    """Returns the folder of the pictures if its subfolders are classes of the runs; else empty."""
    folders = {path.partition("/")[0] for path in matched.paths if "/" in path}
    source = matched.source_run.source
    folder = source.removeprefix("imagefolder:")
    if len(folders) < 2 or any("/" not in path for path in matched.paths):
        return ""
    known = matched.classes_named(folders).values()
    return folder if set(known) <= set(matched.classes) and Path(folder).is_dir() else ""
