"""The outlier probe: what it reads, the names of its figures, and its description."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from tuiprobe.channels.heights import OUTLIER
from tuiprobe.inside.outliers.compute import probe_outliers
from tuiprobe.inside.outliers.result import (
    Heights,
    Outcome,
    OutlierChannel,
    OutlierResult,
    Outliers,
    RowFigures,
)
from tuiprobe.inside.outliers.rules import HEAVY
from tuiprobe.measure.arrays.tap_arrays import TapArrays
from tuiprobe.numbers import number
from tuiprobe.plaintext import count_of
from tuiprobe.probes import BUILT_IN
from tuiprobe.probes.content import bullets, heading, prose, series, table, value_or_dash
from tuiprobe.probes.intervals import exact
from tuiprobe.probes.protocol import Named, Options, Probe, Results, Subject
from tuiprobe.probes.reader import RunReader
from tuiprobe.results import Figure, Model, NotRun, is_known
from tuiprobe.results.figures import (
    HEIGHT,
    OFFSET,
    PERSISTENCE,
    Fig,
    column,
    columns,
    named_figures,
)
from tuiprobe.results.section import (
    Chart,
    Code,
    MeanOf,
    NamedFact,
    NamedFigure,
    NamedSet,
    RowSubject,
    Section,
    SectionContent,
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
        model: The encoder.
        seed: Seed of the bootstrap.
    """

    taps: tuple[TapArrays, ...]
    paths: Mapping[str, Mapping[int, str]]
    model: Model
    seed: int


class OutlierFeatures(Probe[Inputs, OutlierResult]):
    """Which channels dominate the representation, and in how many images."""

    id = "outliers"
    title = BUILT_IN["outliers"].title
    block = "inside"
    Result = OutlierResult

    def inputs(self, run: RunReader, options: Options, results: Results) -> Inputs:
        """Reads the statistics of every set at every tap."""
        taps = tuple(run.tap(data, tap) for data in run.id_and_shifts for tap in run.plan.taps)
        return Inputs(
            taps=taps,
            paths={data.name: run.paths(data.name) for data in run.id_and_shifts},
            model=run.plan.model,
            seed=run.spec.seed,
        )

    def compute(self, inputs: Inputs, options: Options) -> OutlierResult:
        """Computes all figures and outcomes."""
        taps = tuple(
            probe_outliers(tap, inputs.paths[tap.set], inputs.seed, inputs.model)
            for tap in inputs.taps
        )
        return OutlierResult(taps=taps)

    def describe(self, result: OutlierResult, subject: Subject) -> Section:
        """Describes the outcome, the channels and their images, and the layers."""
        final = result.finals()[0]
        outcome = clause(final)
        content = tuple(_content(result))
        charts = ("heights",) if isinstance(final.heights, Heights) else ()
        strips = [piece.id for piece in content if isinstance(piece, Strip) and not piece.folded]
        # Where no channel stands out, the charts stand in the evidence alone.
        nothing = final.outcome in (Outcome.WITHHELD, Outcome.NONE, Outcome.UNDETERMINED)
        return Section(
            title=self.title,
            tab="channels",
            headline=(Strong(strong=_capital(outcome)), " on ", Code(code=final.data), "."),
            clause=outcome,
            clause_on=final.data,
            card=(_card(final, subject.model), *_registers(result, final.data)),
            pictures=() if nothing else (*charts, *strips[:1]),
            content=content,
        )

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


SKEWED = (
    "No value of this representation is negative: channel means alone look like an offset, and "
    "heights are skewed and do not compare with those of other representations."
)


LIMITS = (
    "Figures compare on identical images only, and only within one representation kind: one "
    "encoder has a kurtosis of 15 to 156 on different sets."
)


PAPER = "In the paper only robust zero-shot CLIPs had outlier channels: a hint only."


NEARLY_ALL = 0.95
"""Part from which the card says that the offset explains nearly all."""


LISTED_CHANNELS = 32
"""Channels that a cell of a table names."""


NAMED = 3
"""Channels that a title names."""


PICTURED = 4
"""Channels whose images a page shows unasked."""


FILES_ONLY = ("centred_cosine", "nearest_cosine")
"""Figures that a page leaves to files."""


def clause(figures: RowFigures) -> str:
    """Returns the outcome as words of a title."""
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
            notes.append(f"channel {first.channel}: {first.height.point()}")
    text = {
        Outcome.CHANNELS: count_of(len(channels), "outlier channel"),
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
    return f"{row.channel}: {row.height.point()}, {row.energy.point()} of the energy"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _card(final: Outliers, model: Model) -> Text:
    """Returns the outcome, what of the kurtosis the offset explains, and what it is evidence of."""
    outcome, text = final.outcome, _capital(clause(final))
    if outcome is Outcome.WITHHELD:
        return (f"{text} on {final.data}: {final.finding.reasons[0]}.",)
    if outcome is Outcome.CHANNELS and len(final.outlier_channels) > 1:
        count = count_of(len(final.outlier_channels), "outlier channel")
        text = f"{count}, highest {_in_words(final.outlier_channels[0])}"
    line: list[Value] = [text]
    kurtosis, explained = final.kurtosis, final.offset.explained
    heavy = is_known(kurtosis) and (kurtosis.low or 0.0) > HEAVY * final.basis_reference
    if heavy and is_known(explained):
        part = "nearly all" if explained.value >= NEARLY_ALL else explained.point()
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
        tap.tap: tap.large_norm_tokens
        for tap in result.taps
        if tap.data == data and is_known(tap.large_norm_tokens) and tap.large_norm_tokens.value > 0
    }
    if shares:
        most = max(shares.values(), key=lambda share: share.value if is_known(share) else 0.0)
        at = next(tap for tap, share in shares.items() if share is most)
        yield (f"Tokens of large norm begin at {next(iter(shares))}; at {at} they are ",
               f"{most.point()} of all. Classification hides it, and dense tasks show it. A "
               "model trained with registers has none.")  # fmt: skip


def _content(result: OutlierResult) -> Iterator[SectionContent]:
    finals = result.finals()
    final = finals[0]
    yield bullets(final.finding.reasons)
    if isinstance(final.heights, Heights) and final.heights.skewed:
        yield prose(SKEWED)
    yield _figures(finals)
    yield prose(LIMITS)
    if isinstance(final.heights, Heights):
        yield from _channels(final, final.heights)
    yield from _images(finals)
    yield from _layers(result.taps)
    yield from _files(result.taps)


def _figures(finals: list[Outliers]) -> Table:
    """Returns the table of the final representation's figures, one column per set."""
    columns: list[dict[str, Value]] = []
    for final in finals:
        n, left_out = final.kurtosis.n if is_known(final.kurtosis) else 0, final.degenerate
        columns.append({
            "outcome": final.outcome.value,
            "images counted": f"{n:,}, {left_out:,} degenerate left out" if left_out else n,
            "outlier channels": _channel_numbers(final),
            "highest channel": final.highest,
            **{one.name: one.figure for one in named_figures(final) if one.id not in FILES_ONLY},
            "kurtosis expected after a random rotation": final.basis_reference,
        })  # fmt: skip
    return table(
        "figures_of_the_final_representation",
        [("figure", "final representation"),
         *((f"set_{i}", Code(code=final.data)) for i, final in enumerate(finals))],
        [[name, *(column[name] for column in columns)] for name in columns[0]],
        file=False,
    )  # fmt: skip


def _channels(final: Outliers, heights: Heights) -> Iterator[SectionContent]:
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
         ("above", "above 6 in"), ("energy", "share of the energy"), "mean", "std",
         ("offset", "constant part")],
        [
            [row.channel, row.channel in outliers, row.height, row.above, row.energy,
             row.mean, row.sd, row.offset]
            for row in heights.leading
        ],
        subjects=[[RowSubject(kind="channel", number=row.channel)] for row in heights.leading],
        file=False,
    )  # fmt: skip


def _images(finals: list[Outliers]) -> Iterator[SectionContent]:
    """Yields the images at the ends of the leading channels of every set."""
    for which, final in enumerate(finals):
        if which == 0 and final.top_images:
            yield heading("Images at the ends of the leading channels on ", Code(code=final.data))
        for index, channel in enumerate(final.top_images):
            yield Strip(
                id=f"channel_{which}_{channel.channel}",
                title=(f"Channel {channel.channel}",),
                data=final.data,
                ends=(
                    StripEnd(label="largest", images=channel.largest),
                    StripEnd(label="smallest", images=channel.smallest),
                ),
                folded=which > 0 or index >= PICTURED,
                subject=RowSubject(kind="channel", number=channel.channel),
            )


def _channel_numbers(figures: RowFigures) -> Value:
    """Returns the outlier channels as a cell of a table, or why there are no heights."""
    if isinstance(figures.heights, NotRun):
        return figures.heights
    channels = figures.outlier_channels
    if not channels:
        return "none"
    of_channels = ", ".join(str(row.channel) for row in channels[:LISTED_CHANNELS])
    more = f" and {len(channels) - LISTED_CHANNELS} more" if len(channels) > LISTED_CHANNELS else ""
    return f"{len(channels)}: {of_channels}{more}"


def _layers(taps: tuple[Outliers, ...]) -> Iterator[SectionContent]:
    """Yields the figures of layers, if there are any before the final representation."""
    if all(tap.final for tap in taps):
        return
    yield heading("Layers")
    yield prose(
        "At inner taps heights, offset and what centring leaves come from a seeded sample of one "
        "position per image."
    )
    yield table(
        "layers",
        ["data", "tap", "kind", ("channels", "C"),
         *columns(Outliers, "kurtosis", "centred_kurtosis"), column("persistence", PERSISTENCE),
         column("height", HEIGHT), column("offset_share", OFFSET),
         column("outlier_channels", OUTLIER_CHANNELS),
         ("large_norm_tokens", "tokens of large norm"), "outcome"],
        [
            [Code(code=tap.data), Code(code=tap.tap),
             tap.kind if tap.tokens is None else f"{tap.kind}, {tap.tokens}", tap.channels,
             tap.kurtosis, tap.centred_kurtosis, tap.persistence.value, tap.highest,
             tap.offset.share, _channel_numbers(tap), value_or_dash(tap.large_norm_tokens),
             tap.outcome.value]
            for tap in taps
        ],
        file=False,
    )  # fmt: skip
    data = next((tap.data for tap in taps if tap.final), "")
    ordered = sorted((tap for tap in taps if tap.data == data), key=lambda tap: tap.final)
    kurtosis = series("kurtosis", [tap.kurtosis for tap in ordered])
    if kurtosis.x:
        rotated = Series(
            name="after a random rotation",
            x=tuple(float(i) for i in range(len(ordered))),
            y=tuple(tap.basis_reference for tap in ordered),
            role="reference",
        )
        centred = series("after centring", [tap.centred_kurtosis for tap in ordered], "second")
        yield Chart(
            id="layers",
            title=f"Kurtosis by layer on {data}",
            x_label="layer",
            y_label="kurtosis",
            series=(rotated, centred, kurtosis),
            ticks=tuple(tap.tap for tap in ordered),
        )


def _files(taps: tuple[Outliers, ...]) -> Iterator[SectionContent]:
    """Yields the table that only files hold: all channels of every tap."""
    yield table(
        "channels",
        ["data", "tap", "channel", "height", ("above", "above_6_in"), "energy", "mean", "std",
         "offset"],
        _every_channel(taps),
        reading=False,
    )  # fmt: skip


def _every_channel(taps: tuple[Outliers, ...]) -> Iterator[list[Value]]:
    """Yields the leading channels with intervals, then the other ones of final taps without."""
    for tap in taps:
        if not isinstance(tap.heights, Heights):
            continue
        for row in tap.heights.leading:
            figures = [row.height, row.above, row.energy, row.mean, row.sd, row.offset]
            yield [tap.data, tap.tap, row.channel, *figures]
        leading, columns = {row.channel for row in tap.heights.leading}, tap.heights.columns
        if columns is None:
            continue
        rows = zip(
            columns.median, columns.above, columns.energy, columns.mean, columns.sd,
            columns.offset, strict=True,
        )  # fmt: skip
        for channel, values in enumerate(rows):
            if channel not in leading:
                yield [tap.data, tap.tap, channel, *values]
