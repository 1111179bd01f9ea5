"""The concept probe on what a run measured, from files alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import numpy as np

from tuiprobe.errors import DataError
from tuiprobe.files import DamagedFileError
from tuiprobe.probes.concepts.compute import probe_concepts
from tuiprobe.probes.concepts.concept_set import ConceptSet
from tuiprobe.probes.concepts.result import Concepts
from tuiprobe.results import NotRun
from tuiprobe.run.arrays import Arrays
from tuiprobe.run.concept_labels import Labels, read_labels
from tuiprobe.run.directory import RunDir
from tuiprobe.run.head_file import read_head
from tuiprobe.run.records import PlanRecord, SampleRecord
from tuiprobe.spec import RunSpec

PICTURED = 16
"""Leading directions whose exemplar images get pictures."""


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
