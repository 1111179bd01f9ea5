"""The probe of privileged directions: what it reads, and its description."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tuiprobe.inside.directions.compute import Basis, Directions, probe_directions
from tuiprobe.inside.outliers.result import OutlierResult
from tuiprobe.measure.arrays.head_arrays import SetFeatures
from tuiprobe.measure.run.arrays import HeadArrays
from tuiprobe.numbers import number
from tuiprobe.probes import BUILT_IN
from tuiprobe.probes.content import heading, prose, series, table
from tuiprobe.probes.protocol import Named, Options, Probe, Results, Subject
from tuiprobe.probes.reader import RunReader
from tuiprobe.results import NotRun
from tuiprobe.results.figures import Fig, declared, named_figures
from tuiprobe.results.section import (
    Chart,
    Code,
    RowSubject,
    Section,
    SectionContent,
    Series,
    SeriesRole,
    Table,
    Text,
)

PRUNED = 0.8
"""The part of the directions that the paper prunes without harm."""


PRUNED_TO_FIFTH = Fig("pruned_80", "top-1 with 80 % of the directions pruned", "pruning")


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
    title = BUILT_IN["directions"].title
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
        if basis is not None and basis.rank > 1:
            most = basis.directions[0].index
            head = "the head without its mean row"
            which = f"The first of {basis.rank:,} directions of {head}"
            if most:
                which = f"Direction {most}, the most important of {basis.rank:,} of {head},"
            headline = (f"{which} has ", f"{basis.top_share.point()} of the importance.")
        return Section(
            title=self.title,
            tab="directions",
            headline=headline,
            card=(),
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
        """Names what is declared, and accuracies with most of the directions pruned."""
        pruned = [
            PRUNED_TO_FIFTH.named(near.accuracy, curve.data, basis.place)
            for basis in result.bases
            for curve in basis.curves
            if curve.order == "importance"
            and abs((near := curve.nearest(PRUNED)).fraction - PRUNED) <= 0.02
        ]
        return Named(figures=(*named_figures(result), *pruned))


LEADING = 8


DRAWN: dict[str, SeriesRole] = {
    "importance": "main",
    "singular value": "second",
    "principal components": "context",
    "random directions": "control",
}
"""How a chart draws each order."""


def _name(basis: Basis) -> str:
    return "class weights, centred" if basis.centred else "class weights"


def _id(basis: Basis) -> str:
    return "centred" if basis.centred else "plain"


def _directions(bases: Sequence[Basis]) -> Iterator[SectionContent]:
    """Yields the figures of both matrices, and the directions of each."""
    yield table(
        "both_forms_of_the_head",
        [("figure", ""), *((f"matrix_{i}", _name(basis)) for i, basis in enumerate(bases))],
        [
            ["rank", *(basis.rank for basis in bases)],
            *([fig.name, *(getattr(basis, field) for basis in bases)]
              for field, fig in declared(Basis).items()),
        ],
        file=False,
    )  # fmt: skip
    for basis in bases:
        yield _leading(basis)
        yield _importances(basis)


def _leading(basis: Basis) -> Table:
    return table(
        f"leading_{_id(basis)}",
        ["direction", ("singular_value", "strength"), "importance",
         ("on_outlier", "share on the outlier channels", "share"),
         ("channels", "channels of largest weight")],
        [
            [row.index, row.singular_value, row.importance,
             row.outlier_share,
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
    indices, total = range(len(basis.importances)), sum(basis.importances)
    bars = Series(
        name="share of the importance",
        x=tuple(float(i) for i in indices),
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
        ticks=tuple(str(i) for i in indices),
        note=f"All together {number(total)}; shares are of this sum.",
    )


def _pruning(bases: Sequence[Basis]) -> Iterator[SectionContent]:
    """Yields accuracy against the fraction pruned, one chart per data set, and its tables."""
    curves = [(basis, curve) for basis in bases for curve in basis.curves]
    if not curves:
        return
    yield heading("Pruning")
    yield prose("Top-1 accuracy with directions pruned. Random directions show their 95 % band.")
    for basis in bases:
        for index, name in enumerate(dict.fromkeys(curve.data for curve in basis.curves)):
            yield Chart(
                id=f"pruning_{_id(basis)}_{index}",
                title=f"Pruning on {name}, {_name(basis)}",
                x_label="fraction of the rank pruned",
                y_label="top-1 accuracy",
                series=tuple(
                    series(
                        curve.order,
                        [point.accuracy for point in curve.points],
                        DRAWN[curve.order],
                        x=[point.fraction for point in curve.points],
                    )
                    for curve in basis.curves
                    if curve.data == name
                ),
                x_unit="share",
                y_unit="share",
                folded=index > 0,
            )
    yield table(
        "pruning",
        ["data", "matrix", ("order", "kept longest"), "control", ("fraction", "pruned"), "kept",
         ("accuracy", "top-1")],
        [
            [Code(code=curve.data), basis.matrix, curve.order, "yes" if curve.control else "no",
             point.fraction, point.kept, point.accuracy]
            for basis, curve in curves
            for point in curve.points
        ],
        reading=False,
    )  # fmt: skip
