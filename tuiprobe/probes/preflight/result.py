"""Result type of the preflight."""

from typing import ClassVar

from tuiprobe.results.base import Many
from tuiprobe.results.preflight import PreflightCheck
from tuiprobe.results.report import ProbeResult


class Preflight(ProbeResult):
    """The preflight of a run.

    Attributes:
        checks: In the order in which they were made.
    """

    probe: ClassVar[str] = "preflight"

    checks: Many[PreflightCheck]
