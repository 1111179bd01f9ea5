"""The results of a run: the versioned schema of `results.json`.

Frozen pydantic models that refuse unknown fields, NaN and infinity. `Report` is on top; every
figure is an `Estimate` with n and a 95 % interval, or a `NotRun` with the reason, never a zero
that stands for "unknown". No torch in this package.
"""

from tuiprobe.results.base import Estimate, Failed, Figure, Frozen, Inapplicable, NotRun, is_known
from tuiprobe.results.report import Part, ProbeResult, Report, Timings
from tuiprobe.results.section import TopImage
from tuiprobe.results.subject import Fingerprint, Model, Preprocessing, SetSummary, Skipped, Weights

__all__ = [
    "Estimate",
    "Failed",
    "Figure",
    "Fingerprint",
    "Frozen",
    "Inapplicable",
    "Model",
    "NotRun",
    "Part",
    "Preprocessing",
    "ProbeResult",
    "Report",
    "SetSummary",
    "Skipped",
    "Timings",
    "TopImage",
    "Weights",
    "is_known",
]
