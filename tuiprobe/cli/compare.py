"""`tuiprobe compare`: two or more runs side by side, with an exit code for gates."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tuiprobe.errors import UsageError

if TYPE_CHECKING:
    from tuiprobe.compare.differences import Comparison, Run
    from tuiprobe.compare.gates import Gate
    from tuiprobe.compare.junit import Case

RANKED = 3
"""From so many runs on, a ranked table of the models follows."""


def compare(
    first: Annotated[Path, typer.Argument(help="The run that the others are compared with.")],
    others: Annotated[list[Path], typer.Argument(help="One or more other runs.")],
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            help="Exit 1 if this holds, e.g. 'kurtosis.high < -0.5', 'val: top1 < -0.01', "
            "'\"mean of shifts\" < -0.01', 'outcome differs'; repeats."
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All figures, not the headline figures alone.")
    ] = False,
    as_html: Annotated[
        bool, typer.Option("--html", help="Print a page with a forest plot.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print all figures as JSON.")] = False,
    as_paper: Annotated[
        bool,
        typer.Option(
            "--paper", help="Print the paper's tables instead: models by backbone and training."
        ),
    ] = False,
    junit: Annotated[
        Path | None, typer.Option(help="Write the gates of --fail-if as a JUnit file.")
    ] = None,
) -> None:
    """Compare runs: headline figures and their differences, paired where the images are the same.

    Three or more runs end with a ranked table of the models.
    """
    from tuiprobe.compare.differences import compare_runs, read_run
    from tuiprobe.compare.gates import parse_gate
    from tuiprobe.run.directory import RunDir

    if as_html and as_json:
        raise UsageError("--html and --json are two forms; choose one")
    if junit is not None and not fail_if:
        raise UsageError("--junit writes the gates of --fail-if, and there are none")
    if as_paper:
        if as_html or everything or fail_if:
            raise UsageError("--paper prints tables of its own, as text or with --json")
        print(_paper((first, *others), as_json), end="")
        return
    gates = [parse_gate(text) for text in fail_if or ()]
    runs = [read_run(RunDir(path)) for path in (first, *others)]
    found = [compare_runs(runs[0], run) for run in runs[1:]]
    cases = [
        _case(path, gate, one) for path, one in zip(others, found, strict=True) for gate in gates
    ]
    if junit is not None:
        _write_junit(junit, first, cases)
    if unanswered := next((one.error for one in cases if one.error), ""):
        raise UsageError(unanswered)
    if as_json:
        print(_json((first, *others), runs, found))
    else:
        print(_text(runs, found, everything, as_html), end="")
    for case in cases:
        for reason in case.failures:
            print(f"gate tripped by {case.run}: {case.gate}: {reason}", file=sys.stderr)
    raise typer.Exit(int(any(one.failures for one in cases)))


def _paper(paths: tuple[Path, ...], as_json: bool) -> str:
    from tuiprobe.compare.paper import paper, paper_markdown
    from tuiprobe.report import read_report
    from tuiprobe.run.directory import RunDir

    content = paper([read_report(RunDir(path)) for path in paths])
    if as_json:
        return json.dumps({"schema_version": 2, **content.model_dump(mode="json")}, indent=1) + "\n"
    return paper_markdown(content)


def _case(path: Path, gate: Gate, found: Comparison) -> Case:
    from tuiprobe.compare.gates import tripped
    from tuiprobe.compare.junit import Case

    try:
        return Case(_named(path), gate.text, tuple(tripped(gate, found)))
    except UsageError as error:
        return Case(_named(path), gate.text, error=str(error))


def _write_junit(file: Path, first: Path, cases: list[Case]) -> None:
    from tuiprobe.compare.junit import junit
    from tuiprobe.files import Entry

    Entry(file.absolute().parent, file.name).write_text(junit(_named(first), cases))


def _text(runs: list[Run], found: list[Comparison], everything: bool, as_html: bool) -> str:
    from tuiprobe.compare.describe import describe
    from tuiprobe.compare.ranking import describe_ranking, rank
    from tuiprobe.report.html import sections_html
    from tuiprobe.report.markdown import section_markdown

    sections = [describe(one, everything) for one in found]
    if len(runs) >= RANKED:
        sections.append(describe_ranking(rank(runs)))
    if as_html:
        return sections_html("Comparison", sections)
    return "\n".join(section_markdown(one) for one in sections)


def _json(paths: tuple[Path, ...], runs: list[Run], found: list[Comparison]) -> str:
    from tuiprobe.compare.ranking import rank

    pairs = [
        {"first": str(paths[0]), "second": str(path), **one.model_dump(mode="json")}
        for path, one in zip(paths[1:], found, strict=True)
    ]
    ranking = rank(runs).model_dump(mode="json") if len(runs) >= RANKED else None
    return json.dumps({"schema_version": 2, "comparisons": pairs, "ranking": ranking}, indent=1)


def _named(path: Path) -> str:
    from tuiprobe.plaintext import plain

    return plain(str(path))
