"""`tuiprobe inspect`: load one encoder and show its taps, preprocessing and cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from tuiprobe.cli.options import of_run
from tuiprobe.spec import RunSpec


def inspect(
    model: Annotated[str, typer.Argument(help="A preset or a spec.")],
    checkpoint: Annotated[Path | None, of_run("checkpoint")] = None,
    device: Annotated[str, of_run("device")] = RunSpec.device,
    dtype: Annotated[str, of_run("dtype")] = RunSpec.dtype,
    offline: Annotated[bool, of_run("offline")] = RunSpec.offline,
    bundle: Annotated[Path | None, of_run("bundle")] = None,
    cost: Annotated[bool, typer.Option(help="Time a trial batch.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show taps, widths, preprocessing and the cost of a trial batch."""
    from tuiprobe.measure.device import choose_device
    from tuiprobe.measure.ranks import Rank
    from tuiprobe.models import load_encoder
    from tuiprobe.models.bundle import look_for_weights
    from tuiprobe.models.inspect import describe

    look_for_weights(model, bundle, offline=offline)
    device = choose_device(device, Rank())
    encoder = load_encoder(model, checkpoint=checkpoint, device=device, dtype=dtype)
    found = describe(encoder, cost=cost)
    if as_json:
        print(json.dumps(found, indent=1))
        return
    for name in ("name", "architecture", "representation", "width", "parameters"):
        print(f"{name:<15} {found[name]}")
    for name in ("weights", "preprocessing", "text", "head", "cost"):
        if found[name] is not None:
            print(f"{name:<15} " + ", ".join(f"{k} {v}" for k, v in found[name].items()))
    for tap in found["taps"]:
        print(f"{tap['name']:<40} {tap['kind']:<6} {tap['channels']:>6}")
    if found["untappable"]:
        print(f"{len(found['untappable'])} modules cannot be tapped; --json says why")
