"""`tuiprobe manual`: the page tuiprobe(1), made of the options and commands as the reference is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

OPENING = """\
.TH TUIPROBE 1 "" "tuiprobe" "User Commands"
.SH NAME
tuiprobe \\- probe vision encoders for what makes them robust
.SH SYNOPSIS
.B tuiprobe
.br
.B tuiprobe \\-\\-headless
.RI [ OPTION ]...
.br
.B tuiprobe
.I COMMAND
.RI [ ARGUMENT ]...
.SH DESCRIPTION
Without arguments it opens the screens. With
.B \\-\\-headless
it measures images with one or more encoders and writes a run directory, which the same command
resumes. The other commands read run directories. Standard output carries data, standard error
messages.
"""


def manual() -> None:
    """Print the manual page.

    `tuiprobe manual | man -l -` shows it; in ~/.local/share/man/man1/tuiprobe.1 `man` finds it.
    """
    print(page(), end="")


def page() -> str:
    """Returns the page as troff source, in ASCII; it does not depend on the day or the version."""
    from tuiprobe import errors
    from tuiprobe.cli.app import all_options
    from tuiprobe.cli.reference import described

    groups: dict[str, list[tuple[str, str, str]]] = {}
    for one in all_options():
        name = f"{one.flag} {one.metavar}".rstrip()
        groups.setdefault(one.option.group, []).append((name, one.shown_default, one.help))
    parts = [OPENING, ".SH OPTIONS\n"]
    for group, rows in groups.items():
        parts += [f".SS {_quoted(group)}\n", *_rows(rows)]
    parts.append(".SH COMMANDS\n")
    for command in described():
        paragraphs = command.text.split("\n\n")
        parts += [f".SS {_quoted(command.usage)}\n", _text(paragraphs[0])]
        parts += [f".PP\n{_text(one)}" for one in paragraphs[1:]]
        parts += _rows(command.rows)
    codes = " ".join((errors.__doc__ or "").partition("\n\n")[2].split())
    parts += [".SH EXIT STATUS\n", _text(codes)]
    return "".join(parts)


def _rows(rows: Iterable[tuple[str, str, str]]) -> Iterator[str]:
    for name, default, text in rows:
        told = f" (default: {default.strip('`')})" if default else ""
        yield f".TP\n.B {_quoted(name)}\n{_text(text.rstrip('.') + told + '.')}"


def _text(text: str) -> str:
    r"""Returns text as a line of troff.

    >>> _text(".x -y \\ …")
    '\\&.x \\-y \\e \\[u2026]\n'
    """
    return f"{_escaped(text)}\n" if text else ""


def _quoted(text: str) -> str:
    """Returns text as one argument of a macro."""
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    named = {"\\": "\\e", "-": "\\-", '"': "\\(dq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti"}
    letters = (named.get(one, one if one.isascii() else f"\\[u{ord(one):04X}]") for one in text)
    line = "".join(letters)
    return f"\\&{line}" if line.startswith((".", "'")) else line
