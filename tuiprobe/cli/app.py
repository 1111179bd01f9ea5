"""The command line: options in, exit code out.

stdout carries data, stderr messages. Slow imports happen inside the commands.
"""

from __future__ import annotations

import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.main

from tuiprobe import __version__
from tuiprobe.cli import (
    agreement,
    atlas,
    compare,
    completion,
    doctor,
    fetch,
    inspect,
    manual,
    miniature,
    models,
    open_run,
    report,
    reprobe,
    runs,
    verify,
)
from tuiprobe.cli.options import LAST as PROGRAM
from tuiprobe.cli.options import GroupedHelp, takes
from tuiprobe.cli.output import NO_ROOM, drop_output, printing
from tuiprobe.errors import TuiprobeError, UsageError
from tuiprobe.options import Option, OptionField, options_of
from tuiprobe.spec import WHAT, run_options

DIRECTORY = "Run directory"

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
    agreement.agreement,
    runs.runs,
    completion.completion,
    manual.manual,
):
    app.command()(command)
app.command("open")(open_run.open_run)
app.add_typer(miniature.app, name="miniature")


@dataclass(frozen=True)
class Invocation:
    """The options of the command line besides the spec of the run."""

    suite: Annotated[
        str | None,
        Option(
            "Sets of images in place of --data: a TOML file, or auto for those below "
            "$TUIPROBE_DATA.",
            WHAT,
            metavar="FILE",
        ),
    ] = None
    models: Annotated[
        str | None,
        Option(
            "Many models: a file with a line MODEL [checkpoint=FILE] for each, or paper. Finished "
            "ones are skipped, and those without weights listed.",
            WHAT,
            metavar="FILE",
        ),
    ] = None
    output: Annotated[
        str | None,
        Option(
            "The run directory; of several models, the folder of their run directories.",
            DIRECTORY,
            metavar="DIR",
            unset="below runs/, by content",
            changes="nothing",
        ),
    ] = None
    fresh: Annotated[bool, Option("Start anew, do not resume.", DIRECTORY, changes="nothing")] = (
        False
    )
    mix: Annotated[
        bool,
        Option("Resume although hardware or libraries changed.", DIRECTORY, changes="bits"),
    ] = False
    headless: Annotated[bool, Option("Run without a screen.", PROGRAM, changes="nothing")] = False
    debug: Annotated[
        bool, Option("Show the traceback of what failed.", PROGRAM, changes="nothing")
    ] = False
    version: Annotated[bool, Option("Print the version.", PROGRAM, changes="nothing")] = False


def all_options() -> tuple[OptionField, ...]:
    """Returns every option of the main command: of the run first, in the order of `--help`."""
    return (*run_options(), *options_of(Invocation))


@app.callback(cls=GroupedHelp, invoke_without_command=True)
@takes(all_options())
def probe(context: typer.Context, **values: Any) -> None:
    """Probes one or more encoders; docs/options.md has all options, docs/data.md the sources."""
    asked = Invocation(**{name: values.pop(name) for name in vars(Invocation())})
    if asked.version:
        print(f"tuiprobe {__version__}")
        raise typer.Exit
    context.obj.debug = asked.debug
    if context.invoked_subcommand is not None:
        return
    if not asked.headless:
        print(context.get_help())
        raise typer.Exit(0 if len(sys.argv) <= 1 else UsageError.exit_code)
    models, data = values.pop("model") or [], values.pop("data")
    if asked.suite is not None:
        if data is not None:
            raise UsageError("--suite names all sets of images: leave out --data")
        data = f"suite:{asked.suite}"
    from tuiprobe.cli.headless import run_models

    code = run_models(
        models,
        listed=asked.models,
        data=data,
        output=None if asked.output is None else Path(asked.output),
        fresh=asked.fresh,
        mix=asked.mix,
        debug=asked.debug,
        options=values,
    )
    raise typer.Exit(code)


@dataclass
class _Settings:
    """Settings of every command."""

    debug: bool = False


def complete(words: list[str]) -> None:
    """Prints what a shell may make of the last word, one candidate a line."""
    for one in completion.candidates(typer.main.get_command(app), words):
        print(one)


def run_cli(arguments: list[str]) -> int:
    """Runs the command line and returns its exit code; every error becomes one sentence."""
    from tuiprobe.plaintext import plain

    settings = _Settings()
    try:
        return printing(lambda: _exit_code(arguments, settings))
    except Exception as error:
        drop_output()
        if settings.debug:
            traceback.print_exception(error)
        said = str(error) if isinstance(error, TuiprobeError) else _unexpected(error)
        print(f"error: {plain(said)}", file=sys.stderr)
        return error.exit_code if isinstance(error, TuiprobeError) else TuiprobeError.exit_code


def _exit_code(arguments: list[str], settings: _Settings) -> int:
    try:
        app(args=arguments, prog_name="tuiprobe", obj=settings)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _unexpected(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        return f"cannot write {error.filename}: {error.strerror}"
    first = next(iter(str(error).splitlines()), "")
    return (
        f"unexpected {type(error).__name__}{f': {first}' if first else ''}; this is a bug of "
        "tuiprobe or of a plugin: `tuiprobe --debug COMMAND` shows where"
    )
