"""Runs several models in one command: opens each, measures them together, finishes each."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Protocol

from tuiprobe.catalog.cached import cached_file
from tuiprobe.catalog.presets import presets
from tuiprobe.catalog.published_models import published
from tuiprobe.errors import TuiprobeError
from tuiprobe.events import Event, Listener
from tuiprobe.measure.decoding import choose_workers, decode_together, uploaded
from tuiprobe.measure.extract import Extraction, out_of_memory
from tuiprobe.measure.failures import explaining_failures
from tuiprobe.measure.job import Job
from tuiprobe.measure.plan import Plan
from tuiprobe.measure.resume import Inventory
from tuiprobe.measure.shards import Shard
from tuiprobe.measure.stages import (
    RunOutcome,
    extracting,
    finish,
    measure,
    new_extraction,
    prepare,
    say_stopped,
)
from tuiprobe.measure.stopping import Interrupted
from tuiprobe.spec import RunSpec

BYTES_A_PARAMETER = 16
"""Memory of a model while it is opened: its weights and the file's in float32, and a text tower."""

FILE_SIZES = 4
"""The same memory in sizes of the file with its weights."""

SHARE_OF_MEMORY = 0.5
"""Part of the available memory that models opened together may take; the rest is for images."""


def affordable(specs: Sequence[RunSpec], available: int | None) -> list[list[RunSpec]]:
    """Divides specs, in their order, into those whose models fit into memory together.

    Args:
        specs: The specs of the runs.
        available: Bytes that can be allocated; None if nothing says so.

    Returns:
        Groups. A model stays alone if its size is not known, every model if `available` is None.
    """
    groups: list[list[RunSpec]] = []
    left = -math.inf
    for spec in specs:
        needed = _memory(spec)
        if needed <= left:
            groups[-1].append(spec)
        else:
            groups.append([spec])
            left = SHARE_OF_MEMORY * (available or 0)
        left -= needed
    return groups


def _memory(spec: RunSpec) -> float:
    """Returns the bytes that opening a model takes at most; infinity if nothing says so."""
    preset = presets().get(spec.model)
    if preset is not None:
        return preset.parameters * BYTES_A_PARAMETER
    weights = published(spec.model)
    file = None if weights is None else cached_file(weights)
    file = file if spec.checkpoint is None else Path(spec.checkpoint)
    return math.inf if file is None or not file.is_file() else FILE_SIZES * file.stat().st_size


@dataclass
class Member:
    """One of the encoders that share the decoding.

    Attributes:
        extraction: Measures the encoder's shards.
        missing: Set name and number of its shards that are not published yet.
        ended: The error that ended it, if it failed or was cancelled.
        crowded: Whether it ran out of memory next to the others; alone it may have enough.
    """

    extraction: Extraction
    missing: set[tuple[str, int]]
    ended: TuiprobeError | Interrupted | None = field(default=None, init=False)
    crowded: bool = field(default=False, init=False)

    @property
    def active(self) -> bool:
        """Whether the encoder is still measuring."""
        return bool(self.missing) and self.ended is None and not self.crowded

    def needs(self, shard: Shard) -> bool:
        """Says whether the encoder still has to measure a shard."""
        return self.active and shard.place in self.missing

    def attempt(self, step: Callable[[], None]) -> bool:
        """Executes a step; a failure ends this member only. Returns whether it is still active."""
        try:
            with explaining_failures():
                step()
        except (TuiprobeError, Interrupted) as reason:
            self.crowded = out_of_memory(reason.__cause__)
            if not self.crowded:
                self.ended = reason
        return self.active


def measure_together(members: Sequence[Member], plan: Plan) -> None:
    """Measures the members' missing shards; each image is decoded once.

    A failed or cancelled member does not stop others.

    Args:
        members: Encoders with the same shards. Their fields hold the result afterwards.
        plan: The plan of one of them, which has the images and shards of all.

    Raises:
        TuiprobeError: If decoding fails for all members.
        Interrupted: If a stop was requested.
    """
    shards = [shard for shard in plan.all_shards if any(member.needs(shard) for member in members)]
    workers = choose_workers(plan.spec.workers, sum(shard.size for shard in shards))
    preprocesses = [member.extraction.preprocess for member in members]
    with decode_together(shards, plan.suite.sets, plan.stamps, preprocesses, workers) as decoded:
        stream = uploaded(decoded, plan.device)
        for shard in shards:
            taking = [i for i, member in enumerate(members) if member.needs(shard)]
            for i in taking:
                members[i].extraction.begin(shard)
            for together in islice(stream, len(shard.batches)):
                if not any(member.active for member in members):
                    return
                taking = [
                    i
                    for i in taking
                    if members[i].attempt(partial(members[i].extraction.take, together[i]))
                ]
            for i in taking:
                if members[i].attempt(members[i].extraction.publish):
                    members[i].missing.discard(shard.place)


class Opener(Protocol):
    """`tuiprobe.measure.opening.open_run` with folders and locks already bound."""

    def __call__(self, spec: RunSpec, *, listen: Listener) -> Job:
        """Returns the job of a spec."""


@dataclass
class _Prepared:
    """One run that is prepared.

    Attributes:
        job: The run.
        inventory: Its shards; those that are measured together leave it.
        measured: False once it was stopped while it was measured.
    """

    job: Job
    inventory: Inventory
    measured: bool = True


class Group:
    """The runs of one command.

    Args:
        specs: The specs of the runs.
        opener: Loads, plans and locks one run.
        listen: Receives all events, with the model's name before each message. Runs that are
            measured together report progress once.
    """

    def __init__(self, specs: Sequence[RunSpec], opener: Opener, listen: Listener) -> None:
        self._specs, self._opener, self._listen = specs, opener, listen
        self._ends: dict[int, RunOutcome | TuiprobeError | Interrupted] = {}
        self._stopped: Interrupted | None = None  # a stop before or after measuring
        self._through = -1  # images reported as progress

    def go(self) -> list[RunOutcome | TuiprobeError | Interrupted]:
        """Executes all runs; returns the outcome of each, in the order of the specs."""
        runs: dict[int, _Prepared] = {}
        for i, spec in enumerate(self._specs):
            self._attempt(i, partial(self._open, runs, i, spec))
        for together in _alike({i: run for i, run in runs.items() if run.inventory.missing}):
            self._through = -1
            if len(together) > 1 and self._stopped is None:
                self._measure({i: runs[i] for i in together})
        for i, run in runs.items():
            if i not in self._ends:
                self._attempt(i, partial(self._finish, run))
        return [self._ends[i] for i in range(len(self._specs))]

    def _attempt(self, i: int, step: Callable[[], RunOutcome | None]) -> None:
        if self._stopped is not None:
            self._ends[i] = self._stopped
            return
        try:
            with explaining_failures():
                outcome = step()
        except Interrupted as reason:
            self._ends[i] = self._stopped = reason
        except TuiprobeError as error:
            about = {"exit_code": error.exit_code}
            self._listen(Event("failed", f"{self._specs[i].model}: {error}", about))
            self._ends[i] = error
        else:
            if outcome is not None:
                self._ends[i] = outcome

    def _open(self, runs: dict[int, _Prepared], i: int, spec: RunSpec) -> None:
        job = self._opener(spec, listen=partial(self._hear, spec.model))
        with job.noting_failure():
            runs[i] = _Prepared(job, prepare(job))

    def _hear(self, model: str, event: Event) -> None:
        if event.kind != "progress":
            self._listen(replace(event, message=f"{model}: {event.message}"))
            return
        if event.data["done"] > self._through:
            self._through = event.data["done"]
            self._listen(event)

    def _measure(self, runs: dict[int, _Prepared]) -> None:
        plan = next(iter(runs.values())).job.plan
        members = {
            i: Member(
                new_extraction(run.job, run.inventory), {s.place for s in run.inventory.missing}
            )
            for i, run in runs.items()
            if run.job.plan.spec.batch == plan.spec.batch  # others measure alone, in `_finish`
        }
        try:
            with explaining_failures(), ExitStack() as stack:
                for i, member in members.items():
                    job, missing = runs[i].job, runs[i].inventory.missing
                    stack.enter_context(extracting(job, member.extraction, missing))
                measure_together(list(members.values()), plan)
        except (TuiprobeError, Interrupted) as reason:  # affects all members
            for member in members.values():
                if member.active or isinstance(reason, Interrupted):
                    member.ended = member.ended or reason
        for i, member in members.items():
            self._attempt(i, partial(_settle, runs[i], member))

    def _finish(self, run: _Prepared) -> RunOutcome:
        self._through = -1
        with run.job.noting_failure():
            measured = run.measured and measure(run.job, run.inventory)
            return finish(run.job, run.inventory, measured)


def _settle(run: _Prepared, member: Member) -> None:
    """Passes a member's result of the shared measurement to its run."""
    left = tuple(shard for shard in run.inventory.missing if shard.place in member.missing)
    run.inventory = replace(run.inventory, missing=left)
    if isinstance(member.ended, Interrupted):
        say_stopped(run.job, member.ended)
        run.measured = False
    elif member.ended is not None:
        with run.job.noting_failure():
            raise member.ended


def _alike(runs: dict[int, _Prepared]) -> list[list[int]]:
    """Groups runs that see the same images in the same batches."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for i, run in runs.items():
        plan = run.job.plan
        sources = tuple((name, dataset.source) for name, dataset in plan.suite.sets.items())
        stamps = tuple(tuple(of_set.items()) for of_set in plan.stamps.values())
        shards = tuple(
            (*shard.place, tuple(map(len, shard.batches)), shard.ids.tobytes())
            for shard in plan.all_shards
        )
        groups.setdefault((sources, stamps, shards), []).append(i)
    return list(groups.values())
