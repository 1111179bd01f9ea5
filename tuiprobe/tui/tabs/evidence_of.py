"""The evidence behind a channel or a direction, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tuiprobe.probes.concepts.result import (
    OF_CENTRED_HEAD,
    OF_HEAD,
    DirectionConcepts,
    EncodedConcept,
)
from tuiprobe.probes.directions.result import Basis, Direction
from tuiprobe.probes.outliers.channel_result import Heights, OutlierChannel
from tuiprobe.probes.outliers.result import (
    ChannelImages,
    ChannelShare,
    Outliers,
)
from tuiprobe.results.section import TopImage
from tuiprobe.tui.tabs.tab import ShownRun


@dataclass(frozen=True)
class EvidenceSubject:
    """A channel or direction to examine.

    Attributes:
        kind: A channel of a layer, or a direction of the head.
        number: Its index; of a direction the place by singular value.
        data: Set of images.
        tap: Layer of a channel.
        final: Whether the layer is the final representation, which can be ablated at once.
        centred: Whether a direction is one of W minus its mean row.
    """

    kind: Literal["channel", "direction"]
    number: int
    data: str
    tap: str = ""
    final: bool = True
    centred: bool = False

    @property
    def title(self) -> str:
        """What it is, in words; quotes names from outside."""
        if self.kind == "channel":
            return f"channel {self.number} of {self.tap} on {self.data}"
        matrix = "W minus its mean row" if self.centred else "W"
        return f"direction {self.number} of {matrix} on {self.data}"

    @property
    def question(self) -> list[str]:
        """Arguments of `tuiprobe reprobe` that ablate it."""
        words = ["--ablate", f"{self.kind}:{self.number}"]
        return words + ["--centred"] * self.centred


@dataclass(frozen=True)
class ChannelRow:
    """One channel of a layer, with its figures."""

    channel: int
    height: OutlierChannel | None
    share: ChannelShare | None
    outlier: bool

    @property
    def mean(self) -> float:
        """Of the channel over the images."""
        known = self.height or self.share
        return known.mean if known is not None else 0.0

    @property
    def sd(self) -> float:
        """Of the channel over the images."""
        if self.height is not None:
            return self.height.sd
        return self.share.std if self.share is not None else 0.0


def channel_rows(one: Outliers) -> list[ChannelRow]:
    """Returns the highest channels, then those of largest share that are not among them."""
    outliers = {found.channel: found for found in one.outlier_channels}
    leading = one.heights.leading if isinstance(one.heights, Heights) else ()
    heights = {found.channel: found for found in leading} | outliers
    shares = {share.channel: share for share in one.shares}
    order = dict.fromkeys([*heights, *shares])
    return [ChannelRow(c, heights.get(c), shares.get(c), c in outliers) for c in order]


def outliers_at(found: ShownRun, data: str, tap: str) -> Outliers | None:
    """Returns the figures of one set at one layer."""
    return next((one for one in found.taps if (one.data, one.tap) == (data, tap)), None)


def basis_of(found: ShownRun, centred: bool) -> Basis | None:
    """Returns the directions of the head, or of the head minus its mean row."""
    if found.directions is None:
        return None
    return next((one for one in found.directions.bases if one.centred == centred), None)


def direction_of(found: ShownRun, subject: EvidenceSubject) -> Direction | None:
    """Returns a direction's figures where it is among the most important ones."""
    basis = basis_of(found, subject.centred)
    if basis is None:
        return None
    return next((one for one in basis.directions if one.index == subject.number), None)


def leaning(found: ShownRun, channel: int) -> list[tuple[Basis, Direction]]:
    """Returns the important directions with weight on a channel of the final representation."""
    if found.directions is None:
        return []
    return [
        (basis, one)
        for basis in found.directions.bases
        for one in basis.directions
        if channel in one.channels
    ]


def family_of(subject: EvidenceSubject) -> str:
    """Returns the family of directions whose concepts are evidence for a channel or direction."""
    return OF_CENTRED_HEAD if subject.centred else OF_HEAD


def concepts_of(found: ShownRun, subject: EvidenceSubject) -> tuple[EncodedConcept, ...]:
    """Returns a direction's best concepts; for a channel, those of W's directions that use it."""
    if found.concepts is None:
        return ()
    wanted = {subject.number} if subject.kind == "direction" else set()
    if subject.kind == "channel" and subject.final:
        wanted = {one.index for basis, one in leaning(found, subject.number) if not basis.centred}
    if found.concepts.top_of != family_of(subject):
        return ()
    return tuple(c for one in found.concepts.top if one.index in wanted for c in one.concepts)


def images_of(
    found: ShownRun, subject: EvidenceSubject
) -> list[tuple[str, str, tuple[TopImage, ...]]]:
    """Returns heading, set and images of both ends of a channel or a direction, strongest first."""
    ends: ChannelImages | DirectionConcepts | None
    if subject.kind == "channel":
        one = outliers_at(found, subject.data, subject.tap)
        kept = one.top_images if one is not None else ()
        ends = next((i for i in kept if i.channel == subject.number), None)
        data = subject.data
    else:
        concepts = found.concepts
        known = concepts is not None and concepts.top_of == family_of(subject)
        top = concepts.top if concepts is not None and known else ()
        ends = next((i for i in top if i.index == subject.number), None)
        data = concepts.data if concepts is not None else ""
    if ends is None:
        return []
    return [(name, data, images) for name, images in ends_of(ends)]


def ends_of(ends: ChannelImages | DirectionConcepts) -> list[tuple[str, tuple[TopImage, ...]]]:
    """Returns heading and images of both ends, first the one whose values are farther from zero.

    Where both ends are on one side of zero, the other end is the weakest images.
    """
    pairs = [("largest", ends.largest), ("smallest", ends.smallest)]
    known = [(name, images) for name, images in pairs if images]
    known.sort(key=lambda one: -abs(one[1][0].value))
    first = [images[0].value for _, images in known]
    if len(first) == 2 and first[0] * first[1] > 0:
        roles = ("strongest", "weakest")
        known = [(f"{role}: {n} values", i) for role, (n, i) in zip(roles, known, strict=True)]
    else:
        known = [(f"{name} values", images) for name, images in known]
    return known
