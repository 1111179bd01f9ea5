"""The probe of privileged directions."""

from __future__ import annotations

from dataclasses import dataclass

from tuiprobe.probes import BUILT_IN
from tuiprobe.probes.directions.compute import probe_directions
from tuiprobe.probes.directions.describe import describe
from tuiprobe.probes.directions.result import Directions
from tuiprobe.probes.heads import SetFeatures
from tuiprobe.probes.outliers.result import OutlierResult
from tuiprobe.probes.protocol import Named, Options, Probe, Results, Subject
from tuiprobe.probes.reader import RunReader
from tuiprobe.results import NotRun
from tuiprobe.results.figures import Fig, named_figures
from tuiprobe.results.section import Section
from tuiprobe.run.checked_arrays import HeadArrays

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
        return describe(result)

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
