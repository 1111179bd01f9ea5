"""Verifies a run directory: compares it with its manifest, and its shards with the plan.

The directory may be untrusted: nothing is written, no link is followed, and no number in it decides
how much is read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

from tuiprobe import limits
from tuiprobe.errors import TuiprobeError
from tuiprobe.files import UNFIT, DamagedFileError, Entry
from tuiprobe.measure.run.arrays import read_arrays_of_run
from tuiprobe.measure.run.counting import published_shards
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.manifest import (
    FILES,
    FOLDERS,
    MANIFEST,
    RESULTS,
    read_manifest,
    read_named,
    refuse_unfinished,
)
from tuiprobe.measure.run.records import (
    SetRecord,
    read_measured,
    read_plan,
    read_shard,
    saved_by_watch,
)
from tuiprobe.measure.run.samples import samples_of_lines
from tuiprobe.results.report import Report

FileState = Literal[
    "whole", "not named", "not covered", "unfinished", "missing", "damaged", "cannot be read"
]

_NAMED = 3
_NEEDED = ("key", "spec.json", "plan.json", "samples.jsonl")


@dataclass(frozen=True)
class Finding:
    """The result for one file, or for one kind of files.

    Attributes:
        file: Path below the run directory.
        state: Among others `not named`, if the manifest does not name a file, which no reader uses
            then; `not covered`, if there is no manifest to compare it with; `unfinished`, if the
            same command would resume; and `cannot be read`, if this user has no permission to.
        detail: What is wrong, or the number of files.
    """

    file: str
    state: FileState
    detail: str = ""

    @property
    def sound(self) -> bool:
        """Whether no data are lost."""
        return self.state not in ("missing", "damaged", "cannot be read")


def verify(directory: RunDir) -> list[Finding]:
    """Compares a run with its manifest, and reads every file that figures rest on."""
    findings = [_manifest(directory)]
    if findings[0].state in ("damaged", "cannot be read"):
        return findings
    findings += _files(directory)
    states = {finding.file: finding.state for finding in findings}
    if RESULTS not in states:
        findings.append(Finding(RESULTS, "unfinished", "the same command resumes the run"))
    if states.get("plan.json") in ("whole", "not covered"):
        findings += _sets(directory, states)
    return findings


def _manifest(run: RunDir) -> Finding:
    try:
        manifest = read_manifest(run.path)
    except DamagedFileError as error:
        return _refused(MANIFEST, error)
    if manifest is not None and RESULTS not in manifest:
        return Finding(MANIFEST, "unfinished", "`tuiprobe reprobe` was stopped: run it again")
    try:
        refuse_unfinished(run.path)
    except DamagedFileError as error:
        if manifest is not None:
            return _refused(MANIFEST, error)
        if not os.path.lexists(run.results_file.path):
            return Finding(MANIFEST, "unfinished", "it is written last")
        return Finding(MANIFEST, "missing", str(error))
    if manifest is None:
        return Finding(MANIFEST, "not covered", "`tuiprobe reprobe` writes one")
    return Finding(MANIFEST, "whole", f"{len(manifest):,} files")


def _files(run: RunDir) -> Iterator[Finding]:
    """Compares every record and merged file that exists, or should, with the manifest."""
    named = read_manifest(run.path) or {}
    needed = ("key",) if saved_by_watch(run) else _NEEDED
    names = [*FILES, *(f"{folder}{name}" for folder in FOLDERS for name in _names(run, folder))]
    names = [f"{n}/images.safetensors" if n.startswith(FOLDERS[0]) else n for n in names]
    for name in dict.fromkeys((*names, *named)):
        finding = _file(run, name, named)
        if finding.state != "missing" or name in named or name in needed:
            yield finding


def _file(run: RunDir, name: str, named: Container[str]) -> Finding:
    entry = run.at(name)
    try:
        entry.path.lstat()
    except PermissionError as error:
        return Finding(name, "cannot be read", str(error.strerror))
    except OSError:
        return Finding(name, "missing")
    if RESULTS in named and name not in named:
        return Finding(name, "not named", f"{MANIFEST} does not name it, so it is not used")
    finding = _read(entry, partial(_content, run, entry))
    if finding.state == "whole" and name not in named and not _is_array_file(name):
        return Finding(name, "not covered", f"no {MANIFEST} names it")
    return finding


def _is_array_file(name: str) -> bool:
    return name.endswith(".safetensors")


def _content(run: RunDir, entry: Entry) -> str:
    """Reads a file as its readers do; returns a remark, or an empty text."""
    if entry.name == "key" and run.read_key() is None:
        raise DamagedFileError("it is no key of a run")
    if entry.name == RESULTS:
        report = Report.parse(read_named(entry, limits.REPORT_BYTES), entry)
        run.refuse_other_key(entry, report.key)
        return "partial" if report.partial else ""
    if entry.name == "samples.jsonl":
        count = sum(map(len, samples_of_lines(run).values()))
        return f"{count:,} images" if count else ""
    if entry.name == "plan.json":
        read_plan(run)
    elif entry.name == "measured.json":
        read_measured(run)
    elif _is_array_file(entry.name):
        read_arrays_of_run(run, entry)
    else:
        read_named(entry)
    return ""


def _read(entry: Entry, read: Callable[[], object]) -> Finding:
    try:
        result = read()
    except (TuiprobeError, *UNFIT) as error:
        return _refused(entry.name, error)
    return Finding(entry.name, "whole", result if isinstance(result, str) else "")


def _refused(file: str, error: Exception) -> Finding:
    """Returns the finding for a file that its reader refused."""
    if isinstance(error.__cause__, PermissionError):
        return Finding(file, "cannot be read", str(error.__cause__.strerror))
    cause = error.cause if isinstance(error, DamagedFileError) else str(error)
    return Finding(file, "damaged", cause or type(error).__name__)


def _names(run: RunDir, folder: str) -> list[str]:
    return [name for name in run.names(folder.rstrip("/")) if not name.startswith(".")]


def _sets(run: RunDir, states: Mapping[str, FileState]) -> Iterator[Finding]:
    """Checks the shards of every set."""
    try:
        os.scandir(run.path / "shards").close()
    except PermissionError as error:
        yield Finding("shards/", "cannot be read", str(error.strerror))
        return
    except OSError:
        pass  # there is none
    readable = states.get("measured.json") in ("whole", "not covered")
    measured = read_measured(run).sets if readable else {}
    numbers: dict[str, list[int]] = {}
    for name, number in sorted(published_shards(run)):
        numbers.setdefault(name, []).append(number)
    for record in read_plan(run).sets:
        merged = measured[record.name].shards if record.name in measured else 0
        yield _shards(run, record, numbers.get(record.name, []), merged)


def _shards(run: RunDir, record: SetRecord, numbers: list[int], merged: int) -> Finding:
    """Checks that a set's shards are intact and in place, and that no image or row is lost."""
    numbers = [number for number in numbers if number < record.shards]
    file, count = f"shards/{record.name}-*", f"{len(numbers):,} of {record.shards:,}"
    size, wrong = 0, []
    for number in numbers:
        try:
            size += read_shard(run, record.name, number, record.key).size
        except TuiprobeError as error:
            wrong.append(str(error))
    if wrong:
        more = f"; and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        causes = f"{'; '.join(wrong[:_NAMED])}{more}"
        return Finding(file, "damaged", f"{len(wrong):,} of {record.shards:,}: {causes}")
    complete = len(numbers) == record.shards
    if record.shards > max(record.planned, 1) or (complete and size != record.planned):
        planned = f"{record.planned:,} images or rows in {record.shards:,} shards"
        return Finding(file, "damaged", f"{count} with {size:,}; plan.json claims {planned}")
    if len(numbers) < merged:
        return Finding(file, "missing", f"{count}, and {merged:,} were merged")
    return Finding(file, "whole" if complete else "unfinished", count)
