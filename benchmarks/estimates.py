"""Recomputes the constants of the label-free estimate, and how often its ranges hold the truth.

`label_free_estimates.csv` beside this file holds 151 published shifts: accuracy in distribution and
under the shift, and what five estimators without labels expected, as published with "ODD" (UAI
2025). Its 116 rows of kind `natural` are used: 24 shifts of 10 data sets, up to six ways of
training each. On corrupted copies (35 rows of CIFAR-C) the ratio of drops is .76 instead of 1.35.
Four of the five ways besides plain training adapt to the shifted images, and no model is a CLIP.

Data sets count equally. Each constant is refitted with one data set left out, and tried on that
one; the constants of `tuiprobe.probes.targets.scaling` are tried beside them.
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import tuiprobe
from benchmarks._common import command
from tuiprobe.miniature import world
from tuiprobe.probes.protocol import Options
from tuiprobe.probes.reader import RunReader
from tuiprobe.probes.targets.compute import shift_estimates
from tuiprobe.probes.targets.probe import ExpectedAccuracy
from tuiprobe.probes.targets.result import HEADLINE
from tuiprobe.probes.targets.scaling import (
    FLOOR,
    MULTIPLIERS,
    PRIOR_K,
    PRIOR_K_DIFFERENCE,
    SLOPE,
    Level,
    ShiftEstimate,
    fit_scale,
    half_width,
    left_out_errors,
    scaled,
)
from tuiprobe.results import Estimate, NotRun
from tuiprobe.run.checked_arrays import HeadArrays
from tuiprobe.run.directory import RunDir

TITLE = "Accuracy without labels: constants and coverage"
FILE = Path(__file__).with_name("label_free_estimates.csv")
MODELS = ("mini_clip", "mini_clip_soft", "mini_finetuned", "mini_supervised")
LEVELS: tuple[Level, ...] = (50, 80, 90, 95)

Floats = NDArray[np.float64]


class Row(NamedTuple):
    """A published shift.

    Attributes:
        dataset: Data set.
        training: How the model was trained.
        shift: Its accuracies; ATC by entropy as what is expected.
        difference: What the difference of confidences expects.
    """

    dataset: str
    training: str
    shift: ShiftEstimate
    difference: float


class Tried(NamedTuple):
    """An estimate of a row.

    Attributes:
        row: The row.
        value: The estimate.
        drop: The scaled drop.
        errors: Errors of the run's other shifts, each left out.
    """

    row: Row
    value: float
    drop: float
    errors: list[float]

    @property
    def error(self) -> float:
        """Estimate less truth."""
        return self.value - self.row.shift.measured

    def half(self, level: Level) -> float:
        """Half the range of a level."""
        return half_width(self.drop, self.errors, level)


def read(kind: str = "natural") -> list[Row]:
    """Returns the published shifts of a kind."""
    rows = []
    with FILE.open() as file:
        for estimate in csv.DictReader(file):
            if estimate["kind"] == kind:
                own, truth = float(estimate["in_distribution"]), float(estimate["shifted"])
                atc, difference = (
                    float(estimate["atc_entropy"]),
                    estimate["difference_of_confidences"],
                )
                shift = ShiftEstimate(estimate["shift"], own, atc, truth)
                rows.append(
                    Row(estimate["dataset"], estimate["training"], shift, float(difference))
                )
    return rows


def weights(datasets: list[str]) -> Floats:
    """Returns weights that sum to 1, equal for each data set."""
    count = Counter(datasets)
    return np.array([1 / count[name] / len(count) for name in datasets])


def ratio(rows: list[Row], difference: bool = False) -> float:
    """Returns the ratio of measured to predicted drops by least squares."""
    predicted = np.array([r.shift.own - (r.difference if difference else r.shift.expected)
                          for r in rows])  # fmt: skip
    measured = np.array([r.shift.own - r.shift.measured for r in rows])
    weight = weights([r.dataset for r in rows])
    return float((weight * predicted * measured).sum() / (weight * predicted**2).sum())


def without_shifts(rows: list[Row]) -> list[Tried]:
    """Estimates each row with `PRIOR_K`, as in a run without labelled shifts."""
    estimates = []
    for row in rows:
        drop = PRIOR_K * (row.shift.own - row.shift.expected)
        estimates.append(Tried(row, scaled(row.shift.own, row.shift.expected, PRIOR_K), drop, []))
    return estimates


def with_own_shifts(rows: list[Row]) -> list[Tried]:
    """Estimates each row with the other shifts of its model; leaves out models with one shift."""
    models: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        models[row.dataset, row.training].append(row)
    estimates = []
    for together in models.values():
        for at, row in enumerate(together):
            others = [other.shift for i, other in enumerate(together) if i != at]
            if not others:
                continue
            k = fit_scale(others)
            drop = k * (row.shift.own - row.shift.expected)
            value = scaled(row.shift.own, row.shift.expected, k)
            estimates.append(Tried(row, value, drop, left_out_errors(others)))
    return estimates


def coverage(tried: list[Tried], level: Level) -> float:
    """Returns the share of rows whose truth lies in the range."""
    weight = weights([estimate.row.dataset for estimate in tried])
    inside = [abs(estimate.error) <= estimate.half(level) for estimate in tried]
    return float((weight * inside).sum())


def multipliers(tried: list[Tried]) -> dict[Level, float]:
    """Returns the multipliers under which each level holds its share of the rows."""
    weight = weights([estimate.row.dataset for estimate in tried])
    ratios = np.array(
        [abs(estimate.error) / (FLOOR + SLOPE * max(estimate.drop, 0)) for estimate in tried]
    )
    order = np.argsort(ratios)
    reached = np.cumsum(weight[order])
    return {
        level: float(ratios[order][np.searchsorted(reached, level / 100 - 1e-9)])
        for level in LEVELS
    }


def refitted_coverage(tried: list[Tried]) -> dict[Level, float]:
    """Returns the coverage with multipliers fitted to the other data sets alone."""
    inside: dict[Level, list[bool]] = {level: [] for level in LEVELS}
    for estimate in tried:
        others = [other for other in tried if other.row.dataset != estimate.row.dataset]
        fitted = multipliers(others)
        for level in LEVELS:
            half = fitted[level] * (FLOOR + SLOPE * max(estimate.drop, 0))
            inside[level].append(abs(estimate.error) <= half)
    weight = weights([estimate.row.dataset for estimate in tried])
    return {level: float((weight * inside[level]).sum()) for level in LEVELS}


def summary(tried: list[Tried]) -> dict[str, Any]:
    """Returns error, bias, coverage and width over the rows."""
    datasets = [estimate.row.dataset for estimate in tried]
    weight, errors = weights(datasets), np.array([estimate.error for estimate in tried])
    return {
        "rows": len(tried),
        "datasets": len(set(datasets)),
        "mean_absolute": float((weight * abs(errors)).sum()),
        "bias": float((weight * errors).sum()),
        "half_80": float((weight * [estimate.half(80) for estimate in tried]).sum()),
        "coverage": {str(level): coverage(tried, level) for level in LEVELS},
        "refitted": {str(level): estimate for level, estimate in refitted_coverage(tried).items()},
    }


def embedded(quick: bool) -> dict[str, Any]:
    """Returns errors of the embedded models: labelled shifts left out, and `street`.

    The labels of `street` are known to its generator and not to the run.
    """
    errors, raw, inside, street = [], [], [], {}
    with TemporaryDirectory() as folder:
        for model in MODELS:
            output = Path(folder) / model
            sample = 400 if quick else None
            tuiprobe.probe(model, "miniature", output=str(output), sample=sample, concepts="none")
            run = RunReader(RunDir(output))
            inputs = ExpectedAccuracy().inputs(run, Options(), {})
            assert not isinstance(inputs, NotRun)
            targets = ExpectedAccuracy().compute(inputs, Options())
            shifts = shift_estimates(targets.checks, HEADLINE)
            for at, shift in enumerate(shifts):
                others = [*shifts[:at], *shifts[at + 1 :]]
                k = fit_scale(others)
                error = scaled(shift.own, shift.expected, k) - shift.measured
                half = half_width(k * (shift.own - shift.expected), left_out_errors(others))
                errors.append(error)
                raw.append(shift.expected - shift.measured)
                inside.append(abs(error) <= half)
            estimate = targets.targets[0].headline
            assert isinstance(estimate, Estimate)
            street[model] = {"estimate": estimate.value, "low": estimate.low,
                             "high": estimate.high, "truth": truth_of_street(run)}  # fmt: skip
    return {
        "shifts": len(errors),
        "mean_absolute": float(np.mean(np.abs(errors))),
        "bias": float(np.mean(errors)),
        "inside": float(np.mean(inside)),
        "raw_mean_absolute": float(np.mean(np.abs(raw))),
        "raw_bias": float(np.mean(raw)),
        "street": street,
    }


def truth_of_street(run: RunReader) -> float:
    """Returns the accuracy on `street` by the labels of its generator."""
    head = run.head
    assert isinstance(head, HeadArrays)
    features, paths = run.features("street"), run.paths("street")
    logits = features["features"] @ head.weight.T + (0 if head.bias is None else head.bias)
    labels = [world.label("street", int(Path(paths[i]).stem)) for i in features["ids"].tolist()]
    return float((logits.argmax(axis=1) == np.array(labels)).mean())


def run(quick: bool = False) -> dict[str, Any]:
    """Returns all figures; `quick` measures fewer images of the embedded models."""
    rows = read()
    raw = [Tried(row, row.shift.expected, 0.0, []) for row in rows]
    without = without_shifts(rows)
    return {
        "ratio": {"atc_entropy": ratio(rows), "difference": ratio(rows, difference=True),
                  "corrupted": ratio(read("corruption"))},
        "multipliers": {str(level): estimate for level, estimate in multipliers(without).items()},
        "raw": summary(raw),
        "without": summary(without),
        "own": summary(with_own_shifts(rows)),
        "embedded": embedded(quick),
    }  # fmt: skip


def table(figures: dict[str, Any]) -> str:
    """Renders the figures as Markdown."""
    names = {"raw": "raw ATC", "without": "k = 1.35, no labelled shift", "own": "k of own shifts"}
    lines = [
        "| estimate | rows | sets | off by | bias | half of 80 % | inside 50 / 80 / 90 / 95 % | "
        "multipliers refitted |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for key, name in names.items():
        estimate = figures[key]
        inside, refitted = (
            " / ".join(f"{estimate[kind][str(level)]:.2f}" for level in LEVELS)
            if key != "raw" else "-"
            for kind in ("coverage", "refitted")
        )  # fmt: skip
        half = "-" if key == "raw" else f"{100 * estimate['half_80']:.1f}"
        lines.append(
            f"| {name} | {estimate['rows']} | {estimate['datasets']} | "
            f"{100 * estimate['mean_absolute']:.1f} | "
            f"{100 * estimate['bias']:+.1f} | {half} | {inside} | {refitted} |"
        )
    ratios, used = figures["ratio"], (PRIOR_K, PRIOR_K_DIFFERENCE)
    lines += [
        "",
        f"Measured over predicted drop, least squares: {ratios['atc_entropy']:.2f} for ATC by "
        f"entropy (used: {used[0]}), {ratios['difference']:.2f} for the difference of confidences "
        f"(used: {used[1]}), {ratios['corrupted']:.2f} for ATC on CIFAR-C. Multipliers of the "
        "ranges: "
        + ", ".join(
            f"{figures['multipliers'][str(level)]:.2f} for {level} % (used: {MULTIPLIERS[level]})"
            for level in LEVELS
        )
        + ".",
    ]
    mini = figures["embedded"]
    lines += [
        "",
        f"Embedded models, {mini['shifts']} labelled shifts, each left out: off by "
        f"{100 * mini['mean_absolute']:.1f} points (raw {100 * mini['raw_mean_absolute']:.1f}), "
        f"bias {100 * mini['bias']:+.1f} (raw {100 * mini['raw_bias']:+.1f}), "
        f"{mini['inside']:.2f} inside the 80 % range. `street`: "
        + "; ".join(
            f"`{model}` {100 * estimate['estimate']:.0f} ({100 * estimate['low']:.0f} to "
            f"{100 * estimate['high']:.0f}), truth {100 * estimate['truth']:.1f}"
            for model, estimate in mini["street"].items()
        )
        + ".",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    command(__doc__, run, table)
