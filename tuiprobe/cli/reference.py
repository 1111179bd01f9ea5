"""The reference of options: `python -m tuiprobe.cli.reference > docs/options.md`."""

from __future__ import annotations

import sys

from tuiprobe.cli.app import all_options
from tuiprobe.options import Changes, OptionField

HEADER = """\
# Options of a run

`tuiprobe --headless [OPTIONS]` and `tuiprobe.probe(model, data, **options)` take the same options:
in Python, `--batch-size 8` is `batch_size=8`. The form of the screens has the most used ones. This
page is made by `python -m tuiprobe.cli.reference`.

In Python a repeatable option takes a list. The last column says what another value changes.
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


def _row(field: OptionField) -> str:
    name = f"`{field.flag} {field.metavar}".rstrip() + "`"
    cells = (name, field.shown_default, field.help, CHANGES[field.option.changes])
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    sys.stdout.write(reference())
