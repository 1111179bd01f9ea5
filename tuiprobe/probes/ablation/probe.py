"""Channel ablation: what a head loses without the channels that stand out, beside controls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tuiprobe.probes.ablation import TITLE
from tuiprobe.probes.ablation.compute import ablate_channels
from tuiprobe.probes.ablation.describe import NAMES, describe
from tuiprobe.probes.ablation.result import ChannelAblations
from tuiprobe.probes.channels import Chosen, acted_on
from tuiprobe.probes.heads import SetFeatures, usable_images
from tuiprobe.probes.outliers.result import OutlierResult
from tuiprobe.probes.protocol import Found, Named, Options, Probe, Subject
from tuiprobe.probes.reader import RunReader
from tuiprobe.results import NotRun
from tuiprobe.results.base import figures_in
from tuiprobe.results.section import NamedFigure, Section
from tuiprobe.run.checked_arrays import HeadArrays


@dataclass(frozen=True)
class Inputs:
    """Head, representations of all sets, the channels, and the seed of the controls."""

    head: HeadArrays
    sets: list[SetFeatures]
    chosen: Chosen
    seed: int


class ChannelAblation(Probe[Inputs, ChannelAblations]):
    """What a head loses without the channels that stand out."""

    id = "ablation"
    title = TITLE
    block = "inside"
    Result = ChannelAblations
    after = ("outliers",)

    def inputs(self, run: RunReader, options: Options, found: Found) -> Inputs | NotRun:
        """Reads head and representations; takes the channels of the outlier probe."""
        if isinstance(run.head, str):
            return NotRun(reason=run.head)
        outliers = found["outliers"]
        if not isinstance(outliers, OutlierResult):
            return NotRun(reason="there are no outlier figures")
        return Inputs(run.head, run.head_sets, acted_on(outliers), run.spec.seed)

    def compute(self, inputs: Inputs, options: Options) -> ChannelAblations | NotRun:
        """Sets the channels to zero and to their mean, beside three controls."""
        kept = [usable_images(one) for one in inputs.sets]
        return ablate_channels(inputs.head, kept, inputs.chosen, inputs.seed)

    def describe(self, result: ChannelAblations, subject: Subject) -> Section:
        """Describes the changes on every set."""
        return describe(result)

    def named(self, result: ChannelAblations) -> Named:
        """Names the figures of every set and mode."""
        return Named(figures=tuple(_figures(result)))


def _figures(result: ChannelAblations) -> Iterator[NamedFigure]:
    for one in result.ablations:
        for id, figure in figures_in(one):
            yield NamedFigure(
                id=id,
                name=NAMES[id],
                data=one.data,
                place=f"channels set to {one.mode}",
                figure=figure,
            )
