"""`tuiprobe compare`: two or more runs side by side, with an exit code for gates."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tuiprobe.compare.differences import Comparison
    from tuiprobe.compare.gates import Gate


def compare(
    first: Annotated[Path, typer.Argument(help="The run that the others are compared with.")],
    others: Annotated[list[Path], typer.Argument(help="One or more other runs.")],
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            help="Exit 1 if this holds, e.g. 'kurtosis.high < -0.5', 'val: top1 < -0.01', "
            "'outcome differs'; repeats."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare runs figure by figure: differences with intervals, as Markdown or JSON."""
    from tuiprobe.compare.differences import compare as compared
    from tuiprobe.compare.differences import comparison_markdown
    from tuiprobe.compare.gates import parse_gate
    from tuiprobe.report import read_report
    from tuiprobe.run.directory import RunDir

    gates = [parse_gate(text) for text in fail_if or ()]
    start = read_report(RunDir(first))
    found = [(path, compared(start, read_report(RunDir(path)))) for path in others]
    reasons = [(path, _reasons(gates, one)) for path, one in found]
    if as_json:
        print(json.dumps([_plain(first, path, one) for path, one in found], indent=1))
    else:
        print("\n".join(comparison_markdown(one) for _, one in found), end="")
    for path, why in reasons:
        for reason in why:
            print(f"gate tripped by {_named(path)}: {reason}", file=sys.stderr)
    raise typer.Exit(int(any(why for _, why in reasons)))


def _reasons(gates: list[Gate], found: Comparison) -> list[str]:
    from tuiprobe.compare.gates import tripped

    return [f"{gate.text}: {reason}" for gate in gates for reason in tripped(gate, found)]


def _plain(first: Path, second: Path, found: Comparison) -> dict[str, object]:
    return {
        "schema_version": 1,
        "first": str(first),
        "second": str(second),
        **found.model_dump(mode="json"),
    }


def _named(path: Path) -> str:
    from tuiprobe.plaintext import plain

    return plain(str(path))
