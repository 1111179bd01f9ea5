"""Commands on run directories: `runs` (list, delete), `open`, `report`, `reprobe`, `verify`."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from tuiprobe.errors import DataError, RunError, TuiprobeError, UsageError
from tuiprobe.numbers import MISSING
from tuiprobe.plaintext import TextColumn, json_text, plain, text_table
from tuiprobe.show.cli.options import of_run
from tuiprobe.show.cli.output import terminal, terminal_width

if TYPE_CHECKING:
    from tuiprobe.inside.ablation.targeted import Question
    from tuiprobe.measure.run.directory import RunDir
    from tuiprobe.measure.run.view import RunView

RUNS: Final = Path("runs")
"""Where runs are kept; it appears with the first."""

_MODEL: Final = 20
_DATA: Final = 14
_BESIDE: Final = 46
"""Columns of a terminal for the model, the data, and all that stands beside the name of the run.

Longer texts are cut; a pipe and `--json` have them in full."""


def runs(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="WORD",
            help="Show runs whose name, model, data, state or outcome contain all words.",
        ),
    ] = None,
    root: Annotated[Path, typer.Option(metavar="DIR", help="The folder with the runs.")] = RUNS,
    sort: Annotated[
        str,
        typer.Option(
            metavar="FIELD", help="Sort by changed, name, state, model, images, kurtosis, ..."
        ),
    ] = "changed",
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete the runs that are listed, after asking.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List runs, the latest first, with their accuracies and state.

    If the words match a single run, the command that repeats it is printed too.
    """
    from tuiprobe.choose.labelling.reading import views_with_labels
    from tuiprobe.files import reading
    from tuiprobe.measure.run.directory import RunDir
    from tuiprobe.measure.run.listing import SORTS, command_of_run, list_runs
    from tuiprobe.measure.run.listing import as_json as plain_view
    from tuiprobe.results.figures import LISTED

    if sort not in SORTS:
        raise UsageError(f"--sort {sort!r}: choose among {', '.join(SORTS)}")
    with reading(root):
        if root.is_dir():
            os.scandir(root).close()
        elif root.exists() or root != RUNS:
            raise UsageError(f"{root} is no directory; name one with --root")
    views = list(views_with_labels(list_runs(root, words or ())))
    if sort != "changed":
        views.sort(key=SORTS[sort], reverse=sort not in ("name", "state", "model", "data"))
    if delete:
        _delete(views, words or [], yes)
        return
    if as_json:
        plain_views = [plain_view(view) for view in views]
        print(json.dumps({"schema_version": 2, "runs": plain_views}, indent=1))
        return
    figures = [figure for figure in LISTED if figure.shown]
    width = terminal_width()
    columns = [
        TextColumn("run"),
        TextColumn("model", drop=1),
        TextColumn("data", drop=6),
        *(TextColumn(of.heading, right=True, drop=2 * n) for n, of in enumerate(figures)),
        TextColumn("state"),
        TextColumn("date", drop=7),
        TextColumn(""),
    ]
    cells = []
    for view in views:
        about = view.summary
        detail = f"in doubt: {', '.join(about.doubts)}" if about.doubts else ""
        detail = detail if view.state == "done" else view.words
        changed = datetime.fromtimestamp(view.changed / 1e9).strftime("%Y-%m-%d %H:%M")
        subject = [about.model or MISSING, about.source or about.data or MISSING]
        name = view.name
        if width:
            name = _cut_within(name, max(width - _BESIDE, 12))
            subject = [_cut(*pair) for pair in zip(subject, (_MODEL, _DATA), strict=True)]
        accuracies = (about.cell(figure.field) for figure in figures)
        texts = (name, *subject, *accuracies, view.word, changed, detail)
        cells.append([plain(text) for text in texts])
    lines = text_table(columns, cells, width)
    print("".join(f"{line}\n" for line in lines), end="")
    if not views:
        folder = next((word for word in words or () if Path(word).is_dir()), "")
        hint = f"; `--root {plain(folder)}` lists the runs in that folder" if folder else ""
        print(f"no run matches{hint}" if words else f"no runs in {root}", file=sys.stderr)
    if words and len(views) == 1:
        try:
            print(command_of_run(RunDir(views[0].path)))
        except TuiprobeError as error:
            print(f"no command repeats it: {plain(str(error))}", file=sys.stderr)


def _cut(text: str, width: int) -> str:
    shown = plain(text)
    return shown if len(shown) <= width else f"{shown[: width - 1]}…"


def _cut_within(text: str, width: int) -> str:
    """Cuts a name that is too long near its beginning: names of runs differ at their end."""
    shown = plain(text)
    return shown if len(shown) <= width else f"{shown[:4]}…{shown[5 - width :]}"


def _delete(views: list[RunView], words: list[str], yes: bool) -> None:
    from tuiprobe.measure.run.deletion import delete_run, left_files_line
    from tuiprobe.measure.run.directory import RunDir

    if not words:
        raise UsageError("--delete needs words that choose the runs, such as a part of a name")
    running = [view.name for view in views if view.going]
    if running:
        raise UsageError(f"still running, so nothing is deleted: {', '.join(running)}")
    if not views:
        raise UsageError("no run matches, so nothing is deleted")
    for view in views:
        print(plain(str(view.path)), file=sys.stderr)
    if not yes and not _confirmed(len(views)):
        print("nothing was deleted", file=sys.stderr)
        return
    for view in views:
        files = delete_run(RunDir(view.path))
        print(plain(str(view.path)))
        if files:
            print(plain(left_files_line(view.path, files)), file=sys.stderr)


def _confirmed(count: int) -> bool:
    if not sys.stdin.isatty():
        raise UsageError("--delete asks before it deletes, and there is no terminal; add --yes")
    print(f"delete {'this run' if count == 1 else f'these {count} runs'}? [y/N] ", end="",
          file=sys.stderr, flush=True)  # fmt: skip
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def open_run(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
) -> None:
    """Show a run on the screens: live while it goes on, its results when it is done."""
    from tuiprobe.files import reading
    from tuiprobe.measure.run.directory import RunDir
    from tuiprobe.measure.run.view import RunView
    from tuiprobe.show.tui.livewatch import runs_of
    from tuiprobe.show.tui.start import start

    view = RunView.read(RunDir(run))
    with reading(run):
        is_single = runs_of(run) == [run]
    if view.state == "none" and is_single:
        raise DataError(f"{view.reason}; name a run directory, for example one of runs/")
    raise typer.Exit(start(open_run=run))


def reprobe(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
    ablate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PARTS", help="Print accuracies without these, e.g. channel:17,direction:3."
        ),
    ] = None,
    ablate_mode: Annotated[
        Literal["mean", "zero", "shuffle"] | None,
        typer.Option(
            help="What replaces those parts: their mean over the first set, zero, or those of "
            "another image.  [default: mean]",
            metavar="mean|zero|shuffle",
        ),
    ] = None,
    centred: Annotated[
        bool, typer.Option("--centred", help="Directions are those of W minus its mean row.")
    ] = False,
    baseline: Annotated[Path | None, of_run("baseline", change=True)] = None,
    probe: Annotated[list[str] | None, of_run("probe", change=True)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the ablation as JSON.")] = False,
) -> None:
    """Recompute results and reports of a finished run, without model or images.

    With --ablate it only prints the accuracies without the named channels and directions.
    """
    from tuiprobe.measure.run.directory import RunDir

    directory = RunDir(run)
    directory.refuse_no_run()  # before its lock, which makes a directory
    if ablate:
        if probe:
            raise UsageError(
                "--ablate computes only accuracies: leave it out to change options of probes"
            )
        if baseline is not None:
            raise UsageError("--baseline is about effective robustness; --ablate does not use it")
        from tuiprobe.inside.ablation.targeted import parse_question

        _ablate(directory, parse_question(ablate, centred, ablate_mode or "mean"), as_json)
        return
    if ablate_mode is not None or centred or as_json:
        raise UsageError("--ablate-mode, --centred and --json need --ablate")
    from tuiprobe.measure.run.locks import MERGE_LOCK
    from tuiprobe.probes.report import reprobe
    from tuiprobe.show.report import write_reports

    with directory.locked(), directory.locked(MERGE_LOCK):
        report = reprobe(directory, probe or (), None if baseline is None else str(baseline))
        print(write_reports(directory, terminal()), end="")
    if report.failures:
        raise RunError("; ".join(report.failures))


def _ablate(directory: RunDir, question: Question, as_json: bool) -> None:
    from tuiprobe.inside.ablation.targeted import ablate

    answer = ablate(directory, question)
    if as_json:
        print(json_text(answer.model_dump(mode="json")))
    else:
        print("\n".join(answer.lines()))


def verify(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare the files of a run with its manifest; exit 4 if one is damaged or missing."""
    from tuiprobe.measure.run.directory import RunDir
    from tuiprobe.measure.run.verify import verify as verified

    directory = RunDir(run)
    directory.refuse_no_run()
    checks = verified(directory)
    damaged = sum(not check.sound for check in checks)
    unread = sum(check.state == "cannot be read" for check in checks)
    if as_json:
        files = [{key: plain(text) for key, text in asdict(check).items()} for check in checks]
        result = {"schema_version": 1, "run": plain(str(run)), "whole": not damaged, "files": files}
        print(json.dumps(result, indent=1))
    else:
        width = max(len(check.state) for check in checks)
        for check in checks:
            detail = f": {check.detail}" if check.detail else ""
            print(plain(f"{check.state.ljust(width)}  {check.file}{detail}"))
        uncovered = sum(check.state == "not covered" for check in checks)
        limits = (
            (f", as far as the manifest covers them: {uncovered} files are not covered")
            if uncovered
            else ""
        )
        verdict = "is damaged" if damaged > unread else "cannot be read"
        print(plain(f"{run} {verdict if damaged else f'is whole{limits}'}"))
    raise typer.Exit(DataError.exit_code if damaged else 0)


def report(
    run: Annotated[Path | None, typer.Argument(metavar="RUN", help="A run directory.")] = None,
    format: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FORMAT",
            help="html, md, json, csv, svg or predictions; repeats. "
            "Default: html, md, csv and svg.",
        ),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Folder to write to; - prints a single file."),
    ] = None,
    pictures: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help="Include the run's small images.")
    ] = True,
    replace: Annotated[
        bool, typer.Option("--replace", help="Overwrite files in --to that differ.")
    ] = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of results.json.")
    ] = False,
) -> None:
    """Write the reports of a finished run again, beside its results or elsewhere.

    `tuiprobe compare --html` writes one page over several runs.
    """
    if schema:
        from tuiprobe.show.report.formats import json_schema

        print(json.dumps(json_schema(), indent=1))
        return
    if run is None:
        raise UsageError("name a run directory, or ask for --schema")
    from tuiprobe.choose.labelling.reading import read_report
    from tuiprobe.measure.run.directory import RunDir
    from tuiprobe.plaintext import plain
    from tuiprobe.show.cli.output import print_file, terminal
    from tuiprobe.show.report.formats import FORMATS, WRITTEN, export, files_of, write_reports

    directory = RunDir(run)
    if not pictures and to is None:
        raise UsageError("--no-pictures makes copies without pictures: name their folder with --to")
    if format is None and to is None:
        print(write_reports(directory, terminal()), end="")
        return
    content, chosen = read_report(directory), format or list(WRITTEN)
    if to == "-":
        files = files_of(content, directory if pictures else None, chosen)
        if len(files) != 1:
            raise UsageError(f"--to - prints one file, but these formats make {len(files)}")
        print_file(*files.values())
        return
    folder = run if to is None else Path(to)
    if folder.suffix.removeprefix(".") in FORMATS and not folder.is_dir():
        raise UsageError(
            f"--to takes a folder, and {folder} looks like a file: give a folder, or print the "
            f"file with --format {folder.suffix[1:]} --to - > {folder}"
        )
    for path in export(content, directory, chosen, folder, pictures, replace):
        print(plain(str(path)))
