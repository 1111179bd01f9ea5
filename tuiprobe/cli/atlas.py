"""`tuiprobe atlas`: published accuracies, effective robustness, forecasts; signatures of runs."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tuiprobe.errors import UsageError
from tuiprobe.folders import signatures_file

if TYPE_CHECKING:
    from tuiprobe.catalog.atlas import Entry
    from tuiprobe.catalog.forecast import Kind
    from tuiprobe.catalog.signatures import Signature

LIMIT = 40
SHOWN = ("standard", "zero_shot")
"""Baselines of the printed table, unless others are asked for; JSON holds all."""


def atlas(
    words: Annotated[
        list[str] | None,
        typer.Argument(help="Filter words; or `add RUN…` to file signatures, or `signatures`."),
    ] = None,
    table: Annotated[str | None, typer.Option(help="Only open_clip, timm or testbed rows.")] = None,
    baseline: Annotated[
        list[str] | None,
        typer.Option(help="standard, standard_and_low, timm_imagenet1k, zero_shot; repeats."),
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option(help="Shift to average over, e.g. imagenet_v2; repeats.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Rows to print; JSON prints all.")] = LIMIT,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show ImageNet and shift accuracies and effective robustness of public models.

    Nothing is downloaded or loaded. x is the accuracy on all of ImageNet's validation set. The
    forecast is what published models of the same kind of training and other families lead one to
    expect of the mean over shifts.
    """
    from tuiprobe.catalog.accuracies import SHIFTS
    from tuiprobe.catalog.atlas import as_json, entries
    from tuiprobe.catalog.baselines import BASELINES

    names = words or []
    if names == ["add"]:
        raise UsageError("atlas add takes the directories of finished runs")
    if names[:1] == ["add"]:
        for run in names[1:]:
            print(_signature_line(_add(Path(run))))
        return
    if names == ["signatures"]:
        _signatures(json_)
        return
    shown = BASELINES if json_ else SHOWN
    chosen = _checked(baseline or list(shown), BASELINES, "baseline")
    shifts = tuple(_checked(target or [], SHIFTS, "shift")) or None
    if table not in (None, "open_clip", "timm", "testbed"):
        raise UsageError(f"unknown table {table!r}; open_clip, timm or testbed")
    found = entries(names, table=table, baselines=chosen, target=shifts)
    signatures = _all_signatures()
    if json_:
        print(
            json.dumps(
                _with_signatures(as_json(found, shifts), signatures), indent=1, allow_nan=False
            )
        )
        return
    for line in lines(found[:limit], chosen, shifts):
        print(line)
    specs = {entry.row.spec for entry in found[:limit] if entry.row.spec}
    for signature in signatures:
        if signature.spec in specs:
            print(f"filed: {_signature_line(signature)}")
    if len(found) > limit:
        print(f"{len(found) - limit} more rows: --limit, or words to filter by")


def _checked(names: list[str], known: tuple[str, ...], what: str) -> list[str]:
    for name in names:
        if name not in known:
            raise UsageError(f"unknown {what} {name!r}; one of {', '.join(known)}")
    return names


def lines(found: list[Entry], baselines: list[str], target: tuple[str, ...] | None) -> list[str]:
    """Returns the atlas as aligned lines: accuracies in per cent, ER in points."""
    from tuiprobe.catalog.accuracies import SHIFTS
    from tuiprobe.catalog.baselines import bundled
    from tuiprobe.catalog.forecast import BASELINE_OF, LEVELS

    names = [entry.row.spec or f"{entry.row.table} {entry.row.model}" for entry in found]
    width = max((len(name) for name in names), default=5)
    short = {"standard_and_low": "with low", "timm_imagenet1k": "timm 1k"}
    heads = "".join(f"  {'ER ' + short.get(name, name):>25}" for name in baselines)
    heads += f"  {'forecast':>21}"
    printed = [f"{'model':<{width}}   ImageNet    V2     R  Sketch  ObjNet     A{heads}"]
    for name, entry in zip(names, found, strict=True):
        row = entry.row
        cells = [row.imagenet, *(row.shifts[s] for s in SHIFTS)]
        widths = (9, 5, 5, 7, 7, 5)
        numbers = "".join(
            f" {'-' if v is None else f'{100 * v:.1f}':>{w}}"
            for v, w in zip(cells, widths, strict=True)
        )
        printed.append(
            f"{name:<{width}} {numbers}{_robustness(entry, baselines)}{_forecast(entry)}"
        )
    printed.append("ER in points, with the interval of a single model; * extrapolated")
    printed.append(
        f"forecast of the mean of {', '.join(target or SHIFTS)} in per cent, with the "
        f"{100 * LEVELS[-1]:.0f} % interval; - without a published peer at that accuracy"
    )
    printed += [_error(kind, target or SHIFTS) for kind in BASELINE_OF]
    for name in baselines:
        line = bundled(name, target)
        printed.append(
            f"{name}: n {line.n}, mean of {', '.join(line.target)}; logit slope {line.a:.4f}, "
            f"intercept {line.b:.4f}, R² {line.r2:.3f}"
            + ("; for a zero-shot model without its own pretraining set" if line.reach else "")
        )
    return printed


def _error(kind: Kind, target: tuple[str, ...]) -> str:
    """Returns how far off the forecast was, in words."""
    from statistics import fmean

    from tuiprobe.catalog.forecast import errors

    found = errors(kind, target)
    worst = found[0]
    return (
        f"  {kind}: families left out, it was off by {100 * fmean(f.error for f in found):.1f} "
        f"points on average over {len(found)} families, {100 * worst.error:.1f} for {worst.family}"
    )


def _forecast(entry: Entry) -> str:
    """Returns the cell of a forecast."""
    if entry.forecast is None:
        return f"  {'-':>21}"
    low, high = max(entry.forecast.intervals.items())[1]
    value = 100 * entry.forecast.value
    cell = f"{value:.1f} ({100 * low:.1f} to {100 * high:.1f})"
    return f"  {cell:>21}"


def _robustness(entry: Entry, baselines: list[str]) -> str:
    cells = []
    for name in baselines:
        er = entry.robustness[name]
        if er is None:
            cells.append("-")
            continue
        low, high = (100 * end for end in er.prediction)
        star = "*" if er.extrapolated else " "
        cells.append(f"{100 * er.value:+.1f} ({low:+.1f} to {high:+.1f}){star}")
    return "".join(f"  {cell:>25}" for cell in cells)


def _with_signatures(data: dict[str, Any], signatures: list[Signature]) -> dict[str, Any]:
    """Puts filed signatures beside the published accuracies of the same model."""
    by_spec: dict[str, list[dict[str, Any]]] = {}
    for one in signatures:
        by_spec.setdefault(one.spec, []).append(asdict(one))
    for row in data["rows"]:
        row["signatures"] = by_spec.get(row["spec"], [])
    return data


def _add(run: Path) -> Signature:
    from tuiprobe.catalog.signatures import add
    from tuiprobe.report import read_report
    from tuiprobe.results.report import Report
    from tuiprobe.run.directory import RunDir

    if run.is_dir() and not RunDir(run).results_file.exists():
        raise UsageError(f"{run} holds no results.json; name a finished run")
    try:
        report = read_report(RunDir(run)) if run.is_dir() else Report.read(run)
        return add(report.model_dump(mode="python"), signatures_file())
    except OSError as error:
        raise UsageError(f"cannot read {run}: {error.strerror}; name a finished run") from error
    except ValueError as error:
        raise UsageError(f"{run} cannot be filed: {error}") from error


def _all_signatures() -> list[Signature]:
    from tuiprobe.catalog.signatures import filed, shipped
    from tuiprobe.plaintext import plain

    found = filed(signatures_file())
    for line in found.damaged:
        print(f"warning: {plain(line)}", file=sys.stderr)
    return [*shipped(), *found.signatures]


def _signatures(json_: bool) -> None:
    found = _all_signatures()
    if json_:
        print(json.dumps([asdict(signature) for signature in found], indent=1))
        return
    for signature in found:
        print(_signature_line(signature))


def _signature_line(signature: Signature) -> str:
    from tuiprobe.plaintext import plain

    kurtosis, persistence = _figure(signature.kurtosis), _figure(signature.persistence)
    height, offset = _figure(signature.height), _figure(signature.offset)
    robustness = ""
    if signature.robustness is not None:
        value, low, high = (None if v is None else 100 * v for v in signature.robustness)
        ends = "" if low is None or high is None else f" ({low:+.1f} to {high:+.1f})"
        origin = f"{signature.baseline}, {signature.robustness_from}"
        robustness = f"  ER {value:+.1f}{ends} points [{origin}]"
    return plain(
        f"{signature.model}  {signature.weights}  {signature.representation}  n {signature.n}  "
        f"height {height}  offset share {offset}  kurtosis {kurtosis}  persistence {persistence}"
        f"{robustness}  on {signature.data}"
    )


def _figure(figure: tuple[float, float | None, float | None] | None) -> str:
    if figure is None:
        return "-"
    value, low, high = figure
    return f"{value:.2f}" if low is None else f"{value:.2f} ({low:.2f} to {high:.2f})"
