"""`tuiprobe models`: presets, what open_clip and timm publish, and published accuracies."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from tuiprobe.numbers import MISSING, interval, number
from tuiprobe.plaintext import TextColumn, text_table

if TYPE_CHECKING:
    from tuiprobe.catalog.published import PublishedRow
    from tuiprobe.catalog.published_models import ListedModel

PRINTED = ("standard", "zero_shot")
"""Baselines of the printed table; JSON holds all."""


def models(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="WORD", help="Show names that contain all these words."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show all models.")] = False,
    published: Annotated[
        bool,
        typer.Option(
            "--published",
            help="Show published accuracies, effective robustness and forecasts.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List encoders by name: presets; with words or --all also those of open_clip and timm.

    With --published: accuracies that open_clip, timm and the ImageNet testbed publish, and a
    forecast of the mean over shifts from published models of the same kind of training.
    """
    if published:
        _published(words or [], as_json=as_json)
        return
    from tuiprobe.catalog.model_list import list_models, of_package
    from tuiprobe.catalog.published_models import similar_models
    from tuiprobe.models.registry import foreign_models
    from tuiprobe.plaintext import plain

    others, problems = foreign_models()
    for problem in problems:
        print(plain(f"warning: {problem}"), file=sys.stderr)
    foreign = list(of_package(others, words or []))
    rows = [*list_models(words or []), *foreign]
    chosen = [row for row in rows if row.preset is not None] + foreign
    chosen = rows if words or everything else chosen
    if as_json:
        print(json.dumps([asdict(row) for row in chosen], indent=1))
        return
    for line in table(chosen):
        print(line)
    hint = "" if len(chosen) == len(rows) else "; name words to filter by, or --all"
    if words and not rows:
        near = similar_models(list_models(), " ".join(words))
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
    print(f"{len(chosen)} of {len(rows)} models{hint}", file=sys.stderr)


def table(rows: list[ListedModel]) -> list[str]:
    """Returns the list as aligned lines: accuracies in per cent, ER in points."""
    from tuiprobe.plaintext import plain

    columns = [
        TextColumn("model"), TextColumn("training"), TextColumn("width", right=True),
        TextColumn("params", right=True), TextColumn("cached"), TextColumn("ImageNet", right=True),
        TextColumn("ER", right=True),
    ]  # fmt: skip
    cells = []
    for row in rows:
        preset = row.preset
        training, channels = (preset.training, str(preset.width)) if preset else ("", "")
        size = row.parameters
        params = "" if size is None else f"{size:,.{1 if size < 10 else 0}f} M"
        imagenet = "" if row.imagenet is None else _percent(row.imagenet)
        er = "" if row.robustness is None else _points(row.robustness)
        star = "*" if row.extrapolated else " "
        cells.append((plain(row.name), training, channels, params, row.cached, imagenet, er + star))
    lines = list(text_table(columns, cells))
    if any(row.extrapolated for row in rows):
        lines.append("* the baseline has no model at this ImageNet accuracy (extrapolated)")
    return lines


def _published(words: list[str], *, as_json: bool) -> None:
    from tuiprobe.catalog.published import as_json as plain_data
    from tuiprobe.catalog.published import entries

    rows = entries(words)
    if as_json:
        print(json.dumps(plain_data(rows), indent=1, allow_nan=False))
        return
    for line in published_table(rows):
        print(line)


def published_table(entries: Sequence[PublishedRow]) -> list[str]:
    """Returns published accuracies as aligned lines: accuracies in per cent, ER in points."""
    from statistics import fmean

    from tuiprobe.catalog.accuracies import SHIFTS
    from tuiprobe.catalog.effective_robustness import bundled
    from tuiprobe.catalog.forecast import BASELINE_OF, LEVELS, errors

    heads = ["ImageNet", "V2", "R", "Sketch", "ObjNet", "A"]
    heads += [f"ER {name}" for name in PRINTED]
    columns = [
        TextColumn("model"),
        *(TextColumn(head, right=True) for head in (*heads, "forecast")),
    ]
    rows = [
        [
            entry.row.spec or f"{entry.row.table} {entry.row.model}",
            *(_percent(share) for share in (entry.row.imagenet, *entry.row.shifts.values())),
            *(_robustness(entry, name) for name in PRINTED),
            _forecast(entry),
        ]
        for entry in entries
    ]
    lines = list(text_table(columns, rows))
    lines.append(
        "accuracies in per cent; ER in points, with the interval of a single model; * extrapolated"
    )
    lines.append(
        f"forecast of the mean of {', '.join(SHIFTS)} in per cent, with the "
        f"{100 * LEVELS[-1]:.0f} % interval; - without a published peer at that accuracy"
    )
    for kind in BASELINE_OF:
        misses = errors(kind)
        mean, worst = fmean(miss.error for miss in misses), misses[0]
        lines.append(
            f"  {kind}: families left out, it was off by {number(mean, 'points')} on average over "
            f"{len(misses)} families, {number(worst.error, 'points', bare=True)} for {worst.family}"
        )
    for name in PRINTED:
        line = bundled(name)
        lines.append(
            f"{name}: n {line.n}, mean of {', '.join(line.target)}; logit slope {line.a:.4f}, "
            f"intercept {line.b:.4f}, R² {line.r2:.3f}"
            + ("; for a zero-shot model without its own pretraining set" if line.reach else "")
        )
    return lines


def _percent(value: float | None) -> str:
    return number(value, "share", bare=True)


def _points(value: float) -> str:
    return number(value, "points", signed=True, bare=True)


def _robustness(entry: PublishedRow, baseline: str) -> str:
    er = entry.robustness[baseline]
    if er is None:
        return MISSING
    star = "*" if er.extrapolated else " "
    return interval(er.value, *er.prediction, "points", signed=True, bare=True) + star


def _forecast(entry: PublishedRow) -> str:
    if entry.forecast is None:
        return MISSING
    ends = max(entry.forecast.intervals.items())[1]
    return interval(entry.forecast.value, *ends, "share", bare=True)
