"""The ablation probe: what it reads, and its description."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tuiprobe.inside.ablation.compute import (
    WHY,
    Ablation,
    ChannelAblations,
    Chosen,
    ablate_channels,
    acted_on,
)
from tuiprobe.inside.outliers.result import OutlierResult
from tuiprobe.measure.arrays.head_arrays import SetFeatures, usable_images
from tuiprobe.measure.run.arrays import HeadArrays
from tuiprobe.numbers import number
from tuiprobe.probes import BUILT_IN
from tuiprobe.probes.content import bullets, channels_in_words, table
from tuiprobe.probes.protocol import Options, Probe, Results, Subject
from tuiprobe.probes.reader import RunReader
from tuiprobe.results import NotRun, is_known
from tuiprobe.results.figures import columns, declared, named_figures
from tuiprobe.results.section import Code, Section, Value


@dataclass(frozen=True)
class ChannelInputs:
    """A head, the usable images of every set, the channels to act on, and the seed of controls."""

    head: HeadArrays
    sets: list[SetFeatures]
    chosen: Chosen
    seed: int


class ChannelAblation(Probe[ChannelInputs, ChannelAblations]):
    """What a head loses without the channels that stand out."""

    id = "ablation"
    title = BUILT_IN["ablation"].title
    block = "inside"
    Result = ChannelAblations
    after = ("outliers",)

    def inputs(self, run: RunReader, options: Options, results: Results) -> ChannelInputs | NotRun:
        """Reads head and representations; takes the channels of the outlier probe."""
        outliers = results["outliers"]
        if isinstance(run.head, NotRun):
            return run.head
        if not isinstance(outliers, OutlierResult):
            return NotRun(reason="there are no outlier figures")
        sets = [usable_images(images) for images in run.head_sets]
        return ChannelInputs(run.head, sets, acted_on(outliers.finals()[0]), run.spec.seed)

    def compute(self, inputs: ChannelInputs, options: Options) -> ChannelAblations | NotRun:
        """Sets the channels to zero and to their mean, and does the same to three controls."""
        return ablate_channels(inputs.head, inputs.sets, inputs.chosen, inputs.seed)

    def describe(self, result: ChannelAblations, subject: Subject) -> Section:
        """Describes the changes on every set, and what they are compared with."""
        channels = channels_in_words(result.channels, 3)
        zero, mean = (_largest_loss(result, mode) for mode in ("zero", "mean"))
        sentence = f"{channels[0].upper()}{channels[1:]} set to zero: {zero}; set to their mean: "
        sentence += f"{mean}."
        return Section(
            title=self.title,
            headline=(sentence,),
            card=(),
            content=(
                bullets(_explanations(result)),
                table(
                    "ablation",
                    ["data", ("mode", "channels are set to"),
                     *columns(Ablation, *declared(Ablation))],
                    [[Code(code=row.data), row.mode, *(one.figure for one in named_figures(row))]
                     for row in result.ablations],
                ),
            ),
        )  # fmt: skip


def _largest_loss(result: ChannelAblations, mode: str) -> str:
    """Returns the largest loss of a mode, or that none lies beyond what controls lose."""
    losses = [row for row in result.ablations if row.mode == mode and _beyond_controls(row)]
    if not losses:
        return "no more than random ones"
    worst = min(losses, key=lambda row: row.difference.value if is_known(row.difference) else 0.0)
    energy = result.matched_energy
    others = "the next highest" if energy < 1 else "others"
    return (
        f"{worst.difference.point(signed=True)} on {worst.data} (random "
        f"{worst.random_difference.point(signed=True, bare=True)}; {others} in energy, "
        f"{number(energy, 'share', 0.0, 0.1)} of it, "
        f"{worst.matched_difference.point(signed=True, bare=True)})"
    )


def _beyond_controls(row: Ablation) -> bool:
    """Returns whether a set loses more than nearly all random choices of channels cost it."""
    loss, random = row.difference, row.random_difference
    if not is_known(loss) or not is_known(random) or random.low is None:
        return False
    return loss.value < random.low


def _explanations(result: ChannelAblations) -> Iterator[Value | tuple[Value, ...]]:
    yield (f"Ablated: {channels_in_words(result.channels, 16)} ({WHY[result.why]}). Their means "
           "are those of ", Code(code=result.mean_of), ", for every set.")  # fmt: skip
    yield (
        f"Channels of nearest energy: {channels_in_words(result.matched, 16)}, which hold ",
        result.matched_energy,
        " times the energy of the ablated ones.",
    )
