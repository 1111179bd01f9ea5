"""What the outcome of rule v3 is called: in titles, on cards, in tables."""

from __future__ import annotations

from tuiprobe.probes.content import several
from tuiprobe.probes.outliers.channel_result import (
    Heights,
    Outcome,
    OutlierChannel,
    RowFigures,
)
from tuiprobe.results import NotRun, given
from tuiprobe.results.section import Value

LISTED = 32
"""Channels that a cell of a table names."""
NAMED = 3
"""Channels that a title names."""

MEANING = {
    Outcome.CHANNELS: "The same channels stand more than 6 sigma from the others in nearly every "
    "image.",
    Outcome.OFFSET: "No channel stands more than 6 sigma from the others in nearly every image, "
    "but the part that all images share lies on few channels.",
    Outcome.MOVING: "Single channels dominate images, but not the same ones from image to image. "
    "Sparse features of an ordinary network look like this.",
    Outcome.MOVING_AND_CONSTANT: "Single channels dominate images, but not the same ones from "
    "image to image; beside them, one channel has a large constant part.",
    Outcome.UNEVEN: "The same channels often dominate, without a constant part that explains it: "
    "they vary more than the others.",
    Outcome.NONE: "No channel stands out.",
    Outcome.UNDETERMINED: "The intervals of the figures meet no condition of the rule.",
    Outcome.WITHHELD: "The rule does not apply here. The figures below are valid as measured.",
}
"""What an outcome means; it describes, and claims nothing about robustness."""


def clause(figures: RowFigures) -> str:
    """Returns the outcome as a title says it."""
    outcome = figures.outcome
    if outcome is Outcome.WITHHELD:
        return "outlier outcome withheld"
    channels, highest = figures.outlier_channels, ""
    names = "; ".join(channel_in_words(row) for row in channels[:NAMED])
    more = f"; and {len(channels) - NAMED} more" if len(channels) > NAMED else ""
    if isinstance(figures.heights, Heights) and given(figures.heights.highest):
        number = figures.heights.leading[0].channel
        highest = f" (channel {number}: {figures.heights.highest.alone()})"
    text = {
        Outcome.CHANNELS: f"{several(len(channels), 'outlier channel')} ({names}{more})",
        Outcome.OFFSET: f"concentrated offset{highest}",
        Outcome.MOVING: "moving tails, no outlier channel",
        Outcome.MOVING_AND_CONSTANT: f"moving tails, one constant channel{highest}",
        Outcome.UNEVEN: "uneven channels, no outlier channel",
        Outcome.NONE: "no channel stands out",
        Outcome.UNDETERMINED: "outlier features undetermined",
    }[outcome]
    notes = ["skewed, not comparable"] if skewed(figures) else []
    notes += ["provisional"] if figures.finding.provisional else []
    if not notes:
        return text
    start = f"{text.removesuffix(')')}, " if text.endswith(")") else f"{text} ("
    return f"{start}{', '.join(notes)})"


def skewed(figures: RowFigures) -> bool:
    """Returns whether no value is negative, so that heights do not compare."""
    return isinstance(figures.heights, Heights) and figures.heights.skewed


def channel_in_words(row: OutlierChannel) -> str:
    """Returns a channel with height and energy: `442: 27.1 sigma, 53.2 % of the energy`."""
    return f"{row.channel}: {row.height.alone()}, {row.energy.alone()} of the energy"


def listed_channels(figures: RowFigures) -> Value:
    """Returns the outlier channels as a cell of a table, or why there are no heights."""
    if isinstance(figures.heights, NotRun):
        return figures.heights
    channels = figures.outlier_channels
    if not channels:
        return "none"
    listed = ", ".join(str(row.channel) for row in channels[:LISTED])
    more = f" and {len(channels) - LISTED} more" if len(channels) > LISTED else ""
    return f"{len(channels)}: {listed}{more}"
