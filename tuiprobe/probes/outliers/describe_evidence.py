"""The evidence behind the outcome: images, layers, related criteria, tables for files."""

from __future__ import annotations

from collections.abc import Iterator

from tuiprobe.probes.outliers.channel_result import Heights
from tuiprobe.probes.outliers.result import (
    ChannelImages,
    Criterion,
    OutlierResult,
    Outliers,
)
from tuiprobe.probes.outliers.saying import listed_channels
from tuiprobe.probes.telling import heading, known, points, prose, series, table
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
    finals = result.finals()
    yield from _images(finals)
    yield from _layers(result.taps, finals[0].data if finals else "")
    yield from _criteria(result)
    yield from _files(result)


def _images(finals: list[Outliers]) -> Iterator[Content]:
    for number, one in enumerate(finals):
        if number == 0 and one.top_images:
            yield heading("Images at the ends of the leading channels on ", Code(code=one.data))
        for place, channel in enumerate(one.top_images):
            yield Strip(
                id=f"channel_{number}_{channel.channel}",
                title=(f"Channel {channel.channel}",),
                data=one.data,
                ends=_ends(channel),
                folded=number > 0 or place >= PICTURED,
                subject=RowSubject(kind="channel", number=channel.channel),
            )


def _ends(channel: ChannelImages) -> tuple[StripEnd, ...]:
    ends = (("largest", channel.largest), ("smallest", channel.smallest))
    return tuple(StripEnd(label=label, images=images) for label, images in ends if images)


def _layers(taps: tuple[Outliers, ...], first: str) -> Iterator[Content]:
    if all(one.final for one in taps):
        return
    yield heading("Layers")
    yield prose(
        "At inner taps heights, offset and what centring leaves come from a seeded sample of one "
        "position per image."
    )
    yield table(
        "layers",
        [
            ("data", "data"),
            ("tap", "tap"),
            ("kind", "kind"),
            ("channels", "C"),
            ("kurtosis", "kurtosis"),
            ("centred_kurtosis", "after centring"),
            ("persistence", "P"),
            ("height", "highest channel"),
            ("offset_share", "offset share"),
            ("outlier_channels", "outlier channels"),
            ("outcome", "outcome"),
        ],
        [
            [
                Code(code=one.data),
                Code(code=one.tap),
                one.kind if one.tokens is None else f"{one.kind}, {one.tokens}",
                one.channels,
                one.kurtosis,
                one.residual.kurtosis,
                one.persistence.value,
                one.highest,
                one.offset.share,
                listed_channels(one),
                one.outcome.value,
            ]
            for one in taps
        ],
        file=False,
    )
    yield from _by_layer([one for one in taps if one.data == first], first)


def _by_layer(taps: list[Outliers], data: str) -> Iterator[Chart]:
    """Yields table and chart of the kurtosis by layer on one set."""
    taps = [one for one in taps if not one.final] + [one for one in taps if one.final]
    places, kurtosis = known([one.kurtosis for one in taps])
    centred_places, centred = known([one.residual.kurtosis for one in taps])
    if not kurtosis:
        return
    yield Chart(
        id="layers",
        title=f"Kurtosis by layer on {data}",
        x_label="layer",
        y_label="kurtosis",
        series=(
            Series(
                name="after a random rotation",
                x=tuple(float(i) for i in range(len(taps))),
                y=tuple(one.basis_reference for one in taps),
                role="reference",
            ),
            series("after centring", centred_places, centred, "second"),
            series("kurtosis", places, kurtosis),
        ),
        ticks=tuple(one.tap for one in taps),
    )


def _criteria(result: OutlierResult) -> Iterator[Content]:
    cases = [(one.data, one.tap, c) for one in result.taps for c in one.criteria]
    first = result.taps[0].data if result.taps else ""
    cases += [(first, "all blocks", c) for c in result.cross_layer]
    if not cases:
        return
    yield heading("Related criteria")
    yield prose("Criteria of other authors, each by its own rule:")
    rules = {criterion.name: criterion for _, _, criterion in cases}
    yield points(f"{one.name} ({one.source}): {one.rule}" for one in rules.values())
    yield table(
        "criteria",
        [
            ("data", "data"),
            ("tap", "tap"),
            ("criterion", "criterion"),
            ("met", "met"),
            ("figure", "figure"),
            ("unit", "counts"),
            ("channels", "channels"),
            ("note", "note"),
        ],
        [
            [
                Code(code=data),
                Code(code=tap),
                one.name,
                _met(one),
                one.figure,
                one.unit,
                ", ".join(str(channel) for channel in one.channels),
                one.note,
            ]
            for data, tap, one in cases
        ],
        folded=True,
    )


def _met(one: Criterion) -> str:
    if one.met is None:
        return "n/a" if isinstance(one.figure, NotRun) else "-"
    return "yes" if one.met else "no"


def _files(result: OutlierResult) -> Iterator[Content]:
    """Yields the tables that only files hold: all channels, curves and images of every tap."""
    yield table(
        "channels",
        [("data", "data"), ("tap", "tap"), ("channel", "channel"), ("height", "height"),
         ("above", "above_6_in"), ("energy", "energy"), ("mean", "mean"), ("std", "std"),
         ("offset", "offset")],
        _every_channel(result.taps),
        reading=False,
    )  # fmt: skip
    yield table(
        "fourth_moment",
        [("data", "data"), ("tap", "tap"), ("channel", "channel"), ("mean", "mean"),
         ("std", "std"), ("share", "share"), ("leading", "leading")],
        [
            [one.data, one.tap, c.channel, c.mean, c.std, c.share, c.leading]
            for one in result.taps
            for c in one.shares
        ],
        reading=False,
    )  # fmt: skip
    yield table(
        "heights_curve",
        [("data", "data"), ("tap", "tap"), ("cut", "cut"), ("in_50", "in_50"), ("in_90", "in_90"),
         ("in_99", "in_99"), ("rows", "rows"), ("sampled", "sampled")],
        [
            [one.data, one.tap, row.cut, row.in_50, row.in_90, row.in_99, one.heights.n,
             one.heights.sampled]
            for one in result.taps
            if isinstance(one.heights, Heights)
            for row in one.heights.curve
        ],
        reading=False,
    )  # fmt: skip
    yield table(
        "top_images",
        [("data", "data"), ("tap", "tap"), ("channel", "channel"), ("end", "end"),
         ("rank", "rank"), ("sample_id", "sample_id"), ("path", "path"), ("value", "value"),
         ("position", "position")],
        [
            [one.data, one.tap, channel.channel, end.label, rank, image.sample_id, image.path,
             image.value, image.position]
            for one in result.taps
            for channel in one.top_images
            for end in _ends(channel)
            for rank, image in enumerate(end.images, start=1)
        ],
        reading=False,
    )  # fmt: skip


def _every_channel(taps: tuple[Outliers, ...]) -> Iterator[list[Value]]:
    """Yields the leading channels with intervals, then the other ones of final taps without."""
    for one in taps:
        if not isinstance(one.heights, Heights):
            continue
        for c in one.heights.leading:
            yield [
                one.data, one.tap, c.channel, c.height, c.above, c.energy, c.mean, c.sd, c.offset
            ]  # fmt: skip
        told, columns = {c.channel for c in one.heights.leading}, one.heights.columns
        if columns is None:
            continue
        rows = zip(
            columns.median, columns.above, columns.energy, columns.mean, columns.sd,
            columns.offset, strict=True,
        )  # fmt: skip
        for channel, values in enumerate(rows):
            if channel not in told:
                yield [one.data, one.tap, channel, *values]
