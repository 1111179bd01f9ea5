"""`tuiprobe models`: presets and every model that open_clip and timm publish."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tuiprobe.catalog.listing import Listed


def models(
    words: Annotated[
        list[str] | None, typer.Argument(help="Show what holds all these words; default presets.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show all models.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List models by name: presets first, then open_clip's and timm's. Loads none of them."""
    from tuiprobe.catalog.listing import listed, of_package
    from tuiprobe.models.registry import foreign_models
    from tuiprobe.plaintext import plain

    others, problems = foreign_models()
    for problem in problems:
        print(plain(f"warning: {problem}"), file=sys.stderr)
    foreign = list(of_package(others, words or []))
    rows = [*listed(words or []), *foreign]
    chosen = [row for row in rows if row.preset is not None] + foreign
    shown = rows if words or everything else chosen
    if as_json:
        print(json.dumps([asdict(row) for row in shown], indent=1))
        return
    for line in table(shown):
        print(line)
    print(f"{len(shown)} of {len(rows)} models" + _hint(len(shown), len(rows)), file=sys.stderr)


def _hint(shown: int, all_rows: int) -> str:
    return "" if shown == all_rows else "; name words to filter by, or --all"


def table(rows: list[Listed]) -> list[str]:
    """Returns the list as aligned lines: accuracies in per cent, ER in points."""
    from tuiprobe.plaintext import plain

    width = max((len(row.name) for row in rows), default=4)
    lines = [f"{'model':<{width}}  training    width   params  cached  ImageNet     ER"]
    for row in rows:
        name, preset = plain(row.name), row.preset
        training = preset.training if preset is not None else ""
        channels = str(preset.width) if preset is not None else ""
        params = "" if row.parameters is None else f"{row.parameters:.0f} M"
        imagenet = "" if row.imagenet is None else f"{100 * row.imagenet:.1f}"
        er = "" if row.robustness is None else f"{100 * row.robustness:+.1f}"
        er += "*" if row.extrapolated else ""
        lines.append(
            f"{name:<{width}}  {training:<10}  {channels:>5}  {params:>7}  {row.cached:<6}"
            f"  {imagenet:>8}  {er:>5}".rstrip()
        )
    if any(row.extrapolated for row in rows):
        lines.append("* the baseline has no model at this ImageNet accuracy (extrapolated)")
    return lines
