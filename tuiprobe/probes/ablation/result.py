"""Result types of the ablation probe and of `reprobe --ablate` (definitions: docs/inside.md)."""

from typing import Annotated, ClassVar, Final, Literal

from tuiprobe.results.base import (
    Channel,
    Count,
    Figure,
    Frozen,
    Many,
    NotRun,
    PerChannel,
    Points,
    Real,
    Share,
)
from tuiprobe.results.figures import Fig
from tuiprobe.results.report import ProbeResult
from tuiprobe.spec import AblateMode

Mode = Literal["zero", "mean"]
Why = Literal["outlier", "offset"]


class Sides(Frozen):
    """A figure of the logits with everything, without the channels, and under the controls.

    Attributes:
        before: With everything; mean over the images.
        after: Without the channels.
        random: Without random channels; mean and band over draws.
        directions: Without random directions; mean and band over draws.
    """

    before: Annotated[Figure, Fig("before", "{outer} before")]
    after: Annotated[Figure, Fig("after", "{outer} after")]
    random: Annotated[Figure, Fig("random", "{outer} without random channels")]
    directions: Annotated[Figure, Fig("directions", "{outer} without random directions")]


class Ablation(Frozen):
    """What one set loses without the channels, beside three controls.

    Attributes:
        data: Data set.
        mode: Whether the channels are set to zero, or to their mean over the in-distribution set.
        before: Accuracy with all channels.
        after: Accuracy without them.
        difference: After minus before, paired over the images.
        random: Accuracy without as many random channels; mean and band over draws.
        random_difference: That minus the accuracy of the same images with everything.
        matched: Accuracy without as many other channels of nearest energy.
        matched_difference: That minus before, paired.
        directions: Accuracy without as many random orthonormal directions; mean and band.
        directions_difference: That minus the accuracy of the same images with everything.
        ece: Expected calibration error.
        spread: Standard deviation of an image's logits over the classes.
    """

    data: str
    mode: Mode
    before: Annotated[Share, Fig("before", "top-1 before")]
    after: Annotated[Share, Fig("after", "top-1 after")]
    difference: Annotated[Points, Fig("difference", "change of top-1")]
    random: Annotated[Share, Fig("random", "top-1 without as many random channels")]
    random_difference: Annotated[
        Points,
        Fig("random_difference", "change of top-1 without random channels"),
    ]
    matched: Annotated[Share, Fig("matched", "top-1 without as many channels of nearest energy")]
    matched_difference: Annotated[
        Points,
        Fig(
            "matched_difference",
            "change of top-1 without channels of nearest energy",
            "random-channels",
        ),
    ]
    directions: Annotated[Share, Fig("directions", "top-1 without as many random directions")]
    directions_difference: Annotated[
        Points,
        Fig(
            "directions_difference", "change of top-1 without random directions", "random-channels"
        ),
    ]
    ece: Annotated[Sides, Fig("ece", "calibration error")]
    spread: Annotated[Sides, Fig("spread", "spread of logits")]

    @property
    def place(self) -> str:
        """What was done to the channels."""
        return f"channels set to {self.mode}"


class ChannelAblations(ProbeResult):
    """The ablation probe.

    Attributes:
        channels: The ablated channels.
        why: Whether they are outlier channels, or the fewest that carry half of the offset.
        stand_out: Whether the outcome of the outlier probe says that a channel stands out.
        mean_of: Set whose means replace the channels.
        matched: Other channels whose energy on that set is as near as attainable.
        matched_energy: Their energy there as a fraction of the ablated channels'.
        ablations: One entry per labelled set and mode.
    """

    probe: ClassVar[str] = "ablation"

    channels: PerChannel[Channel]
    why: Why
    stand_out: bool = True
    mean_of: str
    matched: PerChannel[Channel]
    matched_energy: Real
    ablations: Annotated[Many[Ablation], Fig("ablation")]


ABLATION_VERSION: Final = 3


class Top1(Frozen):
    """Top-1 accuracy with Wilson's 95 % interval."""

    top1: Real
    low: Real
    high: Real


class Change(Frozen):
    """After minus before on the same images, with the paired 95 % interval of Bonett and Price."""

    value: Real
    low: Real
    high: Real


class SetAblation(Frozen):
    """The cells of one set, before and after.

    Attributes:
        name: Name of the set.
        n: Labelled images with a finite representation.
        nonfinite: Labelled images without one, which are left out.
        before: Accuracy with everything.
        after: Accuracy without what was ablated.
        difference: After minus before.
        lost: Images that were right before and are wrong after.
        gained: Images that were wrong before and are right after.
    """

    name: str
    n: Count
    nonfinite: Count = 0
    before: Top1
    after: Top1
    difference: Change
    lost: Count
    gained: Count


class SetNotRun(NotRun):
    """Why a set has no accuracy."""

    name: str


class TargetedAblation(Frozen):
    """The answer to `tuiprobe reprobe RUN --ablate ...` (schema: docs/inside.md).

    Attributes:
        schema_version: Version of this schema.
        key: Key of the run.
        channels: Ablated channels of the final representation.
        directions: Ablated right singular vectors, by singular value, from 0.
        matrix: Whose singular vectors: `W`, or `W minus its mean row`.
        replaced_by: What the part of h in the span of all of them was set to: `mean` of the first
            set, `zero`, or `shuffle`, the part of another image of the set.
        sets: One entry per set, in the order of the run.
        not_run: Sets without an answer.
    """

    schema_version: Literal[3] = ABLATION_VERSION
    key: str
    channels: PerChannel[Channel]
    directions: PerChannel[Channel]
    matrix: Literal["W", "W minus its mean row"]
    replaced_by: AblateMode
    sets: Many[SetAblation]
    not_run: Many[SetNotRun] = ()
