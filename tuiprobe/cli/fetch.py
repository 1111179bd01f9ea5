"""`tuiprobe fetch`: cache and verify weights, configuration and tokenizer."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import Annotated

import typer


def fetch(
    models: Annotated[list[str], typer.Argument(help="Presets or specs of published weights.")],
    offline: Annotated[
        bool, typer.Option("--offline", help="Download nothing: only verify what is cached.")
    ] = False,
    progress: Annotated[
        bool, typer.Option("--progress", help="Narrate the bytes of a download, line by line.")
    ] = False,
) -> None:
    """Download what models need, and verify it by SHA-256; then --offline runs work anywhere."""
    from tuiprobe.models.downloads import narrated
    from tuiprobe.models.fetch import fetch as fetch_model
    from tuiprobe.models.offline import go_offline

    if offline:
        go_offline()
    for name in models:
        with narrated(name) if progress else nullcontext():
            files = fetch_model(name)
        if not files:
            print(f"{name}: nothing to fetch, it ships with tuiprobe", file=sys.stderr)
        for file in files:
            print(f"{file.model}\t{file.sha256}\t{file.size}\t{file.path}")
