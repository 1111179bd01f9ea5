"""Writes the types of `probe`'s options into tuiprobe/spec.py: `python -m tools.typed_options`.

Type checkers read a class, and not what a program makes; the options are declared as the fields of
`RunSpec` alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from tuiprobe.options import OptionField
from tuiprobe.spec import DoubtId, run_options

FILE = Path(__file__).resolve().parent.parent / "tuiprobe" / "spec.py"

OWN = ("model", "data", "target", "head", "classes")
"""Options that `probe` names itself, since it takes objects for them too."""


def module() -> str:
    """Returns the module with the types that its options have; they are its end."""
    before, name, types = FILE.read_text("utf-8").partition("class RunOptions(")
    end = '"""\n\n'
    head = types[: types.index(end) + len(end)]
    fields = [option for option in run_options() if option.name not in OWN]
    lines = (f"    {field.name}: {_annotation(field)} | None\n" for field in fields)
    return before + name + head + "".join(lines)


def _annotation(option: OptionField) -> str:
    kind = option.kind.__name__
    if option.choices == get_args(DoubtId):
        kind = "DoubtId"
    elif option.choices:
        choices = ", ".join(f'"{choice}"' for choice in option.choices)
        kind = f"Literal[{choices}]"
    elif option.kind is str and option.option.metavar in ("FILE", "SOURCE"):
        kind = "str | PathLike[str]"
    return f"{kind} | Sequence[{kind}]" if option.many else kind


if __name__ == "__main__":
    FILE.write_text(module(), "utf-8")
