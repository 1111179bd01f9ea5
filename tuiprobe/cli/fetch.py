"""`tuiprobe fetch`: cache and verify weights, configuration and tokenizer."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tuiprobe.cli.options import of_run
from tuiprobe.errors import UsageError
from tuiprobe.spec import RunSpec

if TYPE_CHECKING:
    from tuiprobe.models.fetch import Fetched


def fetch(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL", help="Encoders with published weights.")
    ],
    offline: Annotated[
        bool, typer.Option("--offline", help="Download nothing: only verify what is cached.")
    ] = False,
    progress: Annotated[
        bool, typer.Option("--progress", help="Print the progress of each download, line by line.")
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
    from tuiprobe.cli.doctor import head_progress
    from tuiprobe.engine.machine import choose_device
    from tuiprobe.engine.shards import Rank
    from tuiprobe.models.fetch import fetch as fetch_model
    from tuiprobe.models.fetch import fetch_head, filled_folders
    from tuiprobe.models.loaders.published_weights import printing_downloads

    fetched: list[Fetched] = []
    for name in models:
        with printing_downloads(name) if progress else nullcontext():
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
