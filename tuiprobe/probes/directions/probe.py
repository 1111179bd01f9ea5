"""The probe of privileged directions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tuiprobe.numbers import number
from tuiprobe.probes.content import ColumnOf, heading, prose, series, several, table
from tuiprobe.probes.directions import TITLE
from tuiprobe.probes.directions.compute import probe_directions
from tuiprobe.probes.directions.result import Basis, Directions, PruningCurve
from tuiprobe.probes.heads import SetFeatures
from tuiprobe.probes.outliers.result import OutlierResult
from tuiprobe.probes.protocol import Named, Options, Probe, Results, Subject, named_figures
from tuiprobe.probes.reader import RunReader
from tuiprobe.results import NotRun
from tuiprobe.results.section import (
    Chart,
    Code,
    Content,
    Drawn,
    NamedFigure,
    RowSubject,
    Section,
    Series,
    Table,
    Text,
    Value,
)
from tuiprobe.run.checked_arrays import HeadArrays

NAMES = {
    "mean_row_cosine": "cosine of the first direction with the mean row",
    "top_share": "share of the most important direction",
    "effective_rank": "effective rank of the importances",
    "gini": "Gini of the importances",
    "outlier_share": "share on the outlier channels",
    "outlier_expected": "share on the outlier channels of a random direction",
}
PRUNED = 0.8
"""The part of the directions that the paper prunes without harm."""
SIGNATURES = ("top_share", "effective_rank", "gini")
OVERVIEW_FRACTIONS = (0.0, 0.5, 0.8, 0.9)
LEADING = 8
DRAWN = ("importance", "singular value", "principal components", "random directions")
"""Orders that a chart draws: more lines would hide each other. The tables have all."""

ROLES: dict[str, Drawn] = {
    "importance": "main",
    "singular value": "second",
    "reduced-rank regression": "third",
    "principal components": "context",
    "random directions": "control",
    "random subspace": "control",
}


@dataclass(frozen=True)
class Inputs:
    """Head, representations, and the outlier channels.

    Attributes:
        head: The linear head.
        sets: Sets of images, the in-distribution one first.
        outlying: Outlier channels on that set.
        seed: Seed of subsamples and random controls.
    """

    head: HeadArrays
    sets: list[SetFeatures]
    outlying: list[int]
    seed: int


class PrivilegedDirections(Probe[Inputs, Directions]):
    """Right singular vectors of the head, and what depends on them."""

    id = "directions"
    title = TITLE
    block = "inside"
    Result = Directions
    after = ("outliers",)

    def inputs(self, run: RunReader, options: Options, results: Results) -> Inputs | NotRun:
        """Reads head and representations; takes the outlier channels of the outlier probe."""
        if isinstance(run.head, NotRun):
            return run.head
        outliers = results["outliers"]
        channels: list[int] = []
        if isinstance(outliers, OutlierResult):
            channels = [row.channel for row in outliers.finals()[0].outlier_channels]
        return Inputs(run.head, run.head_sets, channels, run.spec.seed)

    def compute(self, inputs: Inputs, options: Options) -> Directions:
        """Computes both bases with their pruning curves."""
        return probe_directions(inputs.head, inputs.sets, inputs.outlying, seed=inputs.seed)

    def describe(self, result: Directions, subject: Subject) -> Section:
        """Describes importances, the leading directions, and pruning with its controls."""
        # The mean row, nearly all of a zero-shot head's importance, changes no answer.
        basis = next((basis for basis in reversed(result.bases) if basis.centred), None)
        headline: Text = ()
        if basis is not None:
            headline = (
                f"The first of {several(basis.rank, 'direction')} of the head has ",
                f"{basis.top_share.alone()} of the importance.",
            )
        return Section(
            title=TITLE,
            headline=headline,
            content=(
                prose(
                    "Right singular vectors of the head (", Code(code=result.head),
                    f", {result.classes} classes), and of the head without its mean row, whose "
                    "removal changes no prediction. Data: ", Code(code=result.data), ".",
                ),
                *_directions(result.bases),
                *_pruning(result.bases),
            ),
        )  # fmt: skip

    def named(self, result: Directions) -> Named:
        """Names the figures of both bases, and accuracies with most of the directions pruned."""
        figures: list[NamedFigure] = []
        for basis in result.bases:
            place = "centred W" if basis.centred else "W"
            more: dict[str, dict[str, object]] = {id: {"role": "signature"} for id in SIGNATURES}
            if basis is result.bases[0]:
                more["top_share"]["headline"] = 40
            figures += named_figures(basis, NAMES, result.data, place, more)
            for curve in basis.curves:
                near = curve.nearest(PRUNED)
                if curve.order == "importance" and abs(near.fraction - PRUNED) <= 0.02:
                    figures.append(
                        NamedFigure(
                            id="pruned_80",
                            name="top-1 with 80 % of the directions pruned",
                            data=curve.data,
                            place=place,
                            figure=near.accuracy,
                        )
                    )
        return Named(figures=tuple(figures))


def _name(basis: Basis) -> str:
    return "class weights, centred" if basis.centred else "class weights"


def _id(basis: Basis) -> str:
    return "centred" if basis.centred else "plain"


def _directions(bases: Sequence[Basis]) -> Iterator[Content]:
    """Yields the figures of both matrices, and the directions of each."""
    figures: dict[str, list[Value]] = {
        "rank": [basis.rank for basis in bases],
        "share of the most important direction": [basis.top_share for basis in bases],
        "effective rank of the importances": [basis.effective_rank for basis in bases],
        "concentration of the importances": [basis.gini for basis in bases],
        "abs(cos(first direction, mean row))": [basis.mean_row_cosine for basis in bases],
        "share on the outlier channels": [basis.outlier_share for basis in bases],
        "expected for a random direction": [basis.outlier_expected for basis in bases],
    }
    yield table(
        "both_forms_of_the_head",
        [("figure", ""), *((f"matrix_{i}", _name(basis)) for i, basis in enumerate(bases))],
        [[name, *values] for name, values in figures.items()],
        file=False,
    )
    rows: list[list[Value]] = []
    for basis in bases:
        yield _leading(basis)
        yield _importances(basis)
        shares = basis.outlier_shares or (None,) * basis.rank
        each = zip(basis.singular_values, basis.importances, shares, strict=True)
        rows += [[basis.matrix, i, *values] for i, values in enumerate(each)]
    yield table(
        "directions",
        ["matrix", "direction", ("singular_value", "singular value"), "importance",
         ("on_outlier_channels", "on outlier channels")],
        rows,
        reading=False,
    )  # fmt: skip


def _leading(basis: Basis) -> Table:
    return table(
        f"leading_{_id(basis)}",
        ["direction", ("singular_value", "strength"), "importance",
         ("on_outlier", "share on the outlier channels", "share"),
         ("channels", "channels of largest weight")],
        [
            [row.index, row.singular_value, row.importance,
             "-" if row.outlier_share is None else row.outlier_share,
             ", ".join(str(channel) for channel in row.channels)]
            for row in basis.directions
        ],
        f"The most important directions of the {_name(basis)}:",
        subjects=[
            [RowSubject(kind="direction", number=row.index, centred=basis.centred),
             *(RowSubject(kind="channel", number=channel) for channel in row.channels)]
            for row in basis.directions
        ],
        shown=LEADING,
        file=False,
    )  # fmt: skip


def _importances(basis: Basis) -> Chart:
    """Returns the share of the importance of every direction, in the order of singular values."""
    places, total = range(len(basis.importances)), sum(basis.importances)
    bars = Series(
        name="share of the importance",
        x=tuple(float(i) for i in places),
        y=tuple(importance / (total or 1.0) for importance in basis.importances),
        mark="bars",
    )
    return Chart(
        id=f"importance_{_id(basis)}",
        title=f"Importance of directions, {_name(basis)}",
        x_label="direction, by strength",
        y_label="share of the importance",
        series=(bars,),
        y_unit="share",
        ticks=tuple(str(i) for i in places),
        note=f"All together {number(total)}; shares are of this sum.",
    )


def _pruning(bases: Sequence[Basis]) -> Iterator[Content]:
    """Yields accuracy against the fraction pruned, one chart per data set, and its tables."""
    curves = [(basis, curve) for basis in bases for curve in basis.curves]
    if not curves:
        return
    yield heading("Pruning")
    yield prose(
        "Top-1 accuracy with directions pruned. Random directions show their 95 % band. Other "
        "orders are in the tables."
    )
    for basis in bases:
        for place, name in enumerate(dict.fromkeys(curve.data for curve in basis.curves)):
            yield Chart(
                id=f"pruning_{_id(basis)}_{place}",
                title=f"Pruning on {name}, {_name(basis)}",
                x_label="fraction of the rank pruned",
                y_label="top-1 accuracy",
                series=tuple(
                    _curve(curve)
                    for curve in basis.curves
                    if curve.data == name and curve.order in DRAWN
                ),
                x_unit="share",
                y_unit="share",
                folded=place > 0,
            )
    columns: list[ColumnOf] = ["data", "matrix", ("order", "kept longest"), "control"]
    about: list[list[Value]] = [
        [Code(code=curve.data), basis.matrix, curve.order, "yes" if curve.control else "no"]
        for basis, curve in curves
    ]
    yield table(
        "pruning_overview",
        [*columns, *((f"at_{part:g}", f"{part:.0%} pruned") for part in OVERVIEW_FRACTIONS)],
        [
            [*cells, *(curve.nearest(part).accuracy for part in OVERVIEW_FRACTIONS)]
            for cells, (_, curve) in zip(about, curves, strict=True)
        ],
        folded=True,
        file=False,
    )
    yield table(
        "pruning",
        [*columns, ("fraction", "pruned"), "kept", ("accuracy", "top-1")],
        [
            [*cells, point.fraction, point.kept, point.accuracy]
            for cells, (_, curve) in zip(about, curves, strict=True)
            for point in curve.points
        ],
        reading=False,
    )


def _curve(curve: PruningCurve) -> Series:
    fractions = [point.fraction for point in curve.points]
    accuracies = [point.accuracy for point in curve.points]
    return series(curve.order, accuracies, ROLES[curve.order], x=fractions)
