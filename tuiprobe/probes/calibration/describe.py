"""The description of calibration and of accuracy by class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from tuiprobe.numbers import number
from tuiprobe.probes.calibration.result import Bin, Calibration, ClassChange, ShiftClasses
from tuiprobe.probes.telling import heading, prose, several, table
from tuiprobe.results import Figure, given
from tuiprobe.results.section import Chart, Code, Content, Drawn, Section, Series, Text, Value

NOTE: Final = (
    "The calibration error is the mean gap between confidence and accuracy over 15 bins of equally "
    "many images, less its bias. Temperature scaling is cross-fitted in two halves of the "
    "in-distribution set; shifts are scaled with the in-distribution temperature."
)
UNKNOWN: Final = (
    "Logit scale unknown: the head does not tell what its cosines are multiplied by, so there is "
    "no figure before temperature scaling."
)
BY_CHANCE: Final = (
    "Classes are ordered by the upper end of the interval of their change. Without any change, "
    "about 2.5 % of classes would count as fallen."
)
SHOWN: Final = 5
RIGHT: Final = 0.01
"""Gap up to which confidence is called right."""


def describe(result: Calibration) -> Section:
    """Describes calibration of every set, then the classes that lost most."""
    return Section(
        title="Calibration",
        headline=tuple(_headline(result)),
        card=tuple(_card(result)),
        content=(*_errors(result), *_reliability(result), *_classes(result)),
    )


def _headline(result: Calibration) -> Iterator[Value]:
    after = result.sets[0].after
    if not given(after):
        yield f"Calibration error on {result.data} after temperature scaling: "
        yield after
        yield "."
        return
    yield "Calibration error "
    yield after
    yield f" on {result.data} after temperature scaling."


def _card(result: Calibration) -> Iterator[Text]:
    first, *shifts = result.sets
    own, own_scaled = _gap(first.before, first.bins_before), _gap(first.after, first.bins)
    shifted = _mean([_gap(one.before, one.bins_before) for one in shifts])
    scaled = _mean([_gap(one.after, one.bins) for one in shifts])
    places = f"on {first.data}", f"over {several(len(shifts), 'shift')}"
    before = _gaps((own, shifted), places)
    after = _gaps((own_scaled, scaled), places, bare="points" in before)
    if before and after:
        worse = shifted is not None and scaled is not None and abs(scaled) > abs(shifted)
        why = ": scaling made it worse" if worse else ""
        yield (f"Confidence is {before}; after temperature scaling {after}{why}.",)
    elif before or after:
        yield (f"Confidence{'' if before else ' after temperature scaling'} is {before or after}.",)
    fallen = [one for one in result.classes if one.worst and one.fell]
    if fallen:
        shift = min(fallen, key=lambda one: _upper(one.worst[0].change))
        yield (_largest_loss(shift.worst[0], shift.data, sum(one.compared for one in fallen)),)


def _gap(error: Figure, bins: Sequence[Bin]) -> float | None:
    """Returns mean confidence less accuracy, from bins; None without a calibration error."""
    if not given(error):
        return None
    known = [(one.confidence, one.accuracy) for one in bins if given(one.accuracy)]
    images = sum(accuracy.n for _, accuracy in known if given(accuracy))
    if not images:
        return None
    return sum((c - a.value) * a.n for c, a in known if given(a)) / images


def _mean(gaps: Sequence[float | None]) -> float | None:
    known = [one for one in gaps if one is not None]
    return float(np.mean(known)) if known else None


def _gaps(gaps: Sequence[float | None], places: Sequence[str], bare: bool = False) -> str:
    """Returns by how much confidence is too high or too low at each place; empty if unknown.

    Args:
        gaps: Mean confidence less accuracy; None where it is not known.
        places: Of each gap.
        bare: Whether the unit was named before; else the first number has it.
    """
    words = []
    for gap, place in zip(gaps, places, strict=True):
        if gap is None:
            continue
        if abs(gap) < RIGHT:
            words.append(f"right {place}")
            continue
        amount = number(abs(gap), "points", bare=bare)
        words.append(f"{amount} too {'high' if gap > 0 else 'low'} {place}")
        bare = True
    return ", ".join(words)


def _largest_loss(worst: ClassChange, data: str, compared: int) -> str:
    """Returns how the class fares that falls most, and what its images are taken for."""
    if not given(worst.first) or not given(worst.shift):
        return ""
    images = worst.shift.n
    right = round(worst.shift.value * images)
    line = f"{worst.name} on {data}, {right:,} of {images:,} right"
    if worst.taken_for:
        taken = "all" if worst.taken == images else f"{worst.taken:,}"
        line += f", {taken} called {worst.taken_for}"
    return f"Worst class of a shift ({compared:,} tried): {line}."


def _upper(change: Figure) -> float:
    return change.high if given(change) and change.high is not None else 0.0


def _errors(result: Calibration) -> Iterator[Content]:
    yield prose(NOTE)
    if not result.scale_known:
        yield prose(UNKNOWN)
    yield prose("Temperature fitted to ", Code(code=result.data), ": ", result.temperature,
                "." if result.scale_known else ", relative to cosines.")  # fmt: skip
    yield table(
        "calibration",
        [
            ("data", "data"),
            ("before", "calibration error before"),
            ("after", "after temperature scaling"),
            ("spread", "spread of logits"),
        ],
        [
            [Code(code=one.data), one.before if result.scale_known else "-", one.after, one.spread]
            for one in result.sets
        ],
    )


def _reliability(result: Calibration) -> Iterator[Chart]:
    first, *shifts = result.sets
    known = [one for one in shifts if given(one.after)]
    worst = max(known, key=lambda one: one.after.value if given(one.after) else 0.0, default=None)
    drawn = [
        _line(f"{first.data}, scaled", first.bins, "main"),
        _line(f"{first.data}, before", first.bins_before, "second"),
    ]
    if worst is not None:
        drawn.append(_line(f"{worst.data}, scaled (worst)", worst.bins, "third"))
    kept = [one for one in drawn if one.x]
    if not kept:
        return
    yield Chart(
        id="reliability",
        title="Accuracy by confidence",
        x_label="confidence",
        y_label="accuracy",
        series=(
            Series(name="calibrated", x=(0.0, 1.0), y=(0.0, 1.0), role="reference"),
            *kept,
        ),
        x_unit="share",
        y_unit="share",
        note="15 bins of equally many images; below the line, confidence is too high",
    )


def _line(name: str, bins: Sequence[Bin], role: Drawn) -> Series:
    told = [(one.confidence, one.accuracy) for one in bins]
    known = [(x, accuracy) for x, accuracy in told if given(accuracy)]
    return Series(
        name=name,
        x=tuple(x for x, _ in known),
        y=tuple(one.value for _, one in known),
        low=tuple(one.value if one.low is None else one.low for _, one in known),
        high=tuple(one.value if one.high is None else one.high for _, one in known),
        role=role,
    )


def _classes(result: Calibration) -> Iterator[Content]:
    if not result.classes:
        return
    yield heading("Accuracy by class")
    yield prose(BY_CHANCE)
    for one in result.classes:
        if one.reason:
            yield prose(Code(code=one.data), f": not compared: {one.reason}.")
            continue
        yield prose(
            Code(code=one.data),
            f": of {several(one.compared, 'class', 'classes')}, {one.fell:,} fell and "
            f"{one.rose:,} rose.",
        )
    yield table(
        "classes_fallen",
        [
            ("data", "shift"),
            ("class", "class"),
            ("first", (Code(code=result.data),)),
            ("images", "n"),
            ("shift", "on the shift"),
            ("shift_images", "n"),
            ("change", "change"),
        ],
        [row for one in result.classes for row in _rows(one, None)],
        "Classes that fell most",
        reading=False,
    )
    yield table(
        "classes_fallen_most",
        [("data", "shift"), ("class", "class"), ("first", (Code(code=result.data),)),
         ("images", "n"), ("shift", "on the shift"), ("shift_images", "n"), ("change", "change")],
        [row for one in result.classes for row in _rows(one, SHOWN)],
        f"The {SHOWN} classes that fell most on each shift",
        file=False,
    )  # fmt: skip


def _rows(one: ShiftClasses, most: int | None) -> Iterator[list[Value]]:
    for each in one.worst[:most]:
        yield [
            Code(code=one.data), each.name, each.first, _n(each.first), each.shift,
            _n(each.shift), each.change,
        ]  # fmt: skip


def _n(one: Figure) -> int:
    return one.n if given(one) else 0
