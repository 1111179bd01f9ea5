"""Channel ablation: accuracy without the outlier channels, beside controls."""

from __future__ import annotations

from collections.abc import Iterator

from tuiprobe.probes.ablation.compute import ablations
from tuiprobe.probes.ablation.result import Ablation, ChannelAblations
from tuiprobe.probes.directions.probe import Inputs, read_inputs
from tuiprobe.probes.heads import usable_images
from tuiprobe.probes.protocol import Found, Named, Options, Probe, Subject
from tuiprobe.probes.reader import RunReader
from tuiprobe.probes.telling import several, table
from tuiprobe.results import NotRun
from tuiprobe.results.section import Code, NamedFigure, Section, Value

NAMES = {
    "before": "top-1 before",
    "after": "top-1 after",
    "difference": "change of top-1",
    "random": "top-1 without as many random channels",
    "matched": "top-1 without as many channels of nearest mean square",
}


class ChannelAblation(Probe[Inputs, ChannelAblations]):
    """What accuracy loses without the outlier channels."""

    id = "ablation"
    title = "Channel ablation"
    block = "inside"
    Result = ChannelAblations
    after = ("outliers",)

    def inputs(self, run: RunReader, options: Options, found: Found) -> Inputs | NotRun:
        """Reads head and representations; takes the outlier channels of the outlier probe."""
        return read_inputs(run, found["outliers"])

    def compute(self, inputs: Inputs, options: Options) -> ChannelAblations | NotRun:
        """Sets the channels to zero and to their mean, beside two controls."""
        kept = [usable_images(one) for one in inputs.sets]
        labelled = [one for one in kept if one.labels is not None]
        answer = ablations(inputs.head, labelled, inputs.outlying, inputs.seed)
        return answer if isinstance(answer, NotRun) else ChannelAblations(ablations=answer)

    def describe(self, result: ChannelAblations, subject: Subject) -> Section:
        """Describes the change of accuracy on every set."""
        first = result.ablations[0] if result.ablations else None
        columns = [
            ("data", "data"), ("mode", "channels are set to"), ("channels", "outlier channels"),
            *((id, name) for id, name in NAMES.items()),
        ]  # fmt: skip
        return Section(
            title=self.title,
            headline=() if first is None else tuple(_headline(first)),
            content=(table("ablation", columns, [_row(one) for one in result.ablations]),),
        )

    def named(self, result: ChannelAblations) -> Named:
        """Names the figures of every set and mode."""
        return Named(figures=tuple(_figures(result)))


def _headline(one: Ablation) -> Iterator[Value]:
    channels = several(len(one.channels), "outlier channel")
    yield f"Without its {channels} (set to {one.mode}), top-1 on "
    yield Code(code=one.data)
    yield " changes by "
    yield one.difference
    yield "."


def _row(one: Ablation) -> list[Value]:
    channels = ", ".join(str(channel) for channel in one.channels)
    return [Code(code=one.data), one.mode, channels, *(getattr(one, id) for id in NAMES)]


def _figures(result: ChannelAblations) -> Iterator[NamedFigure]:
    for one in result.ablations:
        for id, name in NAMES.items():
            yield NamedFigure(
                id=id,
                name=name,
                data=one.data,
                place=f"channels set to {one.mode}",
                figure=getattr(one, id),
            )
