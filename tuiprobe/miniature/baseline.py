"""The supervised runs that are the miniature's baseline of effective robustness.

Runs of several sizes on the canonical set give accuracy on `val` and on each shift; in logit space
they lie near a line, which `catalog/baselines.py` fits.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

from tuiprobe.catalog.accuracies import Row
from tuiprobe.catalog.baselines import ShiftFamily
from tuiprobe.errors import WeightsError
from tuiprobe.miniature import weights
from tuiprobe.miniature.profiles import SHIFTS

FILE = "baseline.csv"
COLUMNS = ("model", "seed", "images", "steps", "val", *SHIFTS)


@dataclass(frozen=True)
class BaselineRow:
    """Accuracies of one supervised run; `shifts` is keyed by set name."""

    model: str
    seed: int
    images: int
    steps: int
    val: float
    shifts: dict[str, float]


def baseline_rows(folder: Path = weights.FOLDER) -> tuple[BaselineRow, ...]:
    """Returns the shipped accuracies of the supervised runs.

    Raises:
        WeightsError: If the table is missing or damaged.
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


def baseline_models() -> dict[str, list[Row]]:
    """Returns the supervised runs as the models of the baseline `miniature`."""
    return {
        "miniature": [
            Row(
                table="miniature",
                model=row.model,
                tag=f"seed {row.seed}",
                training="supervised",
                baselines=frozenset({"miniature"}),
                imagenet=row.val,
                shifts=dict(row.shifts),
            )
            for row in baseline_rows()
        ]
    }


FAMILY = ShiftFamily("val", SHIFTS, baseline_models)
