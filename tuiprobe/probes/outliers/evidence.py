"""The evidence behind the outcome: images, layers, related criteria, tables for files."""

from __future__ import annotations

from collections.abc import Iterator

from tuiprobe.probes.content import heading, points, prose, series, table
from tuiprobe.probes.outliers.channel_result import Heights
from tuiprobe.probes.outliers.result import ChannelImages, OutlierResult, Outliers
from tuiprobe.probes.outliers.wording import listed_channels
from tuiprobe.results import NotRun
from tuiprobe.results.section import (
    Chart,
    Code,
    Content,
    RowSubject,
    Series,
    Strip,
    StripEnd,
    Value,
)

PICTURED = 4
"""Channels whose images a page shows unasked."""


def evidence(result: OutlierResult) -> Iterator[Content]:
    """Yields images of the leading channels, layers, related criteria, and tables for files."""
    for number, final in enumerate(result.finals()):
        name = Code(code=final.data)
        if number == 0 and final.top_images:
            yield heading("Images at the ends of the leading channels on ", name)
        for place, channel in enumerate(final.top_images):
            yield Strip(
                id=f"channel_{number}_{channel.channel}",
                title=(f"Channel {channel.channel}",),
                data=final.data,
                ends=_ends(channel),
                folded=number > 0 or place >= PICTURED,
                subject=RowSubject(kind="channel", number=channel.channel),
            )
    yield from _layers(result.taps)
    yield from _criteria(result)
    yield from _files(result)


def _ends(channel: ChannelImages) -> tuple[StripEnd, ...]:
    ends = (("largest", channel.largest), ("smallest", channel.smallest))
    return tuple(StripEnd(label=label, images=images) for label, images in ends if images)


def _layers(taps: tuple[Outliers, ...]) -> Iterator[Content]:
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
             tap.offset.share, listed_channels(tap), tap.outcome.value]
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


def _criteria(result: OutlierResult) -> Iterator[Content]:
    cases = [(tap.data, tap.tap, criterion) for tap in result.taps for criterion in tap.criteria]
    first = result.taps[0].data if result.taps else ""
    cases += [(first, "all blocks", criterion) for criterion in result.cross_layer]
    if not cases:
        return
    yield heading("Related criteria")
    yield prose("Criteria of other authors, each by its own rule:")
    rules = {criterion.name: criterion for _, _, criterion in cases}
    yield points(f"{name} ({rule.source}): {rule.rule}" for name, rule in rules.items())
    rows: list[list[Value]] = []
    for data, tap, criterion in cases:
        met = {True: "yes", False: "no", None: "-"}[criterion.met]
        if criterion.met is None and isinstance(criterion.figure, NotRun):
            met = "n/a"
        channels = ", ".join(str(channel) for channel in criterion.channels)
        rows.append(
            [Code(code=data), Code(code=tap), criterion.name, met, criterion.figure,
             criterion.unit, channels, criterion.note]
        )  # fmt: skip
    yield table(
        "criteria",
        ["data", "tap", "criterion", "met", "figure", ("unit", "counts"), "channels", "note"],
        rows,
        folded=True,
    )


def _files(result: OutlierResult) -> Iterator[Content]:
    """Yields the tables that only files hold: all channels, curves and images of every tap."""
    yield table(
        "channels",
        ["data", "tap", "channel", "height", ("above", "above_6_in"), "energy", "mean", "std",
         "offset"],
        _every_channel(result.taps),
        reading=False,
    )  # fmt: skip
    yield table(
        "fourth_moment",
        ["data", "tap", "channel", "mean", "std", "share", "leading"],
        [
            [tap.data, tap.tap, row.channel, row.mean, row.std, row.share, row.leading]
            for tap in result.taps
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
            for tap in result.taps
            if isinstance(tap.heights, Heights)
            for row in tap.heights.curve
        ],
        reading=False,
    )  # fmt: skip
    yield table(
        "top_images",
        ["data", "tap", "channel", "end", "rank", "sample_id", "path", "value", "position"],
        [
            [tap.data, tap.tap, channel.channel, end.label, rank, image.sample_id, image.path,
             image.value, image.position]
            for tap in result.taps
            for channel in tap.top_images
            for end in _ends(channel)
            for rank, image in enumerate(end.images, start=1)
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
