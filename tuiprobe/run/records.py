"""Records of a run: plan, samples and spec, so readers need neither model nor data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, ValidationError, model_validator

from tuiprobe import limits
from tuiprobe.files import DamagedFileError, Entry, parse_json
from tuiprobe.manifest import is_there, read_named, read_record, write_named, write_record
from tuiprobe.options import OptionError, validated
from tuiprobe.plaintext import encodable
from tuiprobe.results import Fingerprint, Model
from tuiprobe.results.base import LONGEST_TEXT, Count, Many, Named, Record, without_retired
from tuiprobe.results.report import MOST_SETS
from tuiprobe.run.directory import RunDir
from tuiprobe.run.row_records import RowsMeasured, RowsRecord
from tuiprobe.run.row_samples import SampleRecord, read_row_samples
from tuiprobe.spec import FINAL_TAP, WATCHED, RunSpec, run_options

_Record = TypeVar("_Record", bound=Record)

ROW_SAMPLE = "row_sample"
"""Field of the statistics that holds sampled rows of an inner tap, float32 `[m, C]`."""

_LAST_LINE = re.compile(rb'(?:# )?\{[^{}\n]{0,160}"sha256": "[0-9a-f]{64}"\}\s*\Z')
"""Ends a file of lines that 0.2.0 wrote."""

_FOREIGN = "{} is of no run of this version of tuiprobe: {}"


class TapRecord(Record):
    """One measured tap: name, kind of activations, token rule and width."""

    name: str
    kind: Literal["vector", "token", "map"]
    tokens: Literal["class", "all", "mean"] | None
    channels: Annotated[int, Field(ge=1, le=2**24)]


class FileRecord(Record):
    """Size and times of a file that an option names, before it was read."""

    size: Count
    changed: str


class SetRecord(Record):
    """One set of images as planned.

    Attributes:
        shard_images: Images of each shard but the last; None in runs of earlier versions.
        published: Published set that it is, as in `tuiprobe.datasets.Suite`.
        key: The key in its shards; None in runs of earlier versions, which use the run's key.
        target: Whether it is a target set: images whose accuracy is to be estimated, without
            labels.
        rows: Where its vectors are, if vectors were given in place of images.
    """

    name: str
    source: str
    found: Count
    planned: Count
    shards: Count
    classes: Many[str]
    notes: Many[str]
    shard_images: Count | None = None
    published: str | None = None
    key: str | None = None
    target: bool = False
    rows: RowsRecord | None = None


class PlanRecord(Record):
    """The content of `plan.json`.

    Attributes:
        key: The run's key.
        model: The encoder.
        taps: All measured taps, the final representation first.
        blocks: The taps that are blocks of a transformer's residual stream.
        all_blocks: Whether these are all of its blocks.
        sets: The sets of images, the in-distribution one first.
        concept_set: Name of the set with concepts; None if there is none.
        files: The files that options name, by option; empty in runs of earlier versions.
    """

    key: str
    model: Model
    taps: Annotated[Many[TapRecord], Field(max_length=limits.TAPS)]
    blocks: Many[str]
    all_blocks: bool
    sets: Annotated[Many[SetRecord], Field(max_length=MOST_SETS)]
    concept_set: str | None = None
    files: Named[FileRecord] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits(self) -> PlanRecord:
        taps, sets = [tap.name for tap in self.taps], [one.name for one in self.sets]
        if taps[:1] != [FINAL_TAP] or len(set(taps)) != len(taps):
            raise ValueError(f"the taps are not {FINAL_TAP} and others, each once")
        if not self.sets or self.sets[0].target or sets[0] == self.concept_set:
            raise ValueError("the sets do not begin with one of images")
        if len(set(sets)) != len(sets):
            raise ValueError("a set is there twice")
        if self.concept_set is not None and self.concept_set not in sets:
            raise ValueError("the concept set is none of the sets")
        if any(one.target and (one.classes or one.name == self.concept_set) for one in self.sets):
            raise ValueError("a target set has classes or concepts")
        return self


class MeasuredRecord(Record):
    """The inputs of one set's merged statistics.

    Attributes:
        shards: Number of shards merged; fewer than planned in an interrupted run.
        skipped: Sample id and reason of each unreadable image.
        fingerprints: Distinct fingerprints of the shards.
        pieces: Forward passes per batch; above 1 if memory was short.
        contents: Digest of the contents of all images read; None in runs of earlier versions.
        rows: What was measured of stored vectors; None for images.
    """

    shards: Count
    skipped: Many[tuple[Count, str]]
    fingerprints: Many[Fingerprint]
    pieces: Count
    contents: str | None = None
    rows: RowsMeasured | None = None


class Measured(Record):
    """The content of `measured.json`.

    Attributes:
        key: The run's key.
        sets: Inputs of the merged statistics, by measured set.
    """

    key: str
    sets: Named[MeasuredRecord]


def write_spec(spec: RunSpec, directory: RunDir) -> None:
    """Publishes `spec.json`."""
    write_record(directory.spec_file, spec.to_json())


def changed_spec(directory: RunDir, changes: Mapping[str, Any]) -> RunSpec:
    """Returns the spec of a run with other options that do not affect measured numbers.

    Raises:
        UsageError: If a value is invalid for its option.
        DamagedFileError: If the run's specification is missing or damaged.
    """
    found = _spec_fields(directory)
    if not isinstance(found, dict):
        raise DamagedFileError(f"{directory.spec_file} is no specification of a run")
    try:
        return validated(RunSpec, {**found, **changes})
    except OptionError as error:
        if error.name in changes:
            raise
        said = f"{directory.spec_file}: {error.name}: {error.cause}"
        raise DamagedFileError(said) from error


def saved_by_watch(directory: RunDir) -> bool:
    """Says whether `tuiprobe.watch` saved the directory: results without arrays or images."""
    try:
        found = read_record(directory.spec_file, limits.SPEC_BYTES)
    except DamagedFileError:
        return False
    return isinstance(found, dict) and found.get(WATCHED) is True


def read_plan(directory: RunDir) -> PlanRecord:
    """Returns `plan.json` of a run.

    Raises:
        DamagedFileError: If it is missing, altered, of another version or another run.
    """
    if saved_by_watch(directory):
        raise DamagedFileError(
            f"{directory.path} was saved by tuiprobe.watch: it holds figures, and no images or "
            "arrays that could be read again"
        )
    found = _validated(PlanRecord, directory.plan_file, read_record(directory.plan_file))
    directory.refuse_other_key(directory.plan_file, found.key)
    return found


def read_measured(directory: RunDir) -> Measured:
    """Returns `measured.json` of a run; errors as for `read_plan`."""
    found = _validated(Measured, directory.measured_file, read_record(directory.measured_file))
    directory.refuse_other_key(directory.measured_file, found.key)
    return found


def read_spec(directory: RunDir) -> RunSpec:
    """Returns `spec.json` of a run; errors as for `read_plan`."""
    try:
        return validated(RunSpec, _spec_fields(directory))
    except OptionError as error:
        raise DamagedFileError(_FOREIGN.format(directory.spec_file, error.cause)) from error


def _spec_fields(directory: RunDir) -> Any:
    """Returns what `spec.json` holds, without options that are gone; it may be anything."""
    value = read_record(directory.spec_file, limits.SPEC_BYTES)
    return without_retired(value, RunSpec.__name__, [one.name for one in run_options()])


def read_samples(directory: RunDir) -> dict[str, Mapping[int, SampleRecord]]:
    """Returns the samples of every set by id; errors as for `read_plan`.

    Stored vectors have no lines: their sets are made from `plan.json` and the file of their names.
    """
    listed = listed_samples(directory)
    for one in read_plan(directory).sets if directory.plan_file.exists() else ():
        listed.setdefault(one.name, {})
        if one.rows is not None:
            listed[one.name] = read_row_samples(directory, one.name, one.found)
    return listed


def listed_samples(directory: RunDir) -> dict[str, Mapping[int, SampleRecord]]:
    """Returns the samples that have a line in `samples.jsonl`; errors as for `read_plan`."""
    file = directory.samples_file
    content = _without_last_line(read_named(file))
    samples: dict[str, dict[int, SampleRecord]] = {}
    for number, line in enumerate(_lines(content)):
        if number >= limits.SAMPLES:
            raise DamagedFileError(f"{file} is damaged: it has more than {limits.SAMPLES:,} lines")
        record = _sample(directory, line)
        samples.setdefault(record.set, {})[record.id] = record
    return dict(samples)


def _without_last_line(content: bytes) -> bytes:
    """Returns the lines of a file without the one that 0.2.0 kept a checksum in."""
    last = content.rstrip().rfind(b"\n") + 1
    return content[:last] if _LAST_LINE.match(content, last) else content


def _lines(content: bytes) -> Iterator[str]:
    """Yields the lines one by one: a list of all may take 30 times the memory."""
    start, end = 0, len(content)
    while start < end:
        stop = content.find(b"\n", start)
        stop = end if stop < 0 else stop
        yield content[start:stop].decode("utf-8", "replace")
        start = stop + 1


def _validated(kind: type[_Record], file: Entry, value: Any) -> _Record:
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False, include_context=False)
        cause = found[0]["msg"][:LONGEST_TEXT]
        raise DamagedFileError(_FOREIGN.format(file, cause)) from error


def _sample(directory: RunDir, line: str) -> SampleRecord:
    """Parses a line without pydantic, which refuses surrogates in undecodable file names."""
    try:
        found = parse_json(line)
        record = SampleRecord(**found)
        if (
            _is_count(record.id)
            and isinstance(record.set, str)
            and isinstance(record.path, str)
            and len(record.path) <= LONGEST_TEXT
            and (record.label is None or _is_count(record.label))
            and (record.size is None or _is_count(record.size))
            and (record.changed is None or isinstance(record.changed, str))
        ):
            if record.path.isascii():
                return record
            return replace(record, path=encodable(record.path))
    except (ValueError, TypeError, AttributeError):
        pass
    raise DamagedFileError(f"{directory.samples_file} is damaged: {line[:60]!r} is no image")


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**53


def write_baseline(directory: RunDir, text: str) -> None:
    """Publishes the user's CSV of baseline models."""
    write_named(directory.baseline_file, text)


def kept_baseline(directory: RunDir) -> str | None:
    """Returns the text of the user's CSV in a run; None if there is none."""
    kept = directory.baseline_file
    if not is_there(kept):
        return None
    content = read_named(kept, 2 * limits.BASELINE_BYTES)
    return _without_last_line(content).decode("utf-8", "replace")
