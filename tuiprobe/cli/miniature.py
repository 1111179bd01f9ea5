"""`tuiprobe miniature export DIR`: the embedded world as ordinary files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def miniature() -> None:
    """The images of the built-in demonstration."""


@app.command(short_help="Write the images as files")
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
    from tuiprobe.miniature.as_files import DEFAULT_SETS, LAYOUTS

    folder = write(
        directory,
        sets=sets or DEFAULT_SETS,
        layouts=layouts or LAYOUTS,
        images=images,
        progress=lambda part, count: print(f"{part}: {count} images", file=sys.stderr),
    )
    print(folder)
