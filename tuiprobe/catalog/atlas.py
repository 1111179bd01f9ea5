"""The atlas: published accuracies of public models, effective robustness, and forecasts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from tuiprobe.catalog.accuracies import SHIFTS, ZERO_SHOT, Row, rows
from tuiprobe.catalog.baselines import (
    AXIS,
    BASELINES,
    EffectiveRobustness,
    Line,
    bundled,
    effective_robustness,
)
from tuiprobe.catalog.forecast import (
    BASELINE_OF,
    Expected,
    FamilyError,
    Kind,
    errors,
    kind_of,
    own_family,
    peers,
)

SCHEMA_VERSION = 1

SOURCES = {
    "open_clip": "mlfoundations/open_clip, docs/openclip_results.csv (zero-shot)",
    "timm": "huggingface/pytorch-image-models, results/*.csv",
    "testbed": "modestyachts/imagenet-testbed, robustness_top1s.csv",
}


@dataclass(frozen=True)
class Entry:
    """One row of the atlas.

    Attributes:
        row: Published accuracies.
        robustness: Effective robustness by baseline; None where an accuracy is missing. By
            `zero_shot` without the models of the row's own pretraining set.
        forecast: Accuracy under shift expected of its peers; None where there are none.
    """

    row: Row
    robustness: dict[str, EffectiveRobustness | None]
    forecast: Expected | None = None


def entries(
    words: Sequence[str] = (),
    *,
    table: str | None = None,
    baselines: Sequence[str] = BASELINES,
    target: tuple[str, ...] | None = None,
) -> list[Entry]:
    """Returns the rows that contain all words, sorted by effective robustness, best first.

    Args:
        words: Substrings of model, tag or spec; case is ignored.
        table: `open_clip`, `timm` or `testbed`; None for all.
        baselines: Baselines of the effective robustness; the first one sorts.
        target: Shifts to average over; None for all that a baseline has.

    >>> entries(["vit-b-16", "openai"])[0].row.spec
    'open_clip:ViT-B-16-quickgelu/openai'
    """
    chosen = [row for row in rows() if (table in (None, row.table)) and _matches(row, words)]
    found = [
        Entry(
            row,
            {name: robustness_of(row, name, target) for name in baselines},
            forecast_of(row, target or SHIFTS),
        )
        for row in chosen
    ]
    return sorted(found, key=lambda entry: _rank(entry, baselines[0]))


def for_spec(spec: str, baseline: str = "standard", size: int | None = None) -> Entry | None:
    """Returns the entry of a model's explicit spec; None if no accuracies are published."""
    from tuiprobe.catalog.accuracies import published_row

    row = published_row(spec, size)
    if row is None:
        return None
    return Entry(row, {baseline: robustness_of(row, baseline)})


def robustness_of(
    row: Row, baseline: str, target: tuple[str, ...] | None = None
) -> EffectiveRobustness | None:
    """Returns the effective robustness of a row; None if an accuracy is missing."""
    line = bundled(baseline, target, row.pretraining if baseline == ZERO_SHOT else "")
    return effective_robustness(line, row.imagenet, row.shifts)


def forecast_of(row: Row, target: tuple[str, ...] = SHIFTS) -> Expected | None:
    """Returns what the peers of a row lead one to expect; None if it has none at its accuracy.

    >>> found = forecast_of(rows()[0])
    >>> found is None  # no model of another pretraining set has its accuracy
    True
    """
    if row.imagenet is None:
        return None
    try:
        kind = _kind(row)
        return peers(kind, target, own_family(kind, row, row.model)).expected(row.imagenet)
    except ValueError:
        return None


def _kind(row: Row) -> Kind:
    """Returns the kind of training of a row; the testbed has words of its own for it."""
    if row.table == "testbed":
        return kind_of("supervised" if row.training == "standard" else "other", None)
    return kind_of("zero-shot" if row.table == "open_clip" else "unknown", row)


def as_json(found: Iterable[Entry], target: tuple[str, ...] | None = None) -> dict[str, object]:
    """Returns entries as plain data, together with the baselines they use.

    Args:
        found: Entries.
        target: The shifts that they were asked for.
    """
    listed = list(found)
    used: dict[str, Line] = {}
    for entry in listed:
        used.update({n: er.line for n, er in entry.robustness.items() if er is not None})
    return {
        "schema_version": SCHEMA_VERSION,
        "axis": AXIS,
        "sources": SOURCES,
        "baselines": {name: _line(bundled(name, line.target)) for name, line in used.items()},
        "forecasts": {kind: _error(kind, target or SHIFTS) for kind in BASELINE_OF},
        "rows": [_entry(entry) for entry in listed],
    }


def _error(kind: Kind, target: tuple[str, ...]) -> dict[str, object]:
    found: tuple[FamilyError, ...] = errors(kind, target)
    return {
        "target": list(target),
        "models": sum(one.models for one in found),
        "error_mean_over_families": fmean(one.error for one in found),
        "error_by_family": {one.family: one.error for one in found},
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


def _entry(entry: Entry) -> dict[str, object]:
    row = entry.row
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
        "forecast": None if entry.forecast is None else _forecast(entry.forecast),
    }


def _forecast(found: Expected) -> dict[str, object]:
    ends = {f"prediction_{100 * level:.0f}": list(ends) for level, ends in found.intervals.items()}
    return {"target": list(found.target), "value": found.value, **ends}


def _robustness(er: EffectiveRobustness) -> dict[str, object]:
    return {
        "value": er.value,
        "precision_95": list(er.precision),
        "prediction_95": list(er.prediction),
        "extrapolated": er.extrapolated,
        "above_baseline": er.above,
        "without_family": er.line.without or None,
    }


def _matches(row: Row, words: Sequence[str]) -> bool:
    text = f"{row.table} {row.model} {row.tag} {row.spec} {row.training}".lower()
    return all(word.lower() in text for word in words)


def _rank(entry: Entry, baseline: str) -> tuple[bool, float]:
    er = entry.robustness[baseline]
    return (er is None, 0.0 if er is None else -er.value)
