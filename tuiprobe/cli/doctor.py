"""`tuiprobe doctor`: checks the installation, and whether a model is what its name says."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tuiprobe.cli.options import of_run
from tuiprobe.errors import UsageError
from tuiprobe.spec import RunSpec

if TYPE_CHECKING:
    from tuiprobe.models.preflight import Check

MARKS = {"pass": "ok", "warn": "!", "fail": "FAIL", "skip": "-"}
PROGRESS_SECONDS = 5.0


def doctor(
    model: Annotated[str | None, typer.Option(help="A preset or a spec to check.")] = None,
    checkpoint: Annotated[Path | None, of_run("checkpoint")] = None,
    data: Annotated[str | None, typer.Option(help="Images to check labels and answers on.")] = None,
    classes: Annotated[Path | None, of_run("classes")] = None,
    templates: Annotated[Path | None, of_run("templates")] = None,
    device: Annotated[str, of_run("device")] = RunSpec.device,
    dtype: Annotated[str, of_run("dtype")] = RunSpec.dtype,
    offline: Annotated[bool, of_run("offline")] = RunSpec.offline,
    bundle: Annotated[Path | None, of_run("bundle")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check the installation; with --model the encoder, with --data labels and a known answer.

    Ends with exit code 5 if a check fails.
    """
    from tuiprobe.measure.device import choose_device
    from tuiprobe.measure.ranks import Rank
    from tuiprobe.models.bundle import look_for_weights
    from tuiprobe.models.doctor import examine

    if bundle is not None and model is None:
        raise UsageError("--bundle holds models: name the one to check by --model")
    look_for_weights(model, bundle, offline=offline)
    checks = examine(
        model,
        checkpoint=checkpoint,
        data=data,
        classes=classes,
        templates=templates,
        device=choose_device(device, Rank()),
        dtype=dtype,
        progress=told(),
    )
    if as_json:
        print(json.dumps([asdict(check) for check in checks], indent=1))
    else:
        for line in lines(checks):
            print(line)
    if any(check.status == "fail" for check in checks):
        raise typer.Exit(5)


def told() -> Callable[[int, int], None]:
    """Returns a callback that reports a head's progress on stderr every few seconds."""
    start = last = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= PROGRESS_SECONDS and done:
            last = now
            left = (now - start) / done * (total - done)
            print(f"head: {done} of {total} classes, {left:.0f} s left", file=sys.stderr)

    return tell


def lines(checks: list[Check]) -> list[str]:
    """Returns one line per check, and one for its remedy."""
    from tuiprobe.plaintext import plain

    printed = []
    for check in checks:
        printed.append(plain(f"{MARKS[check.status]:<5} {check.name:<14} {check.detail}"))
        if check.fix and check.status in ("warn", "fail"):
            printed.append(plain(f"{'':<20} → {check.fix}"))
    return printed
