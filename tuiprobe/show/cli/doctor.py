"""Commands that look before a run: `doctor` checks, `fetch` downloads and verifies."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tuiprobe.errors import UsageError
from tuiprobe.show.cli.options import of_run
from tuiprobe.spec import RunSpec

if TYPE_CHECKING:
    from tuiprobe.models.load import Fetched
    from tuiprobe.results.subject import Check

MARKS = {"pass": "ok", "warn": "!", "fail": "FAIL", "skip": "-"}
PROGRESS_SECONDS = 5.0


def doctor(
    model: Annotated[str | None, typer.Option(metavar="NAME", help="Encoder to check.")] = None,
    checkpoint: Annotated[Path | None, of_run("checkpoint")] = None,
    data: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="Images to check labels and answers on.")
    ] = None,
    classes: Annotated[str | None, of_run("classes")] = None,
    templates: Annotated[Path | None, of_run("templates")] = None,
    device: Annotated[str, of_run("device")] = RunSpec.device,
    dtype: Annotated[str, of_run("dtype")] = RunSpec.dtype,
    offline: Annotated[bool, of_run("offline")] = RunSpec.offline,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check the installation; with --model an encoder, with --data also labels of images.

    With --model it shows width, training, preprocessing, text tower, head and layers, and times a
    trial batch. The exit code is 5 if a check fails.
    """
    from tuiprobe.models.loaders.published_weights import set_offline
    from tuiprobe.request import refuse_unreadable

    refuse_unreadable({"checkpoint": checkpoint, "classes": classes, "templates": templates})
    if offline:
        set_offline()  # before a library is imported
    from tuiprobe.measure.engine.machine import choose_device, has_bfloat16
    from tuiprobe.measure.engine.shards import Rank
    from tuiprobe.models.checks.doctor import examine
    from tuiprobe.options import OptionError

    try:
        chosen = choose_device(device, Rank())
    except OptionError as error:
        if as_json:
            print(json.dumps({"schema": 2, "wrong": {"option": error.name, "cause": error.cause}}))
        raise
    examination = examine(
        model,
        checkpoint=checkpoint,
        data=data,
        classes=classes,
        templates=templates,
        device=chosen,
        dtype=dtype,
        try_bfloat16=has_bfloat16(chosen),
        progress=head_progress(),
    )
    if as_json:
        print(json.dumps({"schema": 2, **asdict(examination)}, indent=1))
    else:
        encoder = examination.encoder
        about = description_lines(encoder) if encoder is not None else []
        print(*check_lines(examination.checks), *about, sep="\n")
    if any(check.status == "fail" for check in examination.checks):
        raise typer.Exit(5)


def head_progress() -> Callable[[int, int], None]:
    """Returns a callback that reports a head's progress on stderr every few seconds."""
    start = last = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= PROGRESS_SECONDS and done:
            last = now
            left = (now - start) / done * (total - done)
            print(f"head: {done} of {total} classes, {left:.0f} s left", file=sys.stderr)

    return show


def check_lines(checks: list[Check]) -> list[str]:
    """Returns a line for each check, and one for its remedy."""
    from tuiprobe.plaintext import plain

    printed = []
    for check in checks:
        of_set = f"{check.data}: " if check.data is not None else ""
        printed.append(plain(f"{MARKS[check.status]:<5} {check.name:<14} {of_set}{check.detail}"))
        if check.fix and check.status in ("warn", "fail"):
            printed.append(plain(f"{'':<20} → {check.fix}"))
    return printed


def description_lines(encoder: dict[str, Any]) -> list[str]:
    """Returns the description of an encoder in lines: what it is, then its taps."""
    from tuiprobe.plaintext import plain

    printed = [""]
    for name in ("name", "architecture", "representation", "training", "width", "parameters"):
        printed.append(plain(f"{name:<15} {encoder[name]}"))
    for name in ("weights", "preprocessing", "text", "head", "cost"):
        if encoder[name] is not None:
            values = ", ".join(f"{key} {value}" for key, value in encoder[name].items())
            printed.append(plain(f"{name:<15} {values}"))
    for tap in encoder["taps"]:
        printed.append(plain(f"{tap['name']:<40} {tap['kind']:<6} {tap['channels']:>6}"))
    if encoder["untappable"]:
        count = len(encoder["untappable"])
        modules = f"{count} module{'' if count == 1 else 's'}"
        printed.append(f"{modules} cannot be tapped; --json says why")
    return printed


def fetch(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL", help="Encoders with published weights.")
    ],
    offline: Annotated[
        bool, typer.Option("--offline", help="Download nothing: only verify what is cached.")
    ] = False,
    head: Annotated[
        Literal["zero-shot"] | None,
        typer.Option(
            help=(
                "Also build the zero-shot head of each model; for ImageNet's classes this "
                "takes a CPU minutes to hours."
            ),
            metavar="zero-shot",
        ),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            help=(
                "Class names of that head: a file with one per line, or names separated by "
                "commas.  [default: ImageNet's]"
            ),
            metavar="FILE",
        ),
    ] = None,
    templates: Annotated[Path | None, of_run("templates")] = None,
    device: Annotated[str, of_run("device")] = RunSpec.device,
) -> None:
    """Download what encoders need and verify it by SHA-256; then runs work with --offline.

    Prints a line for each file (model, SHA-256, bytes, path), then a line for each folder that was
    filled: copy these folders to a machine without a network.
    """
    from tuiprobe.models.loaders.published_weights import set_offline

    if offline:
        set_offline()  # before a library is imported
    if head is None and (classes or templates):
        raise UsageError("--classes and --templates need --head zero-shot")
    from tuiprobe.measure.engine.machine import choose_device
    from tuiprobe.measure.engine.shards import Rank
    from tuiprobe.models.load import fetch as fetch_model
    from tuiprobe.models.load import fetch_head, filled_folders

    fetched: list[Fetched] = []
    for name in models:
        files = fetch_model(name)
        if not files:
            print(f"{name}: nothing to fetch, it ships with tuiprobe", file=sys.stderr)
        for file in files:
            _print(file)
        fetched += files
    if head is not None:
        chosen = choose_device(device, Rank())
        for name in models:
            built = fetch_head(
                name, device=chosen, classes=classes, templates=templates, progress=head_progress()
            )
            if built is None:
                print(f"{name}: no text tower, so no zero-shot head", file=sys.stderr)
            else:
                _print(built)
                fetched.append(built)
    for folder, size in filled_folders(fetched).items():
        print(f"folder\t-\t{size}\t{folder}")


def _print(file: Fetched) -> None:
    print(f"{file.model}\t{file.sha256}\t{file.size}\t{file.path}", flush=True)
