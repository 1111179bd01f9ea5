"""`tuiprobe reprobe`: all probes again from what a run measured, or one ablation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tuiprobe.cli.options import of_run
from tuiprobe.errors import UsageError

if TYPE_CHECKING:
    from tuiprobe.run.directory import RunDir


def reprobe(
    run: Annotated[Path, typer.Argument(help="A run directory.")],
    ablate: Annotated[
        list[str] | None,
        typer.Option(help="Accuracies without these, e.g. channel:17,direction:3."),
    ] = None,
    ablate_mode: Annotated[str | None, of_run("ablate_mode")] = None,
    centred: Annotated[
        bool, typer.Option("--centred", help="Directions are those of W minus its mean row.")
    ] = False,
    baseline: Annotated[Path | None, of_run("baseline", change=True)] = None,
    concept_share: Annotated[float | None, of_run("concept_share", change=True)] = None,
    balance: Annotated[str | None, of_run("balance", change=True)] = None,
    negatives: Annotated[str | None, of_run("negatives", change=True)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the ablation as JSON.")] = False,
) -> None:
    """Recompute results and reports of a finished run, without model or images.

    With --ablate nothing is recomputed: the accuracies without the named channels and directions
    are printed.
    """
    from tuiprobe.run.directory import RunDir

    directory = RunDir(run)
    directory.refuse_no_run()  # before its lock, which makes a directory
    changes = {"concept_share": concept_share, "balance": balance, "negatives": negatives}
    changes = {name: value for name, value in changes.items() if value is not None}
    if ablate:
        if changes:
            raise UsageError("--ablate answers about accuracies; ask for concepts apart from it")
        if baseline is not None:
            raise UsageError("--baseline is about effective robustness; --ablate does not use it")
        _ablate(directory, ablate, ablate_mode, centred, as_json)
        return
    if ablate_mode is not None or centred or as_json:
        raise UsageError("--ablate-mode, --centred and --json belong to --ablate")
    from tuiprobe.answer.report import answer_again
    from tuiprobe.report import write_reports
    from tuiprobe.run.locks import MERGE_LOCK

    with directory.locked(), directory.locked(MERGE_LOCK):
        answer_again(directory, changes, None if baseline is None else str(baseline))
        print(write_reports(directory), end="")


def _ablate(
    directory: RunDir, texts: list[str], mode: str | None, centred: bool, as_json: bool
) -> None:
    from tuiprobe.answer.ablation import ablate, parse_question
    from tuiprobe.plaintext import json_text
    from tuiprobe.report.terminal import ablation_text

    question = parse_question(texts, centred=centred, mode=mode)
    answer = ablate(directory, question)
    if as_json:
        print(json_text(answer.model_dump(mode="json")))
    else:
        print(ablation_text(answer), end="")
