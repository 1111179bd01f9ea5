"""The line that effective robustness is measured from, in the miniature.

Supervised runs of several sizes on the canonical set give accuracy on `val` and on each shift; in
logit space they lie near a line. Effective robustness is the mean accuracy under shift beyond it.
"""

import csv
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tuiprobe.errors import WeightsError
from tuiprobe.miniature import weights
from tuiprobe.miniature.profiles import SHIFTS

FILE = "baseline.csv"
COLUMNS = ("model", "seed", "images", "steps", "val", *SHIFTS)


@dataclass(frozen=True)
class BaselineRow:
    """Accuracies of one supervised run; `shifts` by the names of the shift sets."""

    model: str
    seed: int
    images: int
    steps: int
    val: float
    shifts: dict[str, float]


@dataclass(frozen=True)
class Line:
    """`logit(mean shift accuracy) = a logit(val accuracy) + b`, with residual scatter in logits."""

    a: float
    b: float
    scatter: float
    models: int
    low: float
    high: float

    def expected(self, val: float) -> float:
        """Return the shift accuracy that the line gives for an accuracy on `val`."""
        return 1 / (1 + math.exp(-(self.a * _logit(val) + self.b)))


def _logit(p: float) -> float:
    return math.log(p / (1 - p))


def baseline_rows(folder: Path = weights.FOLDER) -> tuple[BaselineRow, ...]:
    """Return the shipped accuracies of the supervised runs.

    Raises:
        WeightsError: The table is missing or damaged.
    """
    path = folder / FILE
    try:
        text = path.read_text(encoding="utf-8")
        return tuple(_row(row) for row in csv.DictReader(text.splitlines()))
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise WeightsError(f"Cannot read the baseline {path}: {error!r}.") from error


def _row(row: dict[str, str]) -> BaselineRow:
    shifts = {name: float(row[name]) for name in SHIFTS}
    seed, images, steps = (int(row[name]) for name in ("seed", "images", "steps"))
    return BaselineRow(row["model"], seed, images, steps, float(row["val"]), shifts)


def fit_line(rows: tuple[BaselineRow, ...]) -> Line:
    """Return the least-squares line in logit space."""
    x = np.array([_logit(row.val) for row in rows])
    y = np.array([_logit(float(np.mean(list(row.shifts.values())))) for row in rows])
    a = float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum())
    b = float(y.mean() - a * x.mean())
    scatter = float(np.sqrt(((y - a * x - b) ** 2).sum() / (len(rows) - 2)))
    accuracies = [row.val for row in rows]
    return Line(a, b, scatter, len(rows), min(accuracies), max(accuracies))


def effective_robustness(accuracy: dict[str, Any], line: Line) -> dict[str, float | bool]:
    """Return the effective robustness of a card's accuracies, with its 95 % prediction interval.

    The interval holds the binomial error of the model's own accuracies, the uncertainty of the
    line (taken at its centre) and the scatter of single runs around it.
    """
    from scipy.stats import t

    rate = {name: entry["hits"] / entry["n"] for name, entry in accuracy.items()}
    val, mean = rate["val"], float(np.mean([rate[name] for name in SHIFTS]))
    beta = line.expected(val)
    slope = line.a * beta * (1 - beta) / (val * (1 - val))
    own = sum(rate[s] * (1 - rate[s]) / accuracy[s]["n"] for s in SHIFTS) / len(SHIFTS) ** 2
    own += slope**2 * val * (1 - val) / accuracy["val"]["n"]
    reach = float(t.ppf(0.975, line.models - 2)) * line.scatter * math.sqrt(1 + 1 / line.models)
    half = math.hypot(reach * beta * (1 - beta), 1.96 * math.sqrt(own))
    return {
        "mean_of_shifts": mean,
        "effective_robustness": mean - beta,
        "prediction_low": mean - beta - half,
        "prediction_high": mean - beta + half,
        "extrapolated": not line.low <= val <= line.high,
    }
