"""Tables of the outlier probe: layers, criteria of other authors, and what only files hold."""

from __future__ import annotations

from collections.abc import Iterator

from tuiprobe.probes.content import heading, prose, series, table
from tuiprobe.probes.outliers.result import (
    Heights,
    OutlierResult,
    Outliers,
    RowFigures,
)
from tuiprobe.results import NotRun
from tuiprobe.results.section import (
    Chart,
    Code,
    Content,
    Series,
    Value,
)

LISTED = 32
"""Channels that a cell of a table names."""


def listed(figures: RowFigures) -> Value:
    """Returns the outlier channels as a cell of a table, or why there are no heights."""
    if isinstance(figures.heights, NotRun):
        return figures.heights
    channels = figures.outlier_channels
    if not channels:
        return "none"
    listed = ", ".join(str(row.channel) for row in channels[:LISTED])
    more = f" and {len(channels) - LISTED} more" if len(channels) > LISTED else ""
    return f"{len(channels)}: {listed}{more}"


def layers(taps: tuple[Outliers, ...]) -> Iterator[Content]:
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
        ["data", "tap", "kind", ("channels", "C"), "kurtosis",
         ("centred_kurtosis", "after centring"), ("persistence", "P"),
         ("height", "highest channel"), ("offset_share", "offset share"),
         ("outlier_channels", "outlier channels"), "outcome"],
        [
            [Code(code=tap.data), Code(code=tap.tap),
             tap.kind if tap.tokens is None else f"{tap.kind}, {tap.tokens}", tap.channels,
             tap.kurtosis, tap.residual.kurtosis, tap.persistence.value, tap.highest,
             tap.offset.share, listed(tap), tap.outcome.value]
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
        centred = series("after centring", [tap.residual.kurtosis for tap in ordered], "second")
        yield Chart(
            id="layers",
            title=f"Kurtosis by layer on {data}",
            x_label="layer",
            y_label="kurtosis",
            series=(rotated, centred, kurtosis),
            ticks=tuple(tap.tap for tap in ordered),
        )


def criteria(result: OutlierResult) -> Iterator[Content]:
    """Yields the table of criteria of other authors."""
    cases = [(tap.data, tap.tap, criterion) for tap in result.taps for criterion in tap.criteria]
    first = result.taps[0].data
    cases += [(first, "all blocks", criterion) for criterion in result.cross_layer]
    yield table(
        "criteria",
        ["data", "tap", "criterion", "met", "figure", ("unit", "counts"), "channels", "note",
         "source", "rule"],
        [
            [Code(code=data), Code(code=tap), criterion.name,
             criterion.met, criterion.figure,
             criterion.unit, ", ".join(map(str, criterion.channels)), criterion.note,
             criterion.source, criterion.rule]
            for data, tap, criterion in cases
        ],
        "Criteria of other authors, each by its own rule; the outcome rests on none",
        folded=True,
    )  # fmt: skip


def files(taps: tuple[Outliers, ...]) -> Iterator[Content]:
    """Yields the tables that only files hold: all channels and curves of every tap."""
    yield table(
        "channels",
        ["data", "tap", "channel", "height", ("above", "above_6_in"), "energy", "mean", "std",
         "offset"],
        _every_channel(taps),
        reading=False,
    )  # fmt: skip
    yield table(
        "fourth_moment",
        ["data", "tap", "channel", "mean", "std", "share", "leading"],
        [
            [tap.data, tap.tap, row.channel, row.mean, row.std, row.share, row.leading]
            for tap in taps
            for row in tap.shares
        ],
        reading=False,
    )
    yield table(
        "heights_curve",
        ["data", "tap", "cut", "in_50", "in_90", "in_99", "rows", "sampled"],
        [
            [tap.data, tap.tap, row.cut, row.in_50, row.in_90, row.in_99, tap.heights.n,
             tap.heights.sampled]
            for tap in taps
            if isinstance(tap.heights, Heights)
            for row in tap.heights.curve
        ],
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
