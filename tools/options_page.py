"""Writes docs/options.md, all options, commands and exit codes: `python -m tools.options_page`."""

from __future__ import annotations

from pathlib import Path

from tuiprobe.options import OptionField
from tuiprobe.show.cli.app import COMMANDS, MINIATURE, all_options

PAGE = Path(__file__).resolve().parent.parent / "docs" / "options.md"

OPTIONS = """\
# Options, commands and exit codes

`tuiprobe` alone opens [the screens](tui.md), `tuiprobe --headless [OPTIONS]` measures. `--help`
shows the options in bold. `tuiprobe.probe` in Python has the same options: `--batch-size 8` is
`batch_size=8`, and a repeatable option takes a list. The last column says what another value
changes: the measurement, answers from the same measurement, last bits of figures, or nothing.
"""

HELP = """
`tuiprobe COMMAND --help` shows arguments and options of a command.
"""

CODES = (
    ("0", "done", ""),
    (
        "1",
        "a condition of `compare --fail-if` holds, or `label --require-decision` is not decided",
        "look at the figures that the message names; label on",
    ),
    (
        "2",
        "the command line, or a file that it names, cannot be understood",
        "the message names option, line or column",
    ),
    (
        "3",
        "weights are missing, damaged or of another architecture, or a check of the encoder failed",
        "`tuiprobe fetch MODEL`, or `tuiprobe doctor --model MODEL`",
    ),
    (
        "4",
        "data are missing, empty or damaged; labels do not fit; a run is damaged",
        "`tuiprobe doctor --model MODEL --data DATA`, or `tuiprobe verify RUN`",
    ),
    (
        "5",
        "the run, or a check of `doctor`, failed: disk full, out of memory, an error in a model "
        "or a probe",
        "`--debug` shows the traceback; the same command resumes",
    ),
    (
        "130",
        "interrupted by SIGINT, SIGTERM or SIGHUP; what was measured is kept and partly reported",
        "the same command resumes",
    ),
)

MORE_CODES = """
An undecided comparison ends with 0. A closed pipe (`| head -1`) changes no exit code. Text has the
encoding of the terminal; a page or a file on stdout is UTF-8.

With several models, each one that can run does; the exit code is that of the first that failed.
With `--models`, missing weights count only if no model has any.

In Python errors are subclasses of `tuiprobe.errors.TuiprobeError`: `UsageError` (2),
`WeightsError` (3), `DataError` (4) and `RunError` (5). An interruption is a `KeyboardInterrupt`.
"""


def page() -> str:
    """Returns the page as Markdown."""
    groups: dict[str, list[OptionField]] = {}
    for option in all_options():
        groups.setdefault(option.option.group, []).append(option)
    parts = [OPTIONS]
    for group, options in groups.items():
        head = _table(("option", "default", "meaning", "changes"))
        parts.append("\n".join([f"## {group}\n", *head, *map(_option_row, options), ""]))
    names = [*((name, text) for _, name, text in COMMANDS), ("miniature export DIR", MINIATURE)]
    commands = [*_table(("command", "what it does")), *(_row(f"`{n}`", text) for n, text in names)]
    codes = [*_table(("code", "meaning", "what to do")), *(_row(*code) for code in CODES)]
    parts += ["## Commands\n", *commands, HELP, "## Exit codes\n", *codes, MORE_CODES]
    return "\n".join(parts)


def _option_row(field: OptionField) -> str:
    name = f"`{field.flag} {field.metavar}".rstrip() + "`"
    name = f"**{name}**" if field.option.common else name
    return _row(name, field.shown_default, field.help, field.option.changes)


def _table(head: tuple[str, ...]) -> list[str]:
    return [_row(*head), "|" + "---|" * len(head)]


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
