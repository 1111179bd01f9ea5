"""The stages of a planned run in their order: prepare, measure, finish."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from tuiprobe.engine.earlier import replaced_answers
from tuiprobe.engine.extract import Extraction
from tuiprobe.engine.head_building import LongHeadError, write_head
from tuiprobe.engine.job import Job
from tuiprobe.engine.live import LiveView, images_at_ends, write_thumbnails
from tuiprobe.engine.merge import MergedSet, merge_set, write_merged, write_names
from tuiprobe.engine.plan import Plan, record_of, write_plan
from tuiprobe.engine.preflight import preflight
from tuiprobe.engine.preparing import set_means, write_labels
from tuiprobe.engine.resume import Inventory, UnusableShardError, compare_contents, take_inventory
from tuiprobe.engine.running import LiveAnswers
from tuiprobe.engine.shards import Shard
from tuiprobe.engine.stopping import KEPT, Interrupted, stop_signals
from tuiprobe.errors import RunError
from tuiprobe.files import DamagedFileError, sweep
from tuiprobe.probes.robustness.baselines import keep_baseline
from tuiprobe.results import NotRun, Report
from tuiprobe.run.counting import count_images, named_ranks, published_shards, ranks_missing
from tuiprobe.run.directory import RunDir
from tuiprobe.run.head_file import read_head
from tuiprobe.run.locks import MERGE_LOCK, BusyError
from tuiprobe.run.records import write_spec
from tuiprobe.run.results import is_partial, write_results
from tuiprobe.spec import FINAL_TAP

HEAD_SECONDS = 20.0
"""Time that the head may take before the first image is measured."""

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
        failures: Why probes failed, one sentence each; the other results hold.
    """

    directory: RunDir
    complete: bool
    merged: bool
    resumed: int
    untrained: bool
    waits: str = ""
    failures: tuple[str, ...] = ()


def prepare(job: Job) -> Inventory:
    """Creates or resumes the directory and determines which shards this rank has to measure."""
    plan, directory = job.plan, job.plan.directory
    new = directory.create(plan.key)
    directory.cancel_file.unlink()
    job.status.begin()
    sweep(directory.path)
    own = {shard.place for shard in plan.rank.share(plan.all_shards)}
    inventory = take_inventory(job.reader, plan.all_shards, job.listen, own)
    anew = new or compare_contents(plan, inventory.published, job.listen)
    if plan.rank.number == 0 and (replaced := replaced_answers(plan)):
        job.say("warning", replaced)
    if anew or plan.rank.number == 0:  # a rank may finish before another starts
        write_spec(plan.spec, directory)
        if anew:
            write_plan(plan)
        keep_baseline(directory, record_of(plan).sets, plan.spec.baseline)
    with job.clock.stage("concepts"):
        write_labels(plan, job.listen)
    with job.clock.stage("ablation"):
        set_means(plan, job.listen)
    _say_warnings(job)
    with job.clock.stage("preflight"):
        preflight(plan, job.listen)
    if resumed := _resumed(plan, inventory):
        done = f"{resumed} of {plan.images} {plan.unit}"
        job.say("stage", f"resuming: {done} are done", stage="load")
    images_of_head = plan.head.kind == "probe"  # they take as long as those of the run
    if plan.rank.number == 0 and inventory.missing and not images_of_head:
        try:  # so that answers show at once
            with job.clock.stage("head"), stop_signals().deferred():
                write_head(plan, job.listen, check=job.stop.check, seconds=HEAD_SECONDS)
        except LongHeadError:
            job.say("stage", "the head takes longer: it is built after measuring", stage="head")
    job.clock.images = inventory.images
    return inventory


def _say_warnings(job: Job) -> None:
    plan = job.plan
    if plan.encoder.weights.kind == "untrained":
        job.say(
            "warning",
            f"{plan.spec.model} is UNTRAINED: no public weights exist, so "
            "every figure describes a random network; pass --checkpoint FILE",
        )
    notes = [note for dataset in plan.suite.sets.values() for note in dataset.notes]
    for note in dict.fromkeys((*notes, *plan.suite.notes)):
        job.say("warning", note)
    for layout in plan.layouts.values():
        for remark in layout.remarks:
            job.say("stage", remark)


def _resumed(plan: Plan, inventory: Inventory) -> int:
    published = {shard.place for shard in inventory.published}
    return count_images(plan.set_plans, published, ()).done


def new_extraction(job: Job, inventory: Inventory) -> Extraction:
    """Returns what measures the missing shards of this process, and says that it does."""
    plan = job.plan
    job.say("stage", f"measuring {inventory.images} {plan.unit}", stage="extract")
    sets, pictured = plan.set_plans, plan.suite.sets
    answers = _live_answers(job, inventory)
    live = LiveView(plan.directory, job.status, sets, job.listen, pictured, answers)
    return Extraction(job, live, inventory.unreadable)


def _live_answers(job: Job, inventory: Inventory) -> LiveAnswers | None:
    """Returns what counts the answers so far, those of an earlier attempt included."""
    plan = job.plan
    if not plan.directory.head_file.exists():
        job.status.update(unanswered="the head is built after measuring: answers follow then")
        return None
    try:
        head = read_head(plan.directory)
    except DamagedFileError as error:
        head = NotRun(reason=str(error))
    if isinstance(head, NotRun):
        job.status.update(unanswered=head.reason[:1000])
        return None
    job.status.update(unanswered="")
    answers = LiveAnswers(plan.suite, *head)
    own = {shard.place for shard in plan.rank.share(plan.all_shards)}
    for shard in inventory.published:
        if shard.place in own:
            with suppress(UnusableShardError):  # merging says so
                arrays = job.reader.read(shard).arrays
                answers.count(shard.set_name, [arrays["features"]], [arrays["ids"]])
                answers.end_shard()
    return answers


@contextmanager
def extracting(job: Job, extraction: Extraction, missing: Sequence[Shard]) -> Iterator[None]:
    """Defers stop requests to the next batch, and measures the time."""
    extraction.live.begin(missing)
    with stop_signals().deferred(), job.clock.stage("extract"):
        yield


def measure(job: Job, inventory: Inventory) -> bool:
    """Measures the missing shards; returns False if it was stopped before the last one."""
    if not inventory.missing:
        return True
    extraction = new_extraction(job, inventory)
    try:
        with extracting(job, extraction, inventory.missing):
            extraction.run(inventory.missing)
    except Interrupted as reason:
        say_stopped(job, reason)
        return False
    return True


def say_stopped(job: Job, reason: Interrupted) -> None:
    """Says that shards are missing because a stop was requested."""
    job.say("interrupted", f"stopped by {reason}; {KEPT}")


def finish(job: Job, inventory: Inventory, measured: bool) -> RunOutcome:
    """Merges and probes if all shards are published; else the last rank does it.

    Every rank looks after it has published its last shard, so the last one finds all.

    Args:
        job: The run.
        inventory: What was there before measuring.
        measured: Whether this rank has measured all its shards; else what is there is merged.
    """
    plan, directory = job.plan, job.plan.directory
    for file in (directory.key_file, directory.plan_file, directory.samples_file):
        if not file.exists():
            raise RunError(f"{file} is gone; {_AGAIN}")
    waits = _others_missing(plan) if measured else ""
    report, complete = None, measured
    if not waits:
        after = ", unless another rank has" if plan.rank.world > 1 else ""
        if not measured:
            after = " what is measured for a partial report; a second signal ends at once"
        job.say("stage", f"merging{after}", stage="merge")
        try:
            with directory.locked(MERGE_LOCK, wait=measured):
                if not (measured and _merged_meanwhile(job)):
                    report, complete = _merge_and_probe(job, measured)
        except BusyError:
            if measured:
                raise
    job.status.end("measured" if waits else "done" if complete else "interrupted", waits)
    return RunOutcome(
        directory,
        complete=complete,
        merged=report is not None,
        resumed=_resumed(plan, inventory),
        untrained=plan.encoder.weights.kind == "untrained",
        waits=waits,
        failures=() if report is None else report.failures,
    )


def _others_missing(plan: Plan) -> str:
    """Says which shards of other ranks are missing; empty if all are there.

    Raises:
        RunError: If shards of this rank are missing.
    """
    there, places = published_shards(plan.directory), [shard.place for shard in plan.all_shards]
    missing = ranks_missing(plan.set_plans, there, plan.rank.world)
    if plan.rank.number in missing:
        gone = f"shards of this process are gone from {plan.directory.path}"
        raise RunError(f"{gone}; {_AGAIN}")
    if not missing:
        return ""
    count = sum(place in there for place in places)
    return (
        f"{count} of {len(places)} shards are there; the last rank merges (waits for shards of "
        f"{named_ranks(missing)})"
    )


def _merged_meanwhile(job: Job) -> bool:
    """Says whether another rank has written results of all images since this one began."""
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
        if not merged.keys() - plan.suite.own_keys:
            job.say("warning", "stopped before the first shard was finished: nothing to report")
            return None, False
        write_plan(plan)  # nothing has vouched for it since it was written
        write_names(plan, merged)
        write_merged(directory, plan.key, merged)
        for name in merged.keys() - {plan.suite.concept_set}:
            fields = ("share_sum", "largest_sample_ids", "smallest_sample_ids")
            final = (merged[name].arrays[f"{FINAL_TAP}/{field}"] for field in fields)
            ids = images_at_ends(*final)
            write_thumbnails(directory, name, plan.suite.sets[name], ids)
    if not directory.preflight_file.exists():  # the first rank, which writes it, never began
        preflight(replace(plan, rank=replace(plan.rank, number=0)), job.listen)
    with job.clock.stage("head"):
        check: Callable[[], None] = job.stop.check if measured else lambda: None
        try:
            with stop_signals().deferred():
                write_head(plan, job.listen, hurried=not measured, check=check)
        except Interrupted as reason:
            job.say("interrupted", f"stopped by {reason}; what is built of the head is kept")
            measured = False
    with job.clock.stage("probe"):
        job.say("stage", "probing", stage="probe")
        report = job.answer(directory)
        for name in plan.suite.own_keys:  # whose pictures the report shows
            pictured = sorted(report.pictured(name))
            write_thumbnails(directory, name, plan.suite.sets[name], pictured)
    report = report.model_copy(update={"timings": job.clock.timings()})
    write_results(directory, report)
    for failure in report.failures:
        job.say("warning", failure)
    job.say("done", "results are written")
    if not directory.results_file.exists():
        raise RunError(f"{directory.results_file} was written and is gone; {_AGAIN}")
    return report, measured


def _merge(job: Job, measured: bool) -> tuple[dict[str, MergedSet], bool]:
    """Merges the published shards of all ranks; says whether these are all shards.

    An unusable shard is measured again, or left out if the run was stopped.
    """
    shards = job.plan.all_shards
    if not measured:
        there = published_shards(job.plan.directory)
        shards = [shard for shard in shards if shard.place in there]

    def merged() -> dict[str, MergedSet]:
        return {
            name: merge_set(job.plan, job.reader, of_set)
            for name in job.plan.shards
            if (of_set := [shard for shard in shards if shard.set_name == name])
        }

    try:
        return merged(), measured
    except UnusableShardError:
        unusable = take_inventory(job.reader, shards, job.listen)
    if measured:
        measured = measure(job, unusable)
    if not measured:
        job.say("warning", "merged without the shards that must be measured again")
        left = {shard.place for shard in unusable.missing}
        shards = [shard for shard in shards if shard.place not in left]
    return merged(), measured
