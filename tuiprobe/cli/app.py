"""The command line: options in, exit code out.

stdout carries data, stderr narration. Every import that costs time happens inside a command.
"""

from __future__ import annotations

import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from tuiprobe import __version__
from tuiprobe.cli import (
    atlas,
    compare,
    doctor,
    fetch,
    grid,
    inspect,
    miniature,
    models,
    open_run,
    report,
    reprobe,
    runs,
    verify,
)
from tuiprobe.errors import TuiprobeError, UsageError

app = typer.Typer(
    name="tuiprobe",
    help="Probe vision encoders for the inner signature of robustness, without shifted data.",
    add_completion=False,
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (
    models.models,
    atlas.atlas,
    inspect.inspect,
    doctor.doctor,
    fetch.fetch,
    report.report,
    reprobe.reprobe,
    verify.verify,
    compare.compare,
    runs.runs,
    grid.grid,
):
    app.command()(command)
app.command("open")(open_run.open_run)
app.add_typer(miniature.app, name="miniature")


@app.callback(invoke_without_command=True)
def probe(
    context: typer.Context,
    headless: Annotated[bool, typer.Option("--headless", help="Run without a screen.")] = False,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Encoder, e.g. open_clip:RN50-quickgelu/openai or timm:resnet50.a1_in1k."
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Weights to load in place of the published ones.")
    ] = None,
    data: Annotated[str | None, typer.Option(help="Images, e.g. imagefolder:/data/val.")] = None,
    suite: Annotated[
        str | None,
        typer.Option(help="Sets of images: a TOML file, or auto for those below $TUIPROBE_DATA."),
    ] = None,
    layers: Annotated[
        list[str] | None, typer.Option(help="Glob over inner layers to measure too.")
    ] = None,
    tokens: Annotated[str, typer.Option(help="Tokens that count: all, class or mean.")] = "all",
    sample: Annotated[
        int | None, typer.Option(help="Images per set; 0 for all. Default 5000.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the processing order.")] = 0,
    batch_size: Annotated[int, typer.Option(help="Images per forward pass.")] = 32,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    dtype: Annotated[str, typer.Option(help="float32, float16 or bfloat16.")] = "float32",
    threads: Annotated[int | None, typer.Option(help="CPU threads; default one a core.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that decode images.")] = None,
    max_unreadable: Annotated[
        float, typer.Option(help="Share of unreadable images that stops the run.")
    ] = 0.05,
    output: Annotated[Path | None, typer.Option(help="The run directory.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start anew, do not resume.")] = False,
    mix: Annotated[
        bool, typer.Option("--mix", help="Resume although hardware or libraries changed.")
    ] = False,
    require_weights: Annotated[
        bool, typer.Option("--require-weights", help="Refuse an untrained encoder (exit 3).")
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Open no socket: cached weights only.")
    ] = False,
    head: Annotated[
        str | None,
        typer.Option(
            help="Linear head: a checkpoint file, probe (fitted to labelled images that are not "
            "measured) or zero-shot (prompts, however long they take)."
        ),
    ] = None,
    classes: Annotated[
        Path | None, typer.Option(help="Class names of the head, one a line, in label order.")
    ] = None,
    templates: Annotated[
        Path | None, typer.Option(help="Prompt templates, one a line, {} for the name.")
    ] = None,
    ablate: Annotated[
        list[str] | None,
        typer.Option(help="TAP:CHANNELS, e.g. layer3:17,40: set channels of inner layers to 0."),
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(help="CSV of models and accuracies: a further effective-robustness baseline."),
    ] = None,
    concepts: Annotated[
        str | None,
        typer.Option(help="Concept set: miniature, broden:DIR, csv:FILE or none."),
    ] = None,
    concept_sample: Annotated[
        int | None,
        typer.Option(help="Images of the concept set; 0 for all. Default: --sample, or all."),
    ] = None,
    concept_share: Annotated[
        float, typer.Option(help="Part of an image from which a concept counts as present.")
    ] = 0.01,
    balance: Annotated[
        str,
        typer.Option(help="AP of concepts: calibrated, or over a drawn sample of negatives."),
    ] = "calibrated",
    negatives: Annotated[
        str, typer.Option(help="Images without a concept that count: annotated or all.")
    ] = "annotated",
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of what failed.")
    ] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Probes one or more encoders; see the documentation of each source in docs/."""
    if version:
        print(f"tuiprobe {__version__}")
        raise typer.Exit
    context.obj.debug = debug
    if context.invoked_subcommand is not None:
        return
    if not headless:
        print(context.get_help())
        raise typer.Exit(0 if len(sys.argv) <= 1 else UsageError.exit_code)
    if suite is not None and data is not None:
        raise UsageError("--suite names all sets of images: leave out --data")
    from tuiprobe.cli.headless import run_models

    code = run_models(
        model or [],
        data=data if suite is None else f"suite:{suite}",
        output=output,
        fresh=fresh,
        mix=mix,
        debug=debug,
        options={
            "checkpoint": str(checkpoint) if checkpoint else None,
            "layers": tuple(layers or ()),
            "tokens": tokens,
            "sample": sample,
            "seed": seed,
            "batch_size": batch_size,
            "device": device,
            "dtype": dtype,
            "threads": threads,
            "workers": workers,
            "max_unreadable": max_unreadable,
            "require_weights": require_weights,
            "offline": offline,
            "head": head,
            "classes": str(classes) if classes else None,
            "templates": str(templates) if templates else None,
            "concepts": concepts,
            "concept_sample": concept_sample,
            "concept_share": concept_share,
            "balance": balance,
            "negatives": negatives,
            "baseline": str(baseline) if baseline else None,
            "ablate": tuple(ablate or ()),
        },
    )
    raise typer.Exit(code)


@dataclass
class _Settings:
    """What holds for every command."""

    debug: bool = False


def run_cli(arguments: list[str]) -> int:
    """Runs the command line and returns its exit code; every error becomes one sentence."""
    from tuiprobe.plaintext import plain

    settings = _Settings()
    try:
        app(args=arguments, prog_name="tuiprobe", obj=settings)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception as error:
        if settings.debug:
            traceback.print_exception(error)
        said = str(error) if isinstance(error, TuiprobeError) else _unexpected(error)
        print(f"error: {plain(said)}", file=sys.stderr)
        return error.exit_code if isinstance(error, TuiprobeError) else TuiprobeError.exit_code
    return 0


def _unexpected(error: Exception) -> str:
    first = next(iter(str(error).splitlines()), "")
    return (
        f"unexpected {type(error).__name__}{f': {first}' if first else ''}; this is a bug of "
        "tuiprobe or of a plugin: `tuiprobe --debug COMMAND` shows where"
    )
