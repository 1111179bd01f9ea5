"""The pages of options and commands: `python -m tuiprobe.cli.reference docs` writes them."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_type_hints

import typer
from typer.models import ArgumentInfo, OptionInfo

from tuiprobe.cli.app import all_options, app
from tuiprobe.options import Changes, OptionField

HEADER = """\
# Options of a run

`tuiprobe --headless [OPTIONS]` and `tuiprobe.probe(model, data, **options)` take the same options:
in Python, `--batch-size 8` is `batch_size=8`. The form of the screens has the most used ones. This
page is made by `python -m tuiprobe.cli.reference docs`.

In Python a repeatable option takes a list. The last column says what another value changes.
"""

COMMANDS_HEADER = """\
# Commands

`tuiprobe` alone opens [the screens](tui.md), `tuiprobe --headless` [measures](options.md). All the
other commands are here; `tuiprobe COMMAND --help` says the same. What they end with:
[exit codes](exit-codes.md). This page is made by `python -m tuiprobe.cli.reference docs`.
"""

CHANGES: dict[Changes, str] = {
    "measurement": "what is measured",
    "bits": "the last bits of figures",
    "answers": "answers from the same measurements",
    "nothing": "nothing",
}


def reference() -> str:
    """Returns the page of all options, one table per group."""
    groups: dict[str, list[OptionField]] = {}
    for option in all_options():
        groups.setdefault(option.option.group, []).append(option)
    parts = [HEADER]
    for group, options in groups.items():
        rows = "\n".join(map(_row, options))
        head = "| option | default | meaning | changes |\n|---|---|---|---|"
        parts.append(f"## {group}\n\n{head}\n{rows}\n")
    return "\n".join(parts)


def commands() -> str:
    """Returns the page of all commands, with their arguments and options."""
    return "\n".join([COMMANDS_HEADER, *map(_section, described())])


class Described(NamedTuple):
    """A command as the reference tells it.

    Attributes:
        usage: Its name and arguments.
        text: What it does, in paragraphs.
        rows: Arguments and options: how they are written, their default, what they mean.
    """

    usage: str
    text: str
    rows: list[tuple[str, str, str]]


def described() -> Iterator[Described]:
    """Yields every command, those of inner groups last."""
    return _of_group("tuiprobe", app)


def _of_group(path: str, group: typer.Typer) -> Iterator[Described]:
    for one in group.registered_commands:
        assert one.callback is not None
        yield _described(f"{path} {one.name or one.callback.__name__}", one.callback)
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        yield from _of_group(f"{path} {inner.name}", inner.typer_instance)


def _described(usage: str, command: Callable[..., None]) -> Described:
    hints = get_type_hints(command, include_extras=True)
    arguments, options = [], []
    for parameter in inspect.signature(command).parameters.values():
        kind, info = get_args(hints[parameter.name])
        if isinstance(info, ArgumentInfo):
            name = _argument(parameter, kind)
            usage += f" {name}"
            arguments.append((name, "", info.help or ""))
        else:
            text, _, default = (info.help or "").partition("  [default: ")
            flags = _option(parameter, kind, info)
            default = default.removesuffix("]") or _default(parameter, flags)
            options.append((flags, default, text))
    said = "\n\n".join(" ".join(part.split()) for part in (command.__doc__ or "").split("\n\n"))
    return Described(usage, said, [*arguments, *options])


def _section(one: Described) -> str:
    rows = "\n".join(_cells(f"`{name}`", default, text) for name, default, text in one.rows)
    return f"## {one.usage}\n\n{one.text}\n\n|  | default | meaning |\n|---|---|---|\n{rows}\n"


def _argument(parameter: inspect.Parameter, kind: Any) -> str:
    name = parameter.name.upper()
    if "list" in str(kind):
        name = f"{name.removesuffix('S')}…"
    return name if parameter.default is parameter.empty else f"[{name}]"


def _option(parameter: inspect.Parameter, kind: Any, info: OptionInfo) -> str:
    flag = f"--{parameter.name.replace('_', '-')}"
    declared = str(info.default)  # within Annotated, typer has the first declaration there
    flag = declared if declared.startswith("--") else flag
    if kind is bool:
        return flag.replace("/", " / ") if flag == declared else f"{flag} / --no-{flag[2:]}"
    values = {"int": "N", "Path": "PATH", "float": "X"}
    word = next((values[name] for name in values if name in str(kind)), "TEXT")
    return f"{flag} {info.metavar or word}"


def _default(parameter: inspect.Parameter, flags: str) -> str:
    if isinstance(parameter.default, bool):
        on, _, off = flags.partition("/")
        return f"`{(on if parameter.default else off).strip()}`" if off else ""
    return "" if parameter.default in (None, parameter.empty) else str(parameter.default)


def _row(field: OptionField) -> str:
    name = f"`{field.flag} {field.metavar}".rstrip() + "`"
    return _cells(name, field.shown_default, field.help, CHANGES[field.option.changes])


def _cells(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    (folder / "options.md").write_text(reference(), "utf-8")
    (folder / "commands.md").write_text(commands(), "utf-8")
