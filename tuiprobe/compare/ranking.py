"""Three or more models in one ranked table."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tuiprobe.compare.describe import kind
from tuiprobe.compare.differences import Difference, Run, difference, images_of, read_run
from tuiprobe.compare.holm import LEVEL, holm, p_value
from tuiprobe.compare.paired import Pairing
from tuiprobe.files import Entry
from tuiprobe.probes.telling import points, table
from tuiprobe.report.markdown import section_markdown
from tuiprobe.results import Figure, Frozen, Report, given
from tuiprobe.results.headlines import BY_ID, TARGET_ERROR
from tuiprobe.results.report import ABSENT
from tuiprobe.results.section import Content, NamedFigure, Section, Text, Value
from tuiprobe.run.directory import RunDir

RANKED_BY: Final = ("target", "mean_shift", "top1")
"""Ids of what models are ranked by: the first that at least two of them have."""


class RankedModel(Frozen):
    """One row of the table.

    Attributes:
        model: Name of the model, with what a reader must know about its figures.
        representation: Kind of its representation.
        parameters: Of the visual tower.
        images_per_second: While it was measured; None where that is not known.
        facts: Findings of one word, by id.
        figures: Headline figures, and the error of the estimate, by id.
        from_first: First model minus this one by the figure of the ranking; None for the first.
    """

    model: str
    representation: str
    parameters: int
    images_per_second: float | None
    facts: dict[str, str]
    figures: dict[str, Figure]
    from_first: Difference | None = None


class Ranking(Frozen):
    """Models in the order of a figure.

    Attributes:
        by: Id of the figure; empty where fewer than two models have one of `RANKED_BY`.
        data: The set that the figure is of.
        models: The best first; those without the figure at the end.
        facts: Names of the findings by id.
        notes: What weakens the comparison.
    """

    by: str
    data: str
    models: tuple[RankedModel, ...]
    facts: dict[str, str]
    notes: tuple[str, ...]


def rank(runs: Sequence[Run]) -> Ranking:
    """Ranks runs by the estimate on the first target set, else mean of shifts, else top-1.

    Args:
        runs: Two or more. Whether a model is told apart from the first is corrected for the number
            of models (Holm).
    """
    by, data = _question(runs)
    told = [(run, run.report.headline(by, data)) for run in runs]
    known = [(run, one) for run, one in told if one is not None and given(one.figure)]
    known.sort(key=lambda pair: -_value(pair[1]))
    rest = [run for run, one in told if one is None or not given(one.figure)]
    against = _corrected([_against(known[0], one) for one in known[1:]])
    models = [_row(run, None) for run, _ in known[:1]]
    models += [_row(run, one) for (run, _), one in zip(known[1:], against, strict=True)]
    return Ranking(
        by=by,
        data=data,
        models=(*models, *(_row(run, None) for run in rest)),
        facts={one.id: one.name for run in runs for part in run.report.parts for one in part.facts},
        notes=tuple(_notes(runs)),
    )


def _question(runs: Sequence[Run]) -> tuple[str, str]:
    for id in RANKED_BY:
        found = [one for run in runs if (one := run.report.headline(id)) is not None]
        places = [one.data for one in found if given(one.figure)]
        for data in dict.fromkeys(places):
            if places.count(data) > 1:
                return id, data
    return "", ""


def _value(one: NamedFigure) -> float:
    return one.figure.value if given(one.figure) else float("-inf")


def _against(first: tuple[Run, NamedFigure], other: tuple[Run, NamedFigure]) -> Difference:
    """Returns the first model minus another by the figure of the ranking."""
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


def _row(run: Run, against: Difference | None) -> RankedModel:
    report = run.report
    ids = (*BY_ID, TARGET_ERROR)
    found = {id: report.headline(id) for id in BY_ID}
    figures = {id: one.figure for id, one in found.items() if one is not None}
    target = found["target"]
    error = report.figure(TARGET_ERROR) if target is not None else ABSENT
    if given(error):
        figures[TARGET_ERROR] = error
    return RankedModel(
        model=_called(report),
        representation=report.model.representation,
        parameters=report.model.parameters,
        images_per_second=report.timings.images_per_second,
        facts={one.id: one.value for part in report.parts for one in part.facts},
        figures={id: figures[id] for id in ids if id in figures},
        from_first=against,
    )


def _called(report: Report) -> str:
    partial = "PARTIAL: " if report.partial else ""
    untrained = "UNTRAINED network " if report.model.weights.kind == "untrained" else ""
    return f"{partial}{untrained}{report.model.name}"


def describe_ranking(found: Ranking) -> Section:
    """Describes a ranking: by what, who is not told apart, and the table."""
    return Section(title="Models", headline=_sentence(found), content=tuple(_content(found)))


def _sentence(found: Ranking) -> Text:
    if not found.by:
        return ("Not ranked: no two models have accuracies on the same set.",)
    first, *others = found.models
    text: list[Value] = [f"Ranked by {BY_ID[found.by].name} on {found.data}"]
    if found.by == "target":
        text.append(", estimated without labels")
        if not any(TARGET_ERROR in one.figures for one in found.models):
            text.append("; how wrong that is was not checked on any labelled shift")
    text.append(". ")
    told = [one for one in others if one.from_first is not None]
    alike = [one for one in told if not (one.from_first and one.from_first.differs)]
    if not alike:
        return (*text, f"{first.model} is told apart from all others by it.")
    names = ", ".join(f"{one.model} ({kind(one.from_first)})" for one in alike if one.from_first)
    return (*text, f"{first.model} is not told apart by it from {names}.")


def _content(found: Ranking) -> Iterator[Content]:
    ids = [id for id in (*BY_ID, TARGET_ERROR) if any(id in one.figures for one in found.models)]
    if TARGET_ERROR in ids:  # stands beside the estimate
        ids.remove(TARGET_ERROR)
        ids.insert(ids.index("target") + 1, TARGET_ERROR)
    names = {id: one.name for id, one in BY_ID.items()}
    names[TARGET_ERROR] = "error of the estimate on labelled shifts"
    columns: list[tuple[str, Value | tuple[Value, ...]]] = [
        ("model", "model"),
        ("representation", "representation"),
        ("parameters", "parameters"),
        ("images_per_second", "images/s"),
        *((id, name) for id, name in found.facts.items()),
        *((id, names[id]) for id in ids),
        ("from_first", "first minus this one"),
        ("interval", "interval"),
    ]
    rows: list[list[Value]] = []
    for one in found.models:
        speed = one.images_per_second
        row: list[Value] = [one.model, one.representation, one.parameters]
        row += ["-" if speed is None else round(speed)]
        row += [one.facts.get(id) or "-" for id in found.facts]
        row += [one.figures.get(id, ABSENT) if id in one.figures else "-" for id in ids]
        against = one.from_first
        row += ["-", "-"] if against is None else [against.difference, kind(against)]
        rows.append(row)
    yield table("models", columns, rows, shown=len(rows), file=False)
    yield points(found.notes)


def _notes(runs: Sequence[Run]) -> Iterator[str]:
    reports = [run.report for run in runs]
    yield "Parentheses are 95 % intervals."
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
        for part in report.parts:
            if part.not_run is not None:
                why = report.why_not(part.probe)
                yield f"{report.model.name}: {part.title.lower()}: not run: {why}"


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
    """Writes the table of finished runs, named by their keys; returns its path and its text.

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
    text = section_markdown(describe_ranking(rank(runs)))
    if gaps:
        missing = Section(title="Not measured", headline=(), content=(points(gaps),))
        text += "\n" + section_markdown(missing)
    file.write_text(text)
    return file.path, text
