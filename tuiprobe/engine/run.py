"""One run from spec to finished run directory."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from tuiprobe.datasets.load import load_suite
from tuiprobe.engine.baselines import keep_baseline
from tuiprobe.engine.clock import Clock
from tuiprobe.engine.decoding import explaining_dead_workers
from tuiprobe.engine.device import available_cores, choose_device
from tuiprobe.engine.extract import Extraction
from tuiprobe.engine.fingerprint import current_fingerprint
from tuiprobe.engine.head_choice import choose_head
from tuiprobe.engine.head_probe import probe_split
from tuiprobe.engine.heads import write_head
from tuiprobe.engine.live import LiveView
from tuiprobe.engine.merge import MergedSet, finished_shards, merge_set, write_merged
from tuiprobe.engine.plan import Plan, make_plan
from tuiprobe.engine.probing import probe_directory
from tuiprobe.engine.ranks import Rank, current_rank
from tuiprobe.engine.record import record_of, write_plan, write_spec
from tuiprobe.engine.resume import Inventory, take_inventory
from tuiprobe.engine.stopping import Interrupted, StopRequest
from tuiprobe.engine.thumbs import candidates, write_thumbnails
from tuiprobe.engine.unreadable import UnreadableLimit
from tuiprobe.errors import TuiprobeError, UsageError, WeightsError
from tuiprobe.events import Event, Kind, Listener
from tuiprobe.models import load_encoder
from tuiprobe.models.offline import go_offline
from tuiprobe.rundir import RunDir, delete_run, write_text, writing
from tuiprobe.spec import FINAL_TAP, RunSpec


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        directory: The run directory.
        complete: Whether every image was measured.
        merged: Whether this process wrote the results; False where another rank will.
        resumed: Images that an earlier attempt had already measured.
        untrained: Whether the encoder has random weights.
    """

    directory: RunDir
    complete: bool
    merged: bool
    resumed: int
    untrained: bool


def run(
    spec: RunSpec,
    *,
    output: Path | None = None,
    runs: Path = Path("runs"),
    fresh: bool = False,
    mix: bool = False,
    listen: Listener = lambda event: None,
) -> Outcome:
    """Measures, merges and probes; resumes what an earlier attempt left.

    Args:
        spec: What to probe.
        output: The run directory; None names it by content under ``runs``.
        runs: Where run directories go.
        fresh: Delete what an earlier attempt left.
        mix: Accept shards made with another fingerprint.
        listen: Told about everything that happens.

    Raises:
        TuiprobeError: With the exit code, the cause and the next step.
    """
    clock, rank = Clock(), current_rank()
    if spec.offline:
        go_offline()
    torch.set_num_threads(spec.threads or max(available_cores() // rank.local_world, 1))
    spec = spec.model_copy(update={"device": choose_device(spec.device, rank)})
    listen(Event("stage", f"loading {spec.model}", {"stage": "load"}))
    with clock.stage("load"):
        plan = _plan(spec)
    directory = RunDir(output if output is not None else runs / plan.directory_name)
    if fresh:
        _refuse_ranks(rank)
        delete_run(directory)
    directory.refuse_foreign(plan.key)
    with directory.locked(rank.lock_name):
        return _Run(plan, directory, rank, clock, listen).go(mix)


def _refuse_ranks(rank: Rank) -> None:
    if rank.world > 1:
        raise UsageError("--fresh with several ranks would race: delete the run directory first")


def _plan(spec: RunSpec) -> Plan:
    suite = load_suite(spec.data)
    checkpoint = Path(spec.checkpoint) if spec.checkpoint else None
    encoder = load_encoder(spec.model, checkpoint=checkpoint, device=spec.device, dtype=spec.dtype)
    if spec.require_weights and encoder.weights.kind == "untrained":
        raise WeightsError(
            f"{spec.model} has no public weights and --require-weights was given: pass its "
            "weights with --checkpoint FILE"
        )
    plan = make_plan(spec, encoder, suite)
    if choose_head(plan).kind == "probe":  # what cannot be had is said now, not after hours
        probe_split(plan)
    return plan


def _record(directory: RunDir, rank: Rank, event: Event) -> None:
    """Appends a milestone to the run's event file."""
    path = directory.events_file(rank.number)
    with writing(path), path.open("a", encoding="utf-8") as file:
        file.write(event.to_line())


def _modified(path: Path) -> int | None:
    return path.stat().st_mtime_ns if path.exists() else None


class _Run:
    """The stages of a planned run in a locked directory."""

    def __init__(
        self, plan: Plan, directory: RunDir, rank: Rank, clock: Clock, listen: Listener
    ) -> None:
        self._plan, self._directory, self._rank = plan, directory, rank
        self._clock, self._outside = clock, listen
        self._fingerprint = current_fingerprint(plan.spec.device)
        self._stopped = False  # while the head was built, after all images were measured

    def go(self, mix: bool) -> Outcome:
        """Runs what is left to do; a failure is noted in the run's events too."""
        try:
            with explaining_dead_workers():
                return self._go(mix)
        except TuiprobeError as error:
            with suppress(TuiprobeError):
                _record(self._directory, self._rank, Event("failed", str(error)))
            raise

    def _listen(self, event: Event) -> None:
        if event.kind != "progress":
            _record(self._directory, self._rank, event)
        self._outside(event)

    def _go(self, mix: bool) -> Outcome:
        inventory = self._prepare(mix)
        complete = self._extract(inventory)
        merged = self._all_there() or not complete
        if merged:
            before = _modified(self._directory.results_file)
            with self._directory.locked("lock-merge", wait=True):
                # Where two ranks finish together, the second finds the results already written.
                if not complete or _modified(self._directory.results_file) == before:
                    merged = self._merge_and_probe(hurried=not complete)
            complete = complete and not self._stopped
        untrained = self._plan.encoder.weights.kind == "untrained"
        return Outcome(self._directory, complete, merged, inventory.done, untrained)

    def _prepare(self, mix: bool) -> Inventory:
        plan, directory = self._plan, self._directory
        new = directory.create(plan.key)
        with writing(directory.path):
            directory.cancel_file.unlink(missing_ok=True)
        if self._rank.number == 0 and (new or not directory.plan_file.exists()):
            write_plan(plan, directory)
        elif self._rank.number == 0:  # options that decide no measured number may have changed
            write_spec(plan.spec, directory)
        if self._rank.number == 0:
            keep_baseline(directory, record_of(plan).sets, plan.spec.baseline)
        if plan.encoder.weights.kind == "untrained":
            self._say(
                "warning",
                f"{plan.spec.model} is UNTRAINED: no public weights exist, so "
                "every figure describes a random network; pass --checkpoint FILE",
            )
        for dataset in plan.suite.sets.values():
            for note in dataset.notes:
                self._say("warning", note)
        shards = [shard for pieces in plan.shards.values() for shard in pieces]
        inventory = take_inventory(
            directory, shards, plan.key, self._fingerprint, mix, self._listen
        )
        if inventory.done:
            self._say("stage", f"resuming: {inventory.done} of {plan.images} images are done")
        return inventory

    def _extract(self, inventory: Inventory) -> bool:
        """Measures this rank's missing shards; returns whether none was left out."""
        plan, directory = self._plan, self._directory
        missing = {(s.set_name, s.number) for s in inventory.missing}
        shards = [shard for pieces in plan.shards.values() for shard in pieces]
        mine = [
            shard
            for i, shard in enumerate(shards)
            if self._rank.owns(i) and (shard.set_name, shard.number) in missing
        ]
        images = self._clock.images = sum(shard.size for shard in mine)
        if not mine:
            return True
        self._say("stage", f"measuring {images} images", stage="extract")
        stop = StopRequest(directory.cancel_file)
        live = LiveView(directory, self._rank.number, images, self._listen)
        limit = UnreadableLimit(
            plan.images, plan.spec.max_unreadable, inventory.unreadable, self._listen
        )
        extraction = Extraction(plan, directory, self._fingerprint, live, stop, limit, self._listen)
        try:
            with stop.listening(), self._clock.stage("extract"):
                extraction.run(mine)
        except Interrupted as reason:
            self._say("interrupted", f"stopped by {reason}; what is measured is kept")
            return False
        return True

    def _all_there(self) -> bool:
        return all(
            len(finished_shards(self._plan, self._directory, name)) == len(shards)
            for name, shards in self._plan.shards.items()
        )

    def _merge_and_probe(self, hurried: bool) -> bool:
        """Publishes the results of what is measured; returns False where nothing is."""
        plan, directory = self._plan, self._directory
        names = [n for n in plan.shards if finished_shards(plan, directory, n)]
        if not names:
            self._say("warning", "stopped before the first shard was finished: nothing to report")
            return False
        with self._clock.stage("merge"):
            self._say("stage", "merging", stage="merge")
            merged = {name: merge_set(plan, directory, name) for name in names}
            write_merged(directory, merged)
            for name, one in merged.items():
                self._thumbnails(name, one)
        with self._clock.stage("head"):
            self._head(hurried)
        with self._clock.stage("probe"):
            self._say("stage", "probing", stage="probe")
            report = probe_directory(directory)
        report = report.model_copy(update={"timings": self._clock.timings()})
        write_text(directory.results_file, report.to_json())
        self._say("done", report.title)
        return True

    def _head(self, hurried: bool) -> None:
        stop = StopRequest(self._directory.cancel_file)
        try:
            with stop.listening():
                write_head(
                    self._plan,
                    self._directory,
                    self._listen,
                    rank=self._rank.number,
                    hurried=hurried,
                    check=(lambda: None) if hurried else stop.check,
                )
        except Interrupted as reason:
            self._stopped = True
            self._say("interrupted", f"stopped by {reason}; what is built of the head is kept")

    def _thumbnails(self, name: str, merged: MergedSet) -> None:
        fields = {
            field: merged.arrays[f"{FINAL_TAP}/{field}"]
            for field in ("share_sum", "largest_sample_ids", "smallest_sample_ids")
        }
        ends = [fields["largest_sample_ids"], fields["smallest_sample_ids"]]
        wanted = candidates(fields["share_sum"], ends)
        write_thumbnails(self._directory, name, self._plan.suite.sets[name], wanted)

    def _say(self, kind: Kind, message: str, **data: str) -> None:
        self._listen(Event(kind, message, dict(data)))
