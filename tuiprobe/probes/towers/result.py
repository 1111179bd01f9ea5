"""Result types of the probe of both towers (definitions: docs/inside.md)."""

from typing import ClassVar, Literal

from tuiprobe.probes.outliers.result import RowFigures
from tuiprobe.results.base import Channel, Count, Figure, Frozen, Many, PerChannel, Real, Share
from tuiprobe.results.report import ProbeResult


class Conformity(Frozen):
    """How one set of images lies about its own mean direction.

    Attributes:
        data: Name of the set.
        gap: |mu_image - mu_text|, distance of the means of the normalised rows.
        on_channels: Part of gap^2 that lies on the chosen channels.
        leading_cosine: |cosine| of mu_image with the first right singular vector of W.
        conformity: Mean cosine of an image with mu_image.
    """

    data: str
    gap: Figure
    on_channels: Share
    leading_cosine: Figure
    conformity: Figure


class Towers(ProbeResult):
    """The probe of both towers.

    Attributes:
        rows: Rows of the head: classes times their own texts, averaged per class.
        head: Outlier figures of the head's rows.
        channels: Channels of the images that other probes act on.
        why: Whether they are outlier channels, or carry half of the offset.
        head_channels: The same of the head's rows.
        head_why: Likewise.
        shared: Channels that are in both.
        expected_shared: Channels that two random choices of these sizes would share on average.
        expected_on_channels: Part of gap^2 on as many channels of a random direction.
        sets: One entry per set of images.
        edges: Edges of the bins of conformity on the first set.
        images: Images in each bin.
    """

    probe: ClassVar[str] = "towers"

    rows: Count
    head: RowFigures
    channels: PerChannel[Channel]
    why: Literal["outlier", "offset"]
    head_channels: PerChannel[Channel]
    head_why: Literal["outlier", "offset"]
    shared: PerChannel[Channel]
    expected_shared: Real
    expected_on_channels: Real
    sets: Many[Conformity]
    edges: Many[Real]
    images: Many[Count]
