"""What was checked of encoder and labels before any image was measured."""

from typing import Literal

from tuiprobe.results.base import Frozen

Status = Literal["pass", "warn", "fail", "skip"]
Cause = Literal["encoder", "labels"]


class PreflightCheck(Frozen):
    """One finding of the preflight (docs/models.md).

    Attributes:
        name: what was checked.
        status: `pass`, `warn` (nothing vouches for it), `fail` or `skip`.
        detail: what was found.
        fix: what to do; empty where nothing is to be done.
        data: the set it concerns; None for the encoder.
        cause: what is wrong where it failed: the encoder, or the labels of the images.
    """

    name: str
    status: Status
    detail: str
    fix: str = ""
    data: str | None = None
    cause: Cause = "encoder"
