"""What a run answers on the pictures of a target set, read from its directory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from tuiprobe.choose.labelling.betting import Floats, Ints
from tuiprobe.errors import DataError
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.head_file import class_name
from tuiprobe.measure.run.manifest import MANIFEST
from tuiprobe.measure.run.per_image import read_per_image
from tuiprobe.measure.run.pictures import read_digests
from tuiprobe.measure.run.results import is_partial
from tuiprobe.probes.reader import RunReader
from tuiprobe.results import NotRun


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
        confidences: float64 `[n]`, after temperature scaling in distribution; 1 where answers have
            none.
        ranking: float64 `[n]`, the confidence that orders the pictures, which is that of the model
            where it tells its scale; NaN where answers have none.
        digests: SHA-256 of every picture that the run read, by sample id.
        paths: Path of every picture, by sample id.
        answer_rows: Row of every picture in its table of answers, by sample id; empty without.
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
    ranking: Floats
    digests: Mapping[int, str]
    paths: Mapping[int, str]
    answer_rows: Mapping[int, int] = field(default_factory=dict)


def shared_targets(runs: Sequence[Path]) -> list[str]:
    """Returns the target sets that all runs have; none where a run is not finished.

    Raises:
        DamagedFileError: If a directory is no run, or is damaged.
    """
    names: list[tuple[str, ...]] = []
    for run in map(RunDir, runs):
        run.refuse_no_run()
        if not run.measured_file.exists():
            return []
        names.append(RunReader(run).target_names)
    return [name for name in names[0] if all(name in others for others in names[1:])]


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
    changed = tuple(file.changed() for file in files)
    return replace(_read(directory.path.resolve(), target, changed), directory=directory)


@lru_cache(maxsize=16)
def _read(path: Path, target: str | None, changed: tuple[int, ...]) -> Candidate:
    directory = RunDir(path)
    directory.refuse_no_run()
    if not directory.measured_file.exists() or is_partial(directory):
        raise DataError(f"{path} is not finished: the same command resumes it")
    reader = RunReader(directory)
    name = _target(reader, target)
    if isinstance(reader.head, NotRun):
        raise NoCandidateError(f"{path} has no head, so it gives no answers: {reader.head.why}")
    record = reader.plan.set_named(name)
    if record.files:
        raise NoCandidateError(f"{path} measured no images: there is no picture to label")
    pictures = read_per_image(directory).get(name)
    if pictures is None or pictures.answers is None:
        raise NoCandidateError(f"{path} has no answers on {name}: run `tuiprobe reprobe` on it")
    given = pictures.answers
    answered = given.answer >= 0
    order = np.argsort(given.classes)
    names = reader.head_file.classes
    return Candidate(
        directory=directory,
        model=reader.plan.model.name,
        target=name,
        source=record.source,
        notes=tuple(record.notes),
        classes=tuple(class_name(names, row) for row in given.classes.tolist()),
        ids=pictures.ids[answered],
        answers=order[np.searchsorted(given.classes, given.answer[answered], sorter=order)],
        confidences=np.nan_to_num(given.confidence[answered], nan=1.0),
        ranking=given.ranking[answered],
        digests=read_digests(directory, record),
        paths=reader.paths(name),
        answer_rows={
            i: sample.answer_row
            for i, sample in reader.samples[name].items()
            if sample.answer_row is not None
        },
    )


def _target(reader: RunReader, target: str | None) -> str:
    """Returns the name of a target set, or of the only one."""
    path, sets = reader.directory.path, reader.target_names
    if not sets:
        raise NoCandidateError(f"{path} has no target set: run it again with --target FOLDER")
    if target is None and len(sets) > 1:
        raise DataError(f"{path} has several target sets: choose one of {', '.join(sets)}")
    if target is not None and target not in sets:
        raise DataError(f"{path} has no target set {target}; it has {', '.join(sets)}")
    return target or sets[0]
