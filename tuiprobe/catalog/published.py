"""Published accuracies of public models, with their effective robustness and forecasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from tuiprobe.catalog.accuracies import SHIFTS, ZERO_SHOT, ModelAccuracies, rows
from tuiprobe.catalog.effective_robustness import (
    AXIS,
    BASELINES,
    Line,
    RobustnessByBaseline,
    bundled,
    effective_robustness,
)
from tuiprobe.catalog.forecast import (
    BASELINE_OF,
    ShiftForecast,
    errors,
    family_of_model,
    kind_of,
    peers,
)
from tuiprobe.plaintext import holds_all

SCHEMA_VERSION = 1

SOURCES = {
    "open_clip": "mlfoundations/open_clip, docs/openclip_results.csv (zero-shot)",
    "timm": "huggingface/pytorch-image-models, results/*.csv",
    "testbed": "modestyachts/imagenet-testbed, robustness_top1s.csv",
}


@dataclass(frozen=True)
class PublishedRow:
    """One published row.

    Attributes:
        row: Published accuracies.
        robustness: Effective robustness by baseline. By
            `zero_shot` without the models of the row's own pretraining set.
        forecast: Accuracy under shift expected of its peers.
    """

    row: ModelAccuracies
    robustness: dict[str, RobustnessByBaseline | None]
    forecast: ShiftForecast | None


def entries(words: Sequence[str] = ()) -> list[PublishedRow]:
    """Returns the rows that contain all words, sorted by effective robustness, best first.

    Args:
        words: Substrings of table, model, tag, spec or training; case is ignored.

    >>> entries(["vit-b-16", "openai"])[0].row.spec
    'open_clip:ViT-B-16-quickgelu/openai'
    """
    published_rows = [
        PublishedRow(
            row,
            {name: robustness_of(row, name) for name in BASELINES},
            forecast_of(row),
        )
        for row in rows()
        if holds_all(f"{row.table} {row.model} {row.tag} {row.spec} {row.training}", words)
    ]

    def rank(entry: PublishedRow) -> tuple[bool, float]:
        er = entry.robustness[BASELINES[0]]
        return er is None, 0.0 if er is None else -er.value

    return sorted(published_rows, key=rank)


def robustness_of(row: ModelAccuracies, baseline: str) -> RobustnessByBaseline | None:
    """Returns the effective robustness of a row."""
    line = bundled(baseline, without=row.pretraining if baseline == ZERO_SHOT else "")
    return effective_robustness(line, row.imagenet, row.shifts)


def forecast_of(row: ModelAccuracies) -> ShiftForecast | None:
    """Returns the forecast by the peers of a row.

    >>> forecast_of(rows()[0]) is None  # no model of another pretraining set has its accuracy
    True
    """
    training = "zero-shot" if row.table == "open_clip" else "unknown"
    if row.table == "testbed":  # it has words of its own for the training
        training = "supervised" if row.training == "standard" else "other"
    if row.imagenet is None:
        return None
    try:
        kind = kind_of(training, None if row.table == "testbed" else row)
        return peers(kind, without=family_of_model(kind, row, row.model)).expected(row.imagenet)
    except ValueError:
        return None


def as_json(published_rows: Sequence[PublishedRow]) -> dict[str, object]:
    """Returns entries as plain data, together with the baselines they use."""
    targets: dict[str, tuple[str, ...]] = {}
    for entry in published_rows:
        targets |= {n: er.line.target for n, er in entry.robustness.items() if er is not None}
    forecasts = {kind: errors(kind) for kind in BASELINE_OF}
    return {
        "schema_version": SCHEMA_VERSION,
        "axis": AXIS,
        "sources": SOURCES,
        "baselines": {name: _line(bundled(name, shifts)) for name, shifts in targets.items()},
        "forecasts": {
            kind: {
                "target": list(SHIFTS),
                "models": sum(family.models for family in families),
                "error_mean_over_families": fmean(family.error for family in families),
                "error_by_family": {family.family: family.error for family in families},
            }
            for kind, families in forecasts.items()
        },
        "rows": [_entry(entry) for entry in published_rows],
    }


def _line(line: Line) -> dict[str, object]:
    return {
        "target": list(line.target),
        "n": line.n,
        "left_out": line.left_out,
        "slope": line.a,
        "intercept": line.b,
        "r2_logit": line.r2,
        "residual_deviation_logit": line.scatter,
        "imagenet_range": [line.low, line.high],
    }


def _entry(entry: PublishedRow) -> dict[str, object]:
    row, expected = entry.row, entry.forecast
    forecast: dict[str, object] | None = None
    if expected is not None:
        forecast = {"target": list(expected.target), "value": expected.value}
        for level, ends in expected.intervals.items():
            forecast[f"prediction_{100 * level:.0f}"] = list(ends)
    return {
        "table": row.table,
        "model": row.model,
        "tag": row.tag,
        "spec": row.spec or None,
        "size": row.size,
        "parameters_millions": row.parameters,
        "training": row.training,
        "note": row.note,
        "accuracies": {"imagenet": row.imagenet, **{s: row.shifts[s] for s in SHIFTS}},
        "effective_robustness": {
            name: None if er is None else _robustness(er) for name, er in entry.robustness.items()
        },
        "forecast": forecast,
    }


def _robustness(er: RobustnessByBaseline) -> dict[str, object]:
    return {
        "value": er.value,
        "precision_95": list(er.precision),
        "prediction_95": list(er.prediction),
        "extrapolated": er.extrapolated,
        "above_baseline": er.above,
        "without_family": er.line.without or None,
    }
