"""`tuiprobe compare`: two or more runs side by side, with an exit code for gates."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tuiprobe.errors import UsageError

if TYPE_CHECKING:
    from tuiprobe.choose.comparing.decision import Decision
    from tuiprobe.choose.comparing.differences import Comparison
    from tuiprobe.choose.comparing.gates import Gate
    from tuiprobe.choose.comparing.runs import Run


def compare(
    first: Annotated[
        Path, typer.Argument(metavar="FIRST", help="A run; gates compare the others with it.")
    ],
    others: Annotated[list[Path], typer.Argument(metavar="RUN", help="Other runs.")],
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONDITION",
            help="Exit 1 if this holds, e.g. 'kurtosis.high < -0.5', 'val: top1 < -0.01', "
            "'\"mean of shifts\" < -0.01', 'outcome differs'; repeats.",
        ),
    ] = None,
    unpaired: Annotated[
        bool,
        typer.Option("--unpaired", help="Let gates compare runs that measured different pictures."),
    ] = False,
    trust: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Overrule a doubt by its id (docs/checks.md); repeats."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Print all figures, not only the headline figures.")
    ] = False,
    as_html: Annotated[
        bool, typer.Option("--html", help="Print a page: decision, table, accuracies as a plot.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the decision and all figures as JSON.")
    ] = False,
) -> None:
    """Compare runs: which model to take, then differences, paired where the images are the same.

    Three or more runs end with their outlier figures against effective robustness; --all shows the
    differences of each from the model to take.
    """
    from tuiprobe.choose.comparing.decide import decide
    from tuiprobe.choose.comparing.differences import compare_runs
    from tuiprobe.choose.comparing.gates import parse_gate
    from tuiprobe.choose.comparing.indicator import SEVERAL
    from tuiprobe.choose.comparing.label_evidence import label_evidence
    from tuiprobe.choose.comparing.runs import read_runs
    from tuiprobe.choose.labelling.label_log import run_paths
    from tuiprobe.plaintext import joined, plain
    from tuiprobe.results.doubt import checked_trust
    from tuiprobe.show.cli.output import print_file

    if as_html and as_json:
        raise UsageError("choose one of --html and --json")
    gates = [parse_gate(text) for text in fail_if or ()]
    runs = read_runs(run_paths([first, *others], 2))
    labels = label_evidence(runs)
    given = [compare_runs(runs, 0, n, labels) for n in range(1, len(runs)) if gates]
    trusted = checked_trust(trust or ())
    trips = {gate.text: [*_failures(gate, runs, given, unpaired, trusted)] for gate in gates}
    decision = decide(runs, trust=trusted)
    reference, *compared = (row.place for row in decision.models)
    if as_json:
        pairs = {n: compare_runs(runs, n, reference, labels) for n in compared}
        print(_json(runs, decision, reference, pairs))
    else:
        shown = [n for n in compared if everything or as_html or len(runs) < SEVERAL]
        comparisons = [compare_runs(runs, n, reference, labels) for n in shown]
        if as_html:
            from tuiprobe.show.report.compare_page import compare_page

            print_file(compare_page(runs, decision, comparisons, everything))
        else:
            print(_text(runs, decision, comparisons, everything), end="", flush=True)
        if decision.take is None and decision.command:
            print(plain(f"next: {decision.command}"), file=sys.stderr)
    models = [run.report.model.name for run in runs]
    for gate, reasons in trips.items():
        passed = f"gate passed: {gate} ({joined(models[1:])} minus {models[0]})"
        for text in reasons or [plain(passed)]:
            print(text, file=sys.stderr)
    raise typer.Exit(int(any(trips.values())))


def _failures(
    gate: Gate,
    runs: list[Run],
    comparisons: list[Comparison],
    unpaired: bool,
    trusted: tuple[str, ...],
) -> Iterator[str]:
    """Yields why a gate fails for each run but the first; figures in doubt trip none."""
    from tuiprobe.choose.comparing.doubts import gate_doubts
    from tuiprobe.choose.comparing.gates import tripped
    from tuiprobe.plaintext import plain

    for n, comparison in enumerate(comparisons, 1):
        reasons = tripped(gate, comparison)
        doubts = gate_doubts(runs, n, gate, unpaired, trusted)
        withheld = [plain(doubt.words) for doubt in doubts]
        word = "withheld" if withheld else "tripped"
        for reason in withheld or reasons:
            yield f"gate {word} by {plain(str(runs[n].directory.path))}: {gate.text}: {reason}"


def _text(
    runs: list[Run], decision: Decision, comparisons: list[Comparison], everything: bool
) -> str:
    from tuiprobe.choose.comparing.decision_section import describe_decision
    from tuiprobe.choose.comparing.differences_section import describe_details
    from tuiprobe.show.cli.output import terminal
    from tuiprobe.show.report.terminal import section_text

    sections = [describe_decision(decision, runs)]
    sections += describe_details(runs, decision, comparisons, everything)
    shown = terminal()
    return "".join(section_text(section, shown) for section in sections)


def _json(runs: list[Run], decision: Decision, reference: int, pairs: dict[int, Comparison]) -> str:
    from tuiprobe.choose.comparing.indicator import SEVERAL, correlate

    paths = [str(run.directory.path) for run in runs]
    reports = [runs[index].report for index in sorted(row.place for row in decision.models)]
    correlations = correlate(reports) if len(reports) >= SEVERAL else None
    content: dict[str, Any] = {
        "schema_version": 3,
        "decision": decision.model_dump(mode="json"),
        "comparisons": [
            {"first": paths[n], "second": paths[reference], **comparison.model_dump(mode="json")}
            for n, comparison in pairs.items()
        ],
        "correlations": correlations and correlations.model_dump(mode="json"),
    }
    return json.dumps(content, indent=1)
