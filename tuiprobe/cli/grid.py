"""`tuiprobe grid`: many models on one suite, resumable, and the paper's tables at the end."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tuiprobe import __version__
from tuiprobe.errors import DataError, RunError, TuiprobeError, UsageError, WeightsError
from tuiprobe.events import Event, Listener

if TYPE_CHECKING:
    from tuiprobe.cli.gridfile import Grid
    from tuiprobe.report.grid import Gap
    from tuiprobe.results.report import Report
    from tuiprobe.spec import RunSpec

RECORD = "grid.json"
TABLES = "grid.md"
LOCK = "lock-grid"


def grid(
    file: Annotated[
        Path | None, typer.Argument(help="What to run; without it the paper's grid.")
    ] = None,
    fetch: Annotated[
        bool, typer.Option("--fetch", help="Download weights that are not there.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Check finished runs against their data once more.")
    ] = False,
    only: Annotated[
        str | None,
        typer.Option("--only", metavar="MODEL", help="Run this model of the grid alone."),
    ] = None,
    sbatch: Annotated[
        bool, typer.Option("--sbatch", help="Print a Slurm array script: one task a model.")
    ] = False,
    show: Annotated[
        bool, typer.Option("--show", help="Print the file that ships, to start from.")
    ] = False,
) -> None:
    """Probe every model whose weights and data are there; print the paper's tables and the gaps.

    The same command goes on where it was stopped. One model that fails does not stop the others.
    """
    from tuiprobe.cli.gridfile import SHIPPED, read_grid
    from tuiprobe.measure.stopping import INTERRUPTED, KEPT, listening

    if show:
        sys.stdout.write(SHIPPED.read_text("utf-8"))
        return
    asked = read_grid(file)
    if only is not None and only not in asked.models:
        raise UsageError(f"{asked.path}: --only: there is no model {only!r}")
    if sbatch:
        from tuiprobe.cli.sbatch import array_script

        given = [str(file.absolute())] if file is not None else []
        given += ["--fetch"] * fetch + ["--again"] * again
        models = asked.models if only is None else (only,)
        sys.stdout.write(array_script(models, given, folder=Path.cwd()))
        return
    with listening(owner=True):
        try:
            code = run_grid(asked, fetch=fetch, again=again, only=only)
        except KeyboardInterrupt as reason:
            print(f"stopped by {reason or 'SIGINT'}; {KEPT}", file=sys.stderr)
            code = INTERRUPTED
    raise typer.Exit(code)


def run_grid(asked: Grid, *, fetch: bool, again: bool, only: str | None = None) -> int:
    """Runs what is left to do and prints the tables.

    Args:
        asked: The grid.
        fetch: Whether to download weights.
        again: Whether to open finished runs too.
        only: The model to run; the tables hold what others have finished. None for all.

    Returns:
        0; else the exit code of the first run that failed, 130 if interrupted, 3 if no model at
        all could be run for want of weights.

    Raises:
        DataError: If the data cannot be used by any model.
    """
    from tuiprobe.measure.stopping import INTERRUPTED
    from tuiprobe.narration import narrated
    from tuiprobe.report.grid import Gap
    from tuiprobe.spec import make_spec

    specs = {
        name: make_spec(
            name,
            asked.data,
            {
                **asked.options,
                "checkpoint": asked.checkpoints.get(name),
                "require_weights": True,
                "offline": not fetch,
            },
        )
        for name in asked.models
    }
    record = _Record(asked.output)
    gaps: list[Gap] = []
    codes: list[int] = []
    with narrated() as listen:
        _check_data(asked.data)
        for number, (name, spec) in enumerate(specs.items(), start=1):
            if only not in (None, name):
                continue
            listen(Event("stage", f"{name}: {number} of {len(specs)}", {"stage": "grid"}))
            if not again and record.finished(name, spec):
                listen(Event("stage", f"{name}: finished before"))
                continue
            try:
                _refuse_without_weights(name, spec)
                complete = _run(name, spec, asked.output, record, listen)
            except WeightsError as error:
                gaps.append(Gap(name, str(error)))
                listen(Event("warning", f"{name}: left out: {error}"))
            except TuiprobeError as error:
                gaps.append(Gap(name, f"failed: {error}"))
                codes.append(error.exit_code)
                listen(Event("failed", f"{name}: {error}"))
            else:
                if not complete:
                    codes.insert(0, INTERRUPTED)
                    gaps += [Gap(left, "stopped before") for left in list(specs)[number - 1 :]]
                    break
    record.refresh()  # tasks of an array finish at the same time
    reports = {name: report for name in specs if (report := record.report(name)) is not None}
    if only is not None:
        gaps += [Gap(name, "not finished yet") for name in specs if name != only]
    _publish(asked.output, reports, [gap for gap in gaps if gap.model not in reports])
    if codes:
        return codes[0]
    return 0 if reports else WeightsError.exit_code


def _check_data(source: str) -> None:
    """Checks the data once, so that a fault is not reported once per model."""
    from tuiprobe.datasets.load import load_suite

    load_suite(source)


def _refuse_without_weights(name: str, spec: RunSpec) -> None:
    """Refuses a model without weights before its network is built."""
    from tuiprobe.catalog.presets import presets

    preset = presets().get(name)
    if preset is not None and not preset.public and spec.checkpoint is None:
        raise WeightsError("no public weights exist; name a file of yours under [checkpoints]")


def _run(name: str, spec: RunSpec, runs: Path, record: _Record, listen: Listener) -> bool:
    """Runs one model; any failure is raised as a `TuiprobeError`.

    Returns:
        False if it was interrupted.
    """
    from tuiprobe.api import run
    from tuiprobe.measure.stopping import KEPT
    from tuiprobe.report import write_reports

    record.forget(name)
    try:
        outcome = run(spec, runs=runs, listen=listen)
        if outcome.merged:
            write_reports(outcome.directory)
            record.keep(name, spec, outcome.directory.path, complete=outcome.complete)
    except KeyboardInterrupt as reason:
        listen(Event("interrupted", f"stopped by {reason or 'SIGINT'}; {KEPT}"))
        return False
    except TuiprobeError:
        raise
    except Exception as error:
        # A library's failure with one model must not affect the others.
        raise RunError(f"{type(error).__name__}: {error}") from error
    return outcome.complete


def _publish(output: Path, reports: dict[str, Report], gaps: list[Gap]) -> None:
    from tuiprobe.files import Entry
    from tuiprobe.report.grid import paper_tables

    text = paper_tables(reports, tuple(gaps))
    sys.stdout.write(text)
    sys.stdout.flush()
    Entry(output, TABLES).write_text(text)
    print(f"tables: {output / TABLES}", file=sys.stderr)


class _Record:
    """The run directory and spec of each model; stored in `grid.json`."""

    def __init__(self, output: Path) -> None:
        self._output = output
        self._runs: dict[str, dict[str, Any]] = self._read()

    def _read(self) -> dict[str, dict[str, Any]]:
        from tuiprobe.files import Entry

        try:
            found = Entry(self._output, RECORD).read_json()
        except DataError:
            return {}  # missing or damaged: every run is opened again
        return {
            name: entry
            for name, entry in (found.items() if isinstance(found, dict) else ())
            if isinstance(entry, dict) and isinstance(entry.get("directory"), str)
        }

    def refresh(self) -> None:
        """Reads what other processes have recorded since."""
        self._runs = self._read()

    def finished(self, name: str, spec: RunSpec) -> bool:
        """Returns whether exactly this spec was run to the end and its report exists."""
        entry = self._runs.get(name, {})
        return (
            entry.get("complete") is True
            and entry.get("spec") == _identity(spec)
            and self.report(name) is not None
        )

    def report(self, name: str) -> Report | None:
        """Returns the report of a model's run; None if none can be read."""
        from tuiprobe.report import read_report
        from tuiprobe.run.directory import RunDir

        entry = self._runs.get(name)
        if entry is None or "/" in entry["directory"] or entry["directory"] in ("", ".", ".."):
            return None
        try:
            return read_report(RunDir(self._output / entry["directory"]))
        except DataError:
            return None

    def forget(self, name: str) -> None:
        """Marks a run as unfinished until it is kept again."""
        if name in self._runs:
            self._change(name, None)

    def keep(self, name: str, spec: RunSpec, directory: Path, *, complete: bool) -> None:
        """Records where a run lies."""
        entry = {"directory": directory.name, "complete": complete, "spec": _identity(spec)}
        self._change(name, entry)

    def _change(self, name: str, entry: dict[str, Any] | None) -> None:
        """Changes one entry; those of other processes stay."""
        from tuiprobe.files import Entry
        from tuiprobe.run.directory import RunDir

        with RunDir(self._output).locked(LOCK, wait=True):
            self.refresh()
            self._runs.pop(name, None)
            if entry is not None:
                self._runs[name] = entry
            Entry(self._output, RECORD).write_json(self._runs)


def _identity(spec: RunSpec) -> dict[str, Any]:
    """Returns what a finished run must agree in: the spec, the checkpoint's file, the program."""
    from tuiprobe.spec import run_options

    fields = spec.to_json()
    found = {
        option.name: fields[option.name]
        for option in run_options()
        if option.option.changes != "nothing"
    }
    found["tuiprobe"] = __version__
    if spec.checkpoint is not None and Path(spec.checkpoint).exists():
        status = Path(spec.checkpoint).stat()
        found["checkpoint_file"] = [status.st_size, status.st_mtime_ns]
    return found
