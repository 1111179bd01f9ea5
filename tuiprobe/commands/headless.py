"""``tuiprobe --headless``: one run a model, narrated at stderr, summarised at stdout."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from tuiprobe.engine.stopping import INTERRUPTED, KEPT, Interrupted, listening
from tuiprobe.errors import TuiprobeError, UsageError
from tuiprobe.events import Event, Listener
from tuiprobe.narration import narrated
from tuiprobe.plaintext import plain
from tuiprobe.spec import (
    DEFAULT_DATA,
    DEFAULT_MODEL,
    RunSpec,
    default_concept_sample,
    default_concepts,
    default_sample,
)

if TYPE_CHECKING:
    from tuiprobe.engine.run import Outcome


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
    """Runs every model; one that fails does not stop the others.

    Args:
        models: Specs of encoders; the embedded default if empty.
        data: Data source; the miniature if None.
        output: The run directory; with several models, the directory of their run directories.
        fresh: Start anew.
        mix: Accept shards of another fingerprint.
        options: Further fields of the RunSpec.
        debug: Print the traceback of what failed.

    Returns:
        The exit code: the first that is not 0.
    """
    specs = [make_spec(model, data, options) for model in models or [DEFAULT_MODEL]]
    with listening(owner=True), narrated() as listen:
        try:
            if len(specs) > 1:
                return _run_several(specs, output or Path("runs"), fresh, mix, listen, debug)
            return _run_one(specs[0], output, fresh, mix, listen)
        except KeyboardInterrupt as reason:  # before or after the images: nothing can be lost
            listen(Event("interrupted", f"stopped by {reason or 'SIGINT'}; {KEPT}"))
            return INTERRUPTED
        except TuiprobeError as error:
            listen(Event("failed", str(error)))
            if debug:
                traceback.print_exception(error)
            return error.exit_code


def make_spec(model: str, data: str | None, options: dict[str, Any]) -> RunSpec:
    """Returns the spec that the options describe.

    Raises:
        UsageError: Naming the option and what is wrong with it.
    """
    data = data or DEFAULT_DATA
    fields = {"sample": None, "concepts": None, "concept_sample": None, **options}
    if fields["concepts"] is None:
        fields["concepts"] = default_concepts(model, data)
    if fields["concept_sample"] is None:  # a sample that was asked for holds for every set
        fields["concept_sample"] = fields["sample"]
    if fields["concept_sample"] is None:
        fields["concept_sample"] = default_concept_sample(fields["concepts"])
    fields["concept_sample"] = fields["concept_sample"] or None
    if fields["sample"] is None:
        fields["sample"] = default_sample(model, data)
    elif fields["sample"] == 0:
        fields["sample"] = None
    try:
        return RunSpec(model=model, data=data, **fields)
    except ValidationError as error:
        first = error.errors()[0]
        option = "--" + "-".join(str(part) for part in first["loc"]).replace("_", "-")
        raise UsageError(f"{option}: {first['msg']} (got {first['input']!r})") from error


def _run_one(spec: RunSpec, output: Path | None, fresh: bool, mix: bool, listen: Listener) -> int:
    from tuiprobe.engine.run import run

    return _report(run(spec, output=output, fresh=fresh, mix=mix, listen=listen))


def _run_several(
    specs: list[RunSpec], runs: Path, fresh: bool, mix: bool, listen: Listener, debug: bool
) -> int:
    from tuiprobe.engine.run import run_several
    from tuiprobe.report.side_by_side import write_side_by_side

    ends = run_several(specs, runs=runs, fresh=fresh, mix=mix, listen=listen)
    codes, merged = [], []
    for spec, end in zip(specs, ends, strict=True):
        if isinstance(end, Interrupted):
            listen(Event("interrupted", f"{spec.model}: stopped by {end}; {KEPT}"))
            codes.append(INTERRUPTED)
        elif isinstance(end, TuiprobeError):  # it was told of when it happened
            if debug:
                traceback.print_exception(end)
            codes.append(end.exit_code)
        else:
            codes.append(_report(end))
            merged += [end.directory] if end.merged else []
    if len(merged) > 1:
        print(plain(f"comparison: {write_side_by_side(merged, runs)}"), file=sys.stderr)
    return next((code for code in codes if code), 0)


def _report(outcome: Outcome) -> int:
    """Writes the reports of a run that has ended and says where; returns its exit code."""
    from tuiprobe.report import write_reports

    if outcome.merged:
        sys.stdout.write(write_reports(outcome.directory))
        sys.stdout.flush()
    print(_last_line(outcome), file=sys.stderr)
    return 0 if outcome.complete else INTERRUPTED


def _last_line(outcome: Outcome) -> str:
    what = "report" if outcome.merged else "run"
    of = " of an UNTRAINED network" if outcome.untrained else ""
    path = outcome.directory.path
    return plain(f"{what}{of}: {path / 'report.md' if outcome.merged else path}")
