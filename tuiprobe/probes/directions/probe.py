"""The probe of privileged directions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tuiprobe.probes.directions import TITLE
from tuiprobe.probes.directions.compute import probe_directions
from tuiprobe.probes.directions.describe import describe
from tuiprobe.probes.directions.result import Basis, Directions
from tuiprobe.probes.heads import SetFeatures
from tuiprobe.probes.outliers.result import OutlierResult
from tuiprobe.probes.protocol import Found, Named, Options, Probe, Subject
from tuiprobe.probes.reader import RunReader
from tuiprobe.results import NotRun
from tuiprobe.results.base import figures_in
from tuiprobe.results.section import NamedFigure, Section
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

    def inputs(self, run: RunReader, options: Options, found: Found) -> Inputs | NotRun:
        """Reads head and representations; takes the outlier channels of the outlier probe."""
        if isinstance(run.head, str):
            return NotRun(reason=run.head)
        outliers = found["outliers"]
        channels: list[int] = []
        if isinstance(outliers, OutlierResult):
            channels = [one.channel for one in outliers.finals()[0].outlier_channels]
        return Inputs(run.head, run.head_sets, channels, run.spec.seed)

    def compute(self, inputs: Inputs, options: Options) -> Directions:
        """Computes both bases with their pruning curves."""
        return probe_directions(inputs.head, inputs.sets, inputs.outlying, seed=inputs.seed)

    def describe(self, result: Directions, subject: Subject) -> Section:
        """Describes importances, the leading directions, and pruning."""
        return describe(result)

    def named(self, result: Directions) -> Named:
        """Names the figures of both bases."""
        return Named(figures=tuple(_figures(result)))


def _figures(result: Directions) -> Iterator[NamedFigure]:
    for number, basis in enumerate(result.bases):
        for id, figure in figures_in(basis):
            yield NamedFigure(
                id=id,
                name=NAMES.get(id, id),
                data=result.data,
                place="centred W" if basis.centred else "W",
                figure=figure,
                headline=40 if number == 0 and id == "top_share" else None,
                role="signature" if id in SIGNATURES else None,
            )
        yield from _pruned(basis)


def _pruned(basis: Basis) -> Iterator[NamedFigure]:
    """Yields the accuracy of each set with most of the directions pruned by importance."""
    for curve in basis.curves:
        if curve.order == "importance":
            near = min(curve.points, key=lambda point: abs(point.fraction - PRUNED))
            if abs(near.fraction - PRUNED) <= 0.02:
                yield NamedFigure(
                    id="pruned_80",
                    name="top-1 with 80 % of the directions pruned",
                    data=curve.data,
                    place="centred W" if basis.centred else "W",
                    figure=near.accuracy,
                )
