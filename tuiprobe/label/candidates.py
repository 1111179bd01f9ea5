"""What a run answers on the pictures of a target set, read from its directory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from tuiprobe.datasets.content import DIGEST_BYTES
from tuiprobe.errors import DataError
from tuiprobe.label.betting import Floats, Ints
from tuiprobe.probes.confidence import Logits
from tuiprobe.probes.crossfit import CrossFitted, cross_fit
from tuiprobe.probes.heads import SetFeatures, class_name
from tuiprobe.probes.reader import RunReader
from tuiprobe.results import NotRun
from tuiprobe.run.checked_arrays import CheckedArrays
from tuiprobe.run.directory import RunDir
from tuiprobe.run.head_file import read_class_names
from tuiprobe.run.manifest import MANIFEST
from tuiprobe.run.records import SetRecord, read_shard
from tuiprobe.run.results import is_partial


class NoCandidateError(DataError):
    """A run answers on no pictures that could be labelled."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """What one run answers on the pictures of a target set.

    Attributes:
        directory: The run.
        model: Name of the model.
        target: Name of the set.
        source: Where its pictures are, as a source of data.
        notes: Remarks of that source.
        classes: Names of the classes that it may answer.
        ids: int64 `[n]`, sample ids of the pictures with a finite representation, ascending.
        answers: int64 `[n]`, index into `classes`.
        confidences: float64 `[n]`, after temperature scaling in distribution.
        digests: SHA-256 of every picture that the run read, by sample id.
        paths: Path of every picture, by sample id.
    """

    directory: RunDir
    model: str
    target: str
    source: str
    notes: tuple[str, ...]
    classes: tuple[str, ...]
    ids: Ints
    answers: Ints
    confidences: Floats
    digests: Mapping[int, str]
    paths: Mapping[int, str]


def read_candidate(directory: RunDir, target: str | None = None) -> Candidate:
    """Reads what a run answers on a target set; cached until the run changes.

    Args:
        directory: A finished run.
        target: Name of the set; None for the only one.

    Raises:
        NoCandidateError: If the run has no target, no pictures or no head.
        DataError: If it is not finished, or has no target of this name.
        DamagedFileError: If a file of the run is damaged.
    """
    files = (directory.measured_file, directory.results_file, directory.at(MANIFEST))
    return _read(directory.path, target, tuple(file.changed() for file in files))


@lru_cache(maxsize=16)
def _read(path: Path, target: str | None, changed: tuple[int, ...]) -> Candidate:
    directory = RunDir(path)
    directory.refuse_no_run()
    if not directory.measured_file.exists() or is_partial(directory):
        raise DataError(f"{path} is not finished: the same command resumes it")
    reader = RunReader(directory)
    features = _target(reader, target)
    head = reader.head
    if isinstance(head, NotRun):
        raise NoCandidateError(f"{path} has no head, so it gives no answers: {head.reason}")
    fitted = cross_fit(head, reader.head_sets[0], features)
    logits = Logits(head, features)
    given = logits.confidences(fitted.whole if isinstance(fitted, CrossFitted) else 1.0)
    names, classes = read_class_names(directory), np.unique(logits.classes)
    backwards = zip(logits.classes[::-1].tolist(), logits.rows[::-1].tolist(), strict=True)
    first_row = dict(backwards)
    ids = reader.features(features.name)["ids"]
    order = np.argsort(ids)
    record = next(record for record in reader.sets if record.name == features.name)
    return Candidate(
        directory=directory,
        model=reader.plan.model.name,
        target=features.name,
        source=record.source,
        notes=tuple(record.notes),
        classes=tuple(class_name(names, first_row[int(c)]) for c in classes),
        ids=ids[order],
        answers=np.searchsorted(classes, given.answer)[order],
        confidences=given.confidence[order],
        digests=_digests(reader, record),
        paths=reader.paths(features.name),
    )


def _target(reader: RunReader, target: str | None) -> SetFeatures:
    """Returns the target set of a name, or the only one."""
    path, sets = reader.directory.path, {chosen.name: chosen for chosen in reader.target_sets}
    if not sets:
        raise NoCandidateError(f"{path} has no target set: run it again with --target FOLDER")
    if target is None and len(sets) > 1:
        raise DataError(f"{path} has several target sets: choose one of {', '.join(sets)}")
    if target is not None and target not in sets:
        raise DataError(f"{path} has no target set {target}; it has {', '.join(sets)}")
    return next(iter(sets.values())) if target is None else sets[target]


def _digests(reader: RunReader, record: SetRecord) -> dict[int, str]:
    if record.files:
        raise NoCandidateError(
            f"{reader.directory.path} measured stored vectors: there is no picture to label"
        )
    digests: dict[int, str] = {}
    for number in range(record.shards):
        key = record.key or reader.plan.key
        shard = read_shard(reader.directory, record.name, number, key)
        checked = CheckedArrays(shard.entry, shard.arrays)
        images = checked.shaped("images", "i8", None)
        rows = checked.shaped("digests", "u1", len(images), DIGEST_BYTES)
        digests |= {i: row.tobytes().hex() for i, row in zip(images.tolist(), rows, strict=True)}
    return digests
