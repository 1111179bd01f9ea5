"""The description of which model to take: the decision, the table of models, all their figures."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tuiprobe.compare.describe import kind
from tuiprobe.compare.differences import Run, read_run
from tuiprobe.compare.ranking import DecidedByLabels, RankedModel, Ranking, rank
from tuiprobe.files import Entry
from tuiprobe.label.contest import MARGIN
from tuiprobe.numbers import number
from tuiprobe.probes.content import listed, points, several, table
from tuiprobe.report.markdown import section_markdown
from tuiprobe.report.terminal import section_text
from tuiprobe.results import Estimate, Report, given
from tuiprobe.results.headlines import BY_ID, LABELLED_ID, TARGET_ERROR
from tuiprobe.results.report import ABSENT
from tuiprobe.results.section import Content, Section, Value
from tuiprobe.run.directory import RunDir

HOW_MANY: Final = "about 50 for a difference of 11 points, more for less"
"""How many labelled pictures tell two models apart."""

MEASURED: Final = "measured"
"""What marks an accuracy by labels."""


def describe_ranking(found: Ranking) -> Section:
    """Describes which model to take and why, the table, and all figures of each model."""
    return Section(
        title="Models", headline=(_sentence(found),), content=tuple(_content(found))
    )  # fmt: skip


def _sentence(found: Ranking) -> str:
    if found.labels is not None:
        return _sentence_by_labels(found, found.labels)
    pictures = f"pictures of {found.target}" if found.target else "some of your own pictures"
    if not found.by:
        return (
            f"Undecided: label {pictures} ({HOW_MANY}). No two of these models have a measured "
            "mean over the same labelled shifts, and neither estimates without labels nor accuracy "
            "in distribution order models."
        )
    over = f"{several(found.sets, 'labelled shift')}" if found.sets else "labelled shifts"
    ordered = [one for one in found.models if found.by in one.figures]
    best = ordered[0]
    names = [one.model for one in ordered if one.decision == "undecided"]
    if names:
        return (
            f"Undecided between {listed(names)}: on the mean of {over} they are neither told "
            f"apart from {best.model} nor within {number(MARGIN, 'points')} of it. Label "
            f"{pictures} ({HOW_MANY})."
        )
    take = next(one for one in ordered if one.decision == "take")
    equal = sum(one.decision == "as good" for one in ordered)
    if equal:
        return (
            f"Take {take.model}, the cheapest of {equal + 1} models within "
            f"{number(MARGIN, 'points')} of the best on the mean of {over}."
            f"{_stronger(found, pictures)}"
        )
    return (
        f"Take {take.model}: the best on the mean of {over}, which was measured."
        f"{_stronger(found, pictures)}"
    )


def _sentence_by_labels(found: Ranking, labels: DecidedByLabels) -> str:
    count = several(labels.labels, "label")
    pictures = f"these {labels.pictures:,} pictures of {found.target}"
    take = next((model.model for model in found.models if model.decision == "take"), "")
    if labels.verdict == "best":
        return f"Take {take}: the best of the {len(found.models)} on {pictures}, by {count}."
    if labels.verdict == "within":
        margin = number(MARGIN, "points")
        return f"Take {take}: within {margin} of the best on {pictures}, by {count}."
    if labels.verdict == "equal":
        return f"Take {take}, the cheapest of those that are equally often right on {pictures}."
    meanwhile = (
        f" Until then take {labels.meanwhile} by the mean of labelled shifts."
        if labels.meanwhile
        else ""
    )
    if labels.verdict == "contradictory":
        return f"Undecided: the {count} of {found.target} contradict each other.{meanwhile}"
    undecided = [one.model for one in found.models if one.decision == "undecided"]
    more = "more" if labels.more is None else f"roughly {labels.more:,} more"
    return (
        f"Undecided between {listed(undecided)} by {count} of {found.target}: label {more} "
        f"pictures (`tuiprobe label` with these runs).{meanwhile}"
    )


def _stronger(found: Ranking, pictures: str) -> str:
    if not found.target:
        return ""
    return f" Labels of {pictures} would be stronger evidence ({HOW_MANY})."


def _content(found: Ranking) -> Iterator[Content]:
    yield table(
        "models",
        [
            ("model", "model"),
            ("target", "on your pictures"),
            ("top1", "in distribution"),
            ("mean_shift", "mean of shifts"),
            ("largest_loss", "largest loss"),
            ("images_per_second", "speed"),
            ("decision", "decision"),
        ],
        [_decision_row(one) for one in found.models],
        shown=len(found.models),
        file=False,
    )
    yield points(_reading(found))
    yield _all_figures(found)
    yield points(found.notes)


def _decision_row(one: RankedModel) -> list[Value]:
    speed = "-" if one.images_per_second is None else f"{one.images_per_second:,.0f}/s"
    loss = "-"
    if given(one.largest_loss):
        loss = f"{one.lost_on} {one.largest_loss.alone(signed=True, bare=True)}"
    return [
        one.model,
        _on_pictures(one),
        one.figures.get("top1", ABSENT).plus_minus(),
        one.figures.get("mean_shift", ABSENT).plus_minus(),
        loss,
        speed,
        one.decision,
    ]


def _on_pictures(one: RankedModel) -> Value:
    """Returns what labels measured on the target, marked as such, or else the estimate."""
    measured, estimate = (one.figures.get(id, ABSENT) for id in (LABELLED_ID, "target"))
    if given(measured):
        return f"{measured.with_interval()} {MEASURED}"
    return estimate if given(estimate) else "-"


def _reading(found: Ranking) -> Iterator[str]:
    cells = [_on_pictures(one) for one in found.models]
    measured = [cell for cell in cells if isinstance(cell, str) and cell.endswith(MEASURED)]
    if measured:
        yield (
            f"On your pictures, {MEASURED}: by labels of {found.target}; the range has 95 % for a "
            "number of labels that was planned."
        )
    if any(isinstance(cell, Estimate) for cell in cells):
        others = "the others are " if measured else ""
        yield (
            f"On your pictures: {others}estimated without labels of {found.target}, with the 80 % "
            "range. It does not order models."
        )
    if any(given(one.largest_loss) for one in found.models):
        yield (
            "Largest loss: points lost on the labelled shift that loses most, against the same "
            "classes in distribution."
        )
    yield "Speed: images per second while the run was measured, decoding included."
    for one in found.models:
        against = one.from_first
        if against is None or not given(against.difference):
            continue
        about = f"{found.models[0].model} minus {one.model}, {BY_ID[found.by].name}"
        if against.id == LABELLED_ID and against.difference.low is None:
            yield f"{about}: decided."
            continue
        after = ""
        if against.undone:
            after = "; it excludes zero, but not after correction for the number of models"
        change = against.difference.with_interval(signed=True)
        yield f"{about}: {change}, {kind(against)}{after}."
    if found.detectable is not None:
        limit = number(found.detectable, "points")
        yield f"These images show a difference of {limit} or more from the first (80 % power)."


def _all_figures(found: Ranking) -> Content:
    """Returns the table of everything that compares, which pages fold."""
    ids = [id for id in (*BY_ID, TARGET_ERROR) if any(id in one.figures for one in found.models)]
    if TARGET_ERROR in ids:  # stands beside the estimate
        ids.remove(TARGET_ERROR)
        ids.insert(ids.index("target") + 1, TARGET_ERROR)
    names = {id: one.name for id, one in BY_ID.items()}
    names[TARGET_ERROR] = "error of the estimate on labelled shifts"
    return table(
        "models_figures",
        [
            ("model", "model"),
            ("representation", "representation"),
            ("parameters", "parameters"),
            *((id, name) for id, name in found.facts.items()),
            *((id, names[id]) for id in ids),
        ],
        [
            [
                one.model,
                one.representation,
                one.parameters,
                *(one.facts.get(id) or "-" for id in found.facts),
                *(one.figures.get(id, "-") for id in ids),
            ]
            for one in found.models
        ],
        "All headline figures",
        shown=len(found.models),
        folded=True,
        file=False,
    )


def label_command(runs: Sequence[Run], found: Ranking) -> str:
    """Returns what to type where labels must decide between runs; empty where they need not.

    Args:
        runs: The runs.
        found: Their order.
    """
    places = [
        str(run.directory.path)
        for run in runs
        if run.directory is not None and _answers(run.report, found.target)
    ]
    undecided = any(one.decision == "undecided" for one in found.models)
    return f"tuiprobe label {shlex.join(places)}" if undecided and len(places) > 1 else ""


def _answers(report: Report, target: str) -> bool:
    """Says whether a run has answers on the pictures of a target: a head, and no stored vectors."""
    estimated = (one for part in report.parts for one in part.figures if one.role == "estimate")
    return not report.spec.get("embeddings") and any(one.data == target for one in estimated)


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
