"""Result types of the outlier probe (definitions: docs/outliers.md).

Rows are whatever shares one basis: the representations of images, or the rows of a head.
"""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from tuiprobe.results.base import (
    MOST_CHANNELS,
    Channel,
    Count,
    Figure,
    Frozen,
    Many,
    NotRun,
    OfTap,
    PerChannel,
    Real,
    Share,
    in_unit,
)
from tuiprobe.results.figures import FIGURES, KURTOSIS, OFFSET, PERSISTENCE, Fig
from tuiprobe.results.report import ProbeResult
from tuiprobe.results.section import TopImage

Sigmas = Annotated[Figure, *in_unit("sigma")]
"""In standard deviations of the channels of a row."""


class Outcome(StrEnum):
    """What rule v3 says of a set of rows; it describes, and claims nothing about robustness."""

    WITHHELD = "withheld"
    CHANNELS = "outlier channels"
    OFFSET = "concentrated offset"
    MOVING = "moving tails"
    MOVING_AND_CONSTANT = "moving tails, one constant channel"
    UNEVEN = "uneven channels"
    NONE = "none"
    UNDETERMINED = "undetermined"


class OutlierFinding(Frozen):
    """The outcome of rule v3 with its grounds.

    Attributes:
        outcome: The first outcome whose condition holds.
        provisional: Whether it rests on 64 to 255 images.
        reasons: The figures that decided, or why it is withheld, one sentence each.
    """

    outcome: Outcome
    provisional: bool = False
    reasons: Many[str] = ()


class OutlierChannel(Frozen):
    """One channel of a set of rows.

    Attributes:
        channel: Index in the representation.
        height: Median height over the rows in sigmas, with its order-statistic interval.
        above: Fraction of rows in which the height exceeds 6, with Wilson's interval.
        energy: Mean share of the row's energy, x_c^2 / |x|^2, with a t interval.
        mean: Mean over the rows.
        sd: Standard deviation over the rows.
        offset: Share of its energy that is constant, mean^2 / (mean^2 + sd^2), jackknife.
    """

    channel: Channel
    height: Sigmas
    above: Share
    energy: Share
    mean: Real
    sd: Real
    offset: Share


class HeightColumns(Frozen):
    """The figures of every channel, one column each; all rest on the rows of `Heights`.

    Attributes:
        median: Median height in sigmas.
        above: Fraction of rows in which the height exceeds 6.
        energy: Mean share of the row's energy.
        mean: Mean over the rows.
        sd: Standard deviation over the rows.
        offset: Share of the channel's energy that is constant.
    """

    median: PerChannel[Real]
    above: PerChannel[Real]
    energy: PerChannel[Real]
    mean: PerChannel[Real]
    sd: PerChannel[Real]
    offset: PerChannel[Real]


class Heights(Frozen):
    """How far every channel stands from the others, in sigmas of the row.

    Attributes:
        n: Rows.
        without: Rows without heights (no spread, or over half of the values are zero); they count
            as rows in which no channel exceeds a cut.
        skewed: Whether no value is negative: then channel means alone look like an offset, and
            heights do not compare with those of other representations.
        highest: Median height of the highest channel.
        leading: The channels of highest median height, at most 16, highest first.
        columns: Figures of every channel; None at inner taps.
        sampled: Whether the rows are a sample of one position per image (inner taps).
    """

    n: Count
    without: Count
    skewed: bool
    highest: Sigmas
    leading: PerChannel[OutlierChannel]
    columns: HeightColumns | None = None
    sampled: bool = False


class Persistence(Frozen):
    """Whether the same channels carry the fourth moment in every image.

    Attributes:
        value: P; 1 for always the same channels, 0 for a tail that moves.
        effective_channels: 1 over the mean over pairs of images of sum_c s_nc s_mc.
    """

    value: Annotated[Figure, PERSISTENCE]
    effective_channels: Annotated[
        Figure,
        Fig(
            "persistence.effective_channels", "effective channels", "persistence", role="signature"
        ),
    ]


class Offset(Frozen):
    """The constant part of rows that were standardised over their channels.

    Attributes:
        share: Mean of mu_z^2 over channels: the part of a row that is the same in all rows.
        kurtosis: Kurtosis of the mean row mu_z over channels.
        null_999: The .999 quantile of that kurtosis for a uniformly random direction.
        predicted: Kurtosis that the offset and isotropic noise alone would give.
        explained: Part of the kurtosis above its reference that the prediction explains.
        half: The fewest channels that carry half of the offset, largest mu_z^2 first.
    """

    share: Annotated[Share, OFFSET]
    kurtosis: Annotated[
        Figure, Fig("offset.kurtosis", "kurtosis of the offset", "offset", role="signature")
    ]
    null_999: Annotated[
        Figure,
        Fig("offset.null_999", "kurtosis of a random direction, .999 quantile", "offset"),
    ]
    predicted: Annotated[
        Figure, Fig("offset.predicted", "kurtosis predicted from the offset", "offset-explains")
    ]
    explained: Annotated[
        Share,
        Fig(
            "offset.explained",
            "part of the kurtosis that the offset explains",
            "offset-explains",
            role="signature",
        ),
    ]
    half: PerChannel[Channel]


class RowFigures(Frozen):
    """The figures of a set of rows that rule v3 rests on.

    Attributes:
        channels: Width C.
        kurtosis: Kappa, mean over rows.
        basis_reference: 3 (C-1)/(C+1), expected after a random rotation.
        persistence: P and effective channels.
        heights: Heights of the channels.
        outlier_channels: Those of height above 6 in at least 90 % of rows by Wilson's lower bound,
            highest first.
        offset: The constant part.
        centred_kurtosis: Mean kurtosis after removing each channel's mean over the rows.
        nearest_cosine: How much rows repeat each other: median over rows of the cosine with the
            nearest other row, after centring; only of images without labels.
        centred_cosine: Mean cosine over pairs of centred rows.
        finding: The outcome of rule v3.
    """

    channels: Annotated[int, Field(ge=0, le=MOST_CHANNELS)]
    kurtosis: Annotated[Figure, KURTOSIS]
    basis_reference: Real
    persistence: Annotated[Persistence, FIGURES]
    heights: Heights | NotRun
    outlier_channels: PerChannel[OutlierChannel] = ()
    offset: Annotated[Offset, FIGURES]
    centred_kurtosis: Annotated[
        Figure,
        Fig(
            "residual.kurtosis",
            "kurtosis after centring",
            "centring",
            "after centring",
            role="signature",
        ),
    ]
    nearest_cosine: Annotated[
        Figure, Fig("nearest_cosine", "cosine with the nearest other image, centred")
    ]
    centred_cosine: Annotated[Figure, Fig("centred_cosine", "mean cosine between centred images")]
    finding: OutlierFinding

    @property
    def outcome(self) -> Outcome:
        """The outcome of rule v3."""
        return self.finding.outcome

    @property
    def highest(self) -> Figure:
        """Median height of the highest channel."""
        return self.heights.highest if isinstance(self.heights, Heights) else self.heights

    @model_validator(mode="after")
    def _row_channels_exist(self) -> "RowFigures":
        channels = [row.channel for row in self.outlier_channels]
        if isinstance(self.heights, Heights):
            channels += [row.channel for row in self.heights.leading]
        channels += self.offset.half
        if max(channels, default=-1) >= self.channels:
            raise ValueError(f"a channel is named that {self.channels} channels do not have")
        return self


class ChannelImages(Frozen):
    """The images at both ends of one channel, most extreme first."""

    channel: Channel
    largest: Many[TopImage]
    smallest: Many[TopImage]


class Outliers(RowFigures, OfTap):
    """All outlier figures of one set at one tap.

    At inner taps `kurtosis` and `persistence` come from all rows, everything else of `RowFigures`
    from a seeded sample of one position per image.

    Attributes:
        kind: `vector` (one row an image), `token` or `map` (many).
        tokens: Which token rows count (`class`, `all`, `mean`).
        images: Images seen; of the final representation, those that `SetSummary.nonfinite` leaves.
        degenerate: Images left out: a row of zero variance or a value that is not finite.
        nonfinite: Values that are not finite, of all images.
        rows: Rows (image x position) seen.
        classes: Distinct labels among the images.
        large_norm_tokens: Share of tokens in a second mode of large norms, where all were measured.
        top_images: Images at both ends of outlier channels and the highest ones.
    """

    kind: Literal["vector", "token", "map"]
    tokens: Literal["class", "all", "mean"] | None = None
    images: Count
    degenerate: Count
    nonfinite: Count
    rows: Count
    classes: Count | None = None
    large_norm_tokens: Share = NotRun(reason="not measured")
    top_images: PerChannel[ChannelImages]

    @model_validator(mode="after")
    def _channels_exist(self) -> "Outliers":
        channels = [row.channel for row in self.top_images]
        if max(channels, default=-1) >= self.channels:
            raise ValueError(f"a channel is named that {self.channels} channels do not have")
        return self


class OutlierResult(ProbeResult):
    """The outlier probe.

    Attributes:
        taps: Figures, one entry per set and tap; the first final one, of the in-distribution set,
            gives the outcome of the run.
    """

    probe: ClassVar[str] = "outliers"

    taps: Annotated[Many[Outliers], FIGURES]

    def finals(self) -> list[Outliers]:
        """Returns the figures of the final representation, one entry a set."""
        return [tap for tap in self.taps if tap.final]
