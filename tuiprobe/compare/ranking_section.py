"""The description of which model to take: the decision, the table of models, all their figures."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tuiprobe.compare.differences import Run, read_run
from tuiprobe.compare.differences_section import kind
from tuiprobe.compare.ranking import DecidedByLabels, RankedModel, Ranking, rank
from tuiprobe.files import Entry
from tuiprobe.label.contest import MARGIN_POINTS, forecast
from tuiprobe.numbers import MISSING, number
from tuiprobe.plaintext import listed
from tuiprobe.probes.content import points, several, table
from tuiprobe.report.markdown import section_markdown
from tuiprobe.report.terminal import section_text
from tuiprobe.results import Estimate, given
from tuiprobe.results.headlines import BY_ID, LABELLED_ID, TARGET_ERROR
from tuiprobe.results.report import ABSENT
from tuiprobe.results.section import Content, Section, Value
from tuiprobe.run.directory import RunDir

HOW_MANY: Final = "About 50 labels tell a difference of 11 points, more labels a smaller one."

ENOUGH: Final = 50
"""Pictures of a target, up to which all are to be labelled."""

NAMED: Final = 4
"""Models that a title names."""

SIDE_BY_SIDE: Final = 3
"""Models in one table of all figures, so that it fits a telephone."""

MEASURED: Final = "measured"
"""What marks an accuracy by labels."""


def describe_ranking(ranking: Ranking) -> Section:
    """Describes which model to take and why, the table, and all figures of each model."""
    columns = (
        ("model", "model"), ("target", "on your pictures"), ("top1", "in distribution"),
        ("mean_shift", "mean of shifts"), ("largest_loss", "largest loss"),
        ("images_per_second", "speed"), ("decision", "decision"),
    )  # fmt: skip
    rows = [_decision_row(model) for model in ranking.models]
    filled = [i for i in range(len(columns)) if any(row[i] != MISSING for row in rows)]
    decisions = table(
        "models",
        [columns[i] for i in filled],
        [[row[i] for i in filled] for row in rows],
        shown=len(rows),
        file=False,
    )
    content = (decisions, points(_reading(ranking)), *_all_figures(ranking), points(ranking.notes))
    headline = " ".join(filter(None, _decision(ranking)))
    return Section(title="Models", headline=(headline,), content=content)


def title_of(ranking: Ranking) -> str:
    """Returns the decision in one sentence, which is the title of a page."""
    return _decision(ranking)[0].removesuffix(".")


def _decision(ranking: Ranking) -> tuple[str, str]:
    """Returns the decision in one sentence, and why it is open or what would be stronger."""
    if ranking.labels is not None:
        return _decision_by_labels(ranking, ranking.labels)
    pictures = f"pictures of {ranking.target}" if ranking.target else "some of your own pictures"
    how_many = HOW_MANY
    if 0 < ranking.pictures <= ENOUGH:
        pictures, how_many = f"all {ranking.pictures} {pictures}", ""
    if not ranking.by:
        return f"Undecided: label {pictures}.", (
            f"{how_many} No two of these models have a measured mean over the same labelled "
            "shifts, and neither estimates without labels nor accuracy in distribution order "
            "models."
        ).strip()
    shifts = several(ranking.sets, "labelled shift") if ranking.sets else "labelled shifts"
    ordered = [ranking.models[0], *(row for row in ranking.models[1:] if row.from_first)]
    others = [row.model for row in ranking.models[len(ordered) :]]
    apart = ""
    if others:
        apart = f"Not compared, without a mean over the same shifts: {listed(others, NAMED)}."
    undecided = [model.model for model in ordered if model.decision == "undecided"]
    if undecided:
        reason = (
            f"On the mean of {shifts} they are neither told apart from {ordered[0].model} nor "
            f"within {MARGIN_POINTS} of it."
        )
        decision = f"Undecided between {listed(undecided, NAMED)}: label {pictures}."
        return decision, " ".join(filter(None, (reason, how_many, apart)))
    stronger = apart
    if ranking.target:
        labels = f"Labels of {pictures} would be stronger evidence."
        stronger = " ".join(filter(None, (labels, how_many, apart)))
    take = next(model.model for model in ordered if model.decision == "take")
    equal = sum(model.decision == "as good" for model in ordered)
    if equal:
        return (
            f"Take {take}, the cheapest of {equal + 1} models within {MARGIN_POINTS} of the best "
            f"on the mean of {shifts}.",
            stronger,
        )
    return f"Take {take}: the best on the mean of {shifts}.", stronger


def _decision_by_labels(ranking: Ranking, labels: DecidedByLabels) -> tuple[str, str]:
    count = several(labels.labels, "label")
    pictures = f"these {labels.pictures:,} pictures of {ranking.target}"
    take = next((model.model for model in ranking.models if model.decision == "take"), "")
    if labels.verdict == "equal":
        return f"Take {take}, the cheapest of those that are equally often right on {pictures}.", ""
    if take:
        place = f"the best of the {len(ranking.models)}"
        if labels.verdict == "within":
            place = f"within {MARGIN_POINTS} of the best"
        return f"Take {take}: {place} on {pictures}, by {count}.", ""
    meanwhile = ""
    if labels.meanwhile:
        meanwhile = f"Until then take {labels.meanwhile} by the mean of labelled shifts."
    if labels.verdict == "contradictory":
        return f"Undecided: the {count} of {ranking.target} contradict each other.", meanwhile
    names = [model.model for model in ranking.models if model.decision == "undecided"]
    more = forecast(labels.more, labels.pictures - labels.labels) or "more"
    return (
        f"Undecided between {listed(names, NAMED)} by {count} of {ranking.target}: label {more}.",
        meanwhile,
    )


def _decision_row(model: RankedModel) -> list[Value]:
    speed = loss = MISSING
    if model.images_per_second is not None:
        speed = f"{model.images_per_second:,.0f}/s"
    if given(model.largest_loss):
        loss = f"{model.lost_on} {model.largest_loss.alone(signed=True, bare=True)}"
    return [
        model.model,
        _on_pictures(model),
        model.figures.get("top1", ABSENT).plus_minus(),
        model.figures.get("mean_shift", ABSENT).plus_minus(),
        loss,
        speed,
        model.decision,
    ]


def _on_pictures(model: RankedModel) -> Value:
    """Returns what labels measured on the target, marked as such, or else the estimate."""
    measured, estimate = (model.figures.get(id, ABSENT) for id in (LABELLED_ID, "target"))
    if given(measured):
        return f"{measured.with_interval()} {MEASURED}"
    return estimate if given(estimate) else MISSING


def _reading(ranking: Ranking) -> Iterator[str]:
    """Yields how to read the table, and the difference of each model from the first."""
    models = ranking.models
    cells = [_on_pictures(model) for model in models]
    measured = any(isinstance(cell, str) and cell.endswith(MEASURED) for cell in cells)
    if measured:
        yield (
            f"On your pictures, {MEASURED}: by labels of {ranking.target}; the range has 95 % for "
            "a number of labels that was planned."
        )
    if any(isinstance(cell, Estimate) for cell in cells):
        others = "the others are " if measured else ""
        where = f" of {ranking.target}" if ranking.target else ", each on target sets of its own"
        yield (
            f"On your pictures: {others}estimated without labels{where}, with the 80 % range. It "
            "does not order models."
        )
    if any(given(model.largest_loss) for model in models):
        yield (
            "Largest loss: points lost on the labelled shift that loses most, against the same "
            "classes in distribution."
        )
    if any(model.images_per_second is not None for model in models):
        yield "Speed: images per second while the run was measured, decoding included."
    for model in models:
        row = model.from_first
        if row is None or not given(row.difference):
            continue
        name = f"{models[0].model} minus {model.model}, {BY_ID[ranking.by].name}"
        if row.id == LABELLED_ID and row.difference.low is None:
            yield f"{name}: decided."
            continue
        after = ""
        if row.undone:
            after = "; it excludes zero, but not after correction for the number of models"
        yield f"{name}: {row.difference.with_interval(signed=True)}, {kind(row)}{after}."
    if ranking.detectable is not None:
        limit = number(ranking.detectable, "points")
        yield f"These images show a difference of {limit} or more from the first (80 % power)."


def _all_figures(ranking: Ranking) -> Iterator[Content]:
    """Yields tables of everything that compares, a row for each figure and a column for a model."""
    names = {id: headline.name for id, headline in BY_ID.items()}
    names[TARGET_ERROR] = "error of the estimate on labelled shifts"
    ids = [id for id in names if any(id in model.figures for model in ranking.models)]
    if TARGET_ERROR in ids:  # stands beside the estimate
        ids.remove(TARGET_ERROR)
        ids.insert(ids.index("target") + 1, TARGET_ERROR)
    count = len(ranking.models)
    for begin in range(0, count, SIDE_BY_SIDE):
        models = ranking.models[begin : begin + SIDE_BY_SIDE]
        which = f", models {begin + 1} to {begin + len(models)}" if count > SIDE_BY_SIDE else ""
        columns = ((f"model_{n}", model.model) for n, model in enumerate(models))
        rows: list[list[Value]] = [
            ["representation", *(model.representation for model in models)],
            ["parameters", *(model.parameters for model in models)],
        ]
        for id, name in ranking.facts.items():
            rows.append([name, *(model.facts.get(id) or MISSING for model in models)])
        for id in ids:
            rows.append([names[id], *(model.figures.get(id, MISSING) for model in models)])
        yield table(
            f"models_figures_{begin // SIDE_BY_SIDE + 1}",
            [("figure", "figure"), *columns],
            rows,
            f"All headline figures{which}",
            folded=True,
            file=False,
        )


def label_command(runs: Sequence[Run], ranking: Ranking) -> str:
    """Returns what to type where labels must decide between runs; empty where they need not.

    Labels decide between runs that have answers on pictures: a head, and no stored vectors.

    Args:
        runs: The runs.
        ranking: Their order.
    """
    paths = []
    for run in runs:
        figures = (figure for part in run.report.parts for figure in part.figures)
        answers = any(
            figure.role == "estimate" and figure.data == ranking.target for figure in figures
        )
        if run.directory is not None and answers and not run.report.spec.get("embeddings"):
            paths.append(str(run.directory.path))
    undecided = any(model.decision == "undecided" for model in ranking.models)
    return f"tuiprobe label {shlex.join(paths)}" if undecided and len(paths) > 1 else ""


def write_ranking(
    directories: Sequence[RunDir], place: Path, gaps: Sequence[str] = ()
) -> tuple[Path, str, str]:
    """Writes the table of finished runs, named by their keys.

    Returns its path, the same as text for a terminal, and what to type next.

    Args:
        directories: The runs.
        place: Folder of the file.
        gaps: Models that have no run, each with the reason.

    Raises:
        DataError: If a run has no readable report.
        RunError: If the table cannot be written.
    """
    runs = [read_run(directory) for directory in directories]
    keys = "".join(sorted(run.report.key for run in runs))
    file = Entry(place, f"comparison-{hashlib.sha256(keys.encode()).hexdigest()[:8]}.md")
    ranking = rank(runs)
    sections = [describe_ranking(ranking)]
    if gaps:
        sections.append(Section(title="Not measured", headline=(), content=(points(gaps),)))
    file.write_text("\n".join(map(section_markdown, sections)))
    text = "".join(map(section_text, sections))
    return file.path, text, label_command(runs, ranking)
