"""`tuiprobe compare`: two or more runs side by side, with an exit code for gates."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tuiprobe.errors import UsageError

if TYPE_CHECKING:
    from tuiprobe.compare.differences import Comparison, Run
    from tuiprobe.compare.ranking import Ranking


def compare(
    first: Annotated[Path, typer.Argument(metavar="FIRST", help="The run to compare with.")],
    others: Annotated[list[Path], typer.Argument(metavar="RUN", help="Other runs.")],
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONDITION",
            help="Exit 1 if this holds, e.g. 'kurtosis.high < -0.5', 'val: top1 < -0.01', "
            "'\"mean of shifts\" < -0.01', 'outcome differs'; repeats.",
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All figures, not the headline figures alone.")
    ] = False,
    as_html: Annotated[
        bool, typer.Option("--html", help="Print a page with a forest plot of each figure.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print all figures as JSON.")] = False,
    as_paper: Annotated[
        bool,
        typer.Option(
            "--paper", help="Print the paper's tables instead: models by backbone and training."
        ),
    ] = False,
) -> None:
    """Compare runs: which model to take, then differences, paired where the images are the same.

    Three or more runs end with their outlier figures against effective robustness.
    """
    from tuiprobe.cli.output import print_file
    from tuiprobe.compare.differences import compare_runs, read_run
    from tuiprobe.compare.gates import parse_gate, tripped
    from tuiprobe.compare.ranking import rank
    from tuiprobe.compare.ranking_section import label_command
    from tuiprobe.plaintext import plain
    from tuiprobe.run.directory import RunDir

    if as_html and as_json:
        raise UsageError("--html and --json are two forms; choose one")
    if as_paper:
        if as_html or everything or fail_if:
            raise UsageError("--paper prints tables of its own, as text or with --json")
        print(_paper((first, *others), as_json), end="")
        return
    gates = [parse_gate(text) for text in fail_if or ()]
    runs = [read_run(RunDir(path)) for path in (first, *others)]
    comparisons = [compare_runs(runs[0], run) for run in runs[1:]]
    trips = {
        gate.text: [
            f"gate tripped by {plain(str(path))}: {gate.text}: {reason}"
            for path, comparison in zip(others, comparisons, strict=True)
            for reason in tripped(gate, comparison)
        ]
        for gate in gates
    }
    ranking = rank(runs)
    if as_json:
        print(_json(runs, comparisons, ranking))
    else:
        text = _text(runs, comparisons, ranking, everything, as_html)
        print_file(text) if as_html else print(text, end="", flush=True)
        if command := label_command(runs, ranking):
            print(plain(f"next: {command}"), file=sys.stderr)
    for gate, reasons in trips.items():
        for text in reasons or [f"gate passed: {plain(gate)}"]:
            print(text, file=sys.stderr)
    raise typer.Exit(int(any(trips.values())))


def _paper(paths: tuple[Path, ...], as_json: bool) -> str:
    from tuiprobe.compare.paper import paper, paper_markdown
    from tuiprobe.report import read_report
    from tuiprobe.run.directory import RunDir

    content = paper([read_report(RunDir(path)) for path in paths])
    if as_json:
        return json.dumps({"schema_version": 2, **content.model_dump(mode="json")}, indent=1) + "\n"
    return paper_markdown(content)


def _text(
    runs: list[Run],
    comparisons: list[Comparison],
    ranking: Ranking,
    everything: bool,
    as_html: bool,
) -> str:
    from tuiprobe.compare.differences_section import describe
    from tuiprobe.compare.ranking_section import title_of
    from tuiprobe.compare.several import describe_several
    from tuiprobe.report.html import sections_html
    from tuiprobe.report.terminal import section_text

    models, headlines, *indicator = describe_several(runs, ranking)
    pairs = [describe(comparison, everything) for comparison in comparisons]
    sections = [models, *([headlines] if as_html else []), *pairs, *indicator]
    if as_html:
        return sections_html(title_of(ranking), sections)
    return "".join(map(section_text, sections))


def _json(runs: list[Run], comparisons: list[Comparison], ranking: Ranking) -> str:
    from tuiprobe.compare.several import SEVERAL, correlations

    first, *others = [str(run.directory.path) for run in runs if run.directory is not None]
    pairs = [
        {"first": first, "second": second, **comparison.model_dump(mode="json")}
        for second, comparison in zip(others, comparisons, strict=True)
    ]
    content: dict[str, Any] = {
        "schema_version": 2,
        "comparisons": pairs,
        "ranking": ranking.model_dump(mode="json"),
        "correlations": None,
    }
    if len(runs) >= SEVERAL:
        content["correlations"] = correlations(runs).model_dump(mode="json")
    return json.dumps(content, indent=1)
