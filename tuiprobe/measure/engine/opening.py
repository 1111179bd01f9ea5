"""Opens a run from its spec: loads the encoder, plans the run and locks its directory.

What the stages of the run share is its `Job`; how it ends is a `RunOutcome`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import torch

from tuiprobe.catalog.class_names import read_classes
from tuiprobe.datasets import Dataset, Suite
from tuiprobe.datasets.layout import layout_of
from tuiprobe.datasets.load import open_suite, refuse_several_parts
from tuiprobe.datasets.registry import SOURCES
from tuiprobe.errors import INTERRUPTED, RunError, TuiprobeError, UsageError, WeightsError
from tuiprobe.files import unless_damaged
from tuiprobe.measure.engine.head_choice import refuse_unmatched
from tuiprobe.measure.engine.hooks import ProbeHooks
from tuiprobe.measure.engine.machine import available_cores, choose_device, current_fingerprint
from tuiprobe.measure.engine.plan import Plan, list_images, make_plan, option_files
from tuiprobe.measure.engine.resume import ShardReader, refuse_other_images
from tuiprobe.measure.engine.shards import Rank, current_rank
from tuiprobe.measure.engine.stopping import Interrupted, StopRequest, failure_event
from tuiprobe.measure.run.deletion import clear, left_files_line, refuse_to_clear
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.locks import lock_of
from tuiprobe.measure.run.records import read_spec
from tuiprobe.measure.run.status import Event, EventKind, Listener, StatusWriter
from tuiprobe.models import Encoder
from tuiprobe.models.checks.trial import first_pictures
from tuiprobe.models.load import DTYPES, identity_encoder, load_encoder
from tuiprobe.models.loaders.from_module import tried_on
from tuiprobe.models.loaders.published_weights import set_offline
from tuiprobe.models.registry import LOADERS
from tuiprobe.request import RunRequest, refuse_unreadable
from tuiprobe.results.report import Timings
from tuiprobe.spec import CPU_BATCH, GPU_BATCH, RunSpec, content_key


class Clock:
    """A clock that starts with the run.

    Attributes:
        images: Number of images that this process measured.
        others: Seconds of the stage "extract" in which other models of the command computed.
    """

    def __init__(self) -> None:
        self.images = 0
        self.others = 0.0
        self._started = _now()
        self._seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds the time of the block to that of a stage."""
        begin = time.monotonic()
        try:
            yield
        finally:
            self._seconds[name] = self._seconds.get(name, 0.0) + time.monotonic() - begin

    def timings(self) -> Timings:
        """Returns the timings for the report."""
        extract = self._seconds.get("extract", 0.0) - self.others
        speed = round(self.images / extract, 3) if extract > 0 and self.images else None
        return Timings(
            started=self._started,
            finished=_now(),
            seconds={name: round(seconds, 3) for name, seconds in self._seconds.items()},
            images_per_second=speed,
        )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class Job:
    """A planned run in its locked directory.

    Args:
        plan: The plan.
        clock: The clock, started with the run.
        listen: Receives all events.
        mix: Whether to accept shards with another fingerprint.
        hooks: What is asked of probes.

    Attributes:
        reader: Reads the shards of the run.
        stop: The stop requests to it.
        status: The status of this rank.
        resumed: Number of images that earlier attempts had measured.
        results_before: When the results of an earlier attempt were written.
    """

    def __init__(
        self, plan: Plan, clock: Clock, listen: Listener, mix: bool, hooks: ProbeHooks
    ) -> None:
        self.plan, self.clock, self._listener, self.hooks = plan, clock, listen, hooks
        memory_format = plan.encoder.memory_format
        fingerprint = current_fingerprint(plan.device, plan.spec.top_k, memory_format)
        self.reader = ShardReader(plan, fingerprint, mix)
        self.stop = StopRequest(plan.directory.cancel_file)
        self.status = StatusWriter(plan.directory, plan.rank.number, plan.rank.world)
        self.resumed = 0
        self.results_before = plan.directory.results_file.modified()

    def listen(self, event: Event) -> None:
        """Passes an event to the status and to the listener."""
        self.status.record(event)
        self._listener(event)

    def emit(self, kind: EventKind, message: str, **data: str) -> None:
        """Emits an event."""
        self.listen(Event(kind, message, dict(data)))

    def note_probes(self, done: int, total: int) -> None:
        """Writes into the status of this rank how many probes are done."""
        self.status.update(built=done, to_build=total)
        self.status.write()

    def note(self, reason: TuiprobeError | Interrupted) -> None:
        """Writes into the status of this rank that it failed, or was stopped."""
        event = failure_event(reason)
        with suppress(TuiprobeError):
            self.status.record(event)
            if isinstance(reason, Interrupted):
                self.status.end("interrupted", event.message)


@dataclass(frozen=True)
class RunOutcome:
    """The outcome of a run that did not fail.

    Attributes:
        directory: The run directory.
        complete: Whether every image was measured.
        merged: Whether this process wrote the results.
        resumed: Number of images that an earlier attempt had measured.
        untrained: Whether the encoder has random weights.
        waits: Which shards of other ranks are missing before anyone can merge.
        failures: Why probes failed, one sentence each; the other results hold.
    """

    directory: RunDir
    complete: bool
    merged: bool
    resumed: int
    untrained: bool
    waits: str = ""
    failures: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """The exit code of a command that makes this run alone."""
        return INTERRUPTED if not self.complete else RunError.exit_code if self.failures else 0


@dataclass(frozen=True)
class PythonObjects:
    """Objects that Python code passed; a spec holds only their names.

    Attributes:
        encoder: The encoder; None to load the one that the spec names.
        images: Sets of images, by the name that stands for them in the spec.
    """

    encoder: Encoder | None = None
    images: Mapping[str, Dataset] = field(default_factory=dict)


def open_run(
    request: RunRequest,
    locks: ExitStack,
    hooks: ProbeHooks,
    *,
    listen: Listener,
    objects: PythonObjects = PythonObjects(),
) -> Job:
    """Plans a run and locks its directory until `locks` is closed.

    Args:
        request: What to measure, where and how.
        locks: Holds the lock.
        hooks: What is asked of probes.
        listen: Receives all events.
        objects: Encoder and images that have no name to load them by.

    Raises:
        TuiprobeError: If encoder, data or directory cannot be used.
    """
    clock, rank, spec = Clock(), current_rank(), request.spec
    if spec.offline:
        set_offline()
    torch.set_num_threads(spec.threads or max(available_cores() // rank.local_world, 1))
    sources = [name.partition(":")[0] for name in (spec.data, spec.concepts or "", *spec.target)]
    loader = spec.model.partition(":")[0]
    for warning in (*SOURCES.warnings(sources), *LOADERS.warnings([loader])):
        listen(Event("warning", warning))  # of another package, hidden by a built-in name
    with clock.stage("load"):
        plan = plan_run(request, rank, objects=objects, listen=listen)
    directory = plan.directory
    if request.fresh:
        if rank.world > 1:
            raise UsageError(
                "--fresh with several ranks would race: delete the run directory first"
            )
        refuse_to_clear(directory)
    else:
        refuse_other_images(plan)
        directory.refuse_foreign(plan.key)
    locks.enter_context(directory.locked(lock_of(rank.number)))
    if request.fresh and (others := clear(directory)):
        listen(Event("warning", left_files_line(directory.path, others)))
    return Job(plan, clock, listen, request.mix, hooks)


def earlier_spec(output: Path | None) -> RunSpec | None:
    """Returns the spec of an earlier attempt in a directory."""
    return None if output is None else unless_damaged(partial(read_spec, RunDir(output)))


def with_device(spec: RunSpec, rank: Rank, before: RunSpec | None) -> RunSpec:
    """Returns a spec whose device and batch size are chosen, as an earlier attempt chose them.

    Args:
        spec: As the user gave it.
        rank: This process.
        before: The spec of an earlier attempt in the same directory.

    Raises:
        UsageError: If this machine does not have the device.
    """
    device = choose_device(spec.device, rank, before.device if before is not None else None)
    batch_size = spec.batch_size or (before.batch_size if before is not None else None)
    return replace(
        spec, device=device, batch_size=batch_size or (CPU_BATCH if device == "cpu" else GPU_BATCH)
    )


def plan_run(
    request: RunRequest,
    rank: Rank = Rank(),  # noqa: B008 - frozen
    *,
    objects: PythonObjects = PythonObjects(),
    listen: Listener = lambda event: None,
) -> Plan:
    """Lists the images, loads the encoder and plans; arguments and errors as for `open_run`.

    The name of a directory comes from its key, of which the batch size is a part. Where the user
    named none, the run may have been begun, perhaps on another machine, with the device and the
    batch size of another kind of device.
    """
    given, output, fresh = request.spec, request.output, request.fresh
    refuse_unreadable(vars(given))
    suite = open_suite(given, objects.images)
    if encoded := layout_of(suite.in_distribution).width is not None:
        spec = replace(given, device="cpu")  # no network runs
    else:
        spec = with_device(given, rank, earlier_spec(output) if not fresh else None)
    files = option_files(spec)  # before they are read
    order, stamps = list_images(suite, spec)
    listen(Event("stage", f"loading {spec.model}", {"stage": "load"}))
    encoder = _encoder(spec, suite, objects)
    if encoder.with_answers is not None:
        suite = encoder.with_answers(suite, order)
    planned = partial(make_plan, suite=suite, order=order, stamps=stamps, rank=rank)
    plan = planned(replace(request, spec=spec), encoder)
    if output is None and not fresh and not encoded:
        if given.batch_size is None and not plan.directory.path.exists():
            for batch in {CPU_BATCH, GPU_BATCH} - {spec.batch}:
                other = planned(replace(request, spec=replace(spec, batch_size=batch)), encoder)
                plan = other if other.directory.path.exists() else plan
        before = earlier_spec(plan.directory.path)
        begun = with_device(replace(given, batch_size=plan.spec.batch_size), rank, before)
        if begun.device != spec.device:
            plan = planned(replace(request, spec=begun), _encoder(begun, suite, objects))
    plan = replace(plan, files=files)
    refuse_unmatched(plan.spec, suite, plan.head)
    refuse_several_parts(suite, plan.head.kind in ("probe", "none"))
    return plan


def _encoder(spec: RunSpec, suite: Suite, objects: PythonObjects) -> Encoder:
    name, id_set = suite.in_distribution_name, suite.in_distribution
    if (layout := layout_of(id_set)).width is not None:
        return identity_encoder(
            spec.model,
            source=id_set.source,
            digest=content_key({name: layout.content({})}),
            width=layout.width,
            representation=spec.representation,
            training=spec.training,
        )
    if objects.encoder is not None:
        encoder = objects.encoder
        encoder.move(spec.device, DTYPES[spec.dtype])
    else:
        path = Path(spec.checkpoint) if spec.checkpoint else None
        with tried_on(partial(first_pictures, id_set)):
            encoder = load_encoder(
                spec.model,
                checkpoint=path,
                device=spec.device,
                dtype=spec.dtype,
                classes=id_set.classes if spec.classes is None else read_classes(spec.classes),
            )
    if spec.require_weights and encoder.weights.kind == "untrained":
        raise WeightsError(
            f"{spec.model} has no public weights and --require-weights was given: pass its "
            "weights with --checkpoint FILE"
        )
    return encoder
