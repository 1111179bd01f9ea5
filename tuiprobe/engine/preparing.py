"""Files that one rank writes for all before measuring: labels of concepts, means of channels."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np
import torch

from tuiprobe.datasets.concepts import (
    Concept,
    ConceptDataset,
    concept_dataset,
)
from tuiprobe.engine.decoding import choose_workers, decode_batches
from tuiprobe.engine.plan import Plan
from tuiprobe.engine.workers import Source, reading_ahead
from tuiprobe.errors import DataError
from tuiprobe.files import DamagedFileError
from tuiprobe.models.ablated import LayerAblation
from tuiprobe.run.arrays import Arrays, read_arrays, read_own_arrays, write_arrays
from tuiprobe.run.checked_arrays import CheckedArrays
from tuiprobe.run.concept_labels import read_labels
from tuiprobe.run.status import Event, Listener

_LABELS_LOCK = "lock-labels"
_MEANS_LOCK = "lock-ablation"

_TOGETHER = 64  # images per message of a worker process


def write_labels(plan: Plan, listen: Listener) -> None:
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
        try:  # intact labels of exactly these images
            read_labels(plan.directory)
            _, metadata = read_own_arrays(plan.directory, plan.directory.concepts_file)
        except DamagedFileError:
            metadata = {}
        if metadata.get("images") != images:
            _read_and_write(plan, dataset, images, listen)


def _read_and_write(plan: Plan, dataset: ConceptDataset, images: str, listen: Listener) -> None:
    ids = np.array(list(plan.stamps[dataset.name]), dtype=np.int64)
    message = f"reading what is in {len(ids)} images of {dataset.name}"
    listen(Event("stage", message, {"stage": "concepts"}))
    samples = [dataset.samples[i] for i in ids.tolist()]
    source = Source(
        batches=[
            range(first, min(first + _TOGETHER, len(samples)))
            for first in range(0, len(samples), _TOGETHER)
        ],
        read=lambda place: dataset.annotation(samples[place]),
        collate=list,
        name=lambda place: f"the labels of {samples[place].path}",
    )
    with reading_ahead(source, choose_workers(plan.spec.workers, len(ids))) as batches:
        annotations = [annotation for batch in batches for annotation in batch]
    counts = [len(image.concepts) for image in annotations]
    annotated = np.zeros((len(ids), len(dataset.categories)), dtype=np.uint8)
    for row, image in enumerate(annotations):
        annotated[row, list(image.annotated)] = 1
    place = {category: g for g, category in enumerate(dataset.categories)}
    arrays: Arrays = {
        "ids": ids,
        "indptr": np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        "indices": np.concatenate([image.concepts for image in annotations]).astype(np.int32),
        "shares": np.concatenate([image.shares for image in annotations]).astype(np.float32),
        "annotated": annotated,
        "train": np.array([image.train for image in annotations], dtype=np.uint8),
        "category_of": np.array([place[c.category] for c in dataset.concepts], dtype=np.int64),
    }
    metadata = {
        "names": json.dumps(unique_names(dataset.concepts)),
        "categories": json.dumps(dataset.categories),
        "digest": dataset.digest,
        "images": images,
        "key": plan.key,
    }
    write_arrays(plan.directory.concepts_file, arrays, metadata)


def unique_names(concepts: Sequence[Concept]) -> list[str]:
    """Returns the name of each concept; adds the category if two share a name.

    >>> unique_names([Concept("orange", "color"), Concept("orange", "object"), Concept("dog", "o")])
    ['color:orange', 'object:orange', 'dog']
    """
    seen = Counter(concept.name for concept in concepts)
    return [c.name if seen[c.name] == 1 else f"{c.category}:{c.name}" for c in concepts]


def set_means(plan: Plan, listen: Listener) -> None:
    """Gives every layer that is set to its mean the values that the run directory holds.

    The first process measures them on the first shard of the in-distribution set, through the
    encoder without any ablation, and writes them; every other rank and every resume reads them, so
    all images get equal values.

    Args:
        plan: The plan of the run.
        listen: Receives the event that means are measured.

    Raises:
        DataError: If no image of the shard can be read.
        DamagedFileError: If the file with the means is damaged.
    """
    ablated = {n: layer for n, layer in plan.encoder.ablated.items() if layer.mode == "mean"}
    if not ablated:
        return
    file = plan.directory.ablation_file
    with plan.directory.locked(_MEANS_LOCK, wait=True):
        if not file.exists():
            listen(Event("stage", "measuring the means of ablated channels", {"stage": "ablation"}))
            images = _measure_means(plan, ablated)
            arrays: Arrays = {
                name: np.asarray(layer.values, dtype=np.float32) for name, layer in ablated.items()
            }
            write_arrays(file, arrays, {"key": plan.key, "images": str(images)})
    checked = CheckedArrays(file, read_arrays(file)[0])
    for name, layer in ablated.items():
        values = checked.finite(name, "f4", len(layer.channels))
        layer.values = torch.from_numpy(np.array(values))


def _measure_means(plan: Plan, ablated: dict[str, LayerAblation]) -> int:
    """Measures the means on the first shard and returns its number of images."""
    shard = next(iter(plan.shards.values()))[0]
    dataset, images = plan.suite.sets[shard.set_name], 0
    decoding = decode_batches(
        [shard], plan.suite.sets, plan.stamps, plan.encoder.preprocess, workers=0
    )
    with torch.inference_mode(), decoding as batches, ExitStack() as collecting:
        for layer in ablated.values():
            collecting.enter_context(layer.collecting())
        for batch in batches:
            batch.refuse_changed(dataset)
            if len(batch.ids):
                plan.encoder.encode(batch.images)
                images += len(batch.ids)
        if images == 0:
            raise DataError(f"{dataset.source}: no image of the first shard can be read")
    return images
