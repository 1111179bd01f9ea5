"""A run from its request to its results; several runs over the same images decode them once.

| step | where |
|---|---|
| request → plan, in a locked directory | `open_run` |
| what earlier attempts left, checks before the first image | `prepare` |
| decode → forward pass → shards | `measure` |
| shards → merged arrays → head → results | `finish` |

A run is a group of one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any, NoReturn, TypeAlias

from tuiprobe.errors import RunError, TuiprobeError
from tuiprobe.measure.engine.checking import preflight
from tuiprobe.measure.engine.decoding import (
    Batch,
    choose_workers,
    decode_batches,
    read_blocks,
    uploaded,
)
from tuiprobe.measure.engine.extract import Extraction
from tuiprobe.measure.engine.head_building import build_head
from tuiprobe.measure.engine.hooks import ProbeHooks
from tuiprobe.measure.engine.live import images_at_ends, write_thumbnails
from tuiprobe.measure.engine.machine import refuse_forked_child
from tuiprobe.measure.engine.merge import MergedSet, merge_set, write_merged, write_names
from tuiprobe.measure.engine.opening import Job, PythonObjects, RunOutcome, open_run
from tuiprobe.measure.engine.plan import Plan, write_plan
from tuiprobe.measure.engine.preparing import extraction_of, prepare
from tuiprobe.measure.engine.resume import UnusableShardError, check_shards
from tuiprobe.measure.engine.shards import Shard
from tuiprobe.measure.engine.stopping import (
    Interrupted,
    catching_signals,
    explaining_failures,
    stop_signals,
)
from tuiprobe.measure.run.counting import named_ranks, published_shards, ranks_missing
from tuiprobe.measure.run.locks import MERGE_LOCK, BusyError
from tuiprobe.measure.run.results import is_partial, write_results
from tuiprobe.measure.run.status import Event, Listener
from tuiprobe.models.checks.trial import out_of_memory
from tuiprobe.request import RunRequest
from tuiprobe.results import Report
from tuiprobe.spec import FINAL_TAP

_PARTIAL_SECONDS = 5.0
"""After a stop no probe is begun later than this, also on a machine that is busy otherwise."""

_AGAIN = "something deletes files of the run: stop it and run the same command again"

OnFailure: TypeAlias = Callable[[RunRequest, TuiprobeError | Interrupted], None]
"""Called with a run that fails, or is stopped outside measuring, and the error."""


def _raise(_: object, reason: TuiprobeError | Interrupted) -> NoReturn:
    raise reason


def run(
    requests: Sequence[RunRequest],
    *,
    hooks: ProbeHooks,
    listen: Callable[[RunRequest, Event], None] = lambda request, event: None,
    objects: Sequence[PythonObjects] = (),
    failed: OnFailure = _raise,
) -> list[RunOutcome]:
    """Measures, merges and probes one model or several; resumes earlier attempts.

    Args:
        requests: What to measure, where and how.
        hooks: What is asked of probes.
        listen: Receives the events of each run.
        objects: Encoder and images of each run that have no name to load them by; empty for none.
        failed: Called with each run that fails while the error is handled. The others go on unless
            it raises the error, as the default does.

    Returns:
        The outcomes of the runs that did not fail, in the order of `requests`.

    Raises:
        TuiprobeError: If anything fails; states the cause and the next step, and has the exit code.
        Interrupted: If a stop was requested before the first image or after the last.
    """
    refuse_forked_child()
    with catching_signals(), ExitStack() as stack:
        group = _Group(hooks, failed)
        runs = [_Run(request, stack.enter_context(ExitStack())) for request in requests]
        each_objects = objects or [PythonObjects()] * len(runs)
        for one, of_run in zip(runs, each_objects, strict=True):
            group.attempt(one, partial(group.open, one, partial(listen, one.request), of_run))
        group.measure()
    return [one.outcome for one in runs if one.outcome is not None]


@dataclass(eq=False)
class _Run:
    """A run of a group: its request, the locks that it holds until it ends, and what it becomes."""

    request: RunRequest
    locks: ExitStack
    job: Job | None = None  # once it is open
    outcome: RunOutcome | None = None


class _Group:
    """The runs of one command; one that ends releases its locks while others go on.

    Args:
        hooks: What is asked of probes.
        failed: Called with each run that ends without an outcome; may raise.
    """

    def __init__(self, hooks: ProbeHooks, failed: OnFailure) -> None:
        self._hooks, self._failed = hooks, failed
        self._runs: dict[Extraction, _Run] = {}  # that have not ended
        self._stopped = ""  # what asked to stop before or after measuring

    def open(self, run: _Run, listen: Listener, objects: PythonObjects) -> None:
        """Opens a run and prepares its first image."""
        run.job = open_run(run.request, run.locks, self._hooks, listen=listen, objects=objects)
        self._runs[prepare(run.job)] = run

    def measure(self) -> None:
        """Measures the runs over the same images together, and finishes each."""
        by_images: dict[Any, list[Extraction]] = {}
        for extraction in self._runs:
            plan = extraction.job.plan
            images = _images_and_batches(plan) if extraction.left else extraction
            by_images.setdefault(images, []).append(extraction)
        waiting = list(by_images.values())
        for together in waiting:  # grows
            postponed = [] if self._stopped else measure(together, self._fail)
            waiting += [[extraction] for extraction in postponed]
            for extraction in together:
                if extraction in self._runs and extraction not in postponed:
                    run = self._runs.pop(extraction)
                    self.attempt(run, partial(self._finish, run, extraction))

    @staticmethod
    def _finish(run: _Run, extraction: Extraction) -> None:
        run.outcome = finish(extraction)
        run.locks.close()

    def attempt(self, run: _Run, step: Callable[[], None]) -> None:
        """Executes a step of a run; a failure ends this run alone."""
        try:
            with explaining_failures():
                if self._stopped:
                    raise Interrupted(self._stopped)
                step()
        except (TuiprobeError, Interrupted) as reason:
            if isinstance(reason, Interrupted):
                self._stopped = str(reason)
            self._end(run, reason)

    def _fail(self, extraction: Extraction, reason: TuiprobeError | Interrupted) -> None:
        self._end(self._runs.pop(extraction), reason)

    def _end(self, run: _Run, reason: TuiprobeError | Interrupted) -> None:
        """Ends a run without an outcome."""
        if run.job is not None:
            run.job.note(reason)
        run.locks.close()
        self._failed(run.request, reason)


def _images_and_batches(plan: Plan) -> tuple[object, ...]:
    """Returns the values that are equal for runs on the same images in the same batches."""
    sources = tuple((name, dataset.source) for name, dataset in plan.suite.sets.items())
    stamps = tuple(tuple(of_set.items()) for of_set in plan.stamps.values())
    shards = tuple(
        (*shard.id, tuple(map(len, shard.batches)), shard.ids.tobytes())
        for shard in plan.all_shards
    )
    answers = plan.model.weights.digest if plan.encoder.with_answers is not None else ""
    return plan.spec.batch, sources, stamps, shards, answers


def measure(
    runs: Sequence[Extraction],
    failed: Callable[[Extraction, TuiprobeError | Interrupted], None] = _raise,
) -> list[Extraction]:
    """Measures the missing shards of runs over the same images; each image is decoded once.

    A run that fails or is cancelled does not stop the others; a signal stops all.

    Args:
        runs: The runs.
        failed: Called with each run that fails.

    Returns:
        The runs that ran out of memory, to be measured again one by one. One that was measured
        alone cuts its batches from then on.
    """
    return _Pass([run for run in runs if run.left], failed).measure()


class _Pass:
    """One pass over the images of several runs; see `measure`."""

    def __init__(
        self,
        runs: Sequence[Extraction],
        failed: Callable[[Extraction, TuiprobeError | Interrupted], None],
    ) -> None:
        self._runs, self._failed = tuple(runs), failed
        self._active, self._postponed = list(runs), list[Extraction]()

    def measure(self) -> list[Extraction]:
        """Measures the runs; returns those that ran out of memory."""
        if not self._runs:
            return []
        plan = self._runs[0].job.plan
        shards = [shard for shard in plan.all_shards if self._needing(shard)]
        try:
            with explaining_failures(), stop_signals().deferred(), ExitStack() as stack:
                for run in self._runs:
                    run.begin_pass()
                    stack.enter_context(run.job.clock.stage("extract"))
                decoded = stack.enter_context(_decoded(self._runs, shards))
                self._measure_shards(shards, uploaded(decoded, plan.device))
        except Interrupted as reason:
            for run in (*self._active, *self._postponed):
                run.stop(reason)
            return []
        except TuiprobeError as error:  # of the decoding, or raised by `failed`
            if not self._active:
                raise
            for run in list(self._active):
                self._attempt(run, partial(_raise, run, error))
        return self._postponed

    def _measure_shards(self, shards: Sequence[Shard], stream: Iterator[tuple[Batch, ...]]) -> None:
        for shard in shards:
            for _, run in self._needing(shard):
                self._attempt(run, partial(run.begin, shard))
            for batches in islice(stream, len(shard.batches)):
                self._measure_batch(shard, batches)
                if not any(run.left for run in self._active):
                    return
            for _, run in self._needing(shard):
                self._attempt(run, run.publish)

    def _measure_batch(self, shard: Shard, batches: Sequence[Batch]) -> None:
        for i, run in self._needing(shard):
            begin = time.monotonic()
            self._attempt(run, partial(run.measure, batches[i]))
            for other in set(self._runs) - {run}:
                other.job.clock.others += time.monotonic() - begin

    def _needing(self, shard: Shard) -> list[tuple[int, Extraction]]:
        """Returns the active runs without this shard, and their positions in a tuple of batches."""
        runs = enumerate(self._runs)
        return [(i, run) for i, run in runs if run in self._active and run.needs(shard)]

    def _attempt(self, run: Extraction, step: Callable[[], None]) -> None:
        """Executes a step of a run; a failure ends the pass for this run alone."""
        try:
            with explaining_failures():
                step()
        except Interrupted as reason:
            self._active.remove(run)
            run.stop(reason)
        except TuiprobeError as error:
            self._active.remove(run)
            if not out_of_memory(error.__cause__):
                self._failed(run, error)
            elif len(self._runs) > 1 or run.cut_batches():
                self._postponed.append(run)
            else:
                remedy = "use a smaller model or --device cpu"
                memory = RunError(f"out of memory with one image at a time; {remedy}")
                self._failed(run, memory)


def _decoded(
    runs: Sequence[Extraction], shards: Sequence[Shard]
) -> AbstractContextManager[Iterator[tuple[Batch, ...]]]:
    """Yields an iterator over the batches of some shards, one batch per run."""
    plan = runs[0].job.plan
    if not all(layout.one_file_each for layout in plan.layouts.values()):
        return nullcontext((batch,) for batch in read_blocks(shards, plan.layouts))
    workers = choose_workers(plan.spec.workers, sum(shard.size for shard in shards))
    preprocesses = [run.job.plan.encoder.preprocess for run in runs]
    return decode_batches(shards, plan.suite.sets, plan.stamps, preprocesses, workers)


def finish(run: Extraction) -> RunOutcome:
    """Merges and probes if all shards are published; else the last rank does it.

    Every rank looks after it has published its last shard, so the last one finds all. Of a run that
    was asked to stop, what is published is merged.
    """
    job, measured = run.job, not run.stopped
    plan, directory = job.plan, job.plan.directory
    for file in (directory.key_file, directory.plan_file, directory.samples_file):
        if not file.exists():
            raise RunError(f"{file} is gone; {_AGAIN}")
    waits = _others_missing(plan) if measured else ""
    report, complete = (None, True) if waits else _merge_unless_merged(job, measured)
    job.status.end("measured" if waits else "done" if complete else "interrupted", waits)
    return RunOutcome(
        directory,
        complete=complete,
        merged=report is not None,
        resumed=job.resumed,
        untrained=plan.encoder.weights.kind == "untrained",
        waits=waits,
        failures=() if report is None else report.failures,
    )


def _others_missing(plan: Plan) -> str:
    """Returns a sentence on the missing shards of other ranks.

    Raises:
        RunError: If shards of this rank are missing.
    """
    published, ids = published_shards(plan.directory), [shard.id for shard in plan.all_shards]
    missing = ranks_missing(plan.set_counts, published, plan.rank.world)
    if plan.rank.number in missing:
        lost = f"shards of this process are gone from {plan.directory.path}"
        raise RunError(f"{lost}; {_AGAIN}")
    if not missing:
        return ""
    count = sum(id in published for id in ids)
    return (
        f"{count} of {len(ids)} shards are there; the last rank merges (waits for shards of "
        f"{named_ranks(missing)})"
    )


def _merge_unless_merged(job: Job, measured: bool) -> tuple[Report | None, bool]:
    """Does `_merge_and_probe`, unless another rank has done so or, after a stop, is doing it."""
    after = ", unless another rank has" if job.plan.rank.world > 1 else ""
    if not measured:
        after = " what is measured for a partial report; a second signal ends at once"
    job.emit("stage", f"merging{after}", stage="merge")
    try:
        with job.plan.directory.locked(MERGE_LOCK, wait=measured):
            if measured and _merged_meanwhile(job):
                return None, True
            return _merge_and_probe(job, measured)
    except BusyError:
        if measured:
            raise
        return None, False


def _merged_meanwhile(job: Job) -> bool:
    """Returns whether another rank has written results of all images since this one began."""
    plan = job.plan
    written = plan.directory.results_file.modified()
    changed = written not in (None, job.results_before)
    return plan.rank.world > 1 and changed and not is_partial(plan.directory)


def _merge_and_probe(job: Job, measured: bool) -> tuple[Report | None, bool]:
    """Publishes the results of the measured images.

    Returns:
        The report, None if no image was measured, and whether it is of all images with the whole
        head.
    """
    plan, directory = job.plan, job.plan.directory
    with job.clock.stage("merge"):
        merged, measured = _merge(job, measured)
        if not merged.keys() - plan.suite.separately_keyed:
            job.emit("warning", "stopped before the first shard was finished: nothing to report")
            return None, False
        write_plan(plan)  # its checksum has not been verified since it was written
        write_names(plan, merged)
        write_merged(directory, plan.key, merged)
    if not directory.preflight_file.exists():  # the first rank, which writes it, never began
        preflight(replace(plan, rank=replace(plan.rank, number=0)), job.listen)
    with job.clock.stage("head"):
        check: Callable[[], None] = job.stop.check if measured else lambda: None
        try:
            with stop_signals().deferred():
                build_head(plan, job.listen, interrupted=not measured, check=check)
        except Interrupted as reason:
            job.emit("interrupted", f"stopped by {reason}; the finished part of the head is saved")
            measured = False
    with job.clock.stage("probe"):
        job.emit("stage", "probing", stage="probe")
        until = math.inf if measured else time.monotonic() + _PARTIAL_SECONDS
        report = job.hooks.make_report(directory, job.note_probes, until)
        pictures = {name: report.pictured(name) for name in merged}
        for name in merged.keys() - {plan.suite.concept_set}:
            fields = ("share_sum", "largest_sample_ids", "smallest_sample_ids")
            final = (merged[name].arrays[f"{FINAL_TAP}/{field}"] for field in fields)
            pictures[name] = pictures[name].union(images_at_ends(*final))
        count = sum(map(len, pictures.values()))
        workers = choose_workers(plan.spec.workers, count) if measured else 0
        write_thumbnails(directory, plan.suite.sets, pictures, workers)
    report = report.model_copy(update={"timings": job.clock.timings()})
    write_results(directory, report)
    for failure in report.failures:
        job.emit("warning", failure)
    job.emit("done", "results are written")
    if not directory.results_file.exists():
        raise RunError(f"{directory.results_file} was written and is gone; {_AGAIN}")
    return report, measured


def _merge(job: Job, measured: bool) -> tuple[dict[str, MergedSet], bool]:
    """Merges the published shards of all ranks; also returns whether these are all shards.

    An unusable shard is measured again, or left out if the run was stopped.
    """
    shards = job.plan.all_shards
    if not measured:
        published = published_shards(job.plan.directory)
        shards = [shard for shard in shards if shard.id in published]

    def merged() -> dict[str, MergedSet]:
        return {
            name: merge_set(job.reader, of_set)
            for name in job.plan.shards
            if (of_set := [shard for shard in shards if shard.set_name == name])
        }

    try:
        return merged(), measured
    except UnusableShardError:
        unusable = check_shards(job.reader, shards, job.listen)
    if measured:
        again = extraction_of(job, unusable)
        while measure([again]):
            pass
        measured = not again.stopped
    if not measured:
        job.emit("warning", "merged without the shards that must be measured again")
        left = {shard.id for shard in unusable.missing}
        shards = [shard for shard in shards if shard.id not in left]
    return merged(), measured
