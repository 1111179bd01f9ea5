"""What runs are made of: encoders by name, and the demonstration's images as files."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tuiprobe.numbers import number
from tuiprobe.plaintext import TextColumn, text_table

if TYPE_CHECKING:
    from tuiprobe.catalog.published_models import ListedModel


def models(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="WORD", help="Show names that contain all these words."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show all models.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List encoders by name: presets; with words or --all also those of open_clip and timm."""
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


def _percent(value: float | None) -> str:
    return number(value, "share", bare=True)


def _points(value: float) -> str:
    return number(value, "points", signed=True, bare=True)


miniature = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@miniature.callback()
def _images() -> None:
    """The images of the built-in demonstration."""


@miniature.command(short_help="Write the images as files")
def export(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")],
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME",
            help="val, v2, sketch, r, a, objectnet, street, concepts, web or train; repeats. "
            "Default val and the shifts, v2 to objectnet.",
        ),
    ] = None,
    layouts: Annotated[
        list[str] | None,
        typer.Option("--layout", metavar="NAME", help="imagefolder, webdataset; default both."),
    ] = None,
    images: Annotated[
        int | None, typer.Option(metavar="N", help="Images per set; default all.")
    ] = None,
) -> None:
    """Write sets of the demonstration as class folders and tar shards."""
    from tuiprobe.miniature import export as write
    from tuiprobe.miniature.data import DEFAULT_SETS, LAYOUTS

    folder = write(
        directory,
        sets=sets or DEFAULT_SETS,
        layouts=layouts or LAYOUTS,
        images=images,
        progress=lambda part, count: print(f"{part}: {count} images", file=sys.stderr),
    )
    print(folder)
