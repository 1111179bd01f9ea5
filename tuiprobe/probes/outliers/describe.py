"""The description of the outlier probe."""

from __future__ import annotations

from collections.abc import Iterator

from tuiprobe.probes.outliers.result import (
    ChannelImages,
    Criterion,
    OutlierResult,
    Outliers,
    PersistentChannels,
)
from tuiprobe.probes.telling import heading, known, points, prose, series, table
from tuiprobe.results import Figure, NotRun, given
from tuiprobe.results.section import (
    Chart,
    Code,
    Content,
    Section,
    Series,
    Strip,
    StripEnd,
    Strong,
    Table,
    Text,
    Value,
)

LISTED = 32
"""Persistent channels that a cell of a table names."""
PICTURED = 4
"""Channels whose images a page shows unasked."""

MEANING = {
    "present": "The same few channels dominate the representation in (nearly) every image. In the "
    "paper's study only encoders robust to ImageNet shifts had this; elsewhere the link is not "
    "established.",
    "heavy-tailed, not persistent": "Single channels dominate each image, but not the same ones "
    "from image to image. Sparse features of an ordinary network look like this; it is not the "
    "paper's signature.",
    "absent": "No channel stands out in the representation. This is no evidence against the "
    "encoder's robustness.",
    "undetermined": "The figures meet no condition of the rule, so it gives no answer.",
    "withheld": "The rule does not apply here. The figures below are valid as measured.",
}

LIMITS = (
    "The thresholds of the rule were set on synthetic cases; they are uncalibrated.",
    "The signature depends on the basis: rotating image and text embeddings together keeps every "
    "prediction and removes it.",
    "Absence is no evidence of fragility. Where shifted data exists, judge by accuracy on it.",
    "Figures compare only within one representation kind; across widths compare "
    "kurtosis / (C - 1).",
)


def describe(result: OutlierResult) -> Section:
    """Describes the outcome, the channels and their images, the layers, and related criteria."""
    verdict, finals = result.verdict, result.finals()
    withheld = verdict.outcome == "withheld"
    told = "no verdict on outlier features: withheld" if withheld else (
        f"outlier features {verdict.outcome}"
    )  # fmt: skip
    return Section(
        title="Outlier features",
        headline=_headline(result),
        clause="verdict withheld" if withheld else told,
        card=tuple(_card(result)),
        content=tuple(_content(result, finals)),
    )


def _headline(result: OutlierResult) -> Text:
    verdict = result.verdict
    grid = " (outside the paper's grid of backbones)" if verdict.in_grid is False else ""
    said = (
        "No verdict on outlier features: withheld"
        if verdict.outcome == "withheld"
        else f"Outlier features: {verdict.outcome}"
    )
    rule = f", by rule {verdict.rule} (uncalibrated) on "
    return (Strong(strong=said), f"{grid}{rule}", Code(code=verdict.data), ".")


def _card(result: OutlierResult) -> Iterator[Text]:
    verdict = result.verdict
    yield (f"verdict (rule {verdict.rule}, uncalibrated): {verdict.outcome}",)
    for reason in verdict.reasons:
        yield (f"  {reason}",)
    for one in result.finals():
        yield (f"{one.data}: {one.images:,} images, {one.channels} channels",)
        yield (
            "  kurtosis              ", one.kurtosis, "; ", one.basis_reference,
            " after a random rotation",
        )  # fmt: skip
        yield ("  after centring        ", one.centred_kurtosis)
        yield ("  persistence           ", one.persistence.value)
        yield ("  persistent channels   ", _persistent(one))


def _content(result: OutlierResult, finals: list[Outliers]) -> Iterator[Content]:
    yield points(result.verdict.reasons)
    yield prose(MEANING[result.verdict.outcome])
    yield _finals(finals)
    yield prose("What this does not say:")
    yield points(LIMITS)
    for one in finals[:1]:
        yield from _channels(one)
    yield from _images(finals)
    yield from _layers(result.taps, finals[0].data if finals else "")
    yield from _criteria(result)
    yield from _files(result)


def _finals(finals: list[Outliers]) -> Table:
    """Returns the table of the final representation's figures, one column per set."""
    rows: dict[str, list[Value]] = {
        "images counted": [_counted(one) for one in finals],
        "kurtosis": [one.kurtosis for one in finals],
        "expected after a random rotation": [one.basis_reference for one in finals],
        "kurtosis / (C - 1)": [one.relative_kurtosis for one in finals],
        "kurtosis after centring": [one.centred_kurtosis for one in finals],
        "persistence P": [one.persistence.value for one in finals],
        "P if channels were shuffled, at most": [one.persistence.null_high for one in finals],
        "effective channels": [one.persistence.effective_channels for one in finals],
        "persistent channels": [_persistent(one) for one in finals],
        "channel RMS kurtosis": [one.rms_kurtosis for one in finals],
        "mean cosine between images": [one.mean_cosine for one in finals],
    }
    columns = [("figure", "final representation")]
    return table(
        "final",
        [*columns, *((f"set_{i}", Code(code=one.data)) for i, one in enumerate(finals))],
        [[name, *values] for name, values in rows.items()],
        file=False,
    )


def _counted(one: Outliers) -> Value:
    n = one.kurtosis.n if given(one.kurtosis) else 0
    return f"{n:,}, {one.degenerate:,} degenerate left out" if one.degenerate else n


def _persistent(one: Outliers) -> Value:
    if isinstance(one.persistent, NotRun):
        return one.persistent
    channels = one.persistent.channels
    if not channels:
        return "none"
    listed = ", ".join(str(channel.channel) for channel in channels[:LISTED])
    more = f" and {len(channels) - LISTED} more" if len(channels) > LISTED else ""
    return f"{len(channels)}: {listed}{more}"


def _channels(one: Outliers) -> Iterator[Content]:
    if not one.shares:
        return
    yield heading("Leading channels on ", Code(code=one.data))
    yield prose(
        f"If all {one.channels} channels were alike, each share would be ", 1 / one.channels, "."
    )
    fractions: dict[int, Value] = {}
    other = "n/a"
    if isinstance(one.persistent, PersistentChannels):
        fractions, other = {c.channel: c.fraction for c in one.persistent.channels}, "below .9"
    yield table(
        "leading",
        [
            ("channel", "channel"),
            ("share", "share of the fourth moment"),
            ("leading", "leads in"),
            ("outlier_fraction", "outlier in"),
            ("mean", "mean"),
            ("std", "std"),
        ],
        [
            [
                share.channel,
                share.share,
                share.leading,
                fractions.get(share.channel, other),
                share.mean,
                share.std,
            ]
            for share in one.shares
        ],
        file=False,
    )
    yield from _shares(one)
    if isinstance(one.persistent, PersistentChannels):
        curve = one.persistent.curve
        yield table(
            "curve",
            [("fraction", "fraction"), *((f"at_{i}", f"{point.fraction:g}")
                                         for i, point in enumerate(curve))],
            [["channels", *(point.channels for point in curve)]],
            "Channels that are outliers in at least this fraction of images (Wilson lower bound):",
            file=False,
        )  # fmt: skip


def _shares(one: Outliers) -> Iterator[Chart]:
    """Yields the leading channels by their share of the fourth moment, beside an even share."""
    places, figures = known([share.share for share in one.shares])
    if not figures:
        return
    even, ends = 1 / one.channels, (-0.5, len(figures) - 0.5)
    yield Chart(
        id="shares",
        title=f"Leading channels on {one.data}",
        x_label="channel",
        y_label="share of the fourth moment",
        series=(
            series("share", [float(i) for i in range(len(figures))], figures, mark="bars"),
            Series(name=f"evenly shared: {even:.2g}", x=ends, y=(even, even), role="reference"),
        ),
        ticks=tuple(str(one.shares[int(place)].channel) for place in places),
    )


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
            )


def _ends(channel: ChannelImages) -> tuple[StripEnd, ...]:
    ends = (("largest", channel.largest), ("smallest", channel.smallest))
    return tuple(StripEnd(label=label, images=images) for label, images in ends if images)


def _layers(taps: tuple[Outliers, ...], first: str) -> Iterator[Content]:
    if all(one.final for one in taps):
        return
    yield heading("Layers")
    yield prose(
        "At inner taps persistent channels and kurtosis after centring come from a seeded sample "
        "of one position per image."
    )
    yield table(
        "layers",
        [
            ("data", "data"),
            ("tap", "tap"),
            ("kind", "kind"),
            ("channels", "C"),
            ("kurtosis", "kurtosis"),
            ("relative_kurtosis", "kurtosis / (C - 1)"),
            ("centred_kurtosis", "after centring"),
            ("persistence", "P"),
            ("persistent", "persistent channels"),
        ],
        [
            [
                Code(code=one.data),
                Code(code=one.tap),
                one.kind if one.tokens is None else f"{one.kind}, {one.tokens}",
                one.channels,
                one.kurtosis,
                one.relative_kurtosis,
                one.centred_kurtosis,
                one.persistence.value,
                _persistent(one),
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
    centred_places, centred = known([one.centred_kurtosis for one in taps])
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
        [("data", "data"), ("tap", "tap"), ("channel", "channel"), ("mean", "mean"),
         ("std", "std"), ("share", "share"), ("leading", "leading"),
         ("outlier_fraction", "outlier_fraction")],
        _channel_rows(result.taps),
        reading=False,
    )  # fmt: skip
    yield table(
        "persistence_curve",
        [("data", "data"), ("tap", "tap"), ("fraction", "fraction"), ("channels", "channels"),
         ("rows", "rows"), ("sampled", "sampled")],
        [
            [one.data, one.tap, point.fraction, point.channels, one.persistent.rows,
             one.persistent.sampled]
            for one in result.taps
            if isinstance(one.persistent, PersistentChannels)
            for point in one.persistent.curve
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


def _channel_rows(taps: tuple[Outliers, ...]) -> Iterator[list[Value]]:
    for one in taps:
        fractions: dict[int, Figure] = {}
        means: dict[int, float] = {}
        if isinstance(one.persistent, PersistentChannels):
            fractions = {c.channel: c.fraction for c in one.persistent.channels}
            means = {c.channel: c.mean for c in one.persistent.channels}
        for share in one.shares:
            yield [
                one.data, one.tap, share.channel, share.mean, share.std, share.share,
                share.leading, fractions.pop(share.channel, None),
            ]  # fmt: skip
        for channel, fraction in fractions.items():
            yield [one.data, one.tap, channel, means[channel], None, None, None, fraction]
