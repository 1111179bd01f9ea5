"""`tuiprobe label`: which run is best on your pictures, by labelling a few of them."""

from __future__ import annotations

import shlex
import sys
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tuiprobe.errors import UsageError
from tuiprobe.show.cli.output import terminal

if TYPE_CHECKING:
    from tuiprobe.choose.labelling.handed_out import KnownLabels
    from tuiprobe.choose.labelling.session import Labelling

MINIATURE = "miniature"


def label(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN", help="Runs on the same target set, or tables of answers (FILE.csv)."
        ),
    ],
    data: Annotated[
        str | None,
        typer.Option(metavar="SOURCE", help="The pictures that the tables of answers name."),
    ] = None,
    target: Annotated[
        str | None, typer.Option(metavar="NAME", help="Target set, if the runs have several.")
    ] = None,
    todo: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the next pictures to label as CSV.")
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the next pictures to label as a page."),
    ] = None,
    count: Annotated[
        int, typer.Option(min=1, metavar="N", help="Number of pictures for --todo and --page.")
    ] = 200,
    answers: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Read labels from the CSV of --todo or of the page."),
    ] = None,
    answers_from: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE",
            help=(
                "Take labels that exist: class folders, any labelled --data, a CSV with class "
                "and sha256 or path, or `miniature`."
            ),
        ),
    ] = None,
    difference: Annotated[
        bool,
        typer.Option(
            "--difference", help="Continue after the decision, to narrow the differences."
        ),
    ] = False,
    trust: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Overrule a doubt by its id (docs/checks.md); repeats."),
    ] = None,
    unattended: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE",
            help="Certify which pictures one run may answer alone with at most this share of wrong "
            "answers, such as 5%.",
        ),
    ] = None,
    require_decision: Annotated[
        bool,
        typer.Option(
            "--require-decision", help="Exit with 1 while nothing is decided or certified."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Label a few pictures of a target and know which run is best there, with at most 5 % risk.

    In a terminal it opens the screen that shows the pictures, unless an option asks for a file, a
    decision or JSON; then it prints what the labels decide. Labels are kept beside the runs, whose
    reports are written again.
    """
    from tuiprobe.choose.comparing.decide import decide
    from tuiprobe.choose.comparing.runs import read_runs
    from tuiprobe.choose.labelling.certificate import tolerated_share
    from tuiprobe.choose.labelling.handed_out import (
        import_answers,
        known_labels,
        label_known,
        write_todo,
    )
    from tuiprobe.choose.labelling.label_log import run_paths
    from tuiprobe.choose.labelling.session import open_labelling
    from tuiprobe.choose.labelling.standing import describe_labels, label_status
    from tuiprobe.plaintext import json_text, plain
    from tuiprobe.results.doubt import checked_trust
    from tuiprobe.show.report.formats import renew_labelled
    from tuiprobe.show.report.terminal import section_text
    from tuiprobe.show.tui.start import obstacle

    trusted = checked_trust(trust or ())
    files = (todo, page, answers, answers_from)
    headless = any(file is not None for file in files) or require_decision or as_json
    tolerated = None if unattended is None else tolerated_share(unattended)
    named = run_paths(runs)
    runs = _with_answers(named, data)
    if not headless and not obstacle():
        raise typer.Exit(_screen(runs, target, difference, trusted, tolerated))
    with closing(open_labelling(runs, target, tolerated=tolerated)) as labelling:
        labelling.narrow = difference
        if answers is not None:
            print(import_answers(labelling, answers, trusted).words(), file=sys.stderr)
        if answers_from is not None:
            if answers_from == MINIATURE:
                classes, not_used = _miniature_labels(labelling)
            else:
                classes, not_used = known_labels(labelling, answers_from, trusted)
            counted = label_known(labelling, classes, answers_from, difference)
            for remark in filter(None, (not_used, counted)):
                print(remark, file=sys.stderr)
        if todo is not None:
            print(write_todo(labelling, todo, count), file=sys.stderr)
        if page is not None:
            from tuiprobe.show.report.label_page import write_label_page

            print(write_label_page(labelling, page, count), file=sys.stderr)
    if labelling.changed:
        for reason in renew_labelled(run.directory for run in labelling.matched.candidates):
            print(reason, file=sys.stderr)
    state = label_status(labelling, trusted)
    candidates = read_runs(runs) if len(runs) > 1 else []
    decision = decide(candidates, state.target, trusted) if candidates else None
    decided = state.decided and (decision is None or decision.take is not None)
    if decision is not None and decision.command and todo is not None:
        options = {"--data": data, "--target": target, "--answers": str(todo)}
        words = [word for name, of in options.items() if of for word in (name, of)]
        command = shlex.join(["tuiprobe", "label", *map(str, named), *words])
        decision = decision.model_copy(update={"command": plain(command)})
    if as_json:
        first = None if decision is None else decision.model_dump(mode="json")
        about = {"schema_version": 3, "decision": first, "decided": decided}
        doubts = [doubt.model_dump(mode="json") for doubt in state.doubts]
        print(json_text({**about, **asdict(state), "doubts": doubts}))
    else:
        verdict = state.sentence(names=True) if decision is None else decision.sentence
        print(section_text(describe_labels(state, verdict), terminal()), end="")
    equal = any(doubt.id == "equal-answers" for doubt in state.doubts)  # no label tells
    if not (headless or decided or equal):
        print(
            "next: the same command with --page FILE, for a browser, or --todo FILE, for a table",
            file=sys.stderr,
        )
    raise typer.Exit(int(require_decision and not decided))


def _with_answers(named: list[Path], data: str | None) -> list[Path]:
    """Returns the runs that are named; tables of answers become runs, without labels.

    Raises:
        UsageError: If a table is named without the pictures, or these without a table.
        DataError: If a table or the pictures cannot be used.
    """
    tables = [p for p in named if p.suffix.lower() in (".csv", ".parquet") and p.is_file()]
    if bool(tables) != (data is not None):
        raise UsageError("--data names the pictures that tables of answers (FILE.csv) are about")
    if data is None:
        return named
    from tuiprobe.catalog.class_names import joined_classes
    from tuiprobe.datasets.load import load_dataset, load_target, user_spec
    from tuiprobe.datasets.registry import source_named
    from tuiprobe.measure.engine.opening import PythonObjects
    from tuiprobe.models.loaders.answer_table import AnswerTable
    from tuiprobe.probes.run import run
    from tuiprobe.request import RunRequest

    source = source_named(data)
    classes = load_dataset(source).classes or sorted(
        {name for table in tables for name in AnswerTable.read(table).names}
    )
    options = {"classes": joined_classes(classes), "sample": 0}
    specs = [user_spec(f"answers:{table}", data, options) for table in tables]
    pictures = PythonObjects(images={source: load_target(source)})
    requests = [RunRequest(spec=spec) for spec in specs]
    outcomes = run(requests, objects=[pictures] * len(requests))
    paths = dict(zip(tables, (outcome.directory.path for outcome in outcomes), strict=True))
    return [paths.get(path, path) for path in named]


def _screen(
    runs: list[Path],
    target: str | None,
    narrow: bool,
    trust: tuple[str, ...],
    tolerated: float | None,
) -> int:
    from functools import partial

    from tuiprobe.measure.run.directory import RunDir
    from tuiprobe.show.tui.screens.label import LabelScreen
    from tuiprobe.show.tui.start import start

    for run in runs:
        RunDir(run).refuse_no_run()
    return start(first=partial(LabelScreen, runs, target, narrow, trust, tolerated))


def _miniature_labels(labelling: Labelling) -> KnownLabels:
    """Returns the class of each picture of a set of the miniature, by digest."""
    from tuiprobe.choose.labelling.handed_out import KnownLabels
    from tuiprobe.choose.labelling.label_log import NONE_OF_THESE
    from tuiprobe.miniature import world

    matched = labelling.matched
    kind, _, name = matched.source_run.source.partition(":")
    if kind != MINIATURE:
        raise UsageError(
            "--answers-from miniature has labels only for the demonstration; for your "
            "pictures, name a folder with one folder per class"
        )
    labels = [world.CLASS_NAMES[world.label(name, i)] for i in matched.ids.tolist()]
    known = [label if label in matched.classes else NONE_OF_THESE for label in labels]
    return KnownLabels(dict(zip(matched.digests, known, strict=True)))
