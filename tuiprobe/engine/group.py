"""Runs several models in one command: opens each, measures them together, finishes each."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from tuiprobe.catalog.cached import cached_file
from tuiprobe.catalog.presets import presets
from tuiprobe.catalog.published_models import published
from tuiprobe.engine.decoding import choose_workers, decode_together, uploaded
from tuiprobe.engine.job import AskProbes, Job
from tuiprobe.engine.opening import open_run
from tuiprobe.engine.plan import Plan
from tuiprobe.engine.resume import Inventory
from tuiprobe.engine.run import refuse_forked_child
from tuiprobe.engine.shards import Shard
from tuiprobe.engine.stages import (
    RunOutcome,
    extracting,
    finish,
    measure,
    new_extraction,
    prepare,
    say_stopped,
)
from tuiprobe.engine.stopping import Interrupted, catching_signals, explaining_failures
from tuiprobe.errors import TuiprobeError
from tuiprobe.models.trial import out_of_memory
from tuiprobe.request import RunRequest
from tuiprobe.run.counting import ShardPlace
from tuiprobe.run.status import Event, Listener
from tuiprobe.spec import RunSpec

RunEnd = RunOutcome | TuiprobeError | Interrupted
"""How one of several runs ended."""

BYTES_A_PARAMETER = 16
"""Memory of a model while it is opened: its weights and the file's in float32, and a text tower."""

FILE_SIZES = 4
"""The same memory in sizes of the file with its weights."""

SHARE_OF_MEMORY = 0.5
"""Part of the available memory that models opened together may take; the rest is for images."""


def affordable(requests: Sequence[RunRequest], available: int | None) -> list[list[RunRequest]]:
    """Divides requests, in their order, into those whose models fit into memory together.

    Args:
        requests: What to measure, where and how.
        available: Bytes that can be allocated; None if nothing says so.

    Returns:
        Groups. A model stays alone if its size is not known, every model if `available` is None.
    """
    groups: list[list[RunRequest]] = []
    left = -math.inf
    for request in requests:
        needed = _memory(request.spec)
        if needed <= left:
            groups[-1].append(request)
        else:
            groups.append([request])
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


@dataclass(eq=False)
class Member:
    """A run that is open, next to others of the same command.

    Attributes:
        job: The run.
        inventory: Its shards.
        measured: False once it was stopped while it was measured.
        left: Set name and number of its shards that are not published yet.
        failure: What ended it while it was measured together with others.
        crowded: Whether it ran out of memory next to the others; alone it may have enough.
    """

    job: Job
    inventory: Inventory
    measured: bool = True
    left: set[ShardPlace] = field(default_factory=set)
    failure: TuiprobeError | Interrupted | None = None
    crowded: bool = False

    @property
    def active(self) -> bool:
        """Whether it is still measured together with the others."""
        return bool(self.left) and self.failure is None and not self.crowded

    def needs(self, shard: Shard) -> bool:
        """Says whether it still has to measure a shard together with the others."""
        return self.active and shard.place in self.left

    def attempt(self, step: Callable[[], None]) -> bool:
        """Executes a step; a failure ends this member only. Returns whether it goes on."""
        try:
            with explaining_failures():
                step()
        except (TuiprobeError, Interrupted) as reason:
            self.crowded = out_of_memory(reason.__cause__)
            self.failure = None if self.crowded else reason
            return False
        return True

    def settle(self) -> None:
        """Takes over what was measured together with others.

        Raises:
            TuiprobeError: If it failed then.
        """
        left = tuple(shard for shard in self.inventory.missing if shard.place in self.left)
        self.inventory = replace(self.inventory, missing=left)
        if isinstance(self.failure, Interrupted):
            say_stopped(self.job, self.failure)
            self.measured = False
        elif self.failure is not None:
            with self.job.noting_failure():
                raise self.failure

    def finish(self) -> RunOutcome:
        """Measures what is left, merges and probes."""
        with self.job.noting_failure():
            measured = self.measured and measure(self.job, self.inventory)
            return finish(self.job, self.inventory, measured)


def measure_together(members: Sequence[Member]) -> None:
    """Measures the missing shards of runs of the same images; each image is decoded once.

    A failed or cancelled run does not stop the others. Their fields hold the result afterwards.

    Raises:
        TuiprobeError: If decoding fails for all members.
        Interrupted: If a stop was requested.
    """
    plan = members[0].job.plan
    for member in members:
        member.left = {shard.place for shard in member.inventory.missing}
    shards = [shard for shard in plan.all_shards if any(member.needs(shard) for member in members)]
    workers = choose_workers(plan.spec.workers, sum(shard.size for shard in shards))
    extractions = [new_extraction(member.job, member.inventory) for member in members]
    preprocesses = [member.job.plan.encoder.preprocess for member in members]
    with ExitStack() as stack:
        for member, extraction in zip(members, extractions, strict=True):
            stack.enter_context(extracting(member.job, extraction, member.inventory.missing))
        decoded = stack.enter_context(
            decode_together(shards, plan.suite.sets, plan.stamps, preprocesses, workers)
        )
        stream = uploaded(decoded, plan.device)
        for shard in shards:
            taking = [i for i, member in enumerate(members) if member.needs(shard)]
            for i in taking:
                extractions[i].begin(shard)
            for together in islice(stream, len(shard.batches)):
                if not any(member.active for member in members):
                    return
                taking = [
                    i
                    for i in taking
                    if members[i].attempt(partial(extractions[i].take, together[i]))
                ]
            for i in taking:
                if members[i].attempt(extractions[i].publish):
                    members[i].left.discard(shard.place)


def run_several(
    requests: Sequence[RunRequest],
    *,
    listen: Listener = lambda event: None,
    answer: AskProbes,
) -> list[RunEnd]:
    """Runs several models; decodes each image once for all models that use it.

    Args:
        requests: What to measure, where and how.
        listen: Receives all events, with the model's name before each message. Runs that are
            measured together report progress once.
        answer: Runs the probes on a merged run.

    Returns:
        The outcome of each run, in the order of `requests`. A failed run does not stop the others.
    """
    refuse_forked_child()
    with catching_signals(), ExitStack() as locks:
        opened = partial(open_run, locks=locks, answer=answer)
        return _Group(requests, opened, listen).run()


class _Group:
    """The runs of one command.

    Args:
        requests: What to measure, where and how.
        opened: `open_run` without the request and the listener.
        listen: As for `run_several`.
    """

    def __init__(
        self, requests: Sequence[RunRequest], opened: Callable[..., Job], listen: Listener
    ) -> None:
        self._requests, self._opened, self._listen = requests, opened, listen
        self._members: dict[int, Member] = {}
        self._ends: dict[int, RunEnd] = {}
        self._stopped: Interrupted | None = None  # a stop before or after measuring
        self._reported = -1  # images, as progress

    def run(self) -> list[RunEnd]:
        """Executes all runs; returns the outcome of each, in the order of the requests."""
        for i in range(len(self._requests)):
            self._attempt(i, partial(self._open, i))
        alike: dict[Any, list[int]] = {}
        for i, member in self._members.items():
            if member.inventory.missing:
                alike.setdefault(_images_and_batches(member.job.plan), []).append(i)
        for together in alike.values():
            if len(together) > 1 and self._stopped is None:
                self._measure(together)
        for i, member in self._members.items():
            self._reported = -1
            if i not in self._ends:
                self._attempt(i, member.finish)
        return [self._ends[i] for i in range(len(self._requests))]

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
            self._listen(Event("failed", f"{self._requests[i].spec.model}: {error}", about))
            self._ends[i] = error
        else:
            if outcome is not None:
                self._ends[i] = outcome

    def _open(self, i: int) -> None:
        request = self._requests[i]
        job = self._opened(request, listen=partial(self._hear, request.spec.model))
        with job.noting_failure():
            self._members[i] = Member(job, prepare(job))

    def _hear(self, model: str, event: Event) -> None:
        if event.kind != "progress":
            self._listen(replace(event, message=f"{model}: {event.message}"))
        elif event.data["done"] > self._reported:
            self._reported = event.data["done"]
            self._listen(event)

    def _measure(self, together: Sequence[int]) -> None:
        self._reported = -1
        members = [self._members[i] for i in together]
        try:
            with explaining_failures():
                measure_together(members)
        except (TuiprobeError, Interrupted) as reason:  # affects all members
            for member in members:
                if member.active or isinstance(reason, Interrupted):
                    member.failure = member.failure or reason
        for i, member in zip(together, members, strict=True):
            self._attempt(i, member.settle)


def _images_and_batches(plan: Plan) -> tuple[object, ...]:
    """Returns what is equal for runs that see the same images in the same batches."""
    sources = tuple((name, dataset.source) for name, dataset in plan.suite.sets.items())
    stamps = tuple(tuple(of_set.items()) for of_set in plan.stamps.values())
    shards = tuple(
        (*shard.place, tuple(map(len, shard.batches)), shard.ids.tobytes())
        for shard in plan.all_shards
    )
    return plan.spec.batch, sources, stamps, shards
