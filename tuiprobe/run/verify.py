"""Verifies a run directory: reads and checks every file that its numbers depend on.

The directory may be untrusted: nothing is written, no link is followed, and no number in it decides
how much is read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tuiprobe.checksums import is_sealed, read_json
from tuiprobe.errors import TuiprobeError
from tuiprobe.files import UNFIT, DamagedFileError, Entry, parse_json
from tuiprobe.run.arrays import read_arrays
from tuiprobe.run.checked_arrays import CheckedArrays
from tuiprobe.run.concept_labels import read_labels
from tuiprobe.run.directory import RunDir
from tuiprobe.run.glance import read_report, read_summary, summary_of
from tuiprobe.run.head_file import read_head, read_own_names
from tuiprobe.run.per_image import read_per_image
from tuiprobe.run.preflight_file import read_preflight
from tuiprobe.run.records import (
    Measured,
    PlanRecord,
    SetRecord,
    kept_baseline,
    read_measured,
    read_plan,
    read_samples,
    read_spec,
    saved_by_watch,
)
from tuiprobe.run.row_records import ROW_PLACE
from tuiprobe.run.row_samples import SampleRecord

State = Literal["whole", "not covered", "unfinished", "missing", "damaged", "moved", "changed"]
Samples = dict[str, Mapping[int, SampleRecord]]

_NAMED = 3
_SHARD = re.compile(r"(.+)-([0-9]{5,12})\.safetensors", re.DOTALL)


@dataclass(frozen=True)
class Finding:
    """The result for one file, or for one kind of files.

    Attributes:
        file: Path below the run directory.
        state: Among others `not covered`, if an earlier version wrote the file without a checksum,
            and `unfinished`, if the same command would resume. A file of vectors outside the run
            is `moved` if it is not where it was, and `changed` if it has another size.
        detail: What is wrong, or the number of files.
    """

    file: str
    state: State
    detail: str = ""

    @property
    def sound(self) -> bool:
        """Whether no data are lost."""
        return self.state not in ("missing", "damaged", "changed")


def verify(directory: RunDir) -> list[Finding]:
    """Reads and checks every file that a run's numbers depend on."""
    return list(_Verification(directory).findings())


class _Verification:
    """The verification of one run directory, whose records are read once."""

    def __init__(self, directory: RunDir) -> None:
        self._directory = directory
        self._plan: PlanRecord | None = None
        self._samples: Samples = {}
        self._measured: Measured | None = None

    def findings(self) -> Iterator[Finding]:
        run = self._directory
        if run.read_key() is None:
            yield Finding("key", "missing", "a directory without one is no run")
        else:
            yield Finding("key", "whole")
        if saved_by_watch(run):
            if os.path.lexists(run.results_file.path):
                yield self._text(run.results_file, self._read_results)
            yield from self._optional(run.summary_file, self._read_summary)
            return
        yield self._text(run.spec_file, lambda: read_spec(run))
        yield self._text(run.plan_file, self._read_plan)
        yield self._text(run.samples_file, self._read_samples)
        yield from self._optional(run.preflight_file, lambda: read_preflight(run))
        yield from self._optional(run.baseline_file, lambda: kept_baseline(run))
        yield from self._optional(run.ablation_file, lambda: read_arrays(run.ablation_file))
        if self._plan is not None and self._plan.concept_set is not None:
            yield self._arrays(run.concepts_file, lambda: read_labels(run))
        done = run.measured_file.exists() or run.results_file.exists()
        if done:
            yield self._text(run.measured_file, self._read_measured)
        if self._plan is not None:
            for one in self._plan.sets:
                yield self._shards(one) if one.rows is None else self._row_shards(one)
                yield from self._vectors(one)
        yield from self._merged() if done else ()
        if os.path.lexists(run.per_image_file.path):
            yield self._arrays(run.per_image_file, lambda: read_per_image(run) and None)
        yield from self._folder("answers", self._answer)
        yield from self._folder("head-probe", lambda entry: read_arrays(entry))
        if os.path.lexists(run.results_file.path):
            yield self._text(run.results_file, self._read_results)
        else:
            yield Finding("results.json", "unfinished", "the same command goes on with the run")
        yield from self._optional(run.summary_file, self._read_summary)

    def _read_plan(self) -> None:
        self._plan = read_plan(self._directory)

    def _read_samples(self) -> str:
        self._samples = read_samples(self._directory)
        return f"{sum(map(len, self._samples.values())):,} images"

    def _read_measured(self) -> None:
        self._measured = read_measured(self._directory)

    def _read_results(self) -> str:
        return "partial" if read_report(self._directory).partial else ""

    def _read_summary(self) -> str:
        found = read_summary(self._directory)
        if found is None:
            return "of other results, so no list shows it"
        report = read_report(self._directory)
        if found != summary_of(report, found.results):
            raise DamagedFileError("it says something else than results.json")
        return ""

    def _answer(self, entry: Entry) -> None:
        read_json(entry, self._directory.plan_file)

    def _text(self, entry: Entry, read: Callable[[], object]) -> Finding:
        """Checks a file with a checksum in its last line."""
        found = self._arrays(entry, read)
        if found.state != "whole" or is_sealed(entry.read_bytes(), entry):
            return found
        return Finding(entry.name, "not covered", "written by an earlier version")

    def _arrays(self, entry: Entry, read: Callable[[], object]) -> Finding:
        """Reads a file and returns the result."""
        if not entry.exists() and not os.path.lexists(entry.path):
            return Finding(entry.name, "missing")
        try:
            found = read()
        except (TuiprobeError, *UNFIT) as error:
            said = str(error).removeprefix(f"{entry} ").removeprefix("is damaged: ")
            return Finding(entry.name, "damaged", said or type(error).__name__)
        return Finding(entry.name, "whole", found if isinstance(found, str) else "")

    def _optional(self, entry: Entry, read: Callable[[], object]) -> Iterator[Finding]:
        if os.path.lexists(entry.path):
            yield self._text(entry, read)

    def _folder(self, name: str, read: Callable[[Entry], object]) -> Iterator[Finding]:
        """Reads every file of a folder; yields a single finding if all are intact."""
        entries = [self._directory.at(f"{name}/{one}") for one in self._names(name)]
        found = [self._arrays(entry, lambda entry=entry: read(entry)) for entry in entries]  # type: ignore[misc]
        wrong = [one for one in found if one.state != "whole"]
        yield from wrong
        if found and not wrong:
            yield Finding(f"{name}/", "whole", f"{len(found):,} files")

    def _names(self, folder: str) -> list[str]:
        return [name for name in self._directory.names(folder) if not name.startswith(".")]

    @cached_property
    def _numbers(self) -> Mapping[str, list[int]]:
        """The numbers of the shards that are there, ascending, by set."""
        found: dict[str, list[int]] = {}
        for name in self._names("shards"):
            if match := _SHARD.fullmatch(name):
                found.setdefault(match[1], []).append(int(match[2]))
        return {name: sorted(numbers) for name, numbers in found.items()}

    def _shards(self, one: SetRecord) -> Finding:
        """Checks a set's shards: each is intact and in place, and no image is repeated or lost."""
        numbers = [number for number in self._numbers.get(one.name, ()) if number < one.shards]
        file, there = f"shards/{one.name}-*", f"{len(numbers):,} of {one.shards:,}"
        seen: list[NDArray[np.int64]] = []
        wrong = []
        for number in numbers:
            try:
                seen.append(self._shard(one, number))
            except TuiprobeError as error:
                wrong.append(str(error))
        if wrong:
            more = f"; and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
            said = f"{'; '.join(wrong[:_NAMED])}{more}"
            return Finding(file, "damaged", f"{len(wrong):,} of {one.shards:,}: {said}")
        ids = np.concatenate(seen) if seen else np.empty(0, np.int64)
        if self._samples and not self._fits(one, ids, whole=len(numbers) == one.shards):
            return Finding(file, "damaged", f"{there}: images are missing or there twice")
        merged = self._measured.sets.get(one.name) if self._measured is not None else None
        if len(numbers) < (merged.shards if merged is not None else 0):
            return Finding(file, "missing", f"{there}, and {merged.shards:,} were merged")  # type: ignore[union-attr]
        return Finding(file, "whole" if len(numbers) == one.shards else "unfinished", there)

    def _shard(self, one: SetRecord, number: int) -> NDArray[np.int64]:
        """Returns the images of a shard, readable or not."""
        entry = self._directory.shard_file(one.name, number)
        arrays, metadata = read_arrays(entry)
        checked, place = CheckedArrays(entry, arrays), f"{one.name} {number}"
        if (
            metadata.get("key") != (one.key or self._directory.read_key())
            or metadata.get("place", place) != place
        ):
            raise DamagedFileError(f"{entry} belongs to another run or place")
        try:
            skipped = np.array([i for i, _ in parse_json(metadata["skipped"])], dtype=np.int64)
            if skipped.ndim != 1:
                raise ValueError("its unreadable images are no list")
        except UNFIT as error:
            raise checked.damaged(str(error)) from error
        return np.concatenate([checked.shaped("ids", "i8", None), skipped])

    def _row_shards(self, one: SetRecord) -> Finding:
        """Checks a set's shards of stored vectors: each is intact and in place."""
        file = f"shards/{one.name}-*"
        if one.shards > max(one.planned, 1):
            return Finding(file, "damaged", f"plan.json claims {one.shards:,} shards")
        numbers = [number for number in self._numbers.get(one.name, ()) if number < one.shards]
        before, end = -1, 0
        for number in numbers:
            try:
                first, last = self._rows_of(one, number)
            except TuiprobeError as error:
                return Finding(file, "damaged", str(error))
            if number == before + 1 and first != end:
                entry = self._directory.shard_file(one.name, number)
                said = f"{entry} does not begin where the one before it ends"
                return Finding(file, "damaged", said)
            before, end = number, last
        there = len(numbers)
        said = f"{there:,} of {one.shards:,}"
        merged = self._measured.sets.get(one.name) if self._measured is not None else None
        if there < (merged.shards if merged is not None else 0):
            return Finding(file, "missing", f"{said}, and {merged.shards:,} were merged")  # type: ignore[union-attr]
        if there == one.shards and end != one.planned:
            return Finding(file, "damaged", f"{said}: rows are missing")
        return Finding(file, "whole" if there == one.shards else "unfinished", said)

    def _rows_of(self, one: SetRecord, number: int) -> tuple[int, int]:
        """Returns the first row of a shard of stored vectors, and the row that follows its last."""
        entry = self._directory.shard_file(one.name, number)
        _, metadata = read_arrays(entry)
        place = re.fullmatch(ROW_PLACE, metadata.get("place", ""))
        own = place is not None and metadata.get("key") == one.key
        if not own or (place[1], int(place[2])) != (one.name, number):  # type: ignore[index]
            raise DamagedFileError(f"{entry} belongs to another run or place")
        return int(place[3]), int(place[4])  # type: ignore[index]

    def _vectors(self, one: SetRecord) -> Iterator[Finding]:
        """Checks whether the files of vectors are where and what they were; reads none of them."""
        if one.rows is None:
            return
        for file in one.rows.files:
            try:
                status = Path(file.path).stat()
            except (OSError, ValueError):
                again = "the figures stand; to resume, name its new place by --embeddings"
                yield Finding(file.path, "moved", f"it is not there any more; {again}")
                continue
            if status.st_size != file.size:
                said = (
                    f"it held {file.size:,} bytes when it was measured, and {status.st_size:,} now"
                )
                yield Finding(file.path, "changed", said)
            elif file.changed not in (
                f"{status.st_mtime_ns} {status.st_ctime_ns}",
                str(status.st_mtime_ns),  # as 0.2.0 kept it
            ):
                said = "touched since it was measured; the same command compares its rows"
                yield Finding(file.path, "not covered", said)
            else:
                yield Finding(file.path, "whole", f"{file.rows:,} rows, size and time as measured")

    def _fits(self, one: SetRecord, ids: NDArray[np.int64], whole: bool) -> bool:
        planned = self._samples.get(one.name, {})
        distinct = set(ids.tolist())
        if len(distinct) != len(ids) or not distinct <= planned.keys():
            return False
        return not whole or len(distinct) == len(planned) == one.planned

    def _merged(self) -> Iterator[Finding]:
        """Checks that statistics, representations and head are intact and of the same merge."""
        run, measured = self._directory, self._measured
        expected = measured.statistics if measured is not None else None
        statistics = run.statistics_file
        yield self._arrays(statistics, lambda: read_arrays(statistics, expected) and None)
        for name, one in measured.sets.items() if measured is not None else ():
            yield self._features(name, one.features)
            if one.rows is not None:
                names, checksum = run.rows_file(name), one.rows.names
                yield self._arrays(names, lambda e=names, c=checksum: read_arrays(e, c) and None)  # type: ignore[misc]
        if os.path.lexists(run.head_file.path) or run.results_file.exists():
            yield self._arrays(run.head_file, lambda: (read_head(run), read_own_names(run)))
        else:
            yield Finding(run.head_file.name, "unfinished", "stopped after the merge")

    def _features(self, name: str, expected: str | None) -> Finding:
        entry = self._directory.features_file(name)

        def read() -> str:
            arrays, _ = read_arrays(entry, expected)
            ids = arrays["ids"].tolist()
            if len(ids) != len(arrays["features"]):
                raise DamagedFileError(f"{len(ids)} ids for {len(arrays['features'])} images")
            if self._samples and not set(ids) <= self._samples.get(name, {}).keys():
                raise DamagedFileError("it holds images that samples.jsonl does not")
            return f"{len(ids):,} images"

        return self._arrays(entry, read)
