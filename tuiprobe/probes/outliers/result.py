"""Result types of the outlier probe (definitions: docs/outliers.md)."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from tuiprobe.probes.outliers.channel_result import (
    Finding,
    Heights,
    Offset,
    OutlierChannel,
    Residual,
)
from tuiprobe.probes.outliers.channel_result import (
    Outcome as RowOutcome,
)
from tuiprobe.results.base import (
    MOST_CHANNELS,
    Channel,
    Count,
    Figure,
    Frozen,
    Many,
    NotRun,
    PerChannel,
    Real,
)
from tuiprobe.results.images import TopImage
from tuiprobe.results.report import ProbeResult

Outcome = Literal["present", "heavy-tailed, not persistent", "absent", "undetermined", "withheld"]


class Persistence(Frozen):
    """Whether the same channels carry the fourth moment in every image.

    Attributes:
        value: P; 1 for always the same channels, 0 for a tail that moves.
        null_high: The 97.5 % point of P with channels permuted within each image.
        self_share: Mean over images of sum_c s_nc^2 (what P would divide by).
        cross_share: Mean over pairs of images of sum_c s_nc s_mc.
        effective_channels: 1 / cross_share.
    """

    value: Figure
    null_high: Figure
    self_share: Figure
    cross_share: Figure
    effective_channels: Figure


class PersistentChannel(Frozen):
    """A channel that is an outlier in most images.

    Attributes:
        channel: Index in the representation.
        fraction: Fraction of images in which it is an outlier, Wilson interval.
        mean: Mean of the channel over the images (rows), which shows its sign.
    """

    channel: Channel
    fraction: Figure
    mean: Real


class CurvePoint(Frozen):
    """How many channels are outliers in at least this fraction of images (Wilson lower bound)."""

    fraction: Real
    channels: Count


class PersistentChannels(Frozen):
    """Channels whose image fraction has a Wilson lower bound of at least .9, and the whole curve.

    Attributes:
        channels: Those at or above the threshold, by fraction, largest first.
        curve: Number of channels over thresholds of the image fraction.
        rows: Number of images (one row each) behind the fractions.
        sampled: Whether these are a sample of one position per image (inner taps).
    """

    channels: PerChannel[PersistentChannel]
    curve: Many[CurvePoint]
    rows: Count
    sampled: bool


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
    share: Figure
    leading: Figure
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


class Outliers(Frozen):
    """All outlier figures of one set at one tap.

    Attributes:
        data: Name of the data set.
        tap: Name of the layer; `embedding` (`FINAL_TAP`) for the final representation.
        kind: `vector` (one row an image), `token` or `map` (many).
        tokens: Which token rows count (`class`, `all`, `mean`); None where there are none.
        final: Whether this is the final representation.
        channels: Width C.
        images: Images seen; of the final representation, those that `DataSet.nonfinite` leaves.
        degenerate: Images left out: a row of zero variance or a value that is not finite.
        nonfinite: Values that are not finite, of all images.
        rows: Rows (image x position) seen.
        classes: Distinct labels among the images; None if unlabelled.
        kurtosis: Kappa, mean over images.
        basis_reference: 3 (C-1)/(C+1), expected after a random rotation; not a test.
        bound: C - 2 + 1/(C-1), the largest kappa possible.
        relative_kurtosis: `kappa / (C - 1)`, comparable between widths.
        centred_kurtosis: Kappa after removing each channel's mean over the images.
        persistence: P, its null and effective channels.
        persistent: Channels that are outliers in most images.
        shares: The channels of largest share, first 16.
        rms_kurtosis: Kurtosis of channel RMS (He et al. 2024), a different figure, 1 to C.
        mean_cosine: Mean cosine between two images' representations.
        criteria: Related criteria.
        top_images: Images at both ends of the leading and persistent channels.
    """

    data: str
    tap: str
    kind: Literal["vector", "token", "map"]
    tokens: Literal["class", "all", "mean"] | None = None
    final: bool
    channels: Annotated[int, Field(ge=0, le=MOST_CHANNELS)]
    images: Count
    degenerate: Count
    nonfinite: Count
    rows: Count
    classes: Count | None = None
    kurtosis: Figure
    basis_reference: Real
    bound: Figure
    relative_kurtosis: Figure
    centred_kurtosis: Figure
    persistence: Persistence
    persistent: PersistentChannels | NotRun
    shares: Many[ChannelShare]
    rms_kurtosis: Figure
    mean_cosine: Figure
    criteria: Many[Criterion]
    top_images: PerChannel[ChannelImages]
    heights: Heights | NotRun = NotRun(reason="not measured")
    outlier_channels: PerChannel[OutlierChannel] = ()
    offset: Offset | NotRun = NotRun(reason="not measured")
    residual: Residual | NotRun = NotRun(reason="not measured")
    finding: Finding = Finding(outcome=RowOutcome.UNDETERMINED)

    @property
    def outcome(self) -> RowOutcome:
        """The outcome of rule v2."""
        return self.finding.outcome

    @model_validator(mode="after")
    def _channels_exist(self) -> "Outliers":
        if max(self._named(), default=-1) >= self.channels:
            raise ValueError(f"a channel is named that {self.channels} channels do not have")
        return self

    def _named(self) -> Iterator[int]:
        yield from (one.channel for one in self.shares)
        yield from (one.channel for one in self.top_images)
        yield from (channel for one in self.criteria for channel in one.channels)
        if isinstance(self.persistent, PersistentChannels):
            yield from (one.channel for one in self.persistent.channels)


class Verdict(Frozen):
    """The outcome of Rule v1 for the final representation.

    Attributes:
        rule: Name of the rule, shown with every verdict.
        outcome: `withheld` means that the rule may not be applied here; see `reasons`.
        calibrated: False: thresholds were set on synthetic cases.
        in_grid: Whether the backbone is one of the paper's five; None where withheld for kind.
        data: Set the verdict rests on.
        channels: Persistent channels, named beside `present`.
        reasons: Why this outcome, one sentence each.
    """

    rule: Literal["v1"] = "v1"
    outcome: Outcome
    calibrated: Literal[False] = False
    in_grid: bool | None = None
    data: str
    channels: PerChannel[Channel] = ()
    reasons: Many[str]


class OutlierResult(ProbeResult):
    """The outlier probe.

    Attributes:
        verdict: The verdict of Rule v1 on the final representation of the first set.
        taps: Figures, one entry per set and tap.
        cross_layer: Criteria that need all blocks at once (LLM.int8).
    """

    probe: ClassVar[str] = "outliers"

    verdict: Verdict
    taps: Many[Outliers]
    cross_layer: Many[Criterion] = ()

    def finals(self) -> list[Outliers]:
        """Returns the figures of the final representation, one entry a set."""
        return [one for one in self.taps if one.final]
