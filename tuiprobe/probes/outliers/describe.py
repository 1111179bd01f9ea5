"""The description of the outlier probe."""

from __future__ import annotations

from collections.abc import Iterator

from tuiprobe.numbers import number
from tuiprobe.probes.outliers.channel_result import CurveRow, Heights, Outcome
from tuiprobe.probes.outliers.describe_evidence import evidence
from tuiprobe.probes.outliers.heights import OUTLIER
from tuiprobe.probes.outliers.neighbours import REGISTERS
from tuiprobe.probes.outliers.result import OutlierResult, Outliers, UntrainedReference
from tuiprobe.probes.outliers.rule import HEAVY
from tuiprobe.probes.outliers.saying import (
    MEANING,
    clause,
    listed_channels,
    one_channel,
    paper,
    skewed,
)
from tuiprobe.probes.telling import heading, known, points, prose, series, several, table
from tuiprobe.results import Model, given
from tuiprobe.results.section import (
    Chart,
    Code,
    Content,
    Section,
    Series,
    Strip,
    Strong,
    Table,
    Text,
    Value,
)

LIMITS = (
    "The outcome describes the representation; it claims nothing about robustness. Where shifted "
    "data exists, judge by accuracy on it.",
    "It depends on the basis: rotating image and text embeddings together keeps every prediction "
    "and removes outlier channels.",
    "Figures compare on identical images only, and only within one representation kind.",
)
PAPER = "In the paper only robust zero-shot CLIPs had outlier channels: a hint only."
NEARLY_ALL = 0.95
"""Part from which the card says that the offset explains all."""
SKEWED = (
    "No value of this representation is negative: channel means alone look like an offset, and "
    "heights are skewed and do not compare with those of other representations."
)


def describe(result: OutlierResult, model: Model) -> Section:
    """Describes the outcome, the channels and their images, the layers, and related criteria."""
    final = result.finals()[0]
    content = tuple(_content(result, model))
    return Section(
        title="Outlier features",
        headline=_headline(final),
        clause=clause(final),
        clause_on=final.data,
        card=(*_card(final, model), *_registers(result, final.data)),
        pictures=_pictures(content),
        content=content,
    )


def _pictures(content: tuple[Content, ...]) -> tuple[str, ...]:
    """Returns the ids of the channels in sigmas and of the images of the leading channel."""
    heights = [one.id for one in content if isinstance(one, Chart) and one.id == "heights"]
    strips = [one.id for one in content if isinstance(one, Strip) and not one.folded]
    return (*heights, *strips[:1])


def _headline(final: Outliers) -> Text:
    said = clause(final)
    return (Strong(strong=said[0].upper() + said[1:]), " on ", Code(code=final.data), ".")


def _card(final: Outliers, model: Model) -> Iterator[Text]:
    """Yields the outcome, what of the kurtosis the offset explains, and what it is evidence of."""
    outcome, said = final.outcome, clause(final)
    if outcome is Outcome.WITHHELD:
        yield (f"{said[0].upper()}{said[1:]} on {final.data}: {final.finding.reasons[0]}.",)
        return
    if outcome is Outcome.CHANNELS and len(final.outlier_channels) > 1:
        highest = one_channel(final.outlier_channels[0])
        count = several(len(final.outlier_channels), "outlier channel")
        said = f"{count}, highest {highest}"
    line: Text = (f"{said[0].upper()}{said[1:]}", *_explained(final), ".")
    evidence = model.training != "unknown" and not final.finding.provisional
    yield (*line, f" {PAPER}") if evidence else line


def _registers(result: OutlierResult, data: str) -> Iterator[Text]:
    """Yields where tokens of large norm begin, if all tokens of layers were measured and any has.

    Args:
        result: Of all taps.
        data: The set.
    """
    shares = {
        tap.tap: one.figure
        for tap in result.taps
        if tap.data == data and not tap.final
        for one in tap.criteria
        if one.name == REGISTERS and one.met and given(one.figure)
    }
    if shares:
        most = max(shares, key=lambda tap: shares[tap].value)
        yield (f"Tokens of large norm begin at {next(iter(shares))}; at {most} they are ",
               f"{shares[most].alone()} of all. Classification hides it, dense tasks show it; a "
               "model trained with registers has none.")  # fmt: skip


def _explained(final: Outliers) -> Text:
    """Returns what the offset explains of a kurtosis that is heavy; nothing of one that is not."""
    kurtosis, explained = final.kurtosis, final.offset.explained
    heavy = HEAVY * final.basis_reference
    if not given(kurtosis) or not given(explained) or (kurtosis.low or 0.0) <= heavy:
        return ()
    part = "all" if explained.value >= NEARLY_ALL else explained.alone()
    explains = " explains" if final.outcome is Outcome.OFFSET else "; the offset explains"
    return (f"{explains} {part} of the kurtosis of ", kurtosis)


def _content(result: OutlierResult, model: Model) -> Iterator[Content]:
    finals = result.finals()
    final = finals[0]
    yield points(final.finding.reasons)
    yield prose(MEANING[final.outcome])
    if skewed(final):
        yield prose(SKEWED)
    if said := paper(model):
        yield points(said)
    yield _finals(finals)
    yield from _untrained(result.untrained, model)
    yield prose("What this does not say:")
    yield points(LIMITS)
    yield from _channels(final)
    yield from _shares(final)
    yield from evidence(result)


def _finals(finals: list[Outliers]) -> Table:
    """Returns the table of the final representation's figures, one column per set."""
    rows: dict[str, list[Value]] = {
        "outcome": [one.outcome.value for one in finals],
        "images counted": [_counted(one) for one in finals],
        "outlier channels": [listed_channels(one) for one in finals],
        "highest channel": [one.highest for one in finals],
        "offset share": [one.offset.share for one in finals],
        "kurtosis of the offset": [one.offset.kurtosis for one in finals],
        ".999 quantile of a random direction": [one.offset.null_999 for one in finals],
        "kurtosis": [one.kurtosis for one in finals],
        "expected after a random rotation": [one.basis_reference for one in finals],
        "predicted from the offset": [one.offset.predicted for one in finals],
        "predicted, each channel's own variance": [one.offset.predicted_uneven for one in finals],
        "part explained by the offset": [one.offset.explained for one in finals],
        "kurtosis after centring": [one.residual.kurtosis for one in finals],
        "same channel leads (P)": [one.persistence.value for one in finals],
        "P if channels were shuffled, at most": [one.persistence.null_high for one in finals],
        "P after centring": [one.residual.persistence for one in finals],
        "effective channels": [one.persistence.effective_channels for one in finals],
        "channel RMS kurtosis": [one.rms_kurtosis for one in finals],
        "mean cosine between images": [one.mean_cosine for one in finals],
    }
    columns = [("figure", "final representation")]
    return table(
        "figures_of_the_final_representation",
        [*columns, *((f"set_{i}", Code(code=one.data)) for i, one in enumerate(finals))],
        [[name, *values] for name, values in rows.items()],
        file=False,
    )


def _untrained(reference: UntrainedReference | None, model: Model) -> Iterator[Content]:
    """Yields the figures of the same architecture with random weights."""
    if reference is None:
        yield prose("No untrained reference is available for ", Code(code=model.architecture), ".")
        return
    yield prose(
        "For comparison: the same architecture with random weights, on other images (persistence "
        "without interval). Its figures are not zero."
    )
    yield table(
        "untrained",
        [
            ("model", "model"), ("weights", "weights"), ("data", "data"), ("n", "n"),
            ("width", "C"), ("kurtosis", "kurtosis"), ("persistence", "P"),
        ],
        [
            [
                Code(code=reference.architecture), Strong(strong="untrained"),
                Code(code=reference.data), reference.n, reference.width, reference.kurtosis,
                reference.persistence,
            ]
        ],
    )  # fmt: skip


def _counted(one: Outliers) -> Value:
    n = one.kurtosis.n if given(one.kurtosis) else 0
    return f"{n:,}, {one.degenerate:,} degenerate left out" if one.degenerate else n


def _channels(one: Outliers) -> Iterator[Content]:
    """Yields the highest channels and the number of channels above every cut."""
    if not isinstance(one.heights, Heights):
        return
    outliers = {c.channel for c in one.outlier_channels}
    yield heading("Highest channels on ", Code(code=one.data))
    yield prose(
        "Height: distance from the median of the row's channels, in sigmas of the 95 % of channels "
        f"nearest to it. If all {one.channels} channels were alike, each would hold ",
        number(1 / one.channels, "share"), " of the energy.",
    )  # fmt: skip
    yield from _heights(one.heights, one.data)
    yield table(
        "leading",
        [
            ("channel", "channel"), ("outlier", "outlier channel"), ("height", "median height"),
            ("above", "above 6 in"), ("energy", "share of the energy"), ("sign", "side"),
            ("mean", "mean"), ("std", "std"), ("offset", "constant part"),
        ],
        [
            [
                c.channel, c.channel in outliers, c.height, c.above, c.energy,
                "+" if c.sign > 0 else "-", c.mean, c.sd, c.offset,
            ]
            for c in one.heights.leading
        ],
        file=False,
    )  # fmt: skip
    yield _curve(one.heights.curve)


def _heights(heights: Heights, data: str) -> Iterator[Chart]:
    """Yields the heights of the highest channels, beside the cut of the rule."""
    places, figures = known([one.height for one in heights.leading])
    if not figures:
        return
    ends = (-0.5, len(heights.leading) - 0.5)
    yield Chart(
        id="heights",
        title=f"Highest channels on {data}",
        x_label="channel",
        y_label="median height, sigma",
        series=(
            series("median height", places, figures, mark="bars"),
            Series(
                name=f"cut of the rule: {OUTLIER:g}",
                x=ends,
                y=(OUTLIER, OUTLIER),
                role="reference",
            ),
        ),
        ticks=tuple(str(one.channel) for one in heights.leading),
        note="An outlier channel exceeds the line in at least 90 % of the images.",
    )


def _curve(curve: tuple[CurveRow, ...]) -> Table:
    parts = {"50 %": "in_50", "90 %": "in_90", "99 %": "in_99"}
    return table(
        "curve",
        [("part", "in at least"), *((f"above_{row.cut:g}", f"above {row.cut:g}") for row in curve)],
        [[said, *(getattr(row, field) for row in curve)] for said, field in parts.items()],
        "Channels above each height in this part of the images (Wilson lower bound):",
        file=False,
    )


def _shares(one: Outliers) -> Iterator[Chart]:
    """Yields the leading channels by their share of the fourth moment, beside an even share."""
    places, figures = known([share.share for share in one.shares])
    if not figures:
        return
    even, ends = 1 / one.channels, (-0.5, len(figures) - 0.5)
    yield Chart(
        id="shares",
        title=f"Fourth moment by channel on {one.data}",
        x_label="channel",
        y_label="share of the fourth moment",
        series=(
            series("share", [float(i) for i in range(len(figures))], figures, mark="bars"),
            Series(
                name=f"if all equal: {number(even, 'share')}",
                x=ends,
                y=(even, even),
                role="reference",
            ),
        ),
        y_unit="share",
        ticks=tuple(str(one.shares[int(place)].channel) for place in places),
    )
