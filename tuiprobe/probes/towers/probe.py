"""The probe of both towers: images and class texts of a zero-shot model in one space."""

from __future__ import annotations

from collections.abc import Iterator

from tuiprobe.probes.channels import ChannelInputs, read_channels
from tuiprobe.probes.protocol import Found, Named, Options, Probe, Subject
from tuiprobe.probes.reader import RunReader
from tuiprobe.probes.towers import TITLE
from tuiprobe.probes.towers.compute import compare_towers
from tuiprobe.probes.towers.describe import HEAD_NAMES, NAMES, describe
from tuiprobe.probes.towers.result import Towers
from tuiprobe.results import Inapplicable, NotRun
from tuiprobe.results.base import figures_in
from tuiprobe.results.section import NamedFigure, Section
from tuiprobe.run.checked_arrays import HeadArrays


class BothTowers(Probe[ChannelInputs, Towers]):
    """What images and class texts of a zero-shot model share."""

    id = "towers"
    title = TITLE
    block = "inside"
    Result = Towers
    after = ("outliers",)

    def inputs(self, run: RunReader, options: Options, found: Found) -> ChannelInputs | NotRun:
        """Reads a zero-shot head and the images of every set."""
        if isinstance(run.head, HeadArrays) and not run.head.normalize:
            return Inapplicable(reason="the head is no zero-shot head: its rows are not texts")
        return read_channels(run, found["outliers"])

    def compute(self, inputs: ChannelInputs, options: Options) -> Towers | NotRun:
        """Computes the figures of the head's rows, the gap and the conformity of every set."""
        return compare_towers(inputs.head, inputs.sets, inputs.chosen, inputs.seed)

    def describe(self, result: Towers, subject: Subject) -> Section:
        """Describes what both towers share."""
        return describe(result)

    def named(self, result: Towers) -> Named:
        """Names the figures of the head's rows and of every set."""
        return Named(figures=tuple(_figures(result)))


def _figures(result: Towers) -> Iterator[NamedFigure]:
    first = result.sets[0].data
    head = dict(figures_in(result.head, "head."))
    for id, name in HEAD_NAMES.items():
        if id in head:
            yield NamedFigure(
                id=id, name=name, data=first, place="rows of the head", figure=head[id]
            )
    for one in result.sets:
        for id, figure in figures_in(one):
            yield NamedFigure(
                id=id, name=NAMES[id], data=one.data, place="both towers", figure=figure
            )
