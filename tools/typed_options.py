"""Writes tuiprobe/run_options.py, the types of `probe`'s options: `python -m tools.typed_options`.

Type checkers read a class, and not what a program makes; the options are declared in
`tuiprobe/spec.py` alone.
"""

from __future__ import annotations

from pathlib import Path

from tuiprobe.options import OptionField
from tuiprobe.spec import run_options

FILE = Path(__file__).resolve().parent.parent / "tuiprobe" / "run_options.py"

OWN = ("model", "data", "target", "head", "classes")
"""Options that `probe` names itself, since it takes objects for them too."""

HEAD = '''\
"""The options of `tuiprobe.probe` by type; made by `python -m tools.typed_options`."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Literal, TypedDict


class RunOptions(TypedDict, total=False):
    """Options of a run, as fields of `tuiprobe.spec.RunSpec`; None stands for the default."""

'''


def module() -> str:
    """Returns the module as text."""
    fields = [option for option in run_options() if option.name not in OWN]
    return HEAD + "".join(f"    {field.name}: {_annotation(field)} | None\n" for field in fields)


def _annotation(option: OptionField) -> str:
    kind = option.kind.__name__
    if option.choices:
        choices = ", ".join(f'"{choice}"' for choice in option.choices)
        kind = f"Literal[{choices}]"
    elif option.kind is str and option.option.metavar in ("FILE", "SOURCE"):
        kind = "str | PathLike[str]"
    return f"{kind} | Sequence[{kind}]" if option.many else kind


if __name__ == "__main__":
    FILE.write_text(module(), "utf-8")
