"""Which model to take: the table of several, in the order of what was measured, or in none."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Literal

from tuiprobe.compare.describe import kind
from tuiprobe.compare.differences import Difference, Run, difference, images_of, read_run
from tuiprobe.compare.holm import LEVEL, detectable, holm, p_value
from tuiprobe.compare.paired import Pairing
from tuiprobe.files import Entry
from tuiprobe.numbers import number
from tuiprobe.probes.telling import listed, points, several, table
from tuiprobe.report.markdown import section_markdown
from tuiprobe.report.terminal import section_text
from tuiprobe.results import Figure, Frozen, Report, given
from tuiprobe.results.base import Real
from tuiprobe.results.headlines import BY_ID, TARGET_ERROR
from tuiprobe.results.report import ABSENT
from tuiprobe.results.section import Content, NamedFigure, Section, Value
from tuiprobe.run.directory import RunDir

ORDERED_BY: Final = ("mean_shift",)
"""Ids of what models are ordered by, the best evidence first: figures that labels measured.

An estimate without labels is none of them, nor is accuracy in distribution: both have ordered
models wrongly, the latter backwards.
"""

MARGIN: Final = 0.02
"""Models are as good as each other if the interval of their difference lies within this."""

LABELS: Final = "about 50 for a difference of 11 points, more for less"
"""How many labelled pictures tell two models apart."""

Decision = Literal["take", "as good", "behind", "undecided"]


class RankedModel(Frozen):
    """One row of the table.

    Attributes:
        model: Name of the model, with what a reader must know about its figures.
        representation: Kind of its representation.
        parameters: Of the visual tower.
        images_per_second: While it was measured; None where that is not known.
        device: What it was measured on.
        facts: Findings of one word, by id.
        figures: Headline figures, and the error of the estimate, by id.
        largest_loss: Accuracy on the labelled shift that loses most, less that in distribution.
        lost_on: That shift; empty without.
        from_first: First model minus this one by the figure of the order; None for the first.
        decision: `take` it; `as good` as the best within `MARGIN`; `behind` it; or `undecided`.
    """

    model: str
    representation: str
    parameters: int
    images_per_second: float | None
    device: str
    facts: dict[str, str]
    figures: dict[str, Figure]
    largest_loss: Figure
    lost_on: str
    from_first: Difference | None = None
    decision: Decision = "undecided"


class Ranking(Frozen):
    """Models in the order of a figure, and which to take.

    Attributes:
        by: Id of the figure; empty where no two models have one of `ORDERED_BY` of the same sets.
        data: The set that the figure is of.
        sets: Number of the labelled shifts that it is the mean of; 0 where that is not known.
        target: The first set without labels, whose pictures could be labelled; empty without.
        models: In order; those without the figure at the end. Without a figure as they were given.
        detectable: Smallest difference from the first that shows in 80 % of such samples of images.
        facts: Names of the findings by id.
        notes: What weakens the comparison.
    """

    by: str
    data: str
    sets: int
    target: str
    models: tuple[RankedModel, ...]
    detectable: Real | None
    facts: dict[str, str]
    notes: tuple[str, ...]


def rank(runs: Sequence[Run]) -> Ranking:
    """Orders runs by what labels measured, and decides which to take.

    Args:
        runs: Two or more. Whether a model is told apart from the first is corrected for the number
            of models (Holm).
    """
    by, ordered = _question(runs)
    rest = [run for run in runs if not any(run is one for one, _ in ordered)]
    against = _corrected([_against(ordered[0], one) for one in ordered[1:]])
    models = [_row(run, None) for run, _ in ordered[:1]]
    models += [_row(run, one) for (run, _), one in zip(ordered[1:], against, strict=True)]
    first = ordered[0][1] if ordered else None
    limits = [
        limit
        for one in against
        if given(one.difference)
        if (limit := detectable(one.difference, len(against))) is not None
    ]
    return Ranking(
        by=by,
        data=first.data if first is not None else "",
        sets=len(first.mean_of.sets) if first is not None and first.mean_of is not None else 0,
        target=next((one.name for run in runs for one in run.report.data if one.target), ""),
        models=(*_decided(models), *(_row(run, None) for run in rest)),
        detectable=max(limits, default=None),
        facts={one.id: one.name for run in runs for part in run.report.parts for one in part.facts},
        notes=tuple(_notes(runs)),
    )


def _question(runs: Sequence[Run]) -> tuple[str, list[tuple[Run, NamedFigure]]]:
    """Returns the id of what models are ordered by, and those that have it, the best first."""
    for id in ORDERED_BY:
        found = [
            (run, one)
            for run in runs
            if (one := run.report.headline(id)) is not None and given(one.figure)
        ]
        counts = Counter(_about(one) for _, one in found)
        for about, count in counts.most_common(1):
            if count > 1:
                same = [pair for pair in found if _about(pair[1]) == about]
                return id, sorted(same, key=lambda pair: -_value(pair[1]))
    return "", []


def _about(one: NamedFigure) -> tuple[str, ...]:
    """Returns the sets that a figure is of: means over other shifts do not compare."""
    return one.data, *(one.mean_of.sets if one.mean_of is not None else ())


def _value(one: NamedFigure) -> float:
    return one.figure.value if given(one.figure) else float("-inf")


def _against(first: tuple[Run, NamedFigure], other: tuple[Run, NamedFigure]) -> Difference:
    """Returns the first model minus another by the figure of the order."""
    ours, theirs = other[1], first[1]
    paired = Pairing(other[0].images, first[0].images).difference(ours, theirs)
    return Difference(
        probe="",
        data=ours.data,
        place=ours.place,
        id=ours.id,
        name=BY_ID[ours.id].name,
        first=ours.figure,
        second=theirs.figure,
        difference=paired or difference(ours.figure, theirs.figure),
        paired=paired is not None,
        differs=None,
    )


def _corrected(found: list[Difference]) -> list[Difference]:
    ps = [p_value(one.difference) if given(one.difference) else None for one in found]
    adjusted = iter(holm([p for p in ps if p is not None]))
    settled = []
    for one, p in zip(found, ps, strict=True):
        q = None if p is None else next(adjusted)
        differs = None if q is None else q < LEVEL
        settled.append(one.model_copy(update={"p": q, "differs": differs}))
    return settled


def _decided(models: Sequence[RankedModel]) -> list[RankedModel]:
    """Returns the ordered models with the decision about each."""
    if not models:
        return []
    decisions: list[Decision] = ["as good", *(_beside(one.from_first) for one in models[1:])]
    if "undecided" in decisions:
        decisions[0] = "undecided"
    else:
        equal = [i for i, one in enumerate(decisions) if one == "as good"]
        costs = dict(zip(equal, _costs([models[i] for i in equal]), strict=True))
        decisions[min(equal, key=costs.__getitem__)] = "take"
    return [
        one.model_copy(update={"decision": decision})
        for one, decision in zip(models, decisions, strict=True)
    ]


def _beside(found: Difference | None) -> Decision:
    """Returns the decision about a model from the difference of the first one from it."""
    change = found.difference if found is not None else None
    if found is None or change is None or not given(change) or change.high is None:
        return "undecided"
    if change.low is not None and change.low >= -MARGIN and change.high <= MARGIN:
        return "as good"
    return "behind" if found.differs else "undecided"


def _costs(models: Sequence[RankedModel]) -> list[float]:
    """Returns what each model costs: time an image on one device, and else its parameters."""
    speeds = [one.images_per_second for one in models]
    timed = len({one.device for one in models}) == 1 and all(speeds)
    return [1 / one for one in speeds if one] if timed else [float(m.parameters) for m in models]


def _row(run: Run, against: Difference | None) -> RankedModel:
    report = run.report
    ids = (*BY_ID, TARGET_ERROR)
    found = {id: report.headline(id) for id in BY_ID}
    figures = {id: one.figure for id, one in found.items() if one is not None}
    target = found["target"]
    error = report.figure(TARGET_ERROR) if target is not None else ABSENT
    if given(error):
        figures[TARGET_ERROR] = error
    lost_on, loss = _largest_loss(report)
    return RankedModel(
        model=_called(report),
        representation=report.model.representation,
        parameters=report.model.parameters,
        images_per_second=report.timings.images_per_second,
        device=report.fingerprint.device,
        facts={one.id: one.value for part in report.parts for one in part.facts},
        figures={id: figures[id] for id in ids if id in figures},
        largest_loss=loss,
        lost_on=lost_on,
        from_first=against,
    )


def _largest_loss(report: Report) -> tuple[str, Figure]:
    """Returns the labelled shift that loses most against the same classes in distribution."""
    own = report.figure("top1")
    losses = {}
    for part in report.parts:
        for one in part.figures:
            if one.id == "top1" and one.headline is not None and given(one.figure):
                same = report.figure("id_own_classes", one.data)
                change = difference(same if given(same) else own, one.figure)
                if given(change):
                    losses[one.data] = change
    shifts = list(losses)[1:]  # the first set is in distribution
    worst = min(shifts, key=lambda name: losses[name].value, default=None)
    return ("", ABSENT) if worst is None else (worst, losses[worst])


def _called(report: Report) -> str:
    partial = "PARTIAL: " if report.partial else ""
    untrained = "UNTRAINED network " if report.model.weights.kind == "untrained" else ""
    return f"{partial}{untrained}{report.model.name}"


def describe_ranking(found: Ranking) -> Section:
    """Describes which model to take and why, the table, and all figures of each model."""
    return Section(
        title="Models", headline=(_sentence(found),), content=tuple(_content(found))
    )  # fmt: skip


def _sentence(found: Ranking) -> str:
    pictures = f"pictures of {found.target}" if found.target else "some of your own pictures"
    if not found.by:
        return (
            f"Undecided: label {pictures} ({LABELS}). No two of these models have a measured mean "
            "over the same labelled shifts, and neither estimates without labels nor accuracy in "
            "distribution order models."
        )
    over = f"{several(found.sets, 'labelled shift')}" if found.sets else "labelled shifts"
    ordered = [one for one in found.models if found.by in one.figures]
    best = ordered[0]
    names = [one.model for one in ordered if one.decision == "undecided"]
    if names:
        return (
            f"Undecided between {listed(names)}: on the mean of {over} they are neither told "
            f"apart from {best.model} nor within {number(MARGIN, 'points')} of it. Label "
            f"{pictures} ({LABELS})."
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


def _stronger(found: Ranking, pictures: str) -> str:
    if not found.target:
        return ""
    return f" Labels of {pictures} would be stronger evidence ({LABELS})."


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
    target = one.figures.get("target", ABSENT)
    return [
        one.model,
        target if given(target) else "-",
        one.figures.get("top1", ABSENT).plus_minus(),
        one.figures.get("mean_shift", ABSENT).plus_minus(),
        loss,
        speed,
        one.decision,
    ]


def _reading(found: Ranking) -> Iterator[str]:
    if any(given(one.figures.get("target", ABSENT)) for one in found.models):
        yield (
            f"On your pictures: estimated without labels of {found.target}, with the 80 % range. "
            "It does not order models."
        )
    if any(given(one.largest_loss) for one in found.models):
        yield (
            "Largest loss: points lost on the labelled shift that loses most, against the same "
            "classes in distribution."
        )
    yield "Speed: images per second while the run was measured, decoding included."
    for one in found.models:
        against = one.from_first
        if against is not None and given(against.difference):
            after = ""
            if against.undone:
                after = "; it excludes zero, but not after correction for the number of models"
            yield (
                f"{found.models[0].model} minus {one.model}, {BY_ID[found.by].name}: "
                f"{against.difference.with_interval(signed=True)}, {kind(against)}{after}."
            )
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


def _notes(runs: Sequence[Run]) -> Iterator[str]:
    reports = [run.report for run in runs]
    yield "± and all other parentheses are 95 % intervals."
    if len({one.model.representation for one in reports}) > 1:
        yield "Kurtosis and heights compare only within one kind of representation."
    for run in runs[1:]:
        if not _saw_the_same(runs[0], run):
            images = ", ".join(f"{one.measured} of {one.name}" for one in run.report.data)
            yield f"{run.report.model.name} saw other images: {images}"
    for report in reports:
        for one in report.data:
            if one.nonfinite:
                yield (
                    f"{report.model.name}: {one.nonfinite} of {one.measured} images of {one.name} "
                    "are left out, because their representation is not finite"
                )
    lost: dict[str, list[str]] = {}
    for report in reports:
        for part in report.parts:
            if part.not_run is not None:
                why = f"{part.title.lower()}: not run: {report.why_not(part.probe)}"
                lost.setdefault(why, []).append(report.model.name)
    yield from (f"{listed(names)}: {why}" for why, names in lost.items())


def _saw_the_same(first: Run, other: Run) -> bool:
    """Returns whether two runs saw the same images, by contents where both know them."""
    if list(map(images_of, first.report.data)) != list(map(images_of, other.report.data)):
        return False
    for one in first.report.data:
        ours, theirs = first.images.get(one.name), other.images.get(one.name)
        if ours is None or theirs is None:
            continue
        if ours.contents and theirs.contents:
            same = ours.contents == theirs.contents
        else:  # lists of different lengths tell nothing: images may be left out
            same = ours.samples == theirs.samples or len(ours.ids) != len(theirs.ids)
        if not same:
            return False
    return True


def write_ranking(
    directories: Sequence[RunDir], place: Path, gaps: Sequence[str] = ()
) -> tuple[Path, str]:
    """Writes the table of finished runs, named by their keys.

    Returns its path, and the same as text for a terminal.

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
    sections = [describe_ranking(rank(runs))]
    if gaps:
        sections.append(Section(title="Not measured", headline=(), content=(points(gaps),)))
    file.write_text("\n".join(map(section_markdown, sections)))
    return file.path, "".join(map(section_text, sections))
