"""The supervised runs that are the miniature's baseline of effective robustness.

Runs of several sizes on the canonical set give accuracy on `val` and on each shift; in logit space
they lie near a line, which `catalog/baselines.py` fits.
"""

import csv

from tuiprobe.catalog.accuracies import ModelAccuracies
from tuiprobe.catalog.baselines import ShiftFamily
from tuiprobe.miniature import weights
from tuiprobe.miniature.profiles import SHIFTS

FILE = "baseline.csv"
COLUMNS = ("model", "seed", "images", "steps", "val", *SHIFTS)


def baseline_rows() -> list[ModelAccuracies]:
    """Returns the shipped accuracies of the supervised runs."""
    lines = (weights.FOLDER / FILE).read_text(encoding="utf-8").splitlines()
    return [
        ModelAccuracies(
            table="miniature",
            model=row["model"],
            tag=f"seed {row['seed']}",
            training="supervised",
            baselines=frozenset({"miniature"}),
            imagenet=float(row["val"]),
            shifts={name: float(row[name]) for name in SHIFTS},
        )
        for row in csv.DictReader(lines)
    ]


FAMILY = ShiftFamily("val", SHIFTS, lambda: {"miniature": baseline_rows()})
