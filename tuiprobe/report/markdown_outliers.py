"""The outlier sections of report.md."""

from tuiprobe.probes.outliers.result import ChannelImages, Criterion, Outliers, PersistentChannels
from tuiprobe.probes.population.result import Reference
from tuiprobe.report.text import code, escaped, figure, number, table
from tuiprobe.results import Figure, NotRun, given
from tuiprobe.results.images import TopImage
from tuiprobe.results.report import Report

SHOWN_IMAGES = 5
SHOWN_PERSISTENT = 32


def headline(report: Report) -> list[str]:
    """The figures of the final representation, one column a data set."""
    finals = [one for one in report.outliers if one.final]
    if not finals:
        return []

    untrained = None if report.population is None else report.population.untrained
    reference = _reference(untrained)

    def row(name: str, cells: list[str]) -> list[str]:
        return [name, *cells, *([reference.get(name, "")] if untrained is not None else [])]

    rows = [
        row("images that count", [_counted(one) for one in finals]),
        row("kurtosis", [figure(one.kurtosis) for one in finals]),
        row("expected after a random rotation", [number(one.basis_reference) for one in finals]),
        row("kurtosis / (C - 1)", [figure(one.relative_kurtosis) for one in finals]),
        row("kurtosis after centring", [figure(one.centred_kurtosis) for one in finals]),
        row("persistence P", [figure(one.persistence.value) for one in finals]),
        row("P if channels were shuffled, at most", [figure(_null(one)) for one in finals]),
        row("effective channels", [figure(one.persistence.effective_channels) for one in finals]),
        row("persistent channels", [_persistent(one) for one in finals]),
        row("channel RMS kurtosis", [figure(one.rms_kurtosis) for one in finals]),
        row("mean cosine between images", [figure(one.mean_cosine) for one in finals]),
    ]
    header = ["final representation", *(code(one.data) for one in finals)]
    if untrained is not None:
        header.append(f"same architecture, **untrained**, {code(untrained.data)}")
    return table(header, rows)


def _reference(one: Reference | None) -> dict[str, str]:
    """What is known of the same architecture untrained, by the row it belongs in."""
    if one is None:
        return {}
    cells = {
        "images that count": number(one.n),
        "kurtosis": figure(one.kurtosis),
        "expected after a random rotation": number(3 * (one.width - 1) / (one.width + 1)),
        "persistence P": figure(one.persistence),
    }
    if given(one.kurtosis) and one.width > 1:
        cells["kurtosis / (C - 1)"] = number(one.kurtosis.value / (one.width - 1))
    return cells


def outlier_sections(report: Report) -> list[str]:
    """Channels and top images of the first set; layers and neighbouring criteria of all."""
    lines: list[str] = []
    finals = [one for one in report.outliers if one.final]
    for one in finals[:1]:
        lines += _channels(one)
        lines += _curve(one)
        lines += _images(one)
    if len(finals) > 1:
        lines += ["The same for the other sets is in `tables/`.", ""]
    lines += _layers(report)
    lines += _criteria(report)
    return lines


def _null(one: Outliers) -> Figure:
    return one.persistence.null_high


def _counted(one: Outliers) -> str:
    n = one.kurtosis.n if given(one.kurtosis) else 0
    left_out = f", {number(one.degenerate)} degenerate left out" if one.degenerate else ""
    return f"{number(n)}{left_out}"


def _persistent(one: Outliers) -> str:
    if isinstance(one.persistent, NotRun):
        return figure(one.persistent)
    channels = one.persistent.channels
    if not channels:
        return "none"
    listed = ", ".join(str(c.channel) for c in channels[:SHOWN_PERSISTENT])
    more = (
        f" and {len(channels) - SHOWN_PERSISTENT} more" if len(channels) > SHOWN_PERSISTENT else ""
    )
    return f"{len(channels)}: {listed}{more}"


def _channels(one: Outliers) -> list[str]:
    if not one.shares:
        return []
    fractions: dict[int, Figure] = {}
    other = "below .9" if isinstance(one.persistent, PersistentChannels) else "n/a"
    if isinstance(one.persistent, PersistentChannels):
        fractions = {c.channel: c.fraction for c in one.persistent.channels}
    rows = [
        [
            str(share.channel),
            figure(share.share),
            figure(share.leading),
            figure(fractions[share.channel]) if share.channel in fractions else other,
            number(share.mean),
            number(share.std),
        ]
        for share in one.shares
    ]
    header = ["channel", "share of the fourth moment", "leads in", "outlier in", "mean", "std"]
    title = f"## Leading channels on {code(one.data)}"
    evenly = number(1 / one.channels)
    note = f"If all {one.channels} channels were alike, each share would be {evenly}."
    return [title, "", note, "", *table(header, rows)]


def _curve(one: Outliers) -> list[str]:
    if isinstance(one.persistent, NotRun):
        return []
    curve = one.persistent.curve
    return [
        "Channels that are outliers in at least this fraction of images (Wilson lower bound):",
        "",
        *table(
            ["fraction", *(f"{point.fraction:g}" for point in curve)],
            [["channels", *(str(point.channels) for point in curve)]],
        ),
    ]


def _images(one: Outliers) -> list[str]:
    if not one.top_images:
        return []
    rows = [
        [str(images.channel), end, *_places(found)]
        for images in one.top_images
        for end, found in _ends(images)
        if found
    ]
    header = ["channel", "end", *(str(rank + 1) for rank in range(SHOWN_IMAGES))]
    title = f"## Images at the ends of the leading channels on {code(one.data)}"
    return [title, "", *table(header, rows)]


def _ends(images: ChannelImages) -> list[tuple[str, tuple[TopImage, ...]]]:
    return [("largest", images.largest), ("smallest", images.smallest)]


def _places(found: tuple[TopImage, ...]) -> list[str]:
    cells = [
        f"{code(i.path) if i.path is not None else f'id {i.sample_id}'} ({number(i.value)})"
        for i in found[:SHOWN_IMAGES]
    ]
    return cells + [""] * (SHOWN_IMAGES - len(cells))


def _layers(report: Report) -> list[str]:
    if not any(not one.final for one in report.outliers):
        return []
    rows = [
        [
            code(one.data),
            code(one.tap),
            one.kind if one.tokens is None else f"{one.kind}, {one.tokens}",
            str(one.channels),
            figure(one.kurtosis),
            figure(one.relative_kurtosis),
            figure(one.centred_kurtosis),
            figure(one.persistence.value),
            _persistent(one),
        ]
        for one in report.outliers
    ]
    header = [
        "data", "tap", "kind", "C", "kurtosis", "kurtosis / (C - 1)", "after centring", "P",
        "persistent channels",
    ]  # fmt: skip
    note = (
        "At inner taps persistent channels and kurtosis after centring come from a seeded sample "
        "of one position an image."
    )
    return ["## Layers", "", note, "", *table(header, rows)]


def _criteria(report: Report) -> list[str]:
    rows = [
        [code(one.data), code(one.tap), *_criterion(c)]
        for one in report.outliers
        for c in one.criteria
    ]
    rows += [["", "all blocks", *_criterion(c)] for c in report.cross_layer]
    if not rows:
        return []
    header = ["data", "tap", "criterion", "met", "figure", "counts", "channels", "note"]
    note = "What other authors look for, side by side, each by its own rule:"
    rules = {c.name: c for one in report.outliers for c in one.criteria}
    rules |= {c.name: c for c in report.cross_layer}
    return [
        "## Neighbouring criteria",
        "",
        note,
        "",
        *(f"- {escaped(c.name)} ({escaped(c.source)}): {escaped(c.rule)}" for c in rules.values()),
        "",
        *table(header, rows),
    ]


def _criterion(c: Criterion) -> list[str]:
    met = {True: "yes", False: "no", None: "n/a" if isinstance(c.figure, NotRun) else "-"}[c.met]
    shown = escaped(c.figure.reason) if isinstance(c.figure, NotRun) else figure(c.figure)
    channels = ", ".join(str(channel) for channel in c.channels)
    return [escaped(c.name), met, shown, escaped(c.unit), channels, escaped(c.note)]
