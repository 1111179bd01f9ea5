"""The stages of one planned run: prepare, extract, finish."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TypeAlias

from tuiprobe.datasets import Dataset
from tuiprobe.errors import RunError, TuiprobeError
from tuiprobe.events import Event, Kind, Listener
from tuiprobe.files import sweep
from tuiprobe.measure.ablation import set_means
from tuiprobe.measure.clock import Clock
from tuiprobe.measure.concepts import write_labels
from tuiprobe.measure.contents import compare_contents
from tuiprobe.measure.extract import Extraction
from tuiprobe.measure.failures import explaining_failures
from tuiprobe.measure.fingerprint import current_fingerprint
from tuiprobe.measure.heads import write_head
from tuiprobe.measure.live import LiveView
from tuiprobe.measure.merge import (
    MergedSet,
    empty_states,
    merge_set,
    write_merged,
)
from tuiprobe.measure.plan import Plan
from tuiprobe.measure.plan_record import record_of, write_plan
from tuiprobe.measure.preflight import preflight
from tuiprobe.measure.ranks import Rank
from tuiprobe.measure.resume import Inventory, ShardReader, UnusableShardError, take_inventory
from tuiprobe.measure.shards import Shard
from tuiprobe.measure.stopping import KEPT, Interrupted, StopRequest, current
from tuiprobe.measure.thumbs import candidates, write_thumbnails
from tuiprobe.measure.unreadable import UnreadableLimit
from tuiprobe.probes.robustness.baselines import keep_baseline
from tuiprobe.results import Report
from tuiprobe.run.counting import count_images, named_ranks, published_shards, ranks_missing
from tuiprobe.run.directory import MERGE_LOCK, BusyError, RunDir
from tuiprobe.run.glance import is_partial, write_results
from tuiprobe.run.records import write_spec
from tuiprobe.run.status import StatusWriter
from tuiprobe.spec import FINAL_TAP

Answer: TypeAlias = Callable[[RunDir], Report]
"""Runs the probes on a merged run and returns the report."""

_AGAIN = "something deletes files of the run: stop it and run the same command again"


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended.

    Attributes:
        directory: The run directory.
        complete: Whether every image was measured.
        merged: Whether this process wrote the results.
        resumed: Number of images that an earlier attempt had measured.
        untrained: Whether the encoder has random weights.
        waits: Which shards of other ranks are missing before anyone can merge; empty if none.
    """

    directory: RunDir
    complete: bool
    merged: bool
    resumed: int
    untrained: bool
    waits: str = ""


class Stages:
    """The stages of a planned run in its locked directory, in the order of execution.

    Args:
        plan: The plan of the run.
        directory: The run directory, locked by the caller.
        rank: Rank of this process.
        clock: The clock, started with the run.
        listen: Told about all events.
        answer: Runs the probes on the merged run.

    Attributes:
        plan: The plan of the run.
        missing: Shards of this rank that have to be measured.
    """

    def __init__(
        self,
        plan: Plan,
        directory: RunDir,
        rank: Rank,
        clock: Clock,
        listen: Listener,
        answer: Answer,
    ) -> None:
        self.plan, self._directory, self._rank = plan, directory, rank
        self._clock, self._outside, self._answer = clock, listen, answer
        self._fingerprint = current_fingerprint(
            plan.device, plan.spec.top_k, plan.encoder.memory_format
        )
        self._reader = ShardReader(directory, plan.set_keys, self._fingerprint, empty_states(plan))
        self._stop = StopRequest(directory.cancel_file)
        self._status = StatusWriter(directory, rank.number, rank.world)
        self._live: LiveView | None = None
        self._extraction: Extraction | None = None
        self._results_before = directory.results_file.modified()
        self.missing: list[Shard] = []
        self._inventory = Inventory((), (), 0)
        self._resumed = 0
        self._interrupted = False  # before every image was measured
        self._headless = False  # stopped after measuring, in the head's build

    @contextmanager
    def noting_failure(self) -> Iterator[None]:
        """Says in the status of this rank if the block fails or is interrupted.

        Raises:
            TuiprobeError: If the block fails.
            Interrupted: If a stop was requested before or after measuring.
        """
        try:
            with explaining_failures():
                yield
        except (TuiprobeError, Interrupted) as reason:
            stopped = isinstance(reason, Interrupted)
            message = f"stopped by {reason}; {KEPT}" if stopped else str(reason)
            with suppress(TuiprobeError):
                self._status.hear(Event("interrupted" if stopped else "failed", message))
                if stopped:
                    self._status.end("interrupted", message)
            raise

    def _listen(self, event: Event) -> None:
        self._status.hear(event)
        self._outside(event)

    def prepare(self, mix: bool) -> None:
        """Creates or resumes the directory and determines the missing shards.

        Args:
            mix: Whether to accept shards with another fingerprint.
        """
        plan, directory = self.plan, self._directory
        self._reader = replace(self._reader, mix=mix)
        new = directory.create(plan.key)
        directory.cancel_file.unlink()
        self._status.begin()
        sweep(directory.path)
        own = {shard.place for shard in self._rank.share(plan.all_shards)}
        inventory = take_inventory(self._reader, plan.all_shards, self._listen, own)
        anew = new or compare_contents(plan, directory, inventory.published, self._listen)
        if anew or self._rank.number == 0:  # a rank may finish before another starts
            self._write_records(anew)
            keep_baseline(directory, record_of(plan).sets, plan.spec.baseline)
        if plan.suite.concept_set is not None:  # one rank reads the labels for all
            with self._clock.stage("concepts"), directory.locked("lock-labels", wait=True):
                write_labels(plan, directory, self._listen)
        with self._clock.stage("ablation"):
            set_means(plan, directory, self._listen)
        if plan.encoder.weights.kind == "untrained":
            self._say(
                "warning",
                f"{plan.spec.model} is UNTRAINED: no public weights exist, so "
                "every figure describes a random network; pass --checkpoint FILE",
            )
        notes = [note for dataset in plan.suite.sets.values() for note in dataset.notes]
        for note in dict.fromkeys((*notes, *plan.suite.notes)):
            self._say("warning", note)
        with self._clock.stage("preflight"):
            self._preflight(self._rank.number)
        self._resume(inventory, "images")

    def _resume(self, inventory: Inventory, unit: str) -> None:
        """Notes what is there and what this rank has to measure."""
        self._inventory, self.missing = inventory, list(inventory.missing)
        published = {shard.place for shard in inventory.published}
        self._resumed = count_images(self.plan.set_plans, published, ()).done
        if self._resumed:
            said = f"resuming: {self._resumed} of {self.plan.images} {unit} are done"
            self._say("stage", said, stage="load")
        self._clock.images = sum(shard.size for shard in self.missing)

    def _preflight(self, rank: int) -> None:
        preflight(self.plan, self._directory, self._listen, rank)

    def _write_records(self, anew: bool) -> None:
        """Writes the options, and the plan where it differs."""
        write_spec(self.plan.spec, self._directory)
        if anew:
            self._write_plan()

    def _write_plan(self) -> None:
        write_plan(self.plan, self._directory)

    def extraction(self) -> Extraction:
        """Returns the extraction of this process's shards, the same one at every call."""
        if self._extraction is None:
            plan, images = self.plan, sum(shard.size for shard in self.missing)
            self._say("stage", f"measuring {images} images", stage="extract")
            limit = UnreadableLimit(
                plan.images, plan.spec.max_unreadable, self._inventory.unreadable, self._listen
            )
            self._extraction = Extraction(
                plan, self._directory, self._fingerprint, self._live_view(plan.suite.sets),
                self._stop, limit, self._listen,
            )  # fmt: skip
        return self._extraction

    def _live_view(self, pictured: Mapping[str, Dataset] | None = None) -> LiveView:
        self._live = LiveView(
            self._directory, self._status, self.plan.set_plans, self._listen, pictured
        )
        return self._live

    @contextmanager
    def extracting(self) -> Iterator[None]:
        """Defers stop requests to the next batch, and measures the time."""
        if self._live is not None:
            self._live.begin(self.missing)
        with current().deferred(), self._clock.stage("extract"):
            yield

    def extract(self) -> None:
        """Measures the missing shards, unless the run was stopped."""
        if not self.missing or self._interrupted:
            return
        try:
            self._measure()
        except Interrupted as reason:
            self.interrupt(reason)

    def _measure(self) -> None:
        extraction = self.extraction()
        with self.extracting():
            extraction.run(self.missing)

    def interrupt(self, reason: Interrupted) -> None:
        """Records that shards are missing because a stop was requested."""
        self._interrupted = True
        self._say("interrupted", f"stopped by {reason}; {KEPT}")

    def finish(self) -> RunOutcome:
        """Merges and probes if all shards are published; else the last rank does it.

        Every rank looks after it has published its last shard, so the last one finds all.
        """
        self._refuse_gutted()
        waits = "" if self._interrupted else self._others_missing()
        merged = not waits and self._merge_once()
        complete = not self._headless and not self._interrupted
        if waits:
            self._status.end("measured", waits)
        else:
            self._status.end("done" if complete else "interrupted")
        untrained = self.plan.encoder.weights.kind == "untrained"
        return RunOutcome(self._directory, complete, merged, self._resumed, untrained, waits)

    def _others_missing(self) -> str:
        """Says which shards of other ranks are missing; empty if all are there.

        Raises:
            RunError: If shards of this rank are missing.
        """
        there, places = published_shards(self._directory), [s.place for s in self.plan.all_shards]
        missing = ranks_missing(self.plan.set_plans, there, self._rank.world)
        if self._rank.number in missing:
            gone = f"shards of this process are gone from {self._directory.path}"
            raise RunError(f"{gone}; {_AGAIN}")
        if not missing:
            return ""
        count = sum(place in there for place in places)
        return (
            f"{count} of {len(places)} shards are there; the last rank merges (waits for shards of "
            f"{named_ranks(missing)})"
        )

    def _merge_once(self) -> bool:
        """Merges and probes, unless another rank did so meanwhile; says whether it was this one."""
        try:
            with self._directory.locked(MERGE_LOCK):
                return not self._merged_meanwhile() and self._merge_and_probe()
        except BusyError:
            if self._interrupted:
                return False
        self._say("stage", "another rank merges: waiting for its results", stage="merge")
        with self._directory.locked(MERGE_LOCK, wait=True):
            return not self._merged_meanwhile() and self._merge_and_probe()

    def _merged_meanwhile(self) -> bool:
        """Says whether another rank has written results of all images since this one began."""
        written = self._directory.results_file.modified()
        alone = self._interrupted or self._rank.world == 1
        if alone or written in (None, self._results_before):
            return False
        return not is_partial(self._directory)

    def _refuse_gutted(self) -> None:
        directory = self._directory
        for file in (directory.key_file, directory.plan_file, directory.samples_file):
            if not file.exists():
                raise RunError(f"{file} is gone; {_AGAIN}")

    def _merge_and_probe(self) -> bool:
        """Publishes the results of the measured images; returns False if there are none."""
        plan, directory, hurried = self.plan, self._directory, self._interrupted
        with self._clock.stage("merge"):
            merged = self._merged(hurried)
            if not merged.keys() - plan.suite.own_keys:
                said = "stopped before the first shard was finished: nothing to report"
                self._say("warning", said)
                return False
            self._write_plan()  # nothing has vouched for it since it was written
            self._write_merged(merged)
            for name, one in merged.items():
                if name != plan.suite.concept_set:
                    self._thumbnails(name, one)
        if not directory.preflight_file.exists():  # the first rank, which writes it, never began
            self._preflight(0)
        with self._clock.stage("head"):
            self._head(hurried or self._interrupted)
        with self._clock.stage("probe"):
            self._say("stage", "probing", stage="probe")
            report = self._answer(directory)
            self._exemplars(report)
        report = report.model_copy(update={"timings": self._clock.timings()})
        write_results(directory, report)
        self._say("done", report.title)
        if not directory.results_file.exists():
            raise RunError(f"{directory.results_file} was written and is gone; {_AGAIN}")
        return True

    def _write_merged(self, merged: dict[str, MergedSet]) -> None:
        write_merged(self._directory, self.plan.key, merged)

    def _merged(self, hurried: bool) -> dict[str, MergedSet]:
        """Merges the published shards of all ranks.

        An unusable shard is measured again, or left out if the run was interrupted.
        """
        self._say("stage", "merging", stage="merge")
        shards = self.plan.all_shards
        if hurried:
            there = published_shards(self._directory)
            shards = [shard for shard in shards if shard.place in there]
        try:
            return self._merged_once(shards)
        except UnusableShardError:
            unusable = take_inventory(self._reader, shards, self._listen).missing
        if not hurried:
            self.missing = list(unusable)
            self.extract()
        if hurried or self._interrupted:
            self._say("warning", "merged without the shards that must be measured again")
            left = {s.place for s in unusable}
            shards = [s for s in shards if s.place not in left]
        return self._merged_once(shards)

    def _merged_once(self, shards: Sequence[Shard]) -> dict[str, MergedSet]:
        return {
            name: merge_set(self.plan, self._reader, one)
            for name in self.plan.shards
            if (one := [shard for shard in shards if shard.set_name == name])
        }

    def _head(self, hurried: bool) -> None:
        try:
            with current().deferred():
                write_head(
                    self.plan,
                    self._directory,
                    self._listen,
                    hurried=hurried,
                    check=(lambda: None) if hurried else self._stop.check,
                )
        except Interrupted as reason:
            self._headless = True
            self._say("interrupted", f"stopped by {reason}; what is built of the head is kept")

    def _thumbnails(self, name: str, merged: MergedSet) -> None:
        fields = {
            field: merged.arrays[f"{FINAL_TAP}/{field}"]
            for field in ("share_sum", "largest_sample_ids", "smallest_sample_ids")
        }
        ends = [fields["largest_sample_ids"], fields["smallest_sample_ids"]]
        wanted = candidates(fields["share_sum"], ends)
        write_thumbnails(self._directory, name, self.plan.suite.sets[name], wanted)

    def _exemplars(self, report: Report) -> None:
        """Writes thumbnails of the concept images that the report shows."""
        name = self.plan.suite.concept_set
        if name is not None:
            wanted = sorted(report.pictured(name))
            write_thumbnails(self._directory, name, self.plan.suite.sets[name], wanted)

    def _say(self, kind: Kind, message: str, **data: str) -> None:
        self._listen(Event(kind, message, dict(data)))
