"""The probe of both towers: images and class texts of a zero-shot model in one space."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from tuiprobe.numbers import number
from tuiprobe.probes.channels import WHY, ChannelInputs, read_channels
from tuiprobe.probes.content import channels_in_words, points, several, table
from tuiprobe.probes.protocol import Named, Options, Probe, Results, Subject, named_figures
from tuiprobe.probes.reader import RunReader
from tuiprobe.probes.towers import TITLE
from tuiprobe.probes.towers.compute import compare_towers
from tuiprobe.probes.towers.result import Towers
from tuiprobe.results import Inapplicable, NotRun
from tuiprobe.results.section import Chart, Code, NamedFigure, Section, Series, Text, Value
from tuiprobe.run.checked_arrays import HeadArrays

NAMES = {
    "gap": "modality gap",
    "on_channels": "part of the squared gap on the channels",
    "leading_cosine": "cosine of the image mean with the first direction of W",
    "conformity": "conformity",
}
HEAD_NAMES = {
    "head.kurtosis": "kurtosis of the head's rows",
    "head.heights.highest": "highest channel of the head's rows",
    "head.offset.share": "offset share of the head's rows",
}


class BothTowers(Probe[ChannelInputs, Towers]):
    """What images and class texts of a zero-shot model share."""

    id = "towers"
    title = TITLE
    block = "inside"
    Result = Towers
    after = ("outliers",)

    def inputs(self, run: RunReader, options: Options, results: Results) -> ChannelInputs | NotRun:
        """Reads a zero-shot head and the images of every set."""
        if isinstance(run.head, HeadArrays) and not run.head.normalize:
            return Inapplicable(reason="the head is no zero-shot head: its rows are not texts")
        return read_channels(run, results["outliers"])

    def compute(self, inputs: ChannelInputs, options: Options) -> Towers | NotRun:
        """Computes the figures of the head's rows, the gap and the conformity of every set."""
        return compare_towers(inputs.head, inputs.sets, inputs.chosen, inputs.seed)

    def describe(self, result: Towers, subject: Subject) -> Section:
        """Describes the channels of both towers, the gap, and the conformity of images."""
        rows = [[Code(code=row.data), *(getattr(row, id) for id in NAMES)] for row in result.sets]
        middles = ((low + high) / 2 for low, high in pairwise(result.edges))
        counts = tuple(float(count) for count in result.images)
        return Section(
            title=TITLE,
            headline=_headline(result),
            card=(),
            content=(
                points(_explanations(result)),
                table(
                    "towers",
                    ["data", *NAMES.items()],
                    rows,
                    "Images of each set against the rows of the head",
                ),
                Chart(
                    id="conformity",
                    title=f"Conformity of the images of {result.sets[0].data}",
                    x_label="cosine with the mean image",
                    y_label="images",
                    y_unit="count",
                    series=(Series(name="images", x=tuple(middles), y=counts),),
                ),
            ),
        )

    def named(self, result: Towers) -> Named:
        """Names the figures of the head's rows and of every set."""
        figures: list[NamedFigure] = []
        figures += named_figures(result, HEAD_NAMES, result.sets[0].data, "rows of the head")
        for row in result.sets:
            figures += named_figures(row, NAMES, row.data, "both towers")
        return Named(figures=tuple(figures))


def _headline(result: Towers) -> Text:
    first = result.sets[0]
    if not result.channels or isinstance(first.on_channels, NotRun):
        return ("Image and text means are ", first.gap, " apart; no channel stands out.")
    channels = channels_in_words(result.channels, 3)
    return ("Image and text means are ", first.gap, " apart, ",
            f"{first.on_channels.alone()} of it (squared) on {channels}.")  # fmt: skip


def _explanations(result: Towers) -> Iterator[Value | tuple[Value, ...]]:
    yield (
        "A zero-shot head's rows are class texts in the space of the images. Rows are normalised; "
        "a gap of 0 means equal means, 2 opposite ones."
    )
    head, share = result.head, result.head.offset.share
    yield (f"{several(result.rows, 'row')} of the head: {head.outcome}; kurtosis ", head.kurtosis,
           ", highest channel ", head.highest, ", offset share ", share, ".")  # fmt: skip
    images = f"{channels_in_words(result.channels, 8)} ({WHY[result.why]})"
    texts = f"{channels_in_words(result.head_channels, 8)} ({WHY[result.head_why]})"
    if result.channels and result.head_channels:
        shared = channels_in_words(result.shared, 8) if result.shared else "none"
        yield (f"Stand out in images: {images}. In texts: {texts}. In both: {shared}; random "
               f"choices would share {number(result.expected_shared)} on average.")  # fmt: skip
    if result.channels:
        yield (
            "The same number of channels would hold "
            f"{number(result.expected_on_channels, 'share')} of the squared gap if it lay in a "
            "random direction."
        )
    yield "Conformity is the cosine of an image with the mean image; low values are unusual images."
