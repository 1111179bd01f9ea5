"""What each probe needs to run, for those who ask before a run and load no probe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Need: TypeAlias = Literal["head", "texts", "labels", "target", "concepts", "peers", "channel"]
"""A head; one whose rows are texts; labels of the first set; a target set; a concept set;
published models to compare with; a channel that stands out, which only the run can tell."""


@dataclass(frozen=True)
class Asks:
    """A probe, and what it needs.

    Attributes:
        title: As in the probe.
        needs: All of them are needed.
    """

    title: str
    needs: tuple[Need, ...] = ()


ASKS = {
    "preflight": Asks("Preflight"),
    "targets": Asks("Accuracy on your images", ("target", "head")),
    "calibration": Asks("Calibration", ("head", "labels")),
    "robustness": Asks("Accuracy under shift", ("head", "labels")),
    "forecast": Asks("Forecast from published models", ("peers",)),
    "outliers": Asks("Outlier features"),
    "population": Asks("Where it stands"),
    "ablation": Asks("Channel ablation", ("head", "labels", "channel")),
    "towers": Asks("Both towers", ("head", "texts")),
    "directions": Asks("Privileged directions", ("head",)),
    "concepts": Asks("Concepts", ("concepts",)),
    "quantisation": Asks("INT8 quantisation"),
}
"""The built-in probes by id; what those of other packages need, only they know."""
