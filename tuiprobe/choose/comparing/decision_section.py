"""The description of a decision: its sentence, what weakens it, and the table of the models.

Accuracies have a column for each set of pictures, never one for two sets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from tuiprobe.choose.comparing.decision import DecidedModel, Decision
from tuiprobe.choose.comparing.forest import labels_chart
from tuiprobe.choose.comparing.inference import second_minus_first
from tuiprobe.choose.comparing.runs import Run
from tuiprobe.choose.comparing.same_pictures import (
    MeasuredSet,
    in_words,
    means_of_shifts,
    pictures_groups,
    shifts_groups,
)
from tuiprobe.choose.comparing.sentences import by_models, levels
from tuiprobe.numbers import interval
from tuiprobe.plaintext import joined
from tuiprobe.probes.content import bullets, table, value_or_dash
from tuiprobe.results import Figure, NotRun, Report, is_known
from tuiprobe.results.accuracy import Accuracy, Evidence, best_accuracy, brief
from tuiprobe.results.figures import HEADLINES, LABELLED, MEAN_SHIFT, TARGET, TARGET_ERROR, TOP1
from tuiprobe.results.report import ABSENT
from tuiprobe.results.reproduce import provenance
from tuiprobe.results.section import Chart, Code, Section, SectionContent, Strong, Text, Value

MOST_SETS: Final = 4
"""Columns of one kind of evidence, those of the most runs."""

_NAMED: Final = 3
"""Shifts that the heading of a mean names."""


class TableColumn(NamedTuple):
    """A column of a table.

    Attributes:
        id: Its id, which no other column has.
        heading: Its heading.
        cells: A cell for each run.
    """

    id: str
    heading: str
    cells: list[Value]


def accuracy_columns(
    runs: Sequence[Run],
    accuracies: Sequence[Mapping[Evidence, Accuracy]],
    evidence: Evidence,
    headings: tuple[str, str],
) -> Iterator[TableColumn]:
    """Yields the columns of accuracies of one kind of evidence.

    Args:
        runs: The runs, in the order of the rows.
        accuracies: What is known of each, by evidence.
        evidence: The kind of evidence.
        headings: Of the only column, and of one of several, where {} stands for the set.
    """
    known = [(n, of[evidence]) for n, of in enumerate(accuracies) if evidence in of]
    sets = {n: MeasuredSet(runs[n], accuracy.data) for n, accuracy in known}
    cells = {n: brief(accuracy) for n, accuracy in known}
    groups = pictures_groups(sets)[:MOST_SETS]
    names = _set_names([[sets[n] for n in group] for group in groups])
    for number, (group, name) in enumerate(zip(groups, names, strict=True), 1):
        of_set = headings[1].replace("{}", name) if len(groups) > 1 else headings[0]
        id = evidence if number == 1 else f"{evidence}_{number}"
        yield _column(id, of_set, runs, group, cells.__getitem__)


def mean_columns(runs: Sequence[Run], heading: str) -> Iterator[TableColumn]:
    """Yields the columns of means over labelled shifts, one for each set of shifts.

    Args:
        runs: The runs, in the order of the rows.
        heading: Of the only column; of several the shifts follow.
    """
    means = means_of_shifts(runs)
    groups = shifts_groups(runs, means)[:MOST_SETS]
    for number, group in enumerate(groups, 1):
        about = means[group[0]].mean_of
        sets = joined(list(about.sets), _NAMED) if about is not None else ""
        of_sets = f"{heading}: {sets}" if len(groups) > 1 else heading
        id = "mean_shift" if number == 1 else f"mean_shift_{number}"
        yield _column(id, of_sets, runs, group, lambda n: means[n].figure)


def _column(
    id: str, heading: str, runs: Sequence[Run], group: Sequence[int], cell: Callable[[int], Value]
) -> TableColumn:
    return TableColumn(id, heading, [cell(n) if n in group else None for n in range(len(runs))])


def _set_names(groups: Sequence[Sequence[MeasuredSet]]) -> list[str]:
    """Returns a name of each group of sets: that of the set, with what differs from its namesakes.

    That is the number of pictures, "other" for the second of two, or else the model that measured
    them.
    """
    firsts = [group[0] for group in groups]
    names = [of.name for of in firsts]
    for alike in {name for name in names if names.count(name) > 1}:
        indices = [n for n, name in enumerate(names) if name == alike]
        data = [of.summary for of in (firsts[n] for n in indices)]
        counts = [f"{alike} ({0 if of is None else of.measured:,})" for of in data]
        others = [alike, f"other {alike}"]
        models = [f"{alike} of {firsts[n].run.report.model.name}" for n in indices]
        telling = (texts for texts in (counts, others) if len({*texts}) == len(indices))
        for n, text in zip(indices, next(telling, models), strict=True):
            names[n] = text
    return names


MANY: Final = 12
"""Models up to which a row of the table may take several lines of a terminal."""

SHOWN: Final = (LABELLED, TOP1, MEAN_SHIFT, TARGET)
"""Ids of the headline figures in the table of the models."""


def describe_decision(decision: Decision, runs: Sequence[Run]) -> Section:
    """Describes which model to take: the sentence, what weakens it, the models, their figures.

    Args:
        decision: The decision.
        runs: What it was made from.
    """
    ordered = [runs[row.place] for row in decision.models]
    reports = [run.report for run in ordered]
    curves = decided_curves(decision, runs)
    return Section(
        title="Decision",
        headline=(decision.sentence,),
        content=(
            bullets(beneath(decision)),
            _models(decision, ordered),
            bullets(_reading(decision, reports)),
            *filter(None, [curves]),
            _inside(reports),
        ),
    )


def decided_curves(decision: Decision, runs: Sequence[Run]) -> Chart | None:
    """Returns the curves by the number of labels of the models that are compared as one chart."""
    same = [row for row in decision.models if row.standing != "not compared"]
    return labels_chart(
        [row.model for row in same], [runs[row.place].report for row in same],
        folded=decision.evidence != "pictures",
    )  # fmt: skip


def beneath(decision: Decision) -> Iterator[Text]:
    """Yields what a decision leaves out, what weakens it, and labels that would strengthen it."""
    single = len(decision.models) < 2
    for doubt in decision.doubts:
        yield Strong(strong="doubt"), f": {doubt.words}"
    if decision.not_compared:
        yield Strong(strong="not compared"), f": {in_words(decision.not_compared, MANY)}"
    for note in decision.notes:
        yield Strong(strong="note"), f": {note}"
    if decision.evidence == "pictures":
        return
    would = "decide it" if decision.take is None else "be stronger evidence"
    if decision.answers_from:
        yield f"The folders of {decision.target} are labels: ", Code(code=decision.command)
    elif decision.command:
        about = "Labels" if decision.more is None else f"About {decision.more:,} more labels"
        pictures = decision.target or "your pictures"
        yield f"{about} of {pictures} would {would}: ", Code(code=decision.command)
    elif decision.obstacle and not any(decision.obstacle in note for note in decision.notes):
        yield (f"Labels cannot decide between these models: {decision.obstacle}.",)
    elif decision.take is None and not (decision.target or decision.obstacle or single):
        yield (f"Labels of some of your pictures would {would}: measure them with --target.",)


def _models(decision: Decision, runs: Sequence[Run]) -> SectionContent:
    """Returns the table of the models; columns without content are left out."""
    many = len(runs) > MANY
    lead = "lead in points, all pairs together" if len(runs) > 2 else "lead in points"
    known = [_known(decision, *row) for row in zip(decision.models, runs, strict=True)]
    costs = [
        TableColumn("largest_loss", "largest loss", [_loss(run.report) for run in runs]),
        TableColumn("images_per_second", "speed", [_speed(row) for row in decision.models]),
    ]
    models, heads = decision.models, ", fitted heads" if decision.fitted else ""
    in_use = ("in distribution", "{}, in distribution")
    if decision.fitted:
        in_use = ("heads in use", "on {}, heads in use")
    columns = [
        TableColumn("model", "model", [row.model for row in models]),
        TableColumn("standing", "decision", [row.standing for row in models]),
        TableColumn("difference", lead, [_lead(row) for row in models]),
        *accuracy_columns(runs, known, "labels", (f"on your pictures{heads}", f"on {{}}{heads}")),
        TableColumn("balanced", "balanced accuracy", [_balanced(row) for row in models]),
        TableColumn(
            "least_found", "class found least often", [_least_found(row) for row in models]
        ),
        *accuracy_columns(runs, known, "measured", in_use),
        *mean_columns(runs, "mean of shifts"),
        *(() if many else costs),
        *accuracy_columns(runs, known, "estimate", ("your pictures, estimated", "{}, estimated")),
    ]
    shown = [column for column in columns if any(cell is not None for cell in column.cells)]
    rows = [list(row) for row in zip(*(column.cells for column in shown), strict=True)]
    headings = [(column.id, column.heading) for column in shown]
    return table("models", headings, rows, shown=len(rows), file=False)


def _known(decision: Decision, model: DecidedModel, run: Run) -> dict[Evidence, Accuracy]:
    """Returns the accuracies of a model by their evidence; labelled pictures are the user's."""
    report = run.report
    of_id_set = best_accuracy(report, report.data[0].name if report.data else None)
    known = {of.evidence: of for of in (of_id_set, model.accuracy) if not isinstance(of, NotRun)}
    if decision.evidence == "pictures" and "measured" in known:
        known["labels"] = known.pop("measured")
    if decision.fitted and not isinstance(of_id_set, NotRun):
        known["measured"] = of_id_set
    return known


def _lead(model: DecidedModel) -> str | None:
    change = model.difference
    if not is_known(change):
        return None
    return interval(
        change.value, change.low, change.high, change.unit, bare=True, outward=change.range_alone
    )  # fmt: skip


def _balanced(model: DecidedModel) -> str | None:
    return None if model.balanced is None else model.balanced.point()


def _least_found(model: DecidedModel) -> str | None:
    found = model.least_found
    return None if found is None else f"{found.name}: {100 * found.share:.0f} % of {found.n:,}"


def _loss(report: Report) -> str | None:
    lost_on, loss = _largest_loss(report)
    return f"{lost_on} {loss.point(signed=True, bare=True)}" if is_known(loss) else None


def _speed(model: DecidedModel) -> str | None:
    return None if model.images_per_second is None else f"{model.images_per_second:,.0f}/s"


def _largest_loss(report: Report) -> tuple[str, Figure]:
    """Returns the labelled shift that loses most against the same classes in distribution."""
    losses = {}
    for named in (named for part in report.parts for named in part.figures):
        shift = named.data != report.data[0].name  # the first set is in distribution
        if shift and named.id == TOP1.id and named.headline is not None:
            same = report.figure_or_absent("id_own_classes", named.data)
            first = same if is_known(same) else report.figure("top1")
            change = second_minus_first(first, named.figure)
            if is_known(change):
                losses[named.data] = change
    worst = min(losses, key=lambda name: losses[name].value, default=None)
    return ("", ABSENT) if worst is None else (worst, losses[worst])


def _reading(decision: Decision, reports: Sequence[Report]) -> Iterator[str]:
    """Yields how to read the table."""
    known = [row.accuracy for row in decision.models if not isinstance(row.accuracy, NotRun)]
    leads = any(is_known(row.difference) for row in decision.models)
    on_id_sets = [best_accuracy(of, of.data[0].name) for of in reports if of.data]
    accuracies = [of for of in (*known, *on_id_sets) if not isinstance(of, NotRun)]
    by_images = any(
        of.evidence in ("labels", "measured") and of.low is not None and of.range != "proven"
        for of in accuracies
    )
    costs = len(reports) <= MANY
    sentences = (
        (
            leads,
            f"Lead: {decision.models[0].model} minus the other, {_over(decision)}; "
            f"{levels(decision)}.",
        ),
        (
            leads and decision.evidence == "labels" and any(of.range == "labels" for of in known),
            "Differences come from the pictures on which two models differ, accuracies from "
            "samples of each run. So two accuracies may differ by another number, or even order "
            "the models differently.",
        ),
        (
            any(accuracy.evidence == "estimate" for accuracy in known),
            "Estimated: without labels, with an 80 % range. Estimates do not order the models.",
        ),
        (
            any(accuracy.most_right is not None for accuracy in known),
            "Or at most: how many can be right if the classes of the pictures are as frequent as "
            "in distribution.",
        ),
        (
            costs and any(is_known(_largest_loss(report)[1]) for report in reports),
            "Largest loss: the largest fall of accuracy on a labelled shift, compared with the "
            "same classes in distribution.",
        ),
        (
            costs and any(report.timings.images_per_second is not None for report in reports),
            "Speed: images per second of this model, decoding included.",
        ),
        (
            any(of.range == "proven" for of in known),
            "Ranges of accuracies that labels prove are certain, if the labels are right.",
        ),
        (
            by_images or any(is_known(_figure(report, MEAN_SHIFT.id)) for report in reports),
            "Other ranges are 95 % intervals, each for one run.",
        ),
    )
    yield from (sentence for holds, sentence in sentences if holds)
    yield from by_models([(f"{provenance(report)}.", report) for report in reports], len(reports))


def _over(decision: Decision) -> str:
    """Returns the evidence that the leads rest on, in words."""
    if decision.evidence == "labels":
        return f"by labels of {decision.target}, on these {decision.pictures:,} pictures"
    if decision.evidence == "pictures":
        by = {"contents": "", "ids": ", paired by the id column", "rows": ", paired by row number"}
        paired = by[decision.paired_by or "contents"]
        labelled = f"{decision.pictures:,} labelled ones of {decision.question}"
        return f"on pictures like the {labelled}{paired}"
    return "by mean of shifts"


def _inside(reports: Sequence[Report]) -> SectionContent:
    """Returns the table of all other headline figures and findings, a row for each model."""
    facts = {
        fact.id: fact.name for report in reports for part in report.parts for fact in part.facts
    }
    figs = [*(fig for fig in HEADLINES if fig not in SHOWN), TARGET_ERROR]
    figures = [[_figure(report, fig.id) for fig in figs] for report in reports]
    known = [i for i in range(len(figs)) if any(is_known(row[i]) for row in figures)]
    columns = [
        ("model", "model"), ("representation", "representation"), ("parameters", "parameters"),
        *facts.items(), *((figs[i].id, figs[i].name) for i in known),
    ]  # fmt: skip
    rows: list[list[Value]] = [
        [
            report.model.name,
            report.model.representation,
            report.model.parameters,
            *(report.fact(id) or None for id in facts),
            *(value_or_dash(row[i]) for i in known),
        ]
        for report, row in zip(reports, figures, strict=True)
    ]
    shown = len(rows)
    return table("inside", columns, rows, "All other figures", shown=shown, folded=True, file=False)


def _figure(report: Report, id: str) -> Figure:
    headline = report.headline(id)
    return report.figure_or_absent(id) if headline is None else headline.figure
