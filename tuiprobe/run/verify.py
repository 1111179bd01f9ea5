"""Verifies a run directory: compares it with its manifest, and its shards with the plan.

The directory may be untrusted: nothing is written, no link is followed, and no number in it decides
how much is read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tuiprobe.errors import TuiprobeError
from tuiprobe.files import UNFIT, DamagedFileError, Entry
from tuiprobe.manifest import (
    FILES,
    FOLDERS,
    MANIFEST,
    RESULTS,
    earlier_version,
    read_manifest,
    read_named,
    refuse_unfinished,
)
from tuiprobe.run.arrays import read_arrays, read_own_arrays
from tuiprobe.run.checked_arrays import CheckedArrays
from tuiprobe.run.directory import RunDir
from tuiprobe.run.glance import read_report
from tuiprobe.run.records import (
    SampleRecord,
    SetRecord,
    listed_samples,
    read_measured,
    read_plan,
    read_samples,
    saved_by_watch,
)
from tuiprobe.run.shard_file import read_shard

State = Literal[
    "whole", "not named", "not covered", "unfinished", "missing", "damaged", "moved", "changed"
]

_NAMED = 3
_SHARD = re.compile(r"(.+)-([0-9]{5,12})\.safetensors", re.DOTALL)
_NEEDED = ("spec.json", "plan.json", "samples.jsonl")


@dataclass(frozen=True)
class Finding:
    """The result for one file, or for one kind of files.

    Attributes:
        file: Path below the run directory.
        state: Among others `not named`, if the manifest does not name a file, which no reader uses
            then; `not covered`, if there is no manifest to compare it with; and `unfinished`, if
            the same command would resume. A file of vectors outside the run is `moved` if it is
            not where it was, and `changed` if it has another size.
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
    """Compares a run with its manifest, and reads every file that figures rest on."""
    key = directory.read_key()
    found = [Finding("key", "whole") if key else Finding("key", "missing", "this is no run")]
    found.append(_manifest(directory))
    if found[-1].state == "damaged":
        return found
    found += _files(directory)
    states = {one.file: one.state for one in found}
    if RESULTS not in states:
        found.append(Finding(RESULTS, "unfinished", "the same command goes on with the run"))
    if states.get("plan.json") in ("whole", "not covered"):
        found += _sets(directory, states)
    return found


def _manifest(run: RunDir) -> Finding:
    if not os.path.lexists(run.at(MANIFEST).path):
        if not os.path.lexists(run.results_file.path):
            return Finding(MANIFEST, "unfinished", "it is written last")
        if earlier_version(run.path):
            return Finding(MANIFEST, "not covered", "`tuiprobe reprobe` writes one")
    try:
        manifest = read_manifest(run.path)
        if manifest is not None and RESULTS not in manifest.files:
            return Finding(MANIFEST, "unfinished", "`tuiprobe reprobe` was stopped: run it again")
        refuse_unfinished(run.path)
    except DamagedFileError as error:
        return Finding(MANIFEST, "damaged" if manifest else "missing", str(error))
    return Finding(MANIFEST, "whole", f"{len(manifest.files) if manifest else 0:,} files")


def _files(run: RunDir) -> Iterator[Finding]:
    """Compares every record and merged file that is there, or should be, with the manifest."""
    manifest = read_manifest(run.path)
    named = {} if manifest is None else manifest.files
    needed = () if saved_by_watch(run) else _NEEDED
    names = [*FILES, *(f"{folder}{name}" for folder in FOLDERS for name in _names(run, folder))]
    names = [f"{n}/images.safetensors" if n.startswith(FOLDERS[0]) else n for n in names]
    for name in dict.fromkeys((*names, *named)):
        entry = run.at(name)
        if not os.path.lexists(entry.path):
            if name in named or name in needed:
                yield Finding(name, "missing")
        elif manifest is not None and RESULTS in named and name not in named:
            yield Finding(name, "not named", f"{MANIFEST} does not name it, so it is not used")
        else:
            yield _compared(run, entry, name in named)


def _compared(run: RunDir, entry: Entry, named: bool) -> Finding:
    arrays = entry.name.endswith(".safetensors")
    found = _read(entry, lambda: _content(run, entry, arrays))
    if found.state == "whole" and not named and not arrays:
        return Finding(entry.name, "not covered", f"no {MANIFEST} names it")
    return found


def _content(run: RunDir, entry: Entry, arrays: bool) -> str:
    """Reads a file as its readers do; returns what is worth saying of it."""
    if entry.name == RESULTS:
        return "partial" if read_report(run).partial else ""
    if entry.name == "samples.jsonl":
        count = sum(map(len, listed_samples(run).values()))
        return f"{count:,} images" if count else ""
    if entry.name == "plan.json":
        read_plan(run)
    elif entry.name == "measured.json":
        read_measured(run)
    elif arrays:
        read_own_arrays(run, entry)
    else:
        read_named(entry)
    return ""


def _read(entry: Entry, read: Callable[[], object]) -> Finding:
    try:
        result = read()
    except (TuiprobeError, *UNFIT) as error:
        cause = str(error).removeprefix(f"{entry} ").removeprefix("is damaged: ")
        return Finding(entry.name, "damaged", cause or type(error).__name__)
    return Finding(entry.name, "whole", result if isinstance(result, str) else "")


def _names(run: RunDir, folder: str) -> list[str]:
    return [name for name in run.names(folder.rstrip("/")) if not name.startswith(".")]


def _sets(run: RunDir, states: Mapping[str, State]) -> Iterator[Finding]:
    """Checks the shards of every set, and what a head was fitted to."""
    whole = ("whole", "not covered")
    samples = read_samples(run) if states.get("samples.jsonl") in whole else {}
    measured = read_measured(run).sets if states.get("measured.json") in whole else {}
    numbers: dict[str, list[int]] = {}
    for name in _names(run, "shards"):
        if match := _SHARD.fullmatch(name):
            numbers.setdefault(match[1], []).append(int(match[2]))
    for one in read_plan(run).sets:
        there = sorted(number for number in numbers.get(one.name, ()) if number < one.shards)
        merged = measured[one.name].shards if one.name in measured else 0
        yield _shards(run, one, there, samples.get(one.name, {}), merged)
        yield from _vectors(one)
    entries = [run.at(f"head-probe/{name}") for name in _names(run, "head-probe")]
    found = [_read(entry, lambda entry=entry: read_arrays(entry)) for entry in entries]  # type: ignore[misc]
    wrong = [one for one in found if one.state != "whole"]
    yield from wrong or (
        [Finding("head-probe/", "whole", f"{len(found):,} files")] if found else ()
    )


def _shards(
    run: RunDir,
    one: SetRecord,
    numbers: list[int],
    samples: Mapping[int, SampleRecord],
    merged: int,
) -> Finding:
    """Checks a set's shards: each is intact and in place, and no image or row is lost.

    Args:
        run: The run directory.
        one: The set.
        numbers: Numbers of the shards that are there, ascending.
        samples: Samples of the set; empty if they cannot be read.
        merged: Number of shards that were merged.
    """
    file, count = f"shards/{one.name}-*", f"{len(numbers):,} of {one.shards:,}"
    parts, wrong = [], []
    for number in numbers:
        try:
            parts.append(_ids(run, one, number))
        except TuiprobeError as error:
            wrong.append(str(error))
    if wrong:
        more = f"; and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        causes = f"{'; '.join(wrong[:_NAMED])}{more}"
        return Finding(file, "damaged", f"{len(wrong):,} of {one.shards:,}: {causes}")
    whole = len(numbers) == one.shards
    if one.rows is not None:
        lost = one.shards > max(one.planned, 1) or not _follow(numbers, parts)
        lost = lost or (whole and parts[-1][1] != one.planned)
    else:
        ids = np.concatenate([np.empty(0, np.int64), *parts])
        lost = bool(samples) and not _fits(one, samples, ids, whole)
    if lost:
        return Finding(file, "damaged", f"{count}: images or rows are missing or there twice")
    if len(numbers) < merged:
        return Finding(file, "missing", f"{count}, and {merged:,} were merged")
    return Finding(file, "whole" if whole else "unfinished", count)


def _ids(run: RunDir, one: SetRecord, number: int) -> NDArray[np.int64]:
    """Returns the images of a shard, readable or not; of vectors the first row and the end."""
    found = read_shard(run, one.name, number, one.key or run.read_key() or "")
    if (found.rows is None) != (one.rows is None):
        raise DamagedFileError(f"{found.entry} belongs to another place")
    if found.rows is not None:
        return np.array(found.rows)
    skipped = np.array([i for i, _ in found.skipped], dtype=np.int64)
    ids = CheckedArrays(found.entry, found.arrays).shaped("ids", "i8", None)
    return np.concatenate([ids, skipped])


def _follow(numbers: list[int], ranges: list[NDArray[np.int64]]) -> bool:
    """Says whether each range of rows begins where the one of the shard before it ends."""
    ends = {-1: 0} | {number: int(end) for number, (_, end) in zip(numbers, ranges, strict=True)}
    pairs = zip(numbers, ranges, strict=True)
    return all(start == ends.get(number - 1, start) for number, (start, _) in pairs)


def _fits(
    one: SetRecord, samples: Mapping[int, SampleRecord], ids: NDArray[np.int64], whole: bool
) -> bool:
    distinct = set(ids.tolist())
    if len(distinct) != len(ids) or not distinct <= samples.keys():
        return False
    return not whole or len(distinct) == len(samples) == one.planned


def _vectors(one: SetRecord) -> Iterator[Finding]:
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
            said = f"it held {file.size:,} bytes when it was measured, and {status.st_size:,} now"
            yield Finding(file.path, "changed", said)
        elif file.changed not in (
            f"{status.st_mtime_ns} {status.st_ctime_ns}",
            str(status.st_mtime_ns),  # as 0.2.0 kept it
        ):
            said = "touched since it was measured; the same command compares its rows"
            yield Finding(file.path, "not covered", said)
        else:
            yield Finding(file.path, "whole", f"{file.rows:,} rows, size and time as measured")
