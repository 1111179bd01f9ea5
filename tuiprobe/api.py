"""Runs from Python: measures, asks the probes, writes the report."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tuiprobe.answer import answer
from tuiprobe.datasets.assemble import user_spec
from tuiprobe.errors import RunError, TuiprobeError, UsageError
from tuiprobe.events import Listener
from tuiprobe.measure import run as measuring
from tuiprobe.measure.run import RunOutcome
from tuiprobe.measure.stopping import Interrupted
from tuiprobe.narration import narrated, somebody_looks
from tuiprobe.report import read_report, write_reports
from tuiprobe.results import Report
from tuiprobe.spec import RunSpec

__all__ = ["RunOutcome", "run", "run_probe", "run_several"]


def run(spec: RunSpec, **options: Any) -> RunOutcome:
    """Measures one model and asks every probe; see `tuiprobe.measure.run.run`."""
    return measuring.run(spec, answer=answer, **options)


def run_several(
    specs: Sequence[RunSpec], **options: Any
) -> list[RunOutcome | TuiprobeError | Interrupted]:
    """Measures several models over the same images; see `tuiprobe.measure.run.run_several`."""
    return measuring.run_several(specs, answer=answer, **options)


def run_probe(
    model: str | None,
    data: str | None,
    output: str | os.PathLike[str] | None,
    progress: bool | Listener | None,
    options: dict[str, Any],
) -> Report:
    """Measures, probes and returns the report; see `tuiprobe.probe`.

    Raises:
        KeyboardInterrupt: If the run was interrupted; finished shards are kept.
        RunError: If another rank writes the report.
    """
    spec = user_spec(model, data, options)
    if not isinstance(output, str | os.PathLike | None):
        raise UsageError(f"output takes the path of a folder, not a {type(output).__name__}")
    with _told(progress) as listen:
        outcome = run(spec, output=Path(output) if output else None, listen=listen)
    if not outcome.complete:
        raise KeyboardInterrupt(f"the run in {outcome.directory.path} was interrupted")
    if not outcome.merged:
        why = outcome.waits or "another rank merged this run"
        raise RunError(f"{why}; read {outcome.directory.results_file} when it is there")
    write_reports(outcome.directory)
    return read_report(outcome.directory)


@contextmanager
def _told(progress: bool | Listener | None) -> Iterator[Listener]:
    """Yields what hears the events of a run; an error is raised anyway, so it is not told."""
    if callable(progress):
        yield progress
    elif progress or (progress is None and somebody_looks()):
        with narrated() as show:
            yield lambda event: None if event.kind == "failed" else show(event)
    else:
        yield lambda event: None
