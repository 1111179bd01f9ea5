"""The atlas: published accuracies of public models and their effective robustness."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tuiprobe.catalog.accuracies import SHIFTS, Row, rows
from tuiprobe.catalog.baselines import (
    AXIS,
    BASELINES,
    EffectiveRobustness,
    Line,
    bundled,
    effective_robustness,
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
        robustness: Effective robustness by baseline; None where an accuracy is missing.
    """

    row: Row
    robustness: dict[str, EffectiveRobustness | None]


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
    lines = {name: bundled(name, target) for name in baselines}
    chosen = [row for row in rows() if (table in (None, row.table)) and _matches(row, words)]
    found = [
        Entry(
            row,
            {n: effective_robustness(line, row.imagenet, row.shifts) for n, line in lines.items()},
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
    line = bundled(baseline)
    return Entry(row, {baseline: effective_robustness(line, row.imagenet, row.shifts)})


def as_json(found: Iterable[Entry]) -> dict[str, object]:
    """Returns entries as plain data, together with the baselines they use."""
    listed = list(found)
    used: dict[str, Line] = {}
    for entry in listed:
        used.update({n: er.line for n, er in entry.robustness.items() if er is not None})
    return {
        "schema_version": SCHEMA_VERSION,
        "axis": AXIS,
        "sources": SOURCES,
        "baselines": {name: _line(line) for name, line in used.items()},
        "rows": [_entry(entry) for entry in listed],
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
    }


def _robustness(er: EffectiveRobustness) -> dict[str, object]:
    return {
        "value": er.value,
        "precision_95": list(er.precision),
        "prediction_95": list(er.prediction),
        "extrapolated": er.extrapolated,
        "above_baseline": er.above,
    }


def _matches(row: Row, words: Sequence[str]) -> bool:
    text = f"{row.table} {row.model} {row.tag} {row.spec} {row.training}".lower()
    return all(word.lower() in text for word in words)


def _rank(entry: Entry, baseline: str) -> tuple[bool, float]:
    er = entry.robustness[baseline]
    return (er is None, 0.0 if er is None else -er.value)
