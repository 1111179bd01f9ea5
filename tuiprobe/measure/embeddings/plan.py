"""Plans a run of stored vectors: opens the files, and determines shards, sample and key."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tuiprobe.datasets import Suite
from tuiprobe.datasets.base import (
    Sample,
    Stamp,
    UnreadableImageError,
    refuse_undecodable,
    safe_name,
)
from tuiprobe.datasets.vectors import open_vectors
from tuiprobe.datasets.vectors.labels import read_labels
from tuiprobe.datasets.vectors.sources import Vectors
from tuiprobe.errors import DataError
from tuiprobe.measure.embeddings.shards import RowShard, sampled_rows, split_rows
from tuiprobe.measure.heads import answers_of
from tuiprobe.measure.plan import Plan, describe_model
from tuiprobe.models.head_files import read_classes
from tuiprobe.models.identity import unseen_encoder
from tuiprobe.plaintext import plain
from tuiprobe.run.row_records import RowFile, RowsRecord
from tuiprobe.run.row_samples import row_name
from tuiprobe.spec import RunSpec, content_key, rows_name

if TYPE_CHECKING:
    from PIL.Image import Image

    from tuiprobe.datasets.content import Content

ROWS = "rows"
"""Name of the set of the vectors themselves; target sets go by the names of their files."""

_KEYED_ROWS = 8  # at both ends of a set: part of the key


@dataclass(frozen=True, eq=False)
class RowSet:
    """A set of stored vectors, as a data set whose samples are rows.

    Attributes:
        name: Name of the set.
        vectors: The vectors.
        labels: int32 `[rows]`; None without labels.
        classes: Class names by label.
        sampled: Rows whose vectors are kept, ascending.
        target: Whether it is a target set.
        understood: What was understood of the labels, in words; empty without labels.
    """

    name: str
    vectors: Vectors
    labels: NDArray[np.int32] | None
    classes: tuple[str, ...]
    sampled: NDArray[np.int64]
    target: bool = False
    notes: tuple[str, ...] = ()
    understood: str = ""

    def __post_init__(self) -> None:
        """Refuses files whose paths no record of a run can hold.

        Raises:
            DataError: If a path holds bytes that are not UTF-8.
        """
        for one in self.vectors.matrix.matrices:
            refuse_undecodable(str(one.path.absolute()), "the path")

    @property
    def source(self) -> str:
        """What the user typed."""
        return self.vectors.matrix.source

    @property
    def samples(self) -> Sequence[Sample]:
        """The rows as samples, made when they are asked for."""
        return _Samples(self)

    def stamp(self, sample: Sample) -> Stamp:
        """Returns no stamp: files have stamps, see `record`."""
        return Stamp(None, None)

    def read(self, sample: Sample) -> Content:
        """Refuses: there is no image."""
        raise UnreadableImageError("vectors were given, and no images")

    def open(self, sample: Sample) -> Image:
        """Refuses: there is no image."""
        raise UnreadableImageError("vectors were given, and no images")

    def record(self) -> RowsRecord:
        """Returns where the vectors are, for `plan.json`."""
        matrix = self.vectors.matrix
        files = (
            RowFile(
                path=str(one.path.absolute()),
                rows=one.rows,
                size=one.stamp.size,
                changed=one.stamp.changed,
            )
            for one in matrix.matrices
        )
        return RowsRecord(format=matrix.kind, dtype=matrix.dtype, files=tuple(files))


class _Samples(Sequence[Sample]):
    def __init__(self, rows: RowSet) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return self._rows.vectors.matrix.rows

    def __getitem__(self, row: int) -> Sample:  # type: ignore[override]
        if not 0 <= row < len(self):
            raise IndexError(row)
        labels = self._rows.labels
        return Sample(row, row_name(row), None if labels is None else int(labels[row]))

    def __iter__(self) -> Iterator[Sample]:
        return (self[row] for row in range(len(self)))


def plan_vectors(spec: RunSpec) -> Plan:
    """Opens the vectors that a spec names and plans their run.

    Raises:
        DataError: If vectors or labels cannot be used, or do not fit together.
        UsageError: If an option is invalid.
    """
    assert spec.embeddings is not None
    sets = open_row_sets(spec)
    content = {name: _content(one) for name, one in sets.items()}
    width = sets[ROWS].vectors.matrix.channels
    encoder = unseen_encoder(
        spec.model,
        source=spec.embeddings,
        digest=content_key({ROWS: content[ROWS]}),
        width=width,
        representation=spec.representation,
        training=spec.training,
    )
    measured = {"representation": spec.representation, "top_k": spec.top_k, "seed": spec.seed}
    key = content_key({"vectors": content[ROWS], **measured})
    keys = {
        name: key if name == ROWS else content_key({"run": key, "target": one})
        for name, one in content.items()
    }
    plan = Plan(
        spec=spec,
        encoder=encoder,
        model=describe_model(spec, encoder),
        taps=(),
        blocks=(),
        all_blocks=False,
        suite=Suite(
            ROWS,
            spec.embeddings,
            dict(sets),
            targets=tuple(name for name, one in sets.items() if one.target),
        ),
        shards={
            name: split_rows(name, one.vectors.matrix.rows, width) for name, one in sets.items()
        },
        stamps={},
        key=key,
        set_keys=keys,
    )
    _refuse_unmatched(plan)
    return plan


def _refuse_unmatched(plan: Plan) -> None:
    """Refuses labels whose rows in the head are not known: any guess may give a wrong accuracy.

    Raises:
        DataError: If they are names and the rows have none, or numbers beyond the last row.
    """
    rows, choice, path = row_set(plan, ROWS), plan.head, str(plan.spec.labels)
    if rows.labels is None or choice.head is None:
        return
    matched = answers_of(plan, choice, choice.classes, ROWS) is not None
    if matched and not choice.assumed:
        return
    high, head = int(rows.labels.max()), f"the head has {len(choice.classes):,} rows"
    if rows.classes[high] != str(high):
        raise DataError(
            f"{path} holds names ({plain(rows.classes[0][:80])}, …), and nothing says which rows "
            "of the head they are; give the names of all rows in their order by --classes FILE, "
            "or write row numbers in place of names"
        )
    raise DataError(f"{path} holds the label {high:,}, and {head}, from 0; is it the right head?")


def open_row_sets(spec: RunSpec) -> dict[str, RowSet]:
    """Opens all sets of stored vectors of a run; errors as for `plan_vectors`."""
    sets = {ROWS: _own(spec)}
    for source in spec.target_embeddings:
        name = _free(safe_name(rows_name(source)), sets)
        sets[name] = _target(name, source, spec, sets[ROWS].vectors.matrix.channels)
    return sets


def row_set(plan: Plan, name: str) -> RowSet:
    """Returns a set of the plan of a run of stored vectors."""
    found = plan.suite.sets[name]
    assert isinstance(found, RowSet)
    return found


def row_shards(plan: Plan, name: str) -> tuple[RowShard, ...]:
    """Returns the shards of a set of stored vectors."""
    return tuple(one for one in plan.shards[name] if isinstance(one, RowShard))


def _own(spec: RunSpec) -> RowSet:
    vectors = open_vectors(spec.embeddings or "", spec.id_column)
    names = read_classes(Path(spec.classes)) if spec.classes is not None else ()
    sampled = sampled_rows(vectors.matrix.rows, spec.seed)
    if spec.labels is None:
        return RowSet(ROWS, vectors, None, (), sampled)
    labels = read_labels(
        Path(spec.labels),
        vectors.matrix.rows,
        names,
        id_column=spec.id_column,
        ids=vectors.all_names if spec.id_column is not None else None,
    )
    said = labels.in_words()
    return RowSet(ROWS, vectors, labels.values, labels.classes, sampled, understood=said)


def _target(name: str, source: str, spec: RunSpec, channels: int) -> RowSet:
    vectors = open_vectors(source)
    if vectors.matrix.channels != channels:
        raise DataError(
            f"{source} has {vectors.matrix.channels:,} channels and {spec.embeddings} has "
            f"{channels:,}: a target set is measured by the same encoder"
        )
    sampled = sampled_rows(vectors.matrix.rows, spec.seed)
    return RowSet(name, vectors, None, (), sampled, target=True)


def _free(name: str, taken: dict[str, RowSet]) -> str:
    number = 2
    found = name
    while found in taken:
        found, number = f"{name}-{number}", number + 1
    return found


def _content(one: RowSet) -> dict[str, object]:
    """Returns what determines the numbers of a set, without the paths of its files.

    The first and last rows are read; all rows are compared when a run is resumed, if a file was
    moved or touched.
    """
    matrix = one.vectors.matrix
    digest = hashlib.sha256()
    for start in (0, max(matrix.rows - _KEYED_ROWS, 0)):
        block = matrix.read(start, min(start + _KEYED_ROWS, matrix.rows))
        digest.update(block.tobytes())
    labels = None
    if one.labels is not None:
        labels = hashlib.sha256(one.labels.tobytes() + "\0".join(one.classes).encode()).hexdigest()
    return {
        "rows": matrix.rows,
        "channels": matrix.channels,
        "dtype": matrix.dtype,
        "ends": digest.hexdigest(),
        "labels": labels,
    }
