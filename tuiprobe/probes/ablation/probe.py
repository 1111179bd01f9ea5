"""Channel ablation: what a head loses without the channels that stand out, beside controls."""

from __future__ import annotations

from collections.abc import Iterator

from tuiprobe.probes.ablation import TITLE
from tuiprobe.probes.ablation.compute import ablate_channels
from tuiprobe.probes.ablation.describe import NAMES, describe
from tuiprobe.probes.ablation.result import ChannelAblations
from tuiprobe.probes.channels import ChannelInputs, read_channels
from tuiprobe.probes.protocol import Found, Named, Options, Probe, Subject
from tuiprobe.probes.reader import RunReader
from tuiprobe.results import NotRun
from tuiprobe.results.base import figures_in
from tuiprobe.results.section import NamedFigure, Section


class ChannelAblation(Probe[ChannelInputs, ChannelAblations]):
    """What a head loses without the channels that stand out."""

    id = "ablation"
    title = TITLE
    block = "inside"
    Result = ChannelAblations
    after = ("outliers",)

    def inputs(self, run: RunReader, options: Options, found: Found) -> ChannelInputs | NotRun:
        """Reads head and representations; takes the channels of the outlier probe."""
        return read_channels(run, found["outliers"])

    def compute(self, inputs: ChannelInputs, options: Options) -> ChannelAblations | NotRun:
        """Sets the channels to zero and to their mean, beside three controls."""
        return ablate_channels(inputs.head, inputs.sets, inputs.chosen, inputs.seed)

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
