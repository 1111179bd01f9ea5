"""The outlier probe: what it reads, the names of its figures, and its description."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from tuiprobe.catalog.untrained import Untrained, untrained
from tuiprobe.numbers import number
from tuiprobe.probes import BUILT_IN
from tuiprobe.probes.content import heading, points, prose, series, several, table
from tuiprobe.probes.inputs import TapArrays
from tuiprobe.probes.intervals import exact
from tuiprobe.probes.outliers.compute import probe_outliers
from tuiprobe.probes.outliers.heights import OUTLIER
from tuiprobe.probes.outliers.result import (
    Heights,
    Outcome,
    OutlierChannel,
    OutlierResult,
    Outliers,
    RowFigures,
    UntrainedReference,
)
from tuiprobe.probes.outliers.rules import HEAVY, REGISTERS, llm_int8
from tuiprobe.probes.outliers.tables import criteria, files, layers, listed
from tuiprobe.probes.protocol import Named, Options, Probe, Results, Subject
from tuiprobe.probes.reader import RunReader
from tuiprobe.results import Estimate, Figure, Model, NotRun, given
from tuiprobe.results.figures import Fig, named_figures
from tuiprobe.results.headlines import HEIGHT
from tuiprobe.results.section import (
    Chart,
    Code,
    Content,
    MeanOf,
    NamedFact,
    NamedFigure,
    NamedSet,
    RowSubject,
    Section,
    Series,
    Strip,
    StripEnd,
    Strong,
    Table,
    Text,
    Value,
)

OUTLIER_CHANNELS = Fig("outlier_channels", "outlier channels", "outlier-channel", role="signature")
"""How many there are."""


@dataclass(frozen=True)
class Inputs:
    """What the probe computes from.

    Attributes:
        taps: Every tap of every set, by set in order.
        paths: Path of each sample by id, by set.
        blocks: Taps of the first set that are blocks of a residual stream.
        all_blocks: Whether these are all of its blocks.
        model: The encoder.
        seed: Seed of the bootstrap.
        untrained: Shipped figures of the same architecture with random weights, if there are any.
    """

    taps: tuple[TapArrays, ...]
    paths: Mapping[str, Mapping[int, str]]
    blocks: tuple[TapArrays, ...]
    all_blocks: bool
    model: Model
    seed: int
    untrained: Untrained | None


class OutlierFeatures(Probe[Inputs, OutlierResult]):
    """Which channels dominate the representation, and in how many images."""

    id = "outliers"
    title = BUILT_IN["outliers"].title
    block = "inside"
    Result = OutlierResult

    def inputs(self, run: RunReader, options: Options, results: Results) -> Inputs:
        """Reads the statistics of every set at every tap."""
        taps = tuple(run.tap(data, tap) for data in run.images for tap in run.plan.taps)
        first = run.images[0].name
        return Inputs(
            taps=taps,
            paths={data.name: run.paths(data.name) for data in run.images},
            blocks=tuple(tap for tap in taps if tap.set == first and tap.tap in run.plan.blocks),
            all_blocks=run.plan.all_blocks,
            model=run.plan.model,
            seed=run.spec.seed,
            untrained=untrained(run.plan.model.architecture, run.plan.model.representation),
        )

    def compute(self, inputs: Inputs, options: Options) -> OutlierResult:
        """Computes all figures and outcomes, and the criteria over blocks."""
        taps = tuple(
            probe_outliers(tap, inputs.paths[tap.set], inputs.seed, inputs.model)
            for tap in inputs.taps
        )
        reference = None
        if inputs.untrained is not None:
            shipped, method = inputs.untrained, "shipped with tuiprobe"
            (value, low, high), n = shipped.kurtosis, shipped.n
            reference = UntrainedReference(
                architecture=shipped.architecture,
                data=shipped.data,
                n=n,
                width=shipped.width,
                kurtosis=Estimate(value=value, low=low, high=high, n=n, method=method),
                persistence=exact(shipped.persistence, n, method),
            )
        return OutlierResult(
            taps=taps,
            cross_layer=(llm_int8(inputs.blocks, all_blocks=inputs.all_blocks),),
            untrained=reference,
        )

    def describe(self, result: OutlierResult, subject: Subject) -> Section:
        """Describes the outcome, the channels, and the layers."""
        return describe(result, subject.model)

    def named(self, result: OutlierResult) -> Named:
        """Names figures of every tap, the outcome, and the outlier channels of each set."""
        finals = result.finals()
        figures: list[NamedFigure] = []
        for tap in result.taps:
            figures += _named(tap, leading=tap is finals[0])
        outcome = NamedFact(id="outcome", name="outlier features", value=finals[0].outcome.value)
        sets = tuple(
            NamedSet(
                id="channels",
                name="outlier channels",
                data=final.data,
                members=tuple(str(row.channel) for row in final.outlier_channels),
                basis={"width": str(final.channels)},
            )
            for final in finals
            if isinstance(final.heights, Heights)
        )
        return Named(figures=tuple(figures), facts=(outcome,), sets=sets)


def _named(tap: Outliers, *, leading: bool) -> Iterator[NamedFigure]:
    """Yields the figures of one tap; those of the leading one may be signatures of robustness."""
    role = {} if leading else {"role": None}

    def more(of: BaseModel, field: str) -> Mapping[str, Any]:
        if of is tap and field == "kurtosis" and tap.final:
            return {**role, "mean_of": MeanOf(values="kurtosis", sets=(tap.data,))}
        return role

    count: Figure = tap.heights if isinstance(tap.heights, NotRun) else exact(
        len(tap.outlier_channels), tap.heights.n, "count of channels", "count"
    )  # fmt: skip
    for fig, figure in ((HEIGHT, tap.highest), (OUTLIER_CHANNELS, count)):
        yield fig.named(figure, tap.data, tap.tap, inner=tap.inner, **role)
    yield from named_figures(tap, more)


MEANING = {
    Outcome.CHANNELS: "The same channels stand more than 6 sigma from the others in nearly every "
    "image.",
    Outcome.OFFSET: "No channel stands more than 6 sigma from the others in nearly every image, "
    "but the part that all images share lies on few channels.",
    Outcome.MOVING: "Single channels dominate images, but not the same ones from image to image. "
    "Sparse features of an ordinary network look like this.",
    Outcome.MOVING_AND_CONSTANT: "Single channels dominate images, but not the same ones from "
    "image to image; beside them, one channel has a large constant part.",
    Outcome.UNEVEN: "The same channels often dominate, without a constant part that explains it: "
    "they vary more than the others.",
    Outcome.NONE: "No channel stands out.",
    Outcome.UNDETERMINED: "The intervals of the figures meet no condition of the rule.",
    Outcome.WITHHELD: "The rule does not apply here. The figures below are valid as measured.",
}
"""What an outcome means; it describes, and claims nothing about robustness."""


SKEWED = (
    "No value of this representation is negative: channel means alone look like an offset, and "
    "heights are skewed and do not compare with those of other representations."
)


STUDY = (
    "In the paper's study only robust zero-shot encoders had outlier features, but every one of "
    "121 published zero-shot CLIPs is effectively robust by the supervised baseline, so presence "
    "cannot rank them."
)
"""What the paper and published accuracies say, of zero-shot projections alone."""


LIMITS = (
    "The outcome describes the representation; it claims nothing about robustness. Where shifted "
    "data exists, judge by accuracy on it.",
    "It depends on the basis: rotating image and text embeddings together keeps every prediction "
    "and removes outlier channels.",
    "Figures compare on identical images only, and only within one representation kind: one "
    "encoder has a kurtosis of 15 to 156 on different sets.",
)


PAPER = "In the paper only robust zero-shot CLIPs had outlier channels: a hint only."


NEARLY_ALL = 0.95
"""Part from which the card says that the offset explains all."""


NAMED = 3
"""Channels that a title names."""


PICTURED = 4
"""Channels whose images a page shows unasked."""


FILES_ALONE = (
    "bound",
    "persistence.self_share",
    "persistence.cross_share",
    "centred_cosine",
    "nearest_cosine",
)
"""Figures that a page leaves to files."""


def describe(result: OutlierResult, model: Model) -> Section:
    """Describes the outcome, the channels and their images, the layers, and related criteria."""
    final = result.finals()[0]
    outcome = clause(final)
    content = tuple(_content(result, model))
    charts = [block.id for block in content if isinstance(block, Chart) and block.id == "heights"]
    strips = [block.id for block in content if isinstance(block, Strip) and not block.folded]
    # Where no channel stands out, the charts stand in the evidence alone.
    nothing = final.outcome in (Outcome.WITHHELD, Outcome.NONE, Outcome.UNDETERMINED)
    return Section(
        title=BUILT_IN["outliers"].title,
        headline=(Strong(strong=_capital(outcome)), " on ", Code(code=final.data), "."),
        clause=outcome,
        clause_on=final.data,
        card=(_card(final, model), *_registers(result, final.data)),
        pictures=() if nothing else (*charts, *strips[:1]),
        content=content,
    )


def clause(figures: RowFigures) -> str:
    """Returns the outcome as a title says it."""
    outcome = figures.outcome
    if outcome is Outcome.WITHHELD:
        return "outlier outcome withheld"
    channels, skewed = figures.outlier_channels, False
    more = f"; and {len(channels) - NAMED} more" if len(channels) > NAMED else ""
    notes = []
    if outcome is Outcome.CHANNELS:
        notes.append("; ".join(_in_words(row) for row in channels[:NAMED]) + more)
    if isinstance(figures.heights, Heights):
        skewed, first = figures.heights.skewed, figures.heights.leading[0]
        if outcome in (Outcome.OFFSET, Outcome.MOVING_AND_CONSTANT):
            notes.append(f"channel {first.channel}: {first.height.alone()}")
    text = {
        Outcome.CHANNELS: several(len(channels), "outlier channel"),
        Outcome.OFFSET: "concentrated offset",
        Outcome.MOVING: "moving tails, no outlier channel",
        Outcome.MOVING_AND_CONSTANT: "moving tails, one constant channel",
        Outcome.UNEVEN: "uneven channels, no outlier channel",
        Outcome.NONE: "no channel stands out",
        Outcome.UNDETERMINED: "outlier features undetermined",
    }[outcome]
    notes += ["skewed, not comparable"] if skewed else []
    notes += ["provisional"] if figures.finding.provisional else []
    return f"{text} ({', '.join(notes)})" if notes else text


def _in_words(row: OutlierChannel) -> str:
    """Returns a channel with height and energy: `442: 27.1 sigma, 53.2 % of the energy`."""
    return f"{row.channel}: {row.height.alone()}, {row.energy.alone()} of the energy"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _card(final: Outliers, model: Model) -> Text:
    """Returns the outcome, what of the kurtosis the offset explains, and what it is evidence of."""
    outcome, text = final.outcome, _capital(clause(final))
    if outcome is Outcome.WITHHELD:
        return (f"{text} on {final.data}: {final.finding.reasons[0]}.",)
    if outcome is Outcome.CHANNELS and len(final.outlier_channels) > 1:
        count = several(len(final.outlier_channels), "outlier channel")
        text = f"{count}, highest {_in_words(final.outlier_channels[0])}"
    line: list[Value] = [text]
    kurtosis, explained = final.kurtosis, final.offset.explained
    heavy = given(kurtosis) and (kurtosis.low or 0.0) > HEAVY * final.basis_reference
    if heavy and given(explained):
        part = "all" if explained.value >= NEARLY_ALL else explained.alone()
        explains = " explains" if outcome is Outcome.OFFSET else "; the offset explains"
        line += [f"{explains} {part} of the kurtosis of ", kurtosis]
    line.append(".")
    trained = model.training != "unknown"
    if trained and final.outlier_channels and not final.finding.provisional:
        line.append(f" {PAPER}")
    return tuple(line)


def _registers(result: OutlierResult, data: str) -> Iterator[Text]:
    """Yields where tokens of large norm begin, if all tokens of layers were measured and any has.

    Args:
        result: Of all taps.
        data: The set.
    """
    shares = {
        tap.tap: criterion.figure
        for tap in result.taps
        if tap.data == data and not tap.final
        for criterion in tap.criteria
        if criterion.name == REGISTERS and criterion.met and given(criterion.figure)
    }
    if shares:
        most = max(shares, key=lambda tap: shares[tap].value)
        yield (f"Tokens of large norm begin at {next(iter(shares))}; at {most} they are ",
               f"{shares[most].alone()} of all. Classification hides it, dense tasks show it; a "
               "model trained with registers has none.")  # fmt: skip


def _content(result: OutlierResult, model: Model) -> Iterator[Content]:
    finals = result.finals()
    final = finals[0]
    yield points(final.finding.reasons)
    yield prose(MEANING[final.outcome])
    if isinstance(final.heights, Heights) and final.heights.skewed:
        yield prose(SKEWED)
    if model.representation == "projected" and model.training in ("zero-shot", "captions"):
        yield prose(STUDY)
    yield _figures(finals)
    yield from _untrained(result.untrained, model)
    yield prose("What this does not say:")
    yield points(LIMITS)
    if isinstance(final.heights, Heights):
        yield from _channels(final, final.heights)
    yield from _images(finals)
    yield from layers(result.taps)
    yield from criteria(result)
    yield from files(result.taps)


def _figures(finals: list[Outliers]) -> Table:
    """Returns the table of the final representation's figures, one column per set."""
    columns: list[dict[str, Value]] = []
    for final in finals:
        n, left_out = final.kurtosis.n if given(final.kurtosis) else 0, final.degenerate
        columns.append({
            "outcome": final.outcome.value,
            "images counted": f"{n:,}, {left_out:,} degenerate left out" if left_out else n,
            "outlier channels": listed(final),
            "highest channel": final.highest,
            **{one.name: one.figure for one in named_figures(final) if one.id not in FILES_ALONE},
            "kurtosis expected after a random rotation": final.basis_reference,
        })  # fmt: skip
    return table(
        "figures_of_the_final_representation",
        [("figure", "final representation"),
         *((f"set_{i}", Code(code=final.data)) for i, final in enumerate(finals))],
        [[name, *(column[name] for column in columns)] for name in columns[0]],
        file=False,
    )  # fmt: skip


def _untrained(reference: UntrainedReference | None, model: Model) -> Iterator[Content]:
    """Yields the figures of the same architecture with random weights."""
    if reference is not None:
        yield prose(
            "For comparison: ", Code(code=reference.architecture), " with ",
            Strong(strong="untrained"), f" weights, on {reference.n} images of ",
            Code(code=reference.data), ", has kurtosis ", reference.kurtosis, " and persistence ",
            reference.persistence, ". These are not zero.",
        )  # fmt: skip
    elif model.weights.kind != "unknown":  # vectors have no architecture
        yield prose("No untrained reference is available for ", Code(code=model.architecture), ".")


def _channels(final: Outliers, heights: Heights) -> Iterator[Content]:
    """Yields the highest channels."""
    outliers = {row.channel for row in final.outlier_channels}
    yield heading("Highest channels on ", Code(code=final.data))
    yield prose(
        "Height: distance from the median of the row's channels, in sigmas of the 95 % of channels "
        f"nearest to it. If all {final.channels} channels were alike, each would hold ",
        number(1 / final.channels, "share"), " of the energy.",
    )  # fmt: skip
    ends = (-0.5, len(heights.leading) - 0.5)
    cut = Series(
        name=f"cut of the rule: {OUTLIER:g}", x=ends, y=(OUTLIER, OUTLIER), role="reference"
    )
    yield Chart(
        id="heights",
        title=f"Highest channels on {final.data}",
        x_label="channel",
        y_label="median height, sigma",
        series=(
            series("median height", [row.height for row in heights.leading], mark="bars"),
            cut,
        ),
        ticks=tuple(str(row.channel) for row in heights.leading),
        note="An outlier channel exceeds the line in at least 90 % of the images.",
    )
    yield table(
        "leading",
        ["channel", ("outlier", "outlier channel"), ("height", "median height"),
         ("above", "above 6 in"), ("energy", "share of the energy"), ("sign", "side"), "mean",
         "std", ("offset", "constant part")],
        [
            [row.channel, row.channel in outliers, row.height, row.above, row.energy,
             "+" if row.sign > 0 else "-", row.mean, row.sd, row.offset]
            for row in heights.leading
        ],
        subjects=[[RowSubject(kind="channel", number=row.channel)] for row in heights.leading],
        file=False,
    )  # fmt: skip


def _images(finals: list[Outliers]) -> Iterator[Content]:
    """Yields the images at the ends of the leading channels of every set."""
    for which, final in enumerate(finals):
        if which == 0 and final.top_images:
            yield heading("Images at the ends of the leading channels on ", Code(code=final.data))
        for place, channel in enumerate(final.top_images):
            yield Strip(
                id=f"channel_{which}_{channel.channel}",
                title=(f"Channel {channel.channel}",),
                data=final.data,
                ends=(
                    StripEnd(label="largest", images=channel.largest),
                    StripEnd(label="smallest", images=channel.smallest),
                ),
                folded=which > 0 or place >= PICTURED,
                subject=RowSubject(kind="channel", number=channel.channel),
            )
