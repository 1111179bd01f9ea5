"""Result types of the quantisation probe (definitions: docs/inside.md)."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tuiprobe.results.base import (
    MOST_CHANNELS,
    Count,
    Decibels,
    Frozen,
    Many,
    Points,
    Share,
)
from tuiprobe.results.figures import FIGURES, Fig
from tuiprobe.results.headlines import INT8, INT8_NEIGHBOURS
from tuiprobe.results.report import ProbeResult

Scheme = Literal["tensor", "channel"]
"""One scale for all values, or one per channel."""


class Sqnr(Frozen):
    """Signal over rounding noise, in dB.

    Attributes:
        energy: The signal is the mean square of the values.
        variance: The signal is the mean square about the channel means; without the offset, which
            is the same in every image.
    """

    energy: Annotated[Decibels, Fig("energy", "{outer}", "sqnr")]
    variance: Annotated[Decibels, Fig("variance", "{outer}, without the offset", "sqnr")]


class Quantised(Frozen):
    """INT8 rounding of one set at one tap.

    Attributes:
        data: Name of the data set.
        tap: Name of the layer; `embedding` (`FINAL_TAP`) for the final representation.
        final: Whether this is the final representation.
        channels: Width C.
        rows: Rows that were rounded.
        tensor: One scale for all values.
        channel: One scale a channel.
    """

    data: str
    tap: str
    final: bool
    channels: Annotated[int, Field(ge=0, le=MOST_CHANNELS)]
    rows: Count
    tensor: Annotated[Sqnr, Fig("int8.tensor", "INT8 noise")]
    channel: Annotated[Sqnr, Fig("int8.channel", "INT8 noise, a scale a channel")]

    @property
    def place(self) -> str:
        """The layer."""
        return self.tap

    @property
    def inner(self) -> bool:
        """Whether it is a layer before the final representation."""
        return not self.final


class AnswersChanged(Frozen):
    """Answers of the head from the rounded representation of one set.

    Attributes:
        data: Name of the data set.
        scheme: Scales of the rounding.
        changed: Share of images with another answer.
        top1: Accuracy after rounding less that before, on the same images.
    """

    data: str
    scheme: Scheme
    changed: Annotated[Share, INT8]
    top1: Annotated[Points, Fig("int8.top1", "accuracy that INT8 changes", "quantisation")]

    @property
    def place(self) -> str:
        """The scales."""
        return self.scheme


class NeighboursKept(Frozen):
    """Nearest neighbours in the rounded representation of one set.

    Attributes:
        data: Name of the data set.
        scheme: Scales of the rounding.
        kept: Share of the ten nearest other images by cosine that stay among the ten.
    """

    data: str
    scheme: Scheme
    kept: Annotated[Share, INT8_NEIGHBOURS]

    @property
    def place(self) -> str:
        """The scales."""
        return self.scheme


class Quantisation(ProbeResult):
    """The quantisation probe.

    Attributes:
        taps: Figures, one entry per set and tap, the taps of a set in the order of the encoder.
        answers: With a head: its answers, one entry per set and scheme.
        neighbours: Without a head: nearest neighbours, one entry per set and scheme.
    """

    probe: ClassVar[str] = "quantisation"

    taps: Annotated[Many[Quantised], FIGURES]
    answers: Annotated[Many[AnswersChanged], FIGURES] = ()
    neighbours: Annotated[Many[NeighboursKept], FIGURES] = ()

    def final(self) -> Quantised:
        """Returns the figures of the final representation on the first set."""
        return next(tap for tap in self.taps if tap.final)

    def profile(self) -> list[Quantised]:
        """Returns the figures of the first set, the final representation last."""
        name = self.final().data
        first = [tap for tap in self.taps if tap.data == name]
        return sorted(first, key=lambda tap: tap.final)
