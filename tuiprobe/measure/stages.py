"""The stages of one planned run: prepare, extract, finish."""

from __future__ import annotations

import time
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
from tuiprobe.measure.crew import BEAT_SECONDS, Crew
from tuiprobe.measure.extract import Extraction
from tuiprobe.measure.failures import explaining_failures
from tuiprobe.measure.fingerprint import current_fingerprint
from tuiprobe.measure.heads import write_head
from tuiprobe.measure.live import LiveView, planned_sets
from tuiprobe.measure.merge import (
    MergedSet,
    empty_states,
    merge_set,
    published_shards,
    write_merged,
)
from tuiprobe.measure.plan import Plan
from tuiprobe.measure.plan_record import record_of, write_plan
from tuiprobe.measure.preflight import preflight
from tuiprobe.measure.ranks import Rank
from tuiprobe.measure.resume import Inventory, ShardReader, UnusableShardError, take_inventory
from tuiprobe.measure.shards import Place, Shard
from tuiprobe.measure.stopping import KEPT, Interrupted, StopRequest, current
from tuiprobe.measure.thumbs import candidates, write_thumbnails
from tuiprobe.measure.unreadable import UnreadableLimit
from tuiprobe.probes.robustness.baselines import keep_baseline
from tuiprobe.results import Report
from tuiprobe.run.directory import MERGE_LOCK, BusyError, RunDir
from tuiprobe.run.glance import is_partial, write_results
from tuiprobe.run.records import write_spec
from tuiprobe.spec import FINAL_TAP

Answer: TypeAlias = Callable[[RunDir], Report]
"""Runs the probes on a merged run and returns the report."""

_AGAIN = "something deletes files of the run: stop it and run the same command again"


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        directory: The run directory.
        complete: Whether every image was measured.
        merged: Whether this process wrote the results; False where another rank will.
        resumed: Number of images that an earlier attempt had measured.
        untrained: Whether the encoder has random weights.
    """

    directory: RunDir
    complete: bool
    merged: bool
    resumed: int
    untrained: bool


def _record(directory: RunDir, rank: Rank, event: Event) -> None:
    """Appends an event to the run's event file."""
    directory.events_file(rank.number).append(event.to_line().encode())


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
        owned: This rank's shards.
        missing: Those of them that have to be measured.
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
        self._crew = Crew(directory, rank, plan.all_shards, self._listen)
        self._live: LiveView | None = None
        self._planned: set[Place] = set()  # shards that the live view counts
        self._extraction: Extraction | None = None
        self._results_before = directory.results_file.modified()
        self.owned: list[Shard] = []
        self.missing: list[Shard] = []
        self._inventory = Inventory((), 0, 0)
        self._interrupted = False  # before every image was measured
        self._headless = False  # stopped after measuring, in the head's build

    @contextmanager
    def noting_failure(self) -> Iterator[None]:
        """Records in the run's events if the block fails or is interrupted.

        Raises:
            TuiprobeError: If the block fails.
            Interrupted: If a stop was requested before or after measuring.
        """
        try:
            with explaining_failures():
                yield
        except (TuiprobeError, Interrupted) as reason:
            stopped = isinstance(reason, Interrupted)
            kind: Kind = "interrupted" if stopped else "failed"
            message = f"stopped by {reason}; {KEPT}" if stopped else str(reason)
            with suppress(TuiprobeError):
                _record(self._directory, self._rank, Event(kind, message))
                self._crew.enter("stopped" if stopped else "failed")
            raise

    def _listen(self, event: Event) -> None:
        if event.kind != "progress":
            _record(self._directory, self._rank, event)
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
        directory.live_file(self._rank.number, "json").unlink()  # of an earlier attempt
        self._crew.join()
        sweep(directory.path)
        shards = plan.all_shards
        inventory = self._inventory = take_inventory(
            self._reader, shards, self._listen, self._rank.owns
        )
        missing = {s.place for s in inventory.missing}
        published = [s for s in shards if s.place not in missing]
        anew = new or compare_contents(plan, directory, published, self._listen)
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
        if inventory.done:
            said = f"resuming: {inventory.done} of {plan.images} images are done"
            self._say("stage", said, stage="load")
        self.owned = [shard for i, shard in enumerate(shards) if self._rank.owns(i)]
        self.missing = [one for one in self.owned if one.place in missing]
        self._crew.distrust(inventory.missing)
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
        planned = planned_sets(self.owned, self.missing)
        self._planned = {shard.place for shard in self.missing}
        crew = self._crew if self._crew.shared else None
        self._live = LiveView(
            self._directory, self._rank.number, planned, self._listen, pictured, crew
        )
        return self._live

    @contextmanager
    def extracting(self) -> Iterator[None]:
        """Defers stop requests to the next batch, and measures the time."""
        with current().deferred(), self._clock.stage("extract"):
            yield
        self._crew.enter("wait")

    def extract(self, left: Callable[[list[Shard]], list[Shard]] | None = None) -> None:
        """Measures the missing shards, unless the run was stopped.

        Args:
            left: Returns those that are still to be measured; None leaves out what others do.
        """
        if not self.missing or self._interrupted:
            return
        try:
            self._measure(left or self.left)
        except Interrupted as reason:
            self.interrupt(reason)

    def _measure(self, left: Callable[[list[Shard]], list[Shard]]) -> None:
        extraction = self.extraction()
        with self.extracting():
            extraction.run(self.missing, left)

    def left(self, coming: list[Shard]) -> list[Shard]:
        """Returns the shards that nobody else has measured or holds."""
        left = self._crew.left(coming)
        kept = {shard.place for shard in left}
        for shard in coming:
            place = shard.place
            if self._live is not None and place not in kept and place in self._planned:
                self._planned.remove(place)
                self._live.plan(shard, -1)
        return left

    def interrupt(self, reason: Interrupted) -> None:
        """Records that shards are missing because a stop was requested."""
        self._interrupted = True
        self._say("interrupted", f"stopped by {reason}; {KEPT}")

    def finish(self) -> Outcome:
        """Merges and probes once all shards are published, unless another rank does it."""
        self._refuse_gutted()
        self._take_over()
        merged = self._merge_once()
        complete = not self._headless and not self._interrupted
        self._crew.enter("done" if complete else "stopped")
        untrained = self.plan.encoder.weights.kind == "untrained"
        return Outcome(self._directory, complete, merged, self._inventory.done, untrained)

    def _merge_once(self) -> bool:
        """Merges and probes, or leaves it to the rank that does; says whether it was this one."""
        while True:
            wait = not self._crew.shared
            try:
                with self._directory.locked(MERGE_LOCK, wait=wait):
                    return not self._merged_meanwhile() and self._merge_and_probe()
            except BusyError:
                # An interrupted rank merges a part only, so a whole run waits for it.
                if self._interrupted or self._crew.merging():
                    return False
            self._wait()

    def _merged_meanwhile(self) -> bool:
        """Says whether another rank has written results of all images since this one began."""
        written = self._directory.results_file.modified()
        alone = self._interrupted or not self._crew.shared
        if alone or written in (None, self._results_before):
            return False
        return not is_partial(self._directory)

    def _take_over(self) -> None:
        """Measures shards that nobody holds, and waits for the others, until all are published."""
        while not self._interrupted and (absent := self._crew.absent()):
            if not self._crew.shared or self._crew.lost(absent):
                gone = f"shards of this process are gone from {self._directory.path}"
                raise RunError(f"{gone}; {_AGAIN}")
            shard = self._crew.take(absent)
            if shard is None:
                self._wait()
                continue
            self.missing = [shard]
            if self._live is not None and shard.place not in self._planned:
                self._planned.add(shard.place)
                self._live.plan(shard, 1)
            self.extract()

    def _wait(self) -> None:
        """Waits a moment for shards that other ranks hold."""
        try:
            with current().deferred():
                self._stop.check()
                self._crew.wait()
                time.sleep(BEAT_SECONDS)
        except Interrupted as reason:
            self.interrupt(reason)

    def _refuse_gutted(self) -> None:
        directory = self._directory
        for file in (directory.key_file, directory.plan_file, directory.samples_file):
            if not file.exists():
                raise RunError(f"{file} is gone; {_AGAIN}")

    def _merge_and_probe(self) -> bool:
        """Publishes the results of the measured images; returns False if there are none."""
        plan, directory, hurried = self.plan, self._directory, self._interrupted
        self._crew.enter("stopped" if hurried else "merge")
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
        shards = published_shards(self.plan, self._directory)
        try:
            return self._merged_once(shards)
        except UnusableShardError:
            unusable = take_inventory(self._reader, shards, self._listen).missing
        if not hurried:
            self.missing = list(unusable)
            self.extract(list)
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
                    rank=self._rank.number,
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
