"""The candidates of a contest, read from run directories and put on the same pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from tuiprobe.datasets.content import DIGEST_BYTES, UNREADABLE
from tuiprobe.errors import DataError
from tuiprobe.label.answers import Pool
from tuiprobe.label.betting import Floats, Ints
from tuiprobe.manifest import MANIFEST
from tuiprobe.probes.confidence import Logits
from tuiprobe.probes.crossfit import CrossFitted, cross_fit
from tuiprobe.probes.heads import SetFeatures, class_name
from tuiprobe.probes.reader import RunReader
from tuiprobe.run.checked_arrays import CheckedArrays
from tuiprobe.run.directory import RunDir
from tuiprobe.run.head_file import read_class_names
from tuiprobe.run.records import SetRecord
from tuiprobe.run.shard_file import read_shard

UNREADABLE_PICTURE = UNREADABLE.hex()


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
    if not directory.measured_file.exists():
        raise DataError(f"{path} is not finished: the same command resumes it")
    reader = RunReader(directory)
    features = _target(reader, target)
    head = reader.head
    if isinstance(head, str):
        raise NoCandidateError(f"{path} has no head, so it gives no answers: {head}")
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
    if record.rows is not None:
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


@dataclass(frozen=True, eq=False)
class Matched:
    """Candidates on the same pictures and classes.

    Attributes:
        candidates: The candidates.
        source_run: The candidate whose pictures are shown, the first that the user gave.
        classes: Class names, sorted.
        ids: int64 `[N]`, sample ids of its pictures, ascending in a new plan.
        digests: SHA-256 of each picture.
        paths: Path of each picture in its target set.
        left_out: Pictures that a candidate could not read, or has no finite representation of.
        doubles: Pictures with the contents of an earlier one, which stands for them.
        answers: int64 `[M, N]`, index into `classes`.
        confidences: float64 `[M, N]`.
    """

    candidates: tuple[Candidate, ...]
    source_run: Candidate
    classes: tuple[str, ...]
    ids: Ints
    digests: tuple[str, ...]
    paths: tuple[str, ...]
    left_out: int
    doubles: int
    answers: Ints
    confidences: Floats

    @cached_property
    def places(self) -> dict[str, int]:
        """The place of each picture, by its SHA-256."""
        return {digest: place for place, digest in enumerate(self.digests)}

    def pool(self, seed: int) -> Pool:
        """Returns what a contest needs."""
        return Pool(self.answers, self.confidences, seed)

    def of(self, places: Ints) -> Matched:
        """Returns the same for some of the pictures."""
        return replace(
            self,
            ids=self.ids[places],
            digests=tuple(self.digests[place] for place in places.tolist()),
            paths=tuple(self.paths[place] for place in places.tolist()),
            answers=self.answers[:, places],
            confidences=self.confidences[:, places],
        )

    @cached_property
    def answers_digests(self) -> tuple[str, ...]:
        """The SHA-256 of pictures and answers of each candidate, whatever the order of pictures."""
        return tuple(map(self._answers_digest, self.answers))

    def _answers_digest(self, answers: Ints) -> str:
        pairs = zip(self.digests, answers.tolist(), strict=True)
        lines = sorted(f"{picture} {self.classes[answer]}\n" for picture, answer in pairs)
        return hashlib.sha256("".join(lines).encode("utf-8", "backslashreplace")).hexdigest()


def match(candidates: Sequence[Candidate]) -> Matched:
    """Puts candidates on the same pictures by digest, and on the same classes by name.

    Raises:
        DataError: If pictures or classes differ, or equal pictures got different answers.
    """
    first = candidates[0]
    for other in candidates[1:]:
        _refuse_other(first, other)
    classes = tuple(sorted(set(first.classes)))
    ids, doubles = _distinct(first)
    for other in candidates[1:]:
        _distinct(other)
    places = np.array([_places(candidate, first, ids) for candidate in candidates])
    there = (places >= 0).all(axis=0)
    if not there.any():
        raise DataError(f"{first.directory.path} has no readable picture in {first.target}")
    answers, confidences = [], []
    for candidate, place in zip(candidates, places[:, there], strict=True):
        number = np.array([classes.index(name) for name in candidate.classes], dtype=np.int64)
        answers.append(number[candidate.answers[place]])
        confidences.append(candidate.confidences[place])
    kept = np.array(ids, dtype=np.int64)[there]
    return Matched(
        candidates=tuple(candidates),
        source_run=first,
        classes=classes,
        ids=kept,
        digests=tuple(first.digests[i] for i in kept.tolist()),
        paths=tuple(first.paths[i] for i in kept.tolist()),
        left_out=len(first.digests) - doubles - len(kept),
        doubles=doubles,
        answers=np.array(answers),
        confidences=np.array(confidences),
    )


def _places(candidate: Candidate, first: Candidate, ids: Sequence[int]) -> list[int]:
    """Returns where a candidate has the pictures of the first one; -1 where it has none."""
    place: dict[str, int] = {}
    for n, i in enumerate(candidate.ids.tolist()):
        place.setdefault(candidate.digests[i], n)
    return [place.get(first.digests[i], -1) for i in ids]


def _refuse_other(first: Candidate, other: Candidate) -> None:
    """Refuses a run over other pictures or classes.

    Raises:
        DataError: If it is one; says what differs.
    """
    a, b = first.directory.path, other.directory.path
    if odd := sorted(set(first.classes) ^ set(other.classes)):
        where = a if odd[0] in first.classes else b
        raise DataError(
            f"{a} and {b} answer with different classes: {len(odd):,} are in one alone, such as "
            f"{odd[0]!r} in {where}; run both with the same --classes FILE"
        )
    ours, theirs = set(first.digests.values()), set(other.digests.values())
    unreadable = [list(run.digests.values()).count(UNREADABLE_PICTURE) for run in (other, first)]
    if len(ours - theirs) > unreadable[0] or len(theirs - ours) > unreadable[1]:
        raise DataError(
            f"{a} and {b} measured different pictures: {len(ours - theirs):,} of {len(ours):,} are "
            f"only in the first, {len(theirs - ours):,} of {len(theirs):,} only in the second; run "
            "both with the same --target and --sample"
        )


def _distinct(candidate: Candidate) -> tuple[list[int], int]:
    """Returns the pictures without doubles, and how many those are.

    Raises:
        DataError: If pictures of equal contents got different answers.
    """
    answer = dict(zip(candidate.ids.tolist(), candidate.answers.tolist(), strict=True))
    kept: dict[str, int] = {}
    readable = sorted(i for i, d in candidate.digests.items() if d != UNREADABLE_PICTURE)
    for i in readable:
        before = kept.setdefault(candidate.digests[i], i)
        if i in answer and before in answer and answer[i] != answer[before]:
            raise DataError(
                f"{candidate.paths[i]} and {candidate.paths[before]} are the same picture and "
                f"{candidate.model} answers them differently: measure the run again"
            )
    return sorted(kept.values()), len(readable) - len(kept)
