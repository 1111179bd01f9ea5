"""Specs to finished run directories: one model, or several over the same images."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from tuiprobe.errors import TuiprobeError
from tuiprobe.events import Listener
from tuiprobe.measure.failures import explaining_failures
from tuiprobe.measure.group import Group
from tuiprobe.measure.opening import open_run
from tuiprobe.measure.stages import Answer, Outcome
from tuiprobe.measure.stopping import Interrupted, listening
from tuiprobe.spec import RunSpec

__all__ = ["Outcome", "run", "run_several"]


def run(
    spec: RunSpec,
    *,
    output: Path | None = None,
    runs: Path = Path("runs"),
    fresh: bool = False,
    mix: bool = False,
    listen: Listener = lambda event: None,
    answer: Answer,
) -> Outcome:
    """Measures, merges and probes; resumes what an earlier attempt left.

    Args:
        spec: What to probe.
        output: The run directory; None names it by content under `runs`.
        runs: Where run directories go.
        fresh: Delete what an earlier attempt left.
        mix: Accept shards made with another fingerprint.
        listen: Told about everything that happens.
        answer: Asks every probe what the merged run shows.

    Raises:
        TuiprobeError: With the exit code, the cause and the next step, whatever went wrong.
        Interrupted: If a stop was asked for before the first image, or after the last.
    """
    with listening(), explaining_failures(), ExitStack() as locks:
        one = open_run(
            spec, locks, output=output, runs=runs, fresh=fresh, listen=listen, answer=answer
        )
        with one.noting_failure():
            one.prepare(mix)
            one.extract()
            return one.finish()


def run_several(
    specs: Sequence[RunSpec],
    *,
    runs: Path = Path("runs"),
    fresh: bool = False,
    mix: bool = False,
    listen: Listener = lambda event: None,
    answer: Answer,
) -> list[Outcome | TuiprobeError | Interrupted]:
    """Runs several models; an image is decoded once for all that see it.

    Args:
        specs: What to probe.
        runs: Where run directories go, each named by its content.
        fresh: Delete what earlier attempts left.
        mix: Accept shards made with another fingerprint.
        listen: Told about everything that happens.
        answer: Asks every probe what the merged run shows.

    Returns:
        How each ended, in the order of `specs`; one that fails does not stop the others.
    """
    with listening(), ExitStack() as locks:
        opened = partial(open_run, locks=locks, output=None, runs=runs, fresh=fresh, answer=answer)
        return Group(specs, opened, listen).go(mix)
