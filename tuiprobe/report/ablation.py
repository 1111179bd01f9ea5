"""The answer to `tuiprobe reprobe RUN --ablate` as a few lines for standard output."""

from typing import Final

from tuiprobe.numbers import interval
from tuiprobe.plaintext import plain
from tuiprobe.probes.ablation.targeted_result import SetAblation, TargetedAblation
from tuiprobe.spec import AblateMode

REPLACED: Final[dict[AblateMode, str]] = {
    "mean": "set to the mean of the first set",
    "zero": "set to zero",
    "shuffle": "replaced by that of another image",
}
"""What the ablated part is replaced by, in words."""


def ablation_text(answer: TargetedAblation) -> str:
    """Returns what was ablated, then one line per set."""
    parts = [f"channel {channel}" for channel in answer.channels]
    parts += [f"direction {direction} of {answer.matrix}" for direction in answer.directions]
    lines = [f"without {', '.join(parts)} ({REPLACED[answer.replaced_by]}), top-1:"]
    lines += [_line(one) for one in answer.sets]
    lines += [f"{one.name}: not run, because {one.reason}" for one in answer.not_run]
    return "\n".join(plain(line) for line in lines) + "\n"


def _line(one: SetAblation) -> str:
    before, after, change = one.before, one.after, one.difference
    apart = f", {one.nonfinite} not finite and left out" if one.nonfinite else ""
    return (
        f"{one.name}: {interval(before.top1, before.low, before.high, 'share')} → "
        f"{interval(after.top1, after.low, after.high, 'share')}, difference "
        f"{interval(change.value, change.low, change.high, 'points', signed=True)}, "
        f"n {one.n:,}{apart}, {one.lost:,} lost, {one.gained:,} gained"
    )
