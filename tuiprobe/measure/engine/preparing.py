"""What comes before the first image: the shards of earlier attempts, the checks, and the head.

One rank writes the labels of concepts for all.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

import numpy as np
import scipy.sparse

from tuiprobe.datasets.concepts import Concept, ConceptDataset, concept_dataset
from tuiprobe.files import DamagedFileError, sweep, unless_damaged
from tuiprobe.measure.engine.checking import preflight, try_types
from tuiprobe.measure.engine.decoding import choose_workers
from tuiprobe.measure.engine.earlier import replaced_answers
from tuiprobe.measure.engine.extract import Extraction
from tuiprobe.measure.engine.head_building import LongHeadError, build_head
from tuiprobe.measure.engine.live import LiveView
from tuiprobe.measure.engine.opening import Job
from tuiprobe.measure.engine.plan import Plan, record_of, write_plan
from tuiprobe.measure.engine.resume import (
    Inventory,
    UnusableShardError,
    check_shards,
    compare_contents,
)
from tuiprobe.measure.engine.running import LiveAnswers
from tuiprobe.measure.engine.stopping import stop_signals
from tuiprobe.measure.engine.workers import Source, reading_ahead
from tuiprobe.measure.run.counting import count_images
from tuiprobe.measure.run.head_file import read_head
from tuiprobe.measure.run.measurements import Labels, read_labels, write_labels
from tuiprobe.measure.run.records import load_baseline, write_baseline, write_spec
from tuiprobe.measure.run.status import Event, Listener
from tuiprobe.results import NotRun

_LABELS_LOCK = "lock-labels"

HEAD_SECONDS = 20.0
"""Time that the head may take before the first image is measured."""

_TOGETHER = 64  # images per message of a worker process


def prepare(job: Job) -> Extraction:
    """Creates or resumes the directory, checks the run, and returns the extraction of the rest."""
    plan, directory = job.plan, job.plan.directory
    new = directory.create(plan.key)
    directory.cancel_file.unlink()
    job.status.begin()
    sweep(directory.path)
    of_rank = {shard.id for shard in plan.rank.share(plan.all_shards)}
    inventory = check_shards(job.reader, plan.all_shards, job.listen, of_rank)
    is_changed = new or compare_contents(plan, inventory.published, job.listen)
    if plan.rank.number == 0 and (replaced := replaced_answers(plan)):
        job.emit("warning", replaced)
    if is_changed or plan.rank.number == 0:  # a rank may finish before another starts
        write_spec(plan.spec, directory)
        if is_changed:
            write_plan(plan)
        _copy_baseline(job)
    with job.clock.stage("concepts"):
        label_concepts(plan, job.listen)
    _emit_warnings(job)
    with job.clock.stage("preflight"):
        preflight(plan, job.listen)
    published = {shard.id for shard in inventory.published}
    job.resumed = resumed = count_images(plan.set_counts, published, ()).done
    if resumed:
        done = f"{resumed} of {plan.images} {plan.unit}"
        job.emit("stage", f"resuming: {done} are done", stage="load")
    fitted = plan.head.kind == "probe"  # to what is measured
    if plan.rank.number == 0 and inventory.missing and not fitted:
        try:  # so that answers show at once
            with job.clock.stage("head"), stop_signals().deferred():
                build_head(plan, job.listen, check=job.stop.check, seconds=HEAD_SECONDS)
        except LongHeadError:
            job.emit("stage", "the head takes longer: it is built after measuring", stage="head")
    if inventory.missing and not resumed:
        with job.clock.stage("preflight"):
            try_types(plan, job.listen)
    answered = plan.encoder.with_answers is not None  # what is read then has no speed of a model
    job.clock.images = 0 if answered else inventory.images
    return extraction_of(job, inventory)


def _copy_baseline(job: Job) -> None:
    """Copies the user's CSV of baseline models into the run directory, once probes accept it."""
    path, text = job.plan.spec.baseline, None
    if path is not None:
        text = load_baseline(path)
        if remark := job.hooks.check_baseline(record_of(job.plan).sets, text, path):
            job.emit("warning", f"--baseline: {remark}")
    write_baseline(job.plan.directory, text)


def _emit_warnings(job: Job) -> None:
    plan = job.plan
    if plan.encoder.weights.kind == "untrained":
        job.emit(
            "warning",
            f"{plan.spec.model} is UNTRAINED: no public weights exist, so "
            "every figure describes a random network; pass --checkpoint FILE",
        )
    for note in dict.fromkeys(note for of_set in record_of(plan).sets for note in of_set.notes):
        job.emit("warning", note)
    for layout in plan.layouts.values():
        for remark in layout.remarks:
            job.emit("stage", remark)


def extraction_of(job: Job, inventory: Inventory) -> Extraction:
    """Makes the extraction of the missing shards of this process."""
    plan = job.plan
    answers = _live_answers(job, inventory) if inventory.missing else None
    live = LiveView(
        plan.directory,
        job.status,
        plan.set_counts,
        job.listen,
        pictured=plan.suite.sets,
        answers=answers,
    )
    return Extraction(job, live, inventory.missing, inventory.unreadable)


def _live_answers(job: Job, inventory: Inventory) -> LiveAnswers | None:
    """Makes the count of the answers so far, those of an earlier attempt included."""
    plan = job.plan
    if plan.head.kind == "probe":
        job.status.update(
            unanswered="answers follow after measuring, when a head is fitted to the labels"
        )
        return None
    if not plan.directory.head_file.exists():
        job.status.update(unanswered="the head is built after measuring: answers follow then")
        return None
    try:
        file = read_head(plan.directory)
    except DamagedFileError as error:
        job.status.update(unanswered=str(error)[:1000])
        return None
    if isinstance(file.head, NotRun):
        job.status.update(unanswered=file.head.why[:1000])
        return None
    job.status.update(unanswered="")
    answers = LiveAnswers(plan.suite, file.head, file.answers, job.hooks.live)
    of_rank = {shard.id for shard in plan.rank.share(plan.all_shards)}
    for shard in inventory.published:
        if shard.id in of_rank:
            with suppress(UnusableShardError):  # merging says so
                arrays = job.reader.read(shard).arrays
                answers.count(shard.set_name, [arrays["features"]], [arrays["ids"]])
                answers.end_shard()
    return answers


def label_concepts(plan: Plan, listen: Listener) -> None:
    """Publishes the labels of the planned images; does nothing without a concept set.

    One rank reads them for all, once, and again if the images or their maps may have changed.

    Raises:
        DataError: If an entry cannot be used; names the file and the entry.
    """
    dataset = concept_dataset(plan.suite)
    if dataset is None or plan.suite.concept_set is None:
        return
    stamps = plan.stamps[plan.suite.concept_set]
    content = [dataset.source, [(i, stamp.size, stamp.changed) for i, stamp in stamps.items()]]
    images = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    with plan.directory.locked(_LABELS_LOCK, wait=True):
        before = unless_damaged(partial(read_labels, plan.directory))
        if before is None or before.images != images:
            labels = _annotations(plan, dataset, listen)
            write_labels(plan.directory, plan.key, replace(labels, images=images))


def _annotations(plan: Plan, dataset: ConceptDataset, listen: Listener) -> Labels:
    """Reads the labels of all planned images of the concept set."""
    ids = np.array(list(plan.stamps[dataset.name]), dtype=np.int64)
    message = f"reading what is in {len(ids)} images of {dataset.name}"
    listen(Event("stage", message, {"stage": "concepts"}))
    samples = [dataset.samples[i] for i in ids.tolist()]
    source = Source(
        batches=[
            range(first, min(first + _TOGETHER, len(samples)))
            for first in range(0, len(samples), _TOGETHER)
        ],
        read=lambda index: dataset.annotation(samples[index]),
        collate=list,
        name=lambda index: f"the labels of {samples[index].path}",
    )
    with reading_ahead(source, choose_workers(plan.spec.workers, len(ids))) as batches:
        annotations = [annotation for batch in batches for annotation in batch]
    ends = np.cumsum([0, *(len(image.concepts) for image in annotations)])
    shares = np.concatenate([image.shares for image in annotations]).astype(np.float32)
    concepts = np.concatenate([image.concepts for image in annotations]).astype(np.int32)
    annotated = np.zeros((len(ids), len(dataset.categories)), dtype=bool)
    for row, image in enumerate(annotations):
        annotated[row, list(image.annotated)] = True
    number_of = {category: g for g, category in enumerate(dataset.categories)}
    shape = len(ids), len(dataset.concepts)
    return Labels(
        ids=ids,
        shares=scipy.sparse.csr_array((shares, concepts, ends), shape=shape),
        annotated=annotated,
        train=np.array([image.train for image in annotations], dtype=bool),
        category_of=np.array([number_of[c.category] for c in dataset.concepts], dtype=np.int64),
        names=unique_names(dataset.concepts),
        categories=tuple(dataset.categories),
        digest=dataset.digest,
    )


def unique_names(concepts: Sequence[Concept]) -> tuple[str, ...]:
    """Returns the name of each concept; adds the category if two share a name.

    >>> unique_names([Concept("orange", "color"), Concept("orange", "object"), Concept("dog", "o")])
    ('color:orange', 'object:orange', 'dog')
    """
    seen = Counter(concept.name for concept in concepts)
    return tuple(c.name if seen[c.name] == 1 else f"{c.category}:{c.name}" for c in concepts)
