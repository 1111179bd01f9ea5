"""The pictures and candidates of a contest, read from run directories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tuiprobe.errors import DataError
from tuiprobe.label.contest import Floats, Ints, Pool
from tuiprobe.probes.confidence import Logits
from tuiprobe.probes.crossfit import CrossFitted, cross_fit
from tuiprobe.probes.heads import class_name
from tuiprobe.probes.reader import RunReader
from tuiprobe.run.directory import RunDir
from tuiprobe.run.head_file import read_class_names
from tuiprobe.run.shard_file import read_shard


@dataclass(frozen=True, eq=False)
class Candidate:
    """What one run says of the pictures of a target set.

    Attributes:
        directory: The run.
        model: Name of the model.
        target: Name of the set.
        classes: Names of the classes that it may answer.
        ids: int64 `[n]`, sample ids of the pictures with a finite representation, ascending.
        answers: int64 `[n]`, index into `classes`.
        confidences: float64 `[n]`, after temperature scaling in distribution.
        digests: SHA-256 of every picture that the run planned, by sample id.
        paths: Path of every picture, by sample id.
    """

    directory: RunDir
    model: str
    target: str
    classes: tuple[str, ...]
    ids: Ints
    answers: Ints
    confidences: Floats
    digests: Mapping[int, str]
    paths: Mapping[int, str]


def read_candidate(directory: RunDir, target: str | None = None) -> Candidate:
    """Reads what a run says of a target set.

    Args:
        directory: A finished run.
        target: Name of the set; None for the only one.

    Raises:
        DataError: If the run has no such target, no pictures or no head.
        DamagedFileError: If a file of the run is damaged.
    """
    reader = RunReader(directory)
    names = [one.name for one in reader.target_sets]
    if not names:
        raise DataError(f"{directory.path} has no target set: run it again with --target FOLDER")
    if target is None and len(names) > 1:
        raise DataError(
            f"{directory.path} has several target sets: choose one of {', '.join(names)}"
        )
    if target is not None and target not in names:
        raise DataError(f"{directory.path} has no target set {target}; it has {', '.join(names)}")
    head = reader.head
    if isinstance(head, str):
        raise DataError(f"{directory.path} has no head, so it gives no answers: {head}")
    chosen = next(one for one in reader.target_sets if target in (None, one.name))
    fitted = cross_fit(head, reader.head_sets[0], chosen)
    logits = Logits(head, chosen)
    said = logits.confidences(fitted.whole if isinstance(fitted, CrossFitted) else 1.0)
    rows, classes = read_class_names(directory), np.unique(logits.classes)
    first_row = {int(c): int(logits.rows[list(logits.classes).index(c)]) for c in classes}
    ids = reader.features(chosen.name)["ids"]
    order = np.argsort(ids)
    return Candidate(
        directory=directory,
        model=reader.plan.model.name,
        target=chosen.name,
        classes=tuple(class_name(rows, first_row[int(c)]) for c in classes),
        ids=ids[order],
        answers=np.searchsorted(classes, said.answer)[order],
        confidences=said.confidence[order],
        digests=_digests(reader, chosen.name),
        paths=reader.paths(chosen.name),
    )


def _digests(reader: RunReader, name: str) -> dict[int, str]:
    record = next(one for one in reader.sets if one.name == name)
    if record.rows is not None:
        raise DataError(
            f"{reader.directory.path} measured stored vectors: there is no picture to label"
        )
    digests: dict[int, str] = {}
    key = record.key or reader.plan.key
    for number in range(record.shards):
        arrays = read_shard(reader.directory, name, number, key).arrays
        pairs = zip(arrays["images"].tolist(), arrays["digests"], strict=True)
        digests |= {i: digest.tobytes().hex() for i, digest in pairs}
    return digests


@dataclass(frozen=True, eq=False)
class Matched:
    """Candidates on the same pictures and classes.

    Attributes:
        candidates: The candidates, in the order that the user gave.
        classes: Class names, sorted.
        ids: int64 `[N]`, sample ids of the first candidate, ascending.
        left_out: Pictures that a candidate could not read or has no finite representation of.
        doubles: Pictures with the contents of an earlier one.
    """

    candidates: tuple[Candidate, ...]
    classes: tuple[str, ...]
    ids: Ints
    left_out: int
    doubles: int
    answers: Ints
    confidences: Floats

    def pool(self, seed: int) -> Pool:
        """Returns what a contest needs."""
        return Pool(self.answers, self.confidences, seed)


def match(candidates: Sequence[Candidate]) -> Matched:
    """Puts candidates on the same pictures by digest, and on the same classes by name.

    Raises:
        DataError: If pictures or classes differ, or equal pictures got different answers.
    """
    first = candidates[0]
    for other in candidates[1:]:
        _refuse_other(first, other)
    classes = tuple(sorted(first.classes))
    ids, doubles = _distinct(first)
    columns = []
    for one in candidates:
        place = {one.digests[i]: n for n, i in enumerate(one.ids.tolist())}
        columns.append([place.get(first.digests[i], -1) for i in ids])
    places = np.array(columns, dtype=np.int64)
    there = (places >= 0).all(axis=0)
    places = places[:, there]
    answers, confidences = [], []
    for one, place in zip(candidates, places, strict=True):
        number = np.array([classes.index(name) for name in one.classes], dtype=np.int64)
        answers.append(number[one.answers[place]])
        confidences.append(one.confidences[place])
    kept = np.array(ids, dtype=np.int64)[there]
    return Matched(
        tuple(candidates), classes, kept, int((~there).sum()), doubles,
        np.array(answers), np.array(confidences),
    )  # fmt: skip


def _refuse_other(first: Candidate, other: Candidate) -> None:
    a, b = first.directory.path, other.directory.path
    if set(first.classes) != set(other.classes):
        odd = sorted(set(first.classes) ^ set(other.classes))
        raise DataError(
            f"{a} and {b} answer with different classes, such as {odd[0]}: run both with the same "
            "--classes FILE"
        )
    ours, theirs = set(first.digests.values()), set(other.digests.values())
    if ours != theirs:
        raise DataError(
            f"{a} and {b} measured different pictures: {len(ours - theirs):,} of {len(ours):,} are "
            f"only in the first, {len(theirs - ours):,} of {len(theirs):,} only in the second; run "
            "both with the same --target and --sample"
        )


def _distinct(one: Candidate) -> tuple[list[int], int]:
    """Returns the planned pictures without doubles, and how many were left out.

    Raises:
        DataError: If pictures of equal contents got different answers.
    """
    answer = dict(zip(one.ids.tolist(), one.answers.tolist(), strict=True))
    kept: dict[str, int] = {}
    doubles = 0
    for i in sorted(one.digests):
        before = kept.setdefault(one.digests[i], i)
        if before == i:
            continue
        doubles += 1
        if i in answer and before in answer and answer[i] != answer[before]:
            raise DataError(
                f"{one.paths[i]} and {one.paths[before]} are the same picture and {one.model} "
                "answers them differently: measure the run again"
            )
    return sorted(kept.values()), doubles
