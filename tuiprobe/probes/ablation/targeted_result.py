"""Result types of `tuiprobe reprobe --ablate`: accuracy without named channels or directions."""

from typing import Final, Literal

from tuiprobe.results.base import Channel, Count, Frozen, Many, PerChannel, Real

ABLATION_VERSION: Final = 2


class Top1(Frozen):
    """Top-1 accuracy with Wilson's 95 % interval."""

    top1: Real
    low: Real
    high: Real


class Change(Frozen):
    """After less before, on the same images, with the paired 95 % interval of Bonett and Price."""

    value: Real
    low: Real
    high: Real


class SetAblation(Frozen):
    """One set before and after.

    Attributes:
        name: of the set.
        n: labelled images with a finite representation.
        nonfinite: labelled images without one, which are left out.
        before: accuracy with everything.
        after: accuracy without what was ablated.
        difference: after less before.
        lost: images that were right before and are wrong after.
        gained: images that were wrong before and are right after.
    """

    name: str
    n: Count
    nonfinite: Count = 0
    before: Top1
    after: Top1
    difference: Change
    lost: Count
    gained: Count


class SetNotRun(Frozen):
    """A set that has no accuracy, and why."""

    name: str
    reason: str


class TargetedAblation(Frozen):
    """The answer to `tuiprobe reprobe RUN --ablate ...` (schema: docs/ablation.md).

    Attributes:
        schema_version: of this schema.
        key: of the run.
        channels: ablated, numbers in the final representation.
        directions: ablated, right singular vectors by singular value, from 0.
        matrix: whose singular vectors: `W`, or `W minus its mean row`.
        replaced_by: what the part of h in the span of all of them was set to.
        sets: by set, in the order of the run.
        not_run: sets without an answer.
    """

    schema_version: Literal[2] = ABLATION_VERSION
    key: str
    channels: PerChannel[Channel]
    directions: PerChannel[Channel]
    matrix: Literal["W", "W minus its mean row"]
    replaced_by: Literal["zero", "mean"]
    sets: Many[SetAblation]
    not_run: Many[SetNotRun] = ()
