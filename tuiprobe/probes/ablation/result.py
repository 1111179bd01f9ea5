"""The answer to `tuiprobe reprobe RUN --ablate ...` (definitions: docs/inside.md)."""

from typing import Final, Literal, TypeAlias

from tuiprobe.results.base import Channel, Count, Frozen, Many, NotRun, PerChannel, Real

ABLATION_VERSION: Final = 3

AblateMode: TypeAlias = Literal["mean", "zero", "shuffle"]
"""What replaces an ablated part: its mean, zero, or that of another image."""


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
