"""Describes what INT8 costs."""

from collections.abc import Iterator

from tuiprobe.numbers import number
from tuiprobe.probes.quantisation.result import (
    AnswersChanged,
    Quantisation,
    Quantised,
    Scheme,
)
from tuiprobe.probes.telling import channels_in_words, known, points, series, table
from tuiprobe.results import Estimate, Figure, given
from tuiprobe.results.section import Chart, Code, Content, Section, Text, Value

NAMES = {
    "tensor.energy": "INT8 noise",
    "tensor.variance": "INT8 noise, without the offset",
    "token.energy": "INT8 noise, a scale a row",
    "token.variance": "INT8 noise, a scale a row, without the offset",
    "channel.energy": "INT8 noise, a scale a channel",
    "channel.variance": "INT8 noise, a scale a channel, without the offset",
    "apart.energy": "INT8 noise, channels apart",
    "apart.variance": "INT8 noise, channels apart, without the offset",
    "gain": "dB that the channels apart cost",
}
WHY = {"outlier": "outlier channels", "offset": "half of the offset", None: ""}
SCHEMES: dict[Scheme, str] = {"tensor": "one scale", "apart": "one scale, channels apart"}
_SCHEMES = (
    ("tensor", "one scale"),
    ("apart", "one scale, channels apart"),
    ("token", "a scale a row"),
    ("channel", "a scale a channel"),
)

_TICKS = ("one for all", "channels apart", "one a row", "one a channel")


def describe(found: Quantisation) -> Section:
    """Describes what changes, the final representation, the profile over layers, and every tap."""
    final = found.final()
    drawn = tuple(_profile(found) or _schemes(final))
    return Section(
        title="INT8 quantisation",
        headline=_headline(found),
        card=tuple(_card(found)),
        pictures=tuple(one.id for one in drawn),
        content=(*_changes(found), *_reading(final), *drawn, _table(found)),
    )


def _headline(found: Quantisation) -> Text:
    for changed in found.answers:
        return ("Rounded to INT8 with one scale, ", changed.changed, " of the answers on ",
                Code(code=changed.data), " change", *_accuracy(changed), ".")  # fmt: skip
    for one in found.neighbours:
        return ("Rounded to INT8 with one scale, ", one.kept,
                " of the ten nearest neighbours on ", Code(code=one.data), " stay.")  # fmt: skip
    return ("There are too few images to say what INT8 changes.",)


def _accuracy(changed: AnswersChanged) -> Text:
    return (", and accuracy by ", changed.top1) if given(changed.top1) else ()


def _card(found: Quantisation) -> Iterator[Text]:
    whole = [one for one in found.answers if one.scheme == "tensor" and given(one.changed)]
    worst = max(whole, key=lambda one: _share(one.changed), default=None)
    if worst is None:
        yield _headline(found)
        return
    first = whole[0]
    line: Text = ("INT8 with one scale changes ", first.changed,
                  f" of the answers on {first.data}{_accuracy_in_brackets(first)}")  # fmt: skip
    if worst is not first:
        most = _accuracy_in_brackets(worst)
        line = (*line, ", at worst ", worst.changed, f" on set {worst.data}{most}")
    yield (*line, ".")
    final = found.final()
    apart = next((one for one in found.answers if one.scheme == "apart"), None)
    if apart is not None and _below(apart.changed, first.changed):
        named = channels_in_words(final.apart_channels, 3)
        yield (f"With own scales for {named} ({WHY[final.apart_why]}), ", apart.changed,
               " change on ", Code(code=apart.data), ".")  # fmt: skip


def _accuracy_in_brackets(changed: AnswersChanged) -> str:
    return f" (accuracy {changed.top1.alone(signed=True)})" if given(changed.top1) else ""


def _share(figure: Figure) -> float:
    return figure.value if given(figure) else 0.0


def _below(figure: Figure, other: Figure) -> bool:
    """Returns whether the interval of a figure ends below that of another."""
    if not given(figure) or not given(other) or figure.high is None or other.low is None:
        return False
    return figure.high < other.low


def _changes(found: Quantisation) -> Iterator[Content]:
    """Yields the tables of what changes; none without any image."""
    if found.answers:
        yield table(
            "int8_answers",
            [("data", "data"), ("scheme", "scales"), ("changed", "answers that change"),
             ("top1", "change of accuracy")],
            [[Code(code=one.data), SCHEMES[one.scheme], one.changed, one.top1]
             for one in found.answers],
            "Answers from the rounded representation",
        )  # fmt: skip
    if found.neighbours:
        yield table(
            "int8_neighbours",
            [("data", "data"), ("scheme", "scales"), ("kept", "nearest neighbours kept")],
            [[Code(code=one.data), SCHEMES[one.scheme], one.kept] for one in found.neighbours],
            "The ten nearest neighbours in the rounded representation",
        )


def _percent(figure: Estimate) -> str:
    """Returns the amplitude of the noise as a part of the signal's.

    >>> _percent(Estimate(value=40.0, low=None, high=None, n=2, method=""))
    '1.0 %'
    """
    return number(10 ** (-figure.value / 20), "share")


def _reading(final: Quantised) -> Iterator[Content]:
    varying: tuple[Value, ...] = (
        "An offset that is the same in every image counts as signal. Of what varies between ",
        "images, INT8 with one scale leaves ", final.tensor.variance, ".",
    )  # fmt: skip
    whole: tuple[Value, ...] = ("INT8 with one scale leaves ", final.tensor.energy, ".")
    if given(final.tensor.energy):
        whole = (
            f"Of {final.channels:,} channels, INT8 with one scale leaves ", final.tensor.energy,
            f" over rounding noise, which is {_percent(final.tensor.energy)} of the signal.",
        )  # fmt: skip
    items: list[Value | tuple[Value, ...]] = [
        whole,
        "Symmetric rounding by the largest absolute value, measured on the rows that the run "
        "keeps. 6 dB are one bit.",
        varying,
        "Few runtimes support one scale per channel: an integer product sums over channels, and "
        "cannot take out a factor that differs from one to the next.",
    ]
    if final.apart_channels:
        named = channels_in_words(final.apart_channels)
        items.append(
            (f"With own scales for {named} ({WHY[final.apart_why]}) and one for the rest: ",
             final.apart.energy, ", a gain of ", final.gain, ".")
        )  # fmt: skip
    yield points(items)


def _schemes(final: Quantised) -> list[Chart]:
    """Returns what each scheme leaves of the final representation, with and without the offset."""
    ratios = [getattr(final, scheme) for scheme, _ in _SCHEMES]
    whole = known([ratio.energy for ratio in ratios])
    varying = known([ratio.variance for ratio in ratios])
    if not whole[1]:
        return []
    drawn = [series("signal", *whole, "second", "bars")]
    if varying[1]:
        drawn.append(series("what varies between images", *varying, "main", "points"))
    return [
        Chart(
            id="int8_schemes",
            title=f"INT8 of the final representation on {final.data}",
            x_label="scale of the rounding",
            y_label="dB over rounding noise",
            series=tuple(drawn),
            ticks=_TICKS,
            note="6 dB are one bit. Few runtimes support one scale per channel.",
        )
    ]


def _profile(found: Quantisation) -> list[Chart]:
    """Returns the profile over layers; none where only the final representation was measured."""
    taps = found.profile()
    if len(taps) < 2:
        return []
    drawn = []
    for (scheme, name), role in zip(_SCHEMES, ("main", "second", "third", "control"), strict=True):
        x, figures = known([getattr(one, scheme).energy for one in taps])
        if figures:
            drawn.append(series(name, x, figures, role))  # type: ignore[arg-type]
    return [
        Chart(
            id="int8_layers",
            title=f"Signal over INT8 rounding noise by layer on {taps[0].data}",
            x_label="layer",
            y_label="dB",
            series=tuple(drawn),
            ticks=tuple(one.tap for one in taps),
            note="Inner layers: one position per image; the scale is that of all positions.",
        )
    ]


def _table(found: Quantisation) -> Content:
    columns: list[tuple[str, str]] = [("data", "data"), ("tap", "layer"), ("channels", "channels")]
    columns += [("rows", "rows"), ("apart_channels", "channels apart")]
    columns += [
        (f"{scheme}_{kind}", f"{name}, {about}")
        for scheme, name in _SCHEMES
        for kind, about in (("energy", "dB"), ("variance", "dB without offset"))
    ]
    columns.append(("gain", "gain apart, dB"))
    return table(
        "int8",
        columns,
        [_row(one) for one in found.taps],
        "Signal over INT8 rounding noise",
        shown=24,
    )


def _row(one: Quantised) -> list[Value]:
    apart = ", ".join(str(channel) for channel in one.apart_channels)
    cells: list[Value] = [Code(code=one.data), Code(code=one.tap), one.channels, one.rows, apart]
    for scheme, _ in _SCHEMES:
        ratio = getattr(one, scheme)
        cells += [ratio.energy, ratio.variance]
    return [*cells, one.gain]
