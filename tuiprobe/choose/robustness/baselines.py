"""Which published models a run is compared with: the baselines of its shifts.

ImageNet's sets are compared with published models, those of a built-in source with the models that
it brings, anything else with nothing: accuracies of one world say nothing about another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from tuiprobe.catalog.accuracies import (
    IMAGENET,
    SHIFT_CLASS_COLUMNS,
    SHIFTS,
    ZERO_SHOT,
    ModelAccuracies,
    published_row,
)
from tuiprobe.catalog.effective_robustness import (
    BASELINES,
    ShiftFamily,
    bundled_models,
    default_target,
    fit,
    on_classes_of_shift,
)
from tuiprobe.catalog.published_models import presets, right_spec
from tuiprobe.choose.robustness.compute import Axis, Baseline, Baselines
from tuiprobe.datasets.input_tables import parse_csv
from tuiprobe.datasets.registry import SOURCES
from tuiprobe.errors import DataError, UsageError
from tuiprobe.measure.run.records import SetRecord
from tuiprobe.results import Model, NotRun


@dataclass(frozen=True)
class SetFamily:
    """A family of sets with a common in-distribution set.

    Attributes:
        id_set: What the in-distribution accuracy is called in tables.
        shifts: All its shifts, as tables call them.
        measured: Table name of each measured shift, by set name.
        source: The shift family that the source provides; None for ImageNet.
    """

    id_set: Axis
    shifts: tuple[str, ...]
    measured: Mapping[str, str]
    source: ShiftFamily | None = None


def family_of(sets: Sequence[SetRecord]) -> SetFamily | None:
    """Returns the family that the sets of a run belong to, by the first of them."""
    id_set, others = sets[0], [record for record in sets[1:] if not record.target]
    if id_set.published == IMAGENET:
        measured = {s.name: s.published for s in others if s.published in SHIFTS}
        return SetFamily("imagenet", SHIFTS, {n: p for n, p in measured.items() if p is not None})
    kind, _, set_name = id_set.source.partition(":")
    source = SOURCES.builtin(kind)  # never of another package: the run may come from someone else
    family = source.family if source is not None else None
    if family is None or set_name != family.id_set:
        return None
    names = {s.name: s.source.removeprefix(f"{kind}:") for s in others}
    known = {name: shift for name, shift in names.items() if shift in family.shifts}
    return SetFamily(cast(Axis, family.id_set), family.shifts, known, family)


def baselines_for(
    sets: Sequence[SetRecord],
    csv: str | None,
    source: str = "baseline.csv",
    pretraining: str = "",
) -> tuple[dict[str, str], Baselines]:
    """Returns which shift each set is, and all lines for them.

    Args:
        sets: The sets of the run, the in-distribution one first.
        csv: Text of the user's CSV.
        source: What names it in errors.
        pretraining: Pretraining set of the model, whose published models `zero_shot` leaves out.

    Raises:
        UsageError: If the CSV does not fit the sets or cannot be read.
    """
    family = family_of(sets)
    if family is None:
        if csv is not None:
            raise UsageError(
                f"--baseline: {sets[0].source} is not ImageNet's validation set and brings no "
                "shifts, so there is nothing to compare; name ImageNet and its shifts "
                "in a --suite"
            )
        return {}, Baselines(nothing=NotRun(reason=f"no baseline applies to {sets[0].source}"))
    if not family.measured:
        return {}, Baselines(nothing=NotRun(reason="no shift that a baseline has was measured"))
    fits: list[Baseline | NotRun] = []
    if csv is not None:  # first, so that it is the headline
        fits += _fits_of_csv(family, csv, source)
    if family.source is not None:
        for name, models in family.source.models().items():
            fits += _fits(family, name, models, family.shifts)
    else:
        for name in BASELINES:
            without = pretraining if name == ZERO_SHOT else ""
            models = bundled_models(name, without)
            fits += _fits(family, name, models, default_target(name), without)
    not_run = [one for one in fits if isinstance(one, NotRun)]
    nothing = NotRun(reason="; ".join(sorted({failure.reason for failure in not_run})))
    lines = [one for one in fits if isinstance(one, Baseline)]
    return dict(family.measured), Baselines(lines, not_run, nothing)


def _fits_of_csv(family: SetFamily, csv: str, source: str) -> list[Baseline | NotRun]:
    rows = read_baseline_csv(csv, source, family.id_set, family.shifts)
    known = [s for s in family.shifts if any(row.shifts[s] is not None for row in rows)]
    fits = [*_fits(family, "own", rows, known)]
    reasons = [one.reason for one in fits if isinstance(one, NotRun)]
    if len(reasons) == len(fits):
        raise UsageError(f"--baseline: {source} gives no line: {reasons[0]}")
    return fits


def _fits(
    family: SetFamily,
    name: str,
    models: Sequence[ModelAccuracies],
    known: Sequence[str],
    without: str = "",
) -> Iterator[Baseline | NotRun]:
    """Fits the mean of the measured shifts, each one, and each one among its classes.

    Args:
        family: The sets.
        name: Name of the baseline.
        models: Its models.
        known: Shifts on which accuracies of these models are known.
        without: Pretraining set that the models lack.
    """
    shifts = tuple(shift for shift in known if shift in family.measured.values())
    targets = [shifts, *((shift,) for shift in shifts)] if len(shifts) > 1 else [shifts]
    wanted: list[tuple[Sequence[ModelAccuracies], tuple[str, ...], Axis]] = [
        (models, target, family.id_set) for target in targets if target
    ]
    # open_clip's table has no accuracies among the classes of a shift.
    if name != ZERO_SHOT and family.id_set == "imagenet":
        wanted += [
            (on_classes_of_shift(models, shift), (shift,), "own classes")
            for shift in shifts
            if shift in SHIFT_CLASS_COLUMNS
        ]
    for rows, target, axis in wanted:
        try:
            yield Baseline(fit(name, rows, target, without), rows, axis)
        except ValueError as error:
            yield NotRun(reason=f"{name}: {error}")
    if not shifts:
        yield NotRun(reason=f"{name}: none of its shifts was measured")


def published_of(model: Model) -> ModelAccuracies | None:
    """Returns the published accuracies of a model; None for weights of the user's or none."""
    if model.weights.kind != "pretrained":
        return None
    preset = presets().get(model.name)
    name = model.name if preset is None else preset.spec
    return published_row(right_spec(name), int(model.preprocessing.size[0]))


def check_baseline(sets: Sequence[SetRecord], text: str, path: str) -> str:
    """Returns what of a user's CSV is not used, in words.

    Args:
        sets: The sets of the run, the in-distribution one first.
        text: Content of the file.
        path: Names it in errors.

    Raises:
        UsageError: If it does not fit the sets.
    """
    baselines_for(sets, text, path)
    family = family_of(sets)
    assert family is not None
    used = ("model", family.id_set, *family.shifts, *SHIFT_CLASS_COLUMNS.values())
    return parse_csv(text.encode(), path).not_used(used).in_words()


def read_baseline_csv(
    text: str, source: str, id_set: str, shifts: Sequence[str]
) -> list[ModelAccuracies]:
    """Reads one model a row from a CSV with a header.

    Args:
        text: Content of the file. Columns: `model`, the in-distribution set, any of the shifts,
            and `imagenet_on_r_classes` and the like for accuracies among the classes of a shift.
            Accuracies are fractions; empty cells are unknown; other columns are not used.
        source: Name of the file for errors.
        id_set: Column of the in-distribution accuracy, for example `imagenet`.
        shifts: Columns of the shifts.

    Raises:
        UsageError: If a column is missing or a cell is not a fraction; names line and column.
    """
    try:
        table = parse_csv(text.encode(), source)
        known = [shift for shift in shifts if table.find(shift)]
        missing = [name for name in ("model", id_set) if table.find(name) is None]
        missing += [] if known else [" or ".join(shifts)]
        if missing:
            raise UsageError(
                f"{source} lacks the column {missing[0]!r}; these sets need: model, {id_set}, and "
                f"one or more of {', '.join(shifts)}"
            )
        if not table.rows:
            raise UsageError(f"{source} holds a header and no model")
        names = table.column(table.find("model"))
        if not all(names):
            raise UsageError(f"{table.where(names.index(''))}: column 'model' is empty")
        of_classes = {s: column for s, column in SHIFT_CLASS_COLUMNS.items() if s in shifts}
        columns = {
            name: [
                table.fraction(row, name, cell) if cell else None
                for row, cell in enumerate(table.column(table.find(name)))
            ]
            for name in (id_set, *shifts, *of_classes.values())
        }
    except DataError as error:
        raise UsageError(str(error)) from error
    return [
        ModelAccuracies(
            table="own",
            model=name,
            baselines=frozenset({"own"}),
            imagenet=columns[id_set][row],
            shifts={shift: columns[shift][row] for shift in shifts},
            on_shift_classes={shift: columns[of][row] for shift, of in of_classes.items()},
        )
        for row, name in enumerate(names)
    ]
