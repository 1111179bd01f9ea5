"""The description of the outlier probe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tuiprobe.numbers import number
from tuiprobe.probes.content import heading, points, prose, series, several, table
from tuiprobe.probes.outliers import TITLE
from tuiprobe.probes.outliers.channel_result import Heights, Outcome
from tuiprobe.probes.outliers.criteria import REGISTERS
from tuiprobe.probes.outliers.evidence import evidence
from tuiprobe.probes.outliers.heights import OUTLIER
from tuiprobe.probes.outliers.result import OutlierResult, Outliers, UntrainedReference
from tuiprobe.probes.outliers.rule import HEAVY
from tuiprobe.probes.outliers.wording import (
    MEANING,
    channel_in_words,
    clause,
    listed_channels,
    skewed,
)
from tuiprobe.results import Figure, Model, given
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


STUDY = (
    "In the paper's study only robust zero-shot encoders had outlier features.",
    "Every one of 121 published zero-shot CLIPs is effectively robust by the supervised "
    "baseline, so presence cannot rank them.",
    "Kurtosis depends on the images (one encoder gives 15 to 156 on different sets): compare "
    "models on identical images only.",
)
"""What the paper and published accuracies say, of zero-shot projections alone."""


_NOTHING_TO_SHOW = (Outcome.WITHHELD, Outcome.NONE, Outcome.UNDETERMINED)
"""Outcomes whose charts stand in the evidence alone, because no channel stands out."""


def describe(result: OutlierResult, model: Model) -> Section:
    """Describes the outcome, the channels and their images, the layers, and related criteria."""
    final = result.finals()[0]
    outcome = clause(final)
    content = tuple(_content(result, model))
    charts = [block.id for block in content if isinstance(block, Chart) and block.id == "heights"]
    strips = [block.id for block in content if isinstance(block, Strip) and not block.folded]
    return Section(
        title=TITLE,
        headline=(Strong(strong=_capital(outcome)), " on ", Code(code=final.data), "."),
        clause=outcome,
        clause_on=final.data,
        card=(_card(final, model), *_registers(result, final.data)),
        pictures=(*charts, *strips[:1]) if final.outcome not in _NOTHING_TO_SHOW else (),
        content=content,
    )


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _card(final: Outliers, model: Model) -> Text:
    """Returns the outcome, what of the kurtosis the offset explains, and what it is evidence of."""
    outcome, text = final.outcome, _capital(clause(final))
    if outcome is Outcome.WITHHELD:
        return (f"{text} on {final.data}: {final.finding.reasons[0]}.",)
    if outcome is Outcome.CHANNELS and len(final.outlier_channels) > 1:
        count = several(len(final.outlier_channels), "outlier channel")
        text = f"{count}, highest {channel_in_words(final.outlier_channels[0])}"
    line: list[Value] = [text]
    kurtosis, explained = final.kurtosis, final.offset.explained
    heavy = given(kurtosis) and (kurtosis.low or 0.0) > HEAVY * final.basis_reference
    if heavy and given(explained):
        part = "all" if explained.value >= NEARLY_ALL else explained.alone()
        explains = " explains" if outcome is Outcome.OFFSET else "; the offset explains"
        line += [f"{explains} {part} of the kurtosis of ", kurtosis]
    line.append(".")
    if model.training != "unknown" and not final.finding.provisional:
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
    if skewed(final):
        yield prose(SKEWED)
    if model.representation == "projected" and model.training in ("zero-shot", "captions"):
        yield points(STUDY)
    yield _finals(finals)
    yield from _untrained(result.untrained, model)
    yield prose("What this does not say:")
    yield points(LIMITS)
    if isinstance(final.heights, Heights):
        yield from _channels(final, final.heights)
    yield from _bars(
        [(row.channel, row.share) for row in final.shares if given(row.share)],
        (f"if all equal: {number(1 / final.channels, 'share')}", 1 / final.channels),
        name="share",
        id="shares",
        title=f"Fourth moment by channel on {final.data}",
        y_label="share of the fourth moment",
        y_unit="share",
    )
    yield from evidence(result)


def _finals(finals: list[Outliers]) -> Table:
    """Returns the table of the final representation's figures, one column per set."""
    columns = [_figures(final) for final in finals]
    return table(
        "figures_of_the_final_representation",
        [("figure", "final representation"),
         *((f"set_{i}", Code(code=final.data)) for i, final in enumerate(finals))],
        [[name, *(column[name] for column in columns)] for name in columns[0]],
        file=False,
    )  # fmt: skip


def _figures(final: Outliers) -> dict[str, Value]:
    n, left_out = final.kurtosis.n if given(final.kurtosis) else 0, final.degenerate
    offset, persistence = final.offset, final.persistence
    return {
        "outcome": final.outcome.value,
        "images counted": f"{n:,}, {left_out:,} degenerate left out" if left_out else n,
        "outlier channels": listed_channels(final),
        "highest channel": final.highest,
        "offset share": offset.share,
        "kurtosis of the offset": offset.kurtosis,
        ".999 quantile of a random direction": offset.null_999,
        "kurtosis": final.kurtosis,
        "expected after a random rotation": final.basis_reference,
        "predicted from the offset": offset.predicted,
        "predicted, each channel's own variance": offset.predicted_uneven,
        "part explained by the offset": offset.explained,
        "kurtosis after centring": final.residual.kurtosis,
        "same channel leads (P)": persistence.value,
        "P if channels were shuffled, at most": persistence.null_high,
        "P after centring": final.residual.persistence,
        "effective channels": persistence.effective_channels,
        "channel RMS kurtosis": final.rms_kurtosis,
        "mean cosine between images": final.mean_cosine,
    }


def _untrained(reference: UntrainedReference | None, model: Model) -> Iterator[Content]:
    """Yields the figures of the same architecture with random weights."""
    if reference is None:
        if model.weights.kind != "unknown":  # vectors have no architecture
            name = Code(code=model.architecture)
            yield prose("No untrained reference is available for ", name, ".")
        return
    yield prose(
        "For comparison: the same architecture with random weights, on other images (persistence "
        "without interval). Its figures are not zero."
    )
    yield table(
        "untrained",
        ["model", "weights", "data", "n", ("width", "C"), "kurtosis", ("persistence", "P")],
        [
            [
                Code(code=reference.architecture), Strong(strong="untrained"),
                Code(code=reference.data), reference.n, reference.width, reference.kurtosis,
                reference.persistence,
            ]
        ],
    )  # fmt: skip


def _channels(final: Outliers, heights: Heights) -> Iterator[Content]:
    """Yields the highest channels and the number of channels above every cut."""
    outliers = {row.channel for row in final.outlier_channels}
    yield heading("Highest channels on ", Code(code=final.data))
    yield prose(
        "Height: distance from the median of the row's channels, in sigmas of the 95 % of channels "
        f"nearest to it. If all {final.channels} channels were alike, each would hold ",
        number(1 / final.channels, "share"), " of the energy.",
    )  # fmt: skip
    yield from _bars(
        [(row.channel, row.height) for row in heights.leading],
        (f"cut of the rule: {OUTLIER:g}", OUTLIER),
        name="median height",
        id="heights",
        title=f"Highest channels on {final.data}",
        y_label="median height, sigma",
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
        file=False,
    )  # fmt: skip
    parts = {"50 %": "in_50", "90 %": "in_90", "99 %": "in_99"}
    cuts = [(f"above_{row.cut:g}", f"above {row.cut:g}") for row in heights.curve]
    yield table(
        "curve",
        [("part", "in at least"), *cuts],
        [[part, *(getattr(row, field) for row in heights.curve)] for part, field in parts.items()],
        "Channels above each height in this part of the images (Wilson lower bound):",
        file=False,
    )


def _bars(
    channels: list[tuple[int, Figure]], reference: tuple[str, float], name: str, **chart: Any
) -> Iterator[Chart]:
    """Yields a figure of each channel as bars, beside a reference; none without any figure."""
    bars = series(name, [figure for _, figure in channels], mark="bars")
    text, y = reference
    if bars.x:
        ends = (-0.5, len(channels) - 0.5)
        line = Series(name=text, x=ends, y=(y, y), role="reference")
        ticks = tuple(str(channel) for channel, _ in channels)
        yield Chart(x_label="channel", series=(bars, line), ticks=ticks, **chart)
