"""Samples by id: those with a line each, and those of sets of which only shown ones have names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuiprobe import limits
from tuiprobe.datasets.sample import row_name
from tuiprobe.files import parse_json
from tuiprobe.measure.run.arrays import CheckedArrays, write_arrays
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.manifest import read_named
from tuiprobe.measure.run.records import read_plan
from tuiprobe.plaintext import encodable
from tuiprobe.results.base import LONGEST_TEXT

_MOST_NAME_BYTES = 4096
_FIELDS = ("label", "label_row", "answer_row")
"""Fields of samples that are shown; in the file there is an array of each, for example `labels`."""


@dataclass(frozen=True, slots=True)
class SampleRecord:
    """One line of `samples.jsonl`: id, path and label within a set, and the image's stamp.

    `label_row` and `answer_row` are the rows of tables that gave its label and its answer.
    """

    id: int
    set: str
    path: str
    label: int | None
    size: int | None = None
    changed: str | None = None
    label_row: int | None = None
    answer_row: int | None = None


class ShownSamples(Mapping[int, SampleRecord]):
    """The samples of a set by index, without an entry for each.

    Args:
        name: Name of the set.
        rows: Number of samples.
        names: Names of some; the others go by their index.
        fields: Label, and rows of its tables, of some; by the name of the field.
    """

    def __init__(
        self,
        name: str,
        rows: int,
        names: Mapping[int, str],
        fields: Mapping[str, Mapping[int, int]],
    ) -> None:
        self._name, self._rows, self._names, self._fields = name, rows, names, fields

    def __getitem__(self, row: int) -> SampleRecord:
        if row not in self:
            raise KeyError(row)
        path = self._names.get(row) or row_name(row)
        columns = (self._fields.get(name, {}) for name in _FIELDS)
        label, label_row, answer_row = (column.get(row) for column in columns)
        return SampleRecord(
            int(row), self._name, path, label, label_row=label_row, answer_row=answer_row
        )

    def __contains__(self, row: object) -> bool:
        return isinstance(row, int) and 0 <= row < self._rows

    def __iter__(self) -> Iterator[int]:
        return iter(range(self._rows))

    def __len__(self) -> int:
        return self._rows


class RowPaths(Mapping[int, str]):
    """The names of all samples of a set, made when they are asked for."""

    def __init__(self, samples: Mapping[int, SampleRecord]) -> None:
        self._samples = samples

    def __getitem__(self, row: int) -> str:
        return self._samples[row].path

    def __iter__(self) -> Iterator[int]:
        return iter(self._samples)

    def __len__(self) -> int:
        return len(self._samples)


def write_shown_samples(
    directory: RunDir,
    name: str,
    key: str,
    rows: Sequence[int],
    names: Mapping[int, str],
    columns: Mapping[str, NDArray[Any]],
) -> None:
    """Publishes names, labels and rows in tables of the samples that are shown.

    Args:
        directory: The run directory.
        name: Name of the set.
        key: Key of the run.
        rows: Their indices, ascending.
        names: Names by index; empty where samples go by their index.
        columns: int64 `[len(rows)]` of each of `labels`, `label_rows` and `answer_rows` in use.
    """
    arrays = {"rows": np.array(rows, dtype=np.int64), **columns}
    if names:
        texts = [encodable(names[i]).encode()[:_MOST_NAME_BYTES] for i in rows]
        arrays["names"] = np.frombuffer(b"".join(texts), dtype=np.uint8)
        arrays["ends"] = np.cumsum([len(text) for text in texts]).astype(np.int64)
    write_arrays(directory.rows_file(name), arrays, {"key": key})


def read_shown_samples(directory: RunDir, name: str, rows: int) -> ShownSamples:
    """Returns the samples of a set; without names before the shards are merged.

    Args:
        directory: The run directory.
        name: Name of the set.
        rows: Number of samples.

    Raises:
        DamagedFileError: If the file is damaged.
    """
    file = directory.rows_file(name)
    if not file.exists():
        return ShownSamples(name, rows, {}, {})
    checked = CheckedArrays.of_run(directory, file)
    shown = checked.shaped("rows", "i8", None)
    if shown.size and not (shown[0] >= 0 and shown[-1] < rows and (np.diff(shown) > 0).all()):
        raise checked.damaged("its rows are not in order")
    ids, names, fields = shown.tolist(), dict[int, str](), dict[str, dict[int, int]]()
    if "names" in checked.arrays:
        names = dict(zip(ids, _texts(checked, len(ids)), strict=True))
    for field in _FIELDS:
        if f"{field}s" in checked.arrays:
            values = checked.counts(f"{field}s", "i8", len(ids)).tolist()
            fields[field] = dict(zip(ids, values, strict=True))
    return ShownSamples(name, rows, names, fields)


def _texts(checked: CheckedArrays, count: int) -> list[str]:
    content = checked.shaped("names", "u1", None).tobytes()
    ends = checked.shaped("ends", "i8", count).tolist()
    pairs = list(zip([0, *ends][:-1], ends, strict=True))
    if not all(a <= b for a, b in pairs) or (ends and ends[-1] != len(content)):
        raise checked.damaged("its names are not one per row")
    return [content[a:b].decode("utf-8", "replace") for a, b in pairs]


def read_samples(directory: RunDir) -> dict[str, Mapping[int, SampleRecord]]:
    """Returns the samples of every set by id; errors as for `read_plan`.

    Samples that lie together in files have no lines: their sets are made from `plan.json` and the
    file of the names that are shown.
    """
    samples = dict(_listed(directory.path, directory.samples_file.changed()))
    for record in read_plan(directory).sets if directory.plan_file.exists() else ():
        samples.setdefault(record.name, {})
        if record.files:
            samples[record.name] = read_shown_samples(directory, record.name, record.found)
    return samples


@lru_cache(maxsize=16)
def _listed(path: Path, changed: int) -> Mapping[str, Mapping[int, SampleRecord]]:
    """Reads the samples once for all sets of a run; `changed` differs whenever the file may."""
    return samples_of_lines(RunDir(path))


def samples_of_lines(directory: RunDir) -> dict[str, Mapping[int, SampleRecord]]:
    """Returns the samples that have a line in `samples.jsonl`; errors as for `read_plan`."""
    file = directory.samples_file
    samples: dict[str, dict[int, SampleRecord]] = {}
    # Line by line: a list of all lines may take 30 times the memory.
    for number, line in enumerate(BytesIO(read_named(file))):
        if number >= limits.SAMPLES:
            raise file.damaged(f"it has more than {limits.SAMPLES:,} lines")
        text = line.decode("utf-8", "replace").removesuffix("\n")
        record = _sample(text)
        if record is None:
            raise file.damaged(f"{text[:60]!r} is no image")
        samples.setdefault(record.set, {})[record.id] = record
    return dict(samples)


def _sample(line: str) -> SampleRecord | None:
    """Parses a line without pydantic, which refuses surrogates in undecodable file names."""
    try:
        record = SampleRecord(**parse_json(line))
        counts = (record.id, record.label, record.size, record.label_row, record.answer_row)
        valid = (
            record.id is not None
            and all(n is None or (type(n) is int and 0 <= n < 2**53) for n in counts)
            and isinstance(record.set, str)
            and isinstance(record.path, str)
            and len(record.path) <= LONGEST_TEXT
            and isinstance(record.changed, str | None)
        )
        if valid and not record.path.isascii():
            record = replace(record, path=encodable(record.path))
        return record if valid else None
    except (ValueError, TypeError, AttributeError):
        return None
