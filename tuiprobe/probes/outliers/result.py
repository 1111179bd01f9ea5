"""Result types of the outlier probe (definitions: docs/outliers.md)."""

from typing import ClassVar, Literal

from pydantic import model_validator

from tuiprobe.probes.outliers.channel_result import RowFigures
from tuiprobe.results.base import (
    Channel,
    Count,
    Estimate,
    Figure,
    Frozen,
    Many,
    PerChannel,
    Real,
    Share,
)
from tuiprobe.results.report import ProbeResult
from tuiprobe.results.section import TopImage


class ChannelShare(Frozen):
    """A channel's part in the fourth moment.

    Attributes:
        channel: index.
        share: S_c / n.
        leading: Fraction of images in which the channel has the largest share.
        mean: Mean of the channel over all positions.
        std: Standard deviation of the channel over all positions.
    """

    channel: Channel
    share: Share
    leading: Share
    mean: Real
    std: Real


class Criterion(Frozen):
    """One related criterion, as its authors define it.

    Attributes:
        name: Short name.
        source: Authors and year.
        rule: The criterion in words, thresholds included.
        figure: What it measures here; `NotRun` with the reason where it does not apply.
        unit: What `figure` counts.
        met: Whether the criterion is met; None where it does not apply or sets no threshold.
        channels: Channels that meet it, at most 32.
        note: What else the reader needs.
    """

    name: str
    source: str
    rule: str
    figure: Figure
    unit: str
    met: bool | None = None
    channels: PerChannel[Channel] = ()
    note: str = ""


class ChannelImages(Frozen):
    """The images at both ends of one channel, most extreme first."""

    channel: Channel
    largest: Many[TopImage]
    smallest: Many[TopImage]


class Outliers(RowFigures):
    """All outlier figures of one set at one tap.

    At inner taps `kurtosis` and `persistence` come from all rows, everything else of `RowFigures`
    from a seeded sample of one position per image.

    Attributes:
        data: Name of the data set.
        tap: Name of the layer; `embedding` (`FINAL_TAP`) for the final representation.
        kind: `vector` (one row an image), `token` or `map` (many).
        tokens: Which token rows count (`class`, `all`, `mean`); None where there are none.
        final: Whether this is the final representation.
        images: Images seen; of the final representation, those that `DataSet.nonfinite` leaves.
        degenerate: Images left out: a row of zero variance or a value that is not finite.
        nonfinite: Values that are not finite, of all images.
        rows: Rows (image x position) seen.
        classes: Distinct labels among the images; None if unlabelled.
        bound: C - 2 + 1/(C-1), the largest kappa possible.
        shares: The channels of largest share, first 16.
        rms_kurtosis: Kurtosis of channel RMS (He et al. 2024), a different figure, 1 to C.
        mean_cosine: Mean cosine between two images' representations.
        criteria: Related criteria.
        top_images: Images at both ends of the highest channels and those of largest share.
    """

    data: str
    tap: str
    kind: Literal["vector", "token", "map"]
    tokens: Literal["class", "all", "mean"] | None = None
    final: bool
    images: Count
    degenerate: Count
    nonfinite: Count
    rows: Count
    classes: Count | None = None
    bound: Figure
    shares: Many[ChannelShare]
    rms_kurtosis: Figure
    mean_cosine: Figure
    criteria: Many[Criterion]
    top_images: PerChannel[ChannelImages]

    @model_validator(mode="after")
    def _channels_exist(self) -> "Outliers":
        channels = [row.channel for row in self.shares]
        channels += [row.channel for row in self.top_images]
        channels += [channel for row in self.criteria for channel in row.channels]
        if max(channels, default=-1) >= self.channels:
            raise ValueError(f"a channel is named that {self.channels} channels do not have")
        return self


class UntrainedReference(Frozen):
    """The same architecture with random weights, on other images: its figures are not zero.

    Attributes:
        architecture: The library's name.
        data: What it was measured on.
        n: Images.
        width: Channels of the representation.
        kurtosis: kappa of the final representation.
        persistence: P, without interval.
    """

    architecture: str
    data: str
    n: Count
    width: Count
    kurtosis: Estimate
    persistence: Estimate


class OutlierResult(ProbeResult):
    """The outlier probe.

    Attributes:
        taps: Figures, one entry per set and tap; the first final one, of the in-distribution set,
            gives the outcome of the run.
        cross_layer: Criteria that need all blocks at once (LLM.int8).
        untrained: The same architecture with random weights; None if no reference is shipped.
    """

    probe: ClassVar[str] = "outliers"

    taps: Many[Outliers]
    cross_layer: Many[Criterion] = ()
    untrained: UntrainedReference | None = None

    def finals(self) -> list[Outliers]:
        """Returns the figures of the final representation, one entry a set."""
        return [tap for tap in self.taps if tap.final]
