"""`tuiprobe --headless`: one run per model, progress on stderr, summary on stdout."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuiprobe.datasets.assemble import user_spec
from tuiprobe.errors import TuiprobeError
from tuiprobe.events import Event, Listener
from tuiprobe.measure.ranks import current_rank
from tuiprobe.measure.stopping import INTERRUPTED, KEPT, Interrupted, listening
from tuiprobe.models.offline import go_offline
from tuiprobe.narration import narrated
from tuiprobe.plaintext import plain
from tuiprobe.spec import RunSpec

if TYPE_CHECKING:
    from tuiprobe.measure.stages import Outcome


def run_models(
    models: list[str],
    *,
    data: str | None,
    output: Path | None,
    fresh: bool,
    mix: bool,
    options: dict[str, Any],
    debug: bool = False,
) -> int:
    """Runs every model; a failure does not stop the others.

    Args:
        models: Specs of encoders; the embedded default if empty.
        data: Data source; the miniature if None.
        output: The run directory; with several models, the directory of their run directories.
        fresh: Start from the beginning.
        mix: Accept shards of another fingerprint.
        options: Further fields of the RunSpec.
        debug: Print the traceback of what failed.

    Returns:
        The exit code: the first that is not 0.
    """
    asked: list[str | None] = [*models] or [None]
    specs = [user_spec(model, data, options) for model in asked]
    if any(spec.offline for spec in specs):
        go_offline()  # before a library is imported
    rank = current_rank()
    with listening(owner=True), narrated(rank) as listen:
        try:
            announce_downloads(specs, listen)
            if len(specs) > 1:
                return _run_several(specs, output or Path("runs"), fresh, mix, listen, debug)
            return _run_one(specs[0], output, fresh, mix, listen)
        except KeyboardInterrupt as reason:  # before or after measuring: nothing is lost
            listen(Event("interrupted", f"stopped by {reason or 'SIGINT'}; {KEPT}"))
            return INTERRUPTED
        except TuiprobeError as error:
            listen(Event("failed", str(error)))
            if debug:
                traceback.print_exception(error)
            return error.exit_code


def announce_downloads(specs: list[RunSpec], listen: Listener) -> None:
    """Says once what all models will download, where that is anything."""
    from tuiprobe.catalog.missing import download_words, missing_weights

    loaded = [one for one in specs if one.checkpoint is None and one.embeddings is None]
    models = [one.model for one in loaded if not one.offline]
    if words := download_words(missing_weights(models)):
        listen(Event("stage", words))


def _run_one(spec: RunSpec, output: Path | None, fresh: bool, mix: bool, listen: Listener) -> int:
    from tuiprobe.api import run

    return _report(run(spec, output=output, fresh=fresh, mix=mix, listen=listen))


def _run_several(
    specs: list[RunSpec], runs: Path, fresh: bool, mix: bool, listen: Listener, debug: bool
) -> int:
    from tuiprobe.api import run_several
    from tuiprobe.compare.ranking import write_ranking

    ends = run_several(specs, runs=runs, fresh=fresh, mix=mix, listen=listen)
    outcomes: list[Outcome] = []
    codes = []
    for spec, end in zip(specs, ends, strict=True):
        if isinstance(end, Interrupted):
            listen(Event("interrupted", f"{spec.model}: stopped by {end}; {KEPT}"))
            codes.append(INTERRUPTED)
        elif isinstance(end, TuiprobeError):  # it was reported when it happened
            if debug:
                traceback.print_exception(end)
            codes.append(end.exit_code)
        else:
            codes.append(_report(end))
            outcomes.append(end)
    shared = current_rank().world > 1  # then the rank that merges last finds all results
    there = [
        end.directory
        for end in outcomes
        if end.merged or (shared and end.directory.results_file.exists())
    ]
    whole = not shared or len(there) == len(outcomes)
    if len(there) > 1 and whole and any(end.merged for end in outcomes):
        path, text = write_ranking(there, runs)
        sys.stdout.write(text)
        sys.stdout.flush()
        print(plain(f"comparison: {path}"), file=sys.stderr)
    return next((code for code in codes if code), 0)


def _report(outcome: Outcome) -> int:
    """Writes the reports of a finished run, prints where they are, and returns the exit code."""
    from tuiprobe.report import write_reports

    if outcome.merged:
        sys.stdout.write(write_reports(outcome.directory))
        sys.stdout.flush()
    if outcome.merged or current_rank().local == 0:
        print(_last_line(outcome), file=sys.stderr)
    return 0 if outcome.complete else INTERRUPTED


def _last_line(outcome: Outcome) -> str:
    what = "report" if outcome.merged else "run"
    of = " of an UNTRAINED network" if outcome.untrained else ""
    path = outcome.directory.path
    return plain(f"{what}{of}: {path / 'report.md' if outcome.merged else path}")
