"""Describes what images and class texts share."""

from collections.abc import Iterator

from tuiprobe.numbers import number
from tuiprobe.probes.channels import WHY
from tuiprobe.probes.outliers.channel_result import Offset
from tuiprobe.probes.telling import channels_in_words, points, several, table
from tuiprobe.probes.towers.result import Towers
from tuiprobe.results import NotRun
from tuiprobe.results.section import Chart, Code, Section, Series, Text, Value

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


def describe(found: Towers) -> Section:
    """Describes the channels of both towers, the gap, and the conformity of images."""
    columns = [("data", "data"), *NAMES.items()]
    rows = [[Code(code=one.data), *(getattr(one, id) for id in NAMES)] for one in found.sets]
    return Section(
        title="Image vs text",
        headline=_headline(found),
        card=(),
        content=(
            points(_reading(found)),
            table("towers", columns, rows, "Images of each set against the rows of the head"),
            _histogram(found),
        ),
    )


def _headline(found: Towers) -> Text:
    first = found.sets[0]
    if not found.channels or isinstance(first.on_channels, NotRun):
        return ("Image and text means are ", first.gap, " apart; no channel stands out.")
    named = channels_in_words(found.channels, 3)
    return ("Image and text means are ", first.gap, " apart, ",
            f"{first.on_channels.alone()} of it (squared) on {named}.")  # fmt: skip


def _reading(found: Towers) -> Iterator[Value | tuple[Value, ...]]:
    yield (
        "A zero-shot head's rows are class texts in the space of the images. Rows are normalised; "
        "a gap of 0 means equal means, 2 opposite ones."
    )
    head = found.head
    share = head.offset.share if isinstance(head.offset, Offset) else head.offset
    yield (f"{several(found.rows, 'row')} of the head: {head.outcome}; kurtosis ", head.kurtosis,
           ", highest channel ", head.highest, ", offset share ", share, ".")  # fmt: skip
    images = f"{channels_in_words(found.channels, 8)} ({WHY[found.why]})"
    texts = f"{channels_in_words(found.head_channels, 8)} ({WHY[found.head_why]})"
    if found.channels and found.head_channels:
        shared = channels_in_words(found.shared, 8) if found.shared else "none"
        yield (f"Stand out in images: {images}. In texts: {texts}. In both: {shared}; random "
               f"choices would share {number(found.expected_shared)} on average.")  # fmt: skip
    if found.channels:
        yield (
            "The same number of channels would hold "
            f"{number(found.expected_on_channels, 'share')} of the squared gap if it lay in a "
            "random direction."
        )
    yield "Conformity is the cosine of an image with the mean image; low values are unusual images."


def _histogram(found: Towers) -> Chart:
    middles = [(low + high) / 2 for low, high in zip(found.edges, found.edges[1:], strict=False)]
    return Chart(
        id="conformity",
        title=f"Conformity of the images of {found.sets[0].data}",
        x_label="cosine with the mean image",
        y_label="images",
        y_unit="count",
        series=(
            Series(
                name="images", x=tuple(middles), y=tuple(float(count) for count in found.images)
            ),
        ),
    )
