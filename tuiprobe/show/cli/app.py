"""The command line: options in, exit code out.

stdout carries data, stderr messages. Slow imports happen inside the commands.
"""

from __future__ import annotations

import sys
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from tuiprobe import __version__
from tuiprobe.errors import RunError, TuiprobeError, UsageError, error_line
from tuiprobe.options import Option, OptionField, flag, options_of
from tuiprobe.request import directory_options
from tuiprobe.show.cli import compare, doctor, label, models, runs
from tuiprobe.show.cli.options import with_options
from tuiprobe.show.cli.output import NO_FILE, drop_output, printing
from tuiprobe.spec import MODEL_AND_IMAGES, run_options

if TYPE_CHECKING:
    from tuiprobe.show.narration import Detail

PROGRAM = "Program"
"""Group of the options that say what the command does."""

LINE = 57
"""Characters to the right of an option on the first screen of help, in 80 columns."""

SHOW_ALL = "tuiprobe.help_all"
"""Entry of a context's `meta`: its help shows all options."""

HELP = """\
Compare image models on your pictures: which to take, how good, how certain.

Without arguments, tuiprobe opens its screens. At the command line:

\b
  tuiprobe --headless                      measure the built-in demonstration
  tuiprobe --headless --model timm:resnet50.a1_in1k --data photos
  tuiprobe compare runs/FIRST runs/SECOND  say which to take, and why

All options: --help-all. Documentation: https://github.com/tuiprobe/tuiprobe
"""

COMMANDS = (
    (models.models, "models", "List encoders by name"),
    (doctor.doctor, "doctor", "Check the installation, an encoder, labels of images"),
    (doctor.fetch, "fetch", "Download and verify what encoders need"),
    (runs.runs, "runs", "List runs and their figures; delete runs"),
    (runs.open_run, "open", "Show a run on the screens, live or finished"),
    (compare.compare, "compare", "Compare runs: which to take, differences, gates for CI"),
    (label.label, "label", "Choose a model by labelling a few pictures"),
    (runs.report, "report", "Write the reports of a run again, in other formats"),
    (runs.reprobe, "reprobe", "Compute a run's results again, without its model"),
    (runs.verify, "verify", "Check a run's files for damage"),
)
"""The commands in the order of `--help`, with what it says of them; `miniature` is the last."""

MINIATURE = "Write the demonstration's images as files"


class MainCommand(TyperGroup):
    """The main command: `--help` shows its common options, `--help-all` all, by group."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Writes the options and the commands."""
        everything = ctx.meta.get(SHOW_ALL, False)
        fields = {field.name: field for field in all_options()}
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            field, record = fields.get(parameter.name), parameter.get_help_record(ctx)
            if field is not None and field.option.common and not everything:
                text = f"{field.summary} (default: {field.shown_default})"
                fits = field.shown_default and len(text) <= LINE
                name = f"{field.flag} {field.metavar}".rstrip()
                record = (name, text if fits else field.summary)
            elif not everything and parameter.name != "help":
                continue
            if record is not None:
                groups.setdefault(field.option.group if field else PROGRAM, []).append(record)
        if not everything:
            groups = {"Options": [record for records in groups.values() for record in records]}
        for heading, records in groups.items():
            with formatter.section(heading):
                formatter.write_dl(records)
        self.format_commands(ctx, formatter)


app = typer.Typer(
    name="tuiprobe",
    help=HELP,
    context_settings={"help_option_names": ["-h", "--help"]},
    subcommand_metavar="[COMMAND ...]",
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command, name, summary in COMMANDS:
    app.command(name, short_help=summary)(command)
app.add_typer(models.miniature, name="miniature", short_help=MINIATURE)


@dataclass(frozen=True)
class Invocation:
    """The options of the command line besides those of a request."""

    suite: Annotated[
        str | None,
        Option(
            "Several sets of images instead of --data. A TOML file, or auto for those below "
            "$TUIPROBE_DATA.",
            MODEL_AND_IMAGES,
            common=True,
            metavar="FILE",
        ),
    ] = None
    models: Annotated[
        str | None,
        Option(
            "Many models: a file with one line MODEL [checkpoint=FILE] per model, or paper. "
            "Finished models are skipped.",
            MODEL_AND_IMAGES,
            metavar="FILE",
        ),
    ] = None
    headless: Annotated[
        bool, Option("Measure without a screen.", PROGRAM, common=True, changes="nothing")
    ] = False
    dry_run: Annotated[
        bool,
        Option(
            "Print what a run would do, and measure nothing. Wrong options are named.",
            PROGRAM,
            common=True,
            changes="nothing",
        ),
    ] = False
    json: Annotated[
        bool,
        Option(
            "Print results.json instead of the summary, one line per model; with several "
            "models a last line has the decision.",
            PROGRAM,
            changes="nothing",
        ),
    ] = False
    debug: Annotated[
        bool, Option("Show the traceback of an error.", PROGRAM, changes="nothing")
    ] = False
    quiet: Annotated[
        bool,
        Option(
            "Print only results, warnings and errors.",
            PROGRAM,
            common=True,
            changes="nothing",
            short="-q",
        ),
    ] = False
    verbose: Annotated[
        bool, Option("Print every step of a run.", PROGRAM, changes="nothing", short="-v")
    ] = False
    version: Annotated[
        bool, Option("Print the version.", PROGRAM, changes="nothing", short="-V")
    ] = False
    help_all: Annotated[
        bool, Option("Show all options and exit.", PROGRAM, common=True, changes="nothing")
    ] = False


def all_options() -> tuple[OptionField, ...]:
    """Returns every option of the main command: of the run first, in the order of `--help`."""
    return (*run_options(), *directory_options(), *options_of(Invocation))


@app.callback(cls=MainCommand, invoke_without_command=True)
@with_options(all_options())
def probe(context: typer.Context, **values: Any) -> None:
    """Measures one or more encoders, unless a command follows."""
    invocation = Invocation(**{name: values.pop(name) for name in vars(Invocation())})
    if invocation.version:
        print(f"tuiprobe {__version__}")
        raise typer.Exit
    if invocation.help_all:
        context.meta[SHOW_ALL] = True
        print(context.get_help())
        raise typer.Exit
    context.obj.debug = invocation.debug
    if context.invoked_subcommand is not None:
        refuse_options_before_a_command(context)
        return
    if not invocation.headless:
        raise UsageError(
            "these options need --headless; `tuiprobe` without options opens the screens"
        )
    models, data = values.pop("model") or [], values.pop("data")
    if invocation.suite is not None:
        if data is not None:
            raise UsageError("--suite names all sets of images: leave out --data")
        data = f"suite:{invocation.suite}"
    from tuiprobe.show.cli import headless

    if invocation.dry_run:
        raise typer.Exit(headless.dry_run(models, invocation.models, data, values, invocation.json))
    detail: Detail = "quiet" if invocation.quiet else "verbose" if invocation.verbose else "usual"
    shown = headless.Shown(invocation.json, invocation.debug, detail)
    requests = headless.requests_of(models, invocation.models, data, values)
    from_list = invocation.models is not None
    raise typer.Exit(headless.run_requests(requests, from_list, shown))


def refuse_options_before_a_command(context: typer.Context) -> None:
    """Refuses options of a run before a command, which would ignore them; `--debug` is for all."""
    for option in all_options():
        source = context.get_parameter_source(option.name)
        if option.name != "debug" and source is not None and source.name == "COMMANDLINE":
            raise UsageError(
                f"{flag(option.name)} has no effect before the command "
                f"{context.invoked_subcommand}: leave it out, or write it after the command"
            )


@dataclass
class _Settings:
    """Settings of every command."""

    debug: bool = False


def run_cli(arguments: list[str]) -> int:
    """Runs the command line and returns its exit code; every error becomes one sentence."""
    from tuiprobe.plaintext import plain

    settings = _Settings()
    if "--debug" in arguments:  # it is for all commands, and may stand behind one
        arguments = ["--debug", *(word for word in arguments if word != "--debug")]
    try:
        return printing(lambda: _exit_code(arguments, settings))
    except Exception as error:
        drop_output()
        if settings.debug:
            traceback.print_exception(error)
        known = isinstance(error, TuiprobeError)
        message = str(error) if known else _unexpected(error)
        print(error_line(plain(message)), file=sys.stderr)
        return error.exit_code if isinstance(error, TuiprobeError) else TuiprobeError.exit_code


def _exit_code(arguments: list[str], settings: _Settings) -> int:
    """Returns the exit code of a command; 1 only where the command itself asks for it, as gates do.

    Typer ends with 1 for some errors, for example an `EOFError` of a file that is cut.
    """
    try:
        app(args=arguments, prog_name="tuiprobe", obj=settings)
    except SystemExit as end:
        cause = end.__context__
        if isinstance(cause, typer.Exit) or end.code in (None, 0, UsageError.exit_code):
            return int(end.code or 0)
        error = cause.__cause__ if isinstance(cause, typer.Abort) else cause
        if not isinstance(error, Exception):
            error = RunError(f"it ended itself: {end.code}")
        raise error from end
    return 0


def _unexpected(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in NO_FILE:
        return f"cannot open or write {error.filename}: {error.strerror}"
    first = next(iter(str(error).splitlines()), "")
    where = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
    return (
        f"unexpected {type(error).__name__}{f': {first}' if first else ''}{where}; this is a bug "
        "of tuiprobe or of a plugin: --debug shows where"
    )
