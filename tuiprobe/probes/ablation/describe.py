"""Describes what a head loses without channels."""

from collections.abc import Iterator

from tuiprobe.probes.ablation.compute import CONTROL_IMAGES, DRAWS
from tuiprobe.probes.ablation.result import Ablation, ChannelAblations
from tuiprobe.probes.channels import WHY
from tuiprobe.probes.telling import channels_in_words, points, table
from tuiprobe.results import given
from tuiprobe.results.base import figures_in
from tuiprobe.results.section import Code, Section, Text, Value

NAMES = {
    "before": "top-1 before",
    "after": "top-1 after",
    "difference": "change of top-1",
    "random": "top-1 without as many random channels",
    "random_difference": "change of top-1 without random channels",
    "matched": "top-1 without as many channels of nearest energy",
    "matched_difference": "change of top-1 without channels of nearest energy",
    "directions": "top-1 without as many random directions",
    "directions_difference": "change of top-1 without random directions",
    "ece.before": "calibration error before",
    "ece.after": "calibration error after",
    "ece.random": "calibration error without random channels",
    "ece.directions": "calibration error without random directions",
    "spread.before": "spread of logits before",
    "spread.after": "spread of logits after",
    "spread.random": "spread of logits without random channels",
    "spread.directions": "spread of logits without random directions",
}
"""What the channels are, for people."""


def describe(found: ChannelAblations) -> Section:
    """Describes the changes on every set, and what they are compared with."""
    columns = [("data", "data"), ("mode", "channels are set to"), *NAMES.items()]
    shown = ("before", "after", "difference", "random", "matched", "directions")
    short = [("data", "data"), ("mode", "channels are set to")]
    short += [(id, NAMES[id]) for id in shown]
    return Section(
        title="Channel ablation",
        headline=_sentence(found),
        card=(_sentence(found),) if found.stand_out else (),
        content=(
            points(_reading(found)),
            table(
                "without_the_channels",
                short,
                [_row(one, shown) for one in found.ablations],
                file=False,
            ),
            table(
                "ablation",
                columns,
                [_row(one, tuple(NAMES)) for one in found.ablations],
                reading=False,
            ),
        ),
    )


def _sentence(found: ChannelAblations) -> Text:
    """Returns what the set loses that loses most, beside its own controls, in both modes."""
    named = channels_in_words(found.channels, 3)
    zero, mean = (_changes(found, mode) for mode in ("zero", "mean"))
    named = named[0].upper() + named[1:]
    return (f"{named} set to zero: {zero}; set to their mean: {mean}.",)


def _changes(found: ChannelAblations, mode: str) -> str:
    """Returns the largest loss of a mode, or that none lies beyond what controls lose."""
    lost = [one for one in found.ablations if one.mode == mode and _beyond(one)]
    if not lost:
        return "no more than random ones"
    worst = min(lost, key=lambda one: one.difference.value if given(one.difference) else 0.0)
    random, matched = (
        figure.alone(signed=True, bare=True)
        for figure in (worst.random_difference, worst.matched_difference)
    )
    return (
        f"{worst.difference.alone(signed=True)} on {worst.data} (random "
        f"{random}, like energy {matched})"
    )


def _beyond(one: Ablation) -> bool:
    """Returns whether a set loses more than nearly all random choices of channels cost it."""
    random = one.random_difference
    if not given(one.difference) or not given(random) or random.low is None:
        return False
    return one.difference.value < random.low


def _reading(found: ChannelAblations) -> Iterator[Value | tuple[Value, ...]]:
    yield (f"Ablated: {channels_in_words(found.channels, 16)} ({WHY[found.why]}). Their means are "
           "those of ", Code(code=found.mean_of), ", for every set.")  # fmt: skip
    yield (
        "Setting to zero also moves a representation to where the head never saw one; setting to "
        "the mean removes only what the channels tell about an image."
    )
    yield (
        f"Channels of nearest energy: {channels_in_words(found.matched, 16)}, which hold ",
        found.matched_energy,
        " times the energy of the ablated ones.",
    )
    yield (
        f"Random channels and directions: mean and middle 95 % of {DRAWS} draws, on at most "
        f"{CONTROL_IMAGES:,} images of a set."
    )


def _row(one: Ablation, ids: tuple[str, ...]) -> list[Value]:
    figures = dict(figures_in(one))
    return [Code(code=one.data), one.mode, *(figures[id] for id in ids)]
