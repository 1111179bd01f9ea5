"""What was checked of encoder and labels before any image was measured."""

from typing import Final, Literal

from tuiprobe.results.base import Frozen

Status = Literal["pass", "warn", "fail", "skip"]
Cause = Literal["encoder", "labels", "images"]


PROBE: Final = "preflight"
"""Id of the probe that tells of these checks."""


class PreflightCheck(Frozen):
    """One finding of the preflight (docs/models.md).

    Attributes:
        name: What was checked.
        status: `pass`, `warn` (cannot be confirmed), `fail` or `skip`.
        detail: What was found.
        fix: What to do; empty if nothing.
        data: The set it concerns; None for the encoder.
        cause: What is wrong if it failed: the encoder, the images, or their labels.
    """

    name: str
    status: Status
    detail: str
    fix: str = ""
    data: str | None = None
    cause: Cause = "encoder"
