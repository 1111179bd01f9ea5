"""The stages of a planned run in their order: prepare, measure, finish."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from tuiprobe.errors import RunError
from tuiprobe.files import DamagedFileError, sweep
from tuiprobe.measure.ablation import set_means
from tuiprobe.measure.concepts import write_labels
from tuiprobe.measure.extract import Extraction, UnreadableLimit
from tuiprobe.measure.heads import LongHeadError, write_head
from tuiprobe.measure.job import Job
from tuiprobe.measure.live import LiveView
from tuiprobe.measure.live_answers import LiveAnswers
from tuiprobe.measure.merge import MergedSet, merge_set, write_merged, write_names
from tuiprobe.measure.plan import Plan, record_of, write_plan
from tuiprobe.measure.preflight import preflight
from tuiprobe.measure.resume import Inventory, UnusableShardError, compare_contents, take_inventory
from tuiprobe.measure.shards import Shard
from tuiprobe.measure.stopping import KEPT, Interrupted, stop_signals
from tuiprobe.measure.thumbnails import candidates, write_thumbnails
from tuiprobe.probes.robustness.baselines import keep_baseline
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
    """

    directory: RunDir
    complete: bool
    merged: bool
    resumed: int
    untrained: bool
    waits: str = ""


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
        unit = "rows" if plan.row_sets else "images"
        job.say("stage", f"resuming: {resumed} of {plan.images} {unit} are done", stage="load")
    if plan.rank.number == 0 and inventory.missing:
        with job.clock.stage("head"):
            _head_first(job)
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
    for name, rows in plan.row_sets.items():
        if rows.understood:
            job.say("stage", rows.understood)
        if len(rows.samples) > len(rows.sampled):
            job.say(
                "stage",
                f"{name}: moments and top rows are of all {len(rows.samples):,} rows; figures that "
                f"need vectors are of a seeded sample of {len(rows.sampled):,}",
            )


def _resumed(plan: Plan, inventory: Inventory) -> int:
    published = {shard.place for shard in inventory.published}
    return count_images(plan.set_plans, published, ()).done


def _head_first(job: Job) -> None:
    """Builds the head before measuring if that takes seconds, so that answers show at once."""
    if job.plan.head.kind == "probe":
        return  # its images take as long as those of the run
    try:
        with stop_signals().deferred():
            write_head(job.plan, job.listen, check=job.stop.check, seconds=HEAD_SECONDS)
    except LongHeadError:
        job.say("stage", "the head takes longer: it is built after measuring", stage="head")


def new_extraction(job: Job, inventory: Inventory) -> Extraction:
    """Returns what measures the missing shards of this process, and says that it does."""
    plan = job.plan
    unit = "rows" if plan.row_sets else "images"
    job.say("stage", f"measuring {inventory.images} {unit}", stage="extract")
    share, before = plan.spec.max_unreadable, inventory.unreadable
    limit = UnreadableLimit(plan.images, share, before, job.listen)
    sets, pictured = plan.set_plans, plan.suite.sets
    answers = _live_answers(job, inventory)
    live = LiveView(plan.directory, job.status, sets, job.listen, pictured, answers)
    return Extraction(plan, job.reader.fingerprint, live, job.stop, limit, job.listen)


def _live_answers(job: Job, inventory: Inventory) -> LiveAnswers | None:
    """Returns what counts the answers so far, those of an earlier attempt included."""
    plan = job.plan
    if not plan.directory.head_file.exists():
        job.status.update(unanswered="the head is built after measuring: answers follow then")
        return None
    try:
        head = read_head(plan.directory)
    except DamagedFileError as error:
        head = str(error)
    if isinstance(head, str):
        job.status.update(unanswered=head[:1000])
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
    if waits:
        ending = _Ending(merged=False, complete=True)
        job.status.end("measured", waits)
    else:
        ending = _merge_once(job, measured)
        job.status.end("done" if ending.complete else "interrupted")
    untrained = plan.encoder.weights.kind == "untrained"
    resumed = _resumed(plan, inventory)
    return RunOutcome(directory, ending.complete, ending.merged, resumed, untrained, waits)


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


@dataclass(frozen=True)
class _Ending:
    """Whether this process wrote the results, and whether they are of all images."""

    merged: bool
    complete: bool


def _merge_once(job: Job, measured: bool) -> _Ending:
    """Merges and probes, unless another rank did so meanwhile."""
    directory = job.plan.directory
    try:
        with directory.locked(MERGE_LOCK):
            return _merge_unless_done(job, measured)
    except BusyError:
        if not measured:
            return _Ending(merged=False, complete=False)
    job.say("stage", "another rank merges: waiting for its results", stage="merge")
    with directory.locked(MERGE_LOCK, wait=True):
        return _merge_unless_done(job, measured)


def _merge_unless_done(job: Job, measured: bool) -> _Ending:
    """Merges unless another rank has written results of all images since this one began."""
    plan = job.plan
    if measured and plan.rank.world > 1:
        written = plan.directory.results_file.modified()
        if written not in (None, job.results_before) and not is_partial(plan.directory):
            return _Ending(merged=False, complete=True)
    return _merge_and_probe(job, measured)


def _merge_and_probe(job: Job, measured: bool) -> _Ending:
    """Publishes the results of the measured images, if there are any."""
    plan, directory = job.plan, job.plan.directory
    with job.clock.stage("merge"):
        job.say("stage", "merging", stage="merge")
        merged, measured = _merged(job, measured)
        if not merged.keys() - plan.suite.own_keys:
            job.say("warning", "stopped before the first shard was finished: nothing to report")
            return _Ending(merged=False, complete=False)
        write_plan(plan)  # nothing has vouched for it since it was written
        write_names(plan, merged)
        write_merged(directory, plan.key, merged)
        for name in merged.keys() - {plan.suite.concept_set}:
            _write_thumbnails(plan, name, merged[name])
    if not directory.preflight_file.exists():  # the first rank, which writes it, never began
        preflight(replace(plan, rank=replace(plan.rank, number=0)), job.listen)
    with job.clock.stage("head"):
        complete = _build_head(job, hurried=not measured) and measured
    with job.clock.stage("probe"):
        job.say("stage", "probing", stage="probe")
        report = job.answer(directory)
        for name in plan.suite.own_keys:  # whose pictures the report shows
            pictured = sorted(report.pictured(name))
            write_thumbnails(directory, name, plan.suite.sets[name], pictured)
    report = report.model_copy(update={"timings": job.clock.timings()})
    write_results(directory, report)
    job.say("done", "results are written")
    if not directory.results_file.exists():
        raise RunError(f"{directory.results_file} was written and is gone; {_AGAIN}")
    return _Ending(merged=True, complete=complete)


def _merged(job: Job, measured: bool) -> tuple[dict[str, MergedSet], bool]:
    """Merges the published shards of all ranks; says whether these are all shards.

    An unusable shard is measured again, or left out if the run was stopped.
    """
    shards = job.plan.all_shards
    if not measured:
        there = published_shards(job.plan.directory)
        shards = [shard for shard in shards if shard.place in there]
    try:
        return _merge_sets(job, shards), measured
    except UnusableShardError:
        unusable = take_inventory(job.reader, shards, job.listen)
    if measured:
        measured = measure(job, unusable)
    if not measured:
        job.say("warning", "merged without the shards that must be measured again")
        left = {shard.place for shard in unusable.missing}
        shards = [shard for shard in shards if shard.place not in left]
    return _merge_sets(job, shards), measured


def _merge_sets(job: Job, shards: Sequence[Shard]) -> dict[str, MergedSet]:
    return {
        name: merge_set(job.plan, job.reader, of_set)
        for name in job.plan.shards
        if (of_set := [shard for shard in shards if shard.set_name == name])
    }


def _build_head(job: Job, *, hurried: bool) -> bool:
    """Builds the head, or the rest of it; returns False if it was stopped before its end."""
    check: Callable[[], None] = (lambda: None) if hurried else job.stop.check
    try:
        with stop_signals().deferred():
            write_head(job.plan, job.listen, hurried=hurried, check=check)
    except Interrupted as reason:
        job.say("interrupted", f"stopped by {reason}; what is built of the head is kept")
        return False
    return True


def _write_thumbnails(plan: Plan, name: str, merged: MergedSet) -> None:
    shares, *ends = (
        merged.arrays[f"{FINAL_TAP}/{field}"]
        for field in ("share_sum", "largest_sample_ids", "smallest_sample_ids")
    )
    ids = candidates(shares, ends)
    write_thumbnails(plan.directory, name, plan.suite.sets[name], ids)
