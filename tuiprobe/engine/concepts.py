"""The concept set of a run: opened with the data, its labels kept sparsely, probed from files."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from tuiprobe.datasets import Suite
from tuiprobe.datasets.base import Stamp
from tuiprobe.datasets.concepts import (
    Annotation,
    Concept,
    ConceptDataset,
    concept_dataset,
    load_concepts,
    with_concepts,
)
from tuiprobe.engine.decoding import choose_workers
from tuiprobe.engine.head_file import read_head
from tuiprobe.engine.plan import Plan
from tuiprobe.engine.record import PlanRecord, SampleRecord
from tuiprobe.engine.workers import Source, reading_ahead
from tuiprobe.errors import DataError
from tuiprobe.events import Event, Listener
from tuiprobe.files import DamagedFileError, parse_json
from tuiprobe.probes.concepts import ConceptSet, probe_concepts
from tuiprobe.results import Concepts, NotRun
from tuiprobe.rundir import Arrays, RunDir, read_own_arrays, write_arrays
from tuiprobe.spec import NO_CONCEPTS, RunSpec

PART = "concepts"
PICTURED = 16
"""Leading directions whose exemplar images get pictures."""

_TOGETHER = 64  # images whose labels one message of a worker process carries


@dataclass(frozen=True, eq=False)
class Labels:
    """What is in each image of the concept set, as ``concepts.safetensors`` holds it.

    Attributes:
        ids: int64 ``[n]``, sample ids.
        shares: sparse float32 ``[n, K]``, which part of an image shows a concept.
        annotated: bool ``[n, G]``, images annotated for each category.
        train: bool ``[n]``, the split that chooses directions.
        category_of: int64 ``[K]``.
        names: K names.
        categories: G names.
        digest: Of the tables that the labels come from.
    """

    ids: NDArray[np.int64]
    shares: Any
    annotated: NDArray[np.bool_]
    train: NDArray[np.bool_]
    category_of: NDArray[np.int64]
    names: tuple[str, ...]
    categories: tuple[str, ...]
    digest: str


def add_concepts(suite: Suite, spec: RunSpec) -> Suite:
    """Returns the suite with the concept set that the user, or else the suite, names.

    Raises:
        UsageError: If there is no such kind of source.
        DataError: If the source cannot be used.
    """
    source = suite.concepts if spec.concepts is None else spec.concepts
    if source is None or source == NO_CONCEPTS:
        return suite
    return with_concepts(suite, load_concepts(source))


def write_labels(plan: Plan, directory: RunDir, listen: Listener) -> None:
    """Publishes the labels of the planned images; nothing where there is no concept set.

    They are read once, and again where the images or their maps may have changed since.

    Raises:
        DataError: Naming the file and the entry that cannot be used.
    """
    dataset = concept_dataset(plan.suite)
    if dataset is None or plan.suite.concept_set is None:
        return
    images = _stamped(dataset, plan.stamps[plan.suite.concept_set])
    if _there(directory, images):
        return
    shards = plan.shards[plan.suite.concept_set]
    ids = np.concatenate([batch for shard in shards for batch in shard.batches])
    message = f"reading what is in {len(ids)} images of {plan.suite.concept_set}"
    listen(Event("stage", message, {"stage": "concepts"}))
    annotations = _read(dataset, ids, choose_workers(plan.spec.workers, len(ids)))
    counts = [len(one.concepts) for one in annotations]
    annotated = np.zeros((len(ids), len(dataset.categories)), dtype=np.uint8)
    for row, one in enumerate(annotations):
        annotated[row, list(one.annotated)] = 1
    place = {category: g for g, category in enumerate(dataset.categories)}
    arrays: Arrays = {
        "ids": ids,
        "indptr": np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        "indices": np.concatenate([one.concepts for one in annotations]).astype(np.int32),
        "shares": np.concatenate([one.shares for one in annotations]).astype(np.float32),
        "annotated": annotated,
        "train": np.array([one.train for one in annotations], dtype=np.uint8),
        "category_of": np.array([place[c.category] for c in dataset.concepts], dtype=np.int64),
    }
    metadata = {
        "names": json.dumps(unique_names(dataset.concepts)),
        "categories": json.dumps(dataset.categories),
        "digest": dataset.digest,
        "images": images,
        "key": plan.key,
    }
    write_arrays(directory.concepts_file, arrays, metadata)


def _stamped(dataset: ConceptDataset, stamps: Mapping[int, Stamp]) -> str:
    content = [dataset.source, [(i, one.size, one.changed) for i, one in stamps.items()]]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _there(directory: RunDir, images: str) -> bool:
    """Whether the labels are there, whole, and of these very images."""
    try:
        read_labels(directory)
        _, metadata = read_own_arrays(directory, directory.concepts_file)
    except DamagedFileError:
        return False
    return metadata.get("images") == images


def unique_names(concepts: Sequence[Concept]) -> list[str]:
    """Returns the name of each concept, with its category where two share one.

    >>> unique_names([Concept("orange", "color"), Concept("orange", "object"), Concept("dog", "o")])
    ['color:orange', 'object:orange', 'dog']
    """
    seen = Counter(concept.name for concept in concepts)
    return [one.name if seen[one.name] == 1 else f"{one.category}:{one.name}" for one in concepts]


def _read(dataset: ConceptDataset, ids: NDArray[np.int64], workers: int) -> list[Annotation]:
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
    with reading_ahead(source, workers) as batches:
        return [one for some in batches for one in some]


def read_labels(directory: RunDir) -> Labels:
    """Reads what :func:`write_labels` wrote.

    Raises:
        DamagedFileError: If it is missing or damaged, naming the array.
    """
    path = directory.concepts_file
    arrays, metadata = read_own_arrays(directory, path)
    try:
        names, categories = parse_json(metadata["names"]), parse_json(metadata["categories"])
        n, k, g = len(arrays["ids"]), len(names), len(categories)
        category_of = arrays["category_of"]
        for name, fits in {
            "category_of": category_of.shape == (k,) and _within(category_of, g),
            "indptr": arrays["indptr"].shape == (n + 1,),
            "indices": _within(arrays["indices"], k),
            "shares": bool(np.isfinite(arrays["shares"]).all()),
            "annotated": arrays["annotated"].shape == (n, g),
            "train": arrays["train"].shape == (n,),
        }.items():
            if not fits:
                raise DamagedFileError(f"{path} is damaged: {name} does not fit the rest")
        rows = (arrays["shares"], arrays["indices"], arrays["indptr"])
        return Labels(
            ids=arrays["ids"],
            shares=scipy.sparse.csr_array(rows, shape=(n, k)),
            annotated=arrays["annotated"] != 0,
            train=arrays["train"] != 0,
            category_of=category_of,
            names=tuple(str(name) for name in names),
            categories=tuple(str(name) for name in categories),
            digest=metadata["digest"],
        )
    except (KeyError, ValueError, TypeError) as error:
        raise DamagedFileError(f"{path} is damaged: {error}") from error


def _within(numbers: NDArray[Any], end: int) -> bool:
    return not numbers.size or bool(numbers.min() >= 0 and numbers.max() < end)


def probe_run_concepts(
    directory: RunDir,
    plan: PlanRecord,
    features: Mapping[str, Arrays],
    samples: Mapping[str, Mapping[int, SampleRecord]],
    spec: RunSpec,
) -> Concepts | NotRun:
    """Runs the concept probe on what a run measured, or says why it cannot.

    Args:
        directory: The run.
        plan: Names the concept set.
        features: ``features`` and ``ids`` of each set.
        samples: Samples of each set by id.
        spec: Says what counts as present, and which images count as negatives.

    Raises:
        DamagedFileError: If a file of the run is missing or damaged.
    """
    name = plan.concept_set
    if name is None:
        return NotRun(reason="no concept set was named (--concepts SOURCE)")
    if name not in features:
        return NotRun(reason=f"no image of {name} was measured")
    labels = read_labels(directory)
    head = read_head(directory)
    concepts = _concept_set(name, labels, features[name], samples[name], spec.concept_share)
    try:
        return probe_concepts(
            None if isinstance(head, str) else head[0],
            concepts,
            no_head=head if isinstance(head, str) else "",
            negatives=spec.negatives,
            balance=spec.balance,
            seed=spec.seed,
        )
    except DamagedFileError:
        raise
    except DataError as error:
        return NotRun(reason=str(error))


def _concept_set(
    name: str,
    labels: Labels,
    measured: Arrays,
    samples: Mapping[int, SampleRecord],
    share: float,
) -> ConceptSet:
    """Labels and representations of the measured images, in one order."""
    place = {int(i): row for row, i in enumerate(labels.ids)}
    ids = measured["ids"].tolist()
    lost = next((i for i in ids if i not in place), None)
    if lost is not None:
        raise DamagedFileError(f"{name}: concepts.safetensors says nothing of image {lost}")
    rows = np.array([place[i] for i in ids], dtype=np.int64)
    shares = labels.shares[rows]
    paths = [samples[i].path for i in ids]
    seen = json.dumps([labels.digest, share, paths])
    return ConceptSet(
        name=name,
        features=measured["features"],
        presence=shares.multiply(shares >= share),
        names=labels.names,
        categories=labels.categories,
        category_of=labels.category_of,
        annotated=labels.annotated[rows],
        train=labels.train[rows],
        ids=measured["ids"],
        paths=paths,
        share=share,
        digest=hashlib.sha256(seen.encode("utf-8", "replace")).hexdigest(),
    )


def exemplar_ids(concepts: Concepts | None) -> list[int]:
    """Returns the sample ids of the exemplar images of the leading directions, rising.

    >>> exemplar_ids(None)
    []
    """
    if concepts is None:
        return []
    ends = [images for one in concepts.top[:PICTURED] for images in (one.largest, one.smallest)]
    return sorted({image.sample_id for images in ends for image in images})
