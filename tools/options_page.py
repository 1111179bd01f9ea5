"""Writes docs/options.md, the page of all options and commands: `python -m tools.options_page`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from tuiprobe.cli.app import all_options, app
from tuiprobe.options import Changes, OptionField

PAGE = Path(__file__).resolve().parent.parent / "docs" / "options.md"

OPTIONS = """\
# Options and commands

`tuiprobe` alone opens [the screens](tui.md), `tuiprobe --headless [OPTIONS]` measures. Other
commands are [below](#commands). `tuiprobe --help` shows the options in bold, `tuiprobe --help-all`
all of them.

In Python, `tuiprobe.probe(model, data, **options)` takes the same options of a run:
`--batch-size 8` is `batch_size=8`, and a repeatable option takes a list. The last column says what
another value changes.

This page is made by `python -m tools.options_page`.
"""

COMMANDS = """\
## Commands

`tuiprobe COMMAND --help` says the same. [Exit codes](exit-codes.md) are those of all commands.
"""

CHANGES: dict[Changes, str] = {
    "measurement": "what is measured",
    "bits": "the last bits of figures",
    "answers": "answers from the same measurements",
    "nothing": "nothing",
}


def page() -> str:
    """Returns the page as Markdown."""
    groups: dict[str, list[OptionField]] = {}
    for option in all_options():
        groups.setdefault(option.option.group, []).append(option)
    parts = [OPTIONS]
    for group, options in groups.items():
        head = _table(("option", "default", "meaning", "changes"))
        parts.append("\n".join([f"## {group}\n", *head, *map(_option_row, options), ""]))
    root = typer.main.get_command(app)
    return "\n".join([*parts, COMMANDS, *_sections("tuiprobe", root)])


def _option_row(field: OptionField) -> str:
    name = f"`{field.flag} {field.metavar}".rstrip() + "`"
    name = f"**{name}**" if field.option.common else name
    return _row(name, field.shown_default, field.help, CHANGES[field.option.changes])


def _sections(path: str, group: Any) -> Iterator[str]:
    """Yields a section for every command of a group and of its inner groups."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _sections(f"{path} {name}", command)
            continue
        context = command.make_context(f"{path} {name}", [], resilient_parsing=True)
        records = [one.get_help_record(context) for one in command.params]
        rows = [_row(f"`{name}`", text) for name, text in records]
        yield "\n".join(
            [f"### {path} {name}\n", command.help, "", *_table(("", "meaning")), *rows, ""]
        )


def _table(head: tuple[str, ...]) -> list[str]:
    return [_row(*head), "|" + "---|" * len(head)]


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
