"""Records of a run: spec, plan, checks, shards, what was measured. Readers need no model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal, TypeVar

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from tuiprobe import limits
from tuiprobe.errors import UsageError
from tuiprobe.files import (
    DIGEST_BYTES,
    UNFIT,
    DamagedFileError,
    Entry,
    parse_json,
    read_regular,
    unless_damaged,
)
from tuiprobe.measure.run.arrays import Arrays, read_arrays, read_metadata, write_arrays
from tuiprobe.measure.run.counting import ShardId
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.manifest import (
    drop_stale_manifest,
    exists_in_run,
    read_named,
    read_record,
    write_named,
    write_record,
)
from tuiprobe.options import OptionError, validated
from tuiprobe.plaintext import text_of
from tuiprobe.results import Fingerprint, Model
from tuiprobe.results.base import ByName, Count, Many, Real, Record, mistake
from tuiprobe.results.report import MOST_SETS
from tuiprobe.results.subject import Check, StoredFile
from tuiprobe.spec import FINAL_TAP, WATCHED, RunSpec

_Record = TypeVar("_Record", "PlanRecord", "Measured")

_MOST_PIECES = 2**20
"""Most forward passes per batch."""

LISTED_LOST = 100
"""Samples of a set that are named for not being finite."""

_CHECKS = TypeAdapter(tuple[Check, ...])

_REPORTED_ELSEWHERE = ("weights", "preprocessing")
"""Checks that the report covers elsewhere: random weights in the title, assumed preprocessing."""

_FOREIGN = (
    "{} cannot be read by this version of tuiprobe: {}; read it with the version that wrote it, or "
    "measure again with another --output"
)


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
        shard_images: Images of each shard but the last.
        published: Published set that it is, as in `tuiprobe.datasets.Suite`.
        key: The key in its shards.
        target: Whether it is a target set: images whose accuracy is to be estimated, without
            labels.
        files: The files in which its samples lie together; its samples then have no lines in
            `samples.jsonl`. Empty if each has a stamp.
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
    key: str
    target: bool = False
    files: Many[StoredFile] = ()


class PlanRecord(Record):
    """The content of `plan.json`.

    Attributes:
        key: The run's key.
        model: The encoder.
        taps: All measured taps, the final representation first.
        sets: The sets of images, the in-distribution one first.
        concept_set: Name of the set with concepts.
        files: The files that options name, by option.
        signature: What the forward pass of code that is not tuiprobe's computes; else empty.
    """

    key: str
    model: Model
    taps: Annotated[Many[TapRecord], Field(max_length=limits.TAPS)]
    sets: Annotated[Many[SetRecord], Field(max_length=MOST_SETS)]
    concept_set: str | None = None
    files: ByName[FileRecord] = Field(default_factory=dict)
    signature: Annotated[tuple[Real, ...], Field(max_length=64)] = ()

    def set_named(self, name: str) -> SetRecord:
        """Returns the set of a name, which must exist."""
        return next(record for record in self.sets if record.name == name)

    @model_validator(mode="after")
    def _fits(self) -> PlanRecord:
        taps, sets = [tap.name for tap in self.taps], [record.name for record in self.sets]
        if taps[:1] != [FINAL_TAP] or len(set(taps)) != len(taps):
            raise ValueError(f"the taps are not {FINAL_TAP} and others, each once")
        if not self.sets or self.sets[0].target or sets[0] == self.concept_set:
            raise ValueError("the sets do not begin with one of images")
        if len(set(sets)) != len(sets):
            raise ValueError("a set appears twice")
        if self.concept_set is not None and self.concept_set not in sets:
            raise ValueError("the concept set is none of the sets")
        if any(s.target and (s.classes or s.name == self.concept_set) for s in self.sets):
            raise ValueError("a target set has classes or concepts")
        return self


class MeasuredRecord(Record):
    """The inputs of one set's merged statistics.

    Attributes:
        shards: Number of shards merged; fewer than planned in an interrupted run.
        skipped: Sample id and reason of each unreadable image.
        fingerprints: Distinct fingerprints of the shards.
        pieces: Forward passes per batch; above 1 if memory was short.
        read: Number of samples that were read.
        contents: Digest of the contents of all images read.
        lost: Number of them that are not finite and were left out of features and statistics.
        lost_ids: The first of these.
    """

    shards: Count
    skipped: Many[tuple[Count, str]]
    fingerprints: Many[Fingerprint]
    pieces: Count
    read: Count
    contents: str | None = None
    lost: Count = 0
    lost_ids: Annotated[tuple[Count, ...], Field(max_length=LISTED_LOST)] = ()


class Measured(Record):
    """The content of `measured.json`.

    Attributes:
        key: The run's key.
        sets: Inputs of the merged statistics, by measured set.
    """

    key: str
    sets: ByName[MeasuredRecord]


def write_spec(spec: RunSpec, directory: RunDir) -> None:
    """Publishes `spec.json`."""
    write_record(directory.spec_file, spec.to_json())


def read_spec(directory: RunDir) -> RunSpec:
    """Returns `spec.json` of a run.

    Raises:
        DamagedFileError: If it is missing, altered, or of another version.
    """
    file = directory.spec_file
    fields = read_record(file, limits.SPEC_BYTES)
    if not isinstance(fields, dict):
        raise DamagedFileError(_FOREIGN.format(file, "it is no specification"))
    try:
        return validated(RunSpec, fields)
    except OptionError as error:
        raise DamagedFileError(_FOREIGN.format(file, f"{error.name}: {error.cause}")) from error


def saved_by_watch(directory: RunDir) -> bool:
    """Returns whether `tuiprobe.watch` saved the directory: results without arrays or images."""
    fields = unless_damaged(partial(read_record, directory.spec_file, limits.SPEC_BYTES))
    return isinstance(fields, dict) and fields.get(WATCHED) is True


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
    return _read_record(PlanRecord, directory, directory.plan_file)


def read_measured(directory: RunDir) -> Measured:
    """Returns `measured.json` of a run; errors as for `read_plan`."""
    return _read_record(Measured, directory, directory.measured_file)


def _read_record(kind: type[_Record], directory: RunDir, file: Entry) -> _Record:
    value = read_record(file)
    try:
        record = kind.model_validate(value)
    except ValidationError as error:
        raise DamagedFileError(_FOREIGN.format(file, mistake(error, "it"))) from error
    directory.refuse_other_key(file, record.key)
    return record


def load_baseline(path: str) -> str:
    """Returns the text of a user's CSV of baseline models.

    Raises:
        UsageError: If it cannot be read.
    """
    try:
        return text_of(read_regular(path, limits.BASELINE_BYTES))
    except (OSError, DamagedFileError, ValueError) as error:
        raise UsageError(f"--baseline: cannot read {path}: {error}") from error


def write_baseline(directory: RunDir, text: str | None) -> None:
    """Publishes a user's CSV of baseline models, or removes one from an earlier attempt."""
    file = directory.baseline_file
    if text is not None:
        write_named(file, text)
    elif file.exists():
        drop_stale_manifest(file, "")
        file.unlink()


def read_baseline(directory: RunDir) -> str | None:
    """Returns the text of the user's CSV in a run."""
    file = directory.baseline_file
    if not exists_in_run(file):
        return None
    return read_named(file, 2 * limits.BASELINE_BYTES).decode("utf-8", "replace")


def write_preflight(directory: RunDir, checks: list[Check]) -> None:
    """Publishes the checks of a preflight, which precede the first image."""
    write_record(directory.preflight_file, {"checks": _CHECKS.dump_python(tuple(checks))})


def read_preflight(directory: RunDir) -> tuple[Check, ...]:
    """Returns the checks of a run's preflight.

    Raises:
        DamagedFileError: If the file is damaged.
    """
    file = directory.preflight_file
    if not exists_in_run(file):
        return ()
    value = read_record(file)
    try:
        return _CHECKS.validate_python(value["checks"])
    except (ValueError, KeyError, TypeError) as error:
        raise file.damaged(error) from error


def check_sentence(check: Check) -> str:
    """Formats a check as one sentence.

    >>> check = Check(name="dtype", status="warn", detail="float16", fix="use float32")
    >>> check_sentence(check)
    'dtype: float16: use float32'
    """
    where = f" of {check.data}" if check.data is not None else ""
    fix = f": {check.fix}" if check.fix else ""
    return f"{check.name}{where}: {check.detail}{fix}"


def warnings_of(checks: tuple[Check, ...]) -> tuple[str, ...]:
    """Returns the warnings of checks that the report does not give elsewhere."""
    return tuple(
        f"preflight, {check_sentence(check)}"
        for check in checks
        if check.status == "warn" and check.name not in _REPORTED_ELSEWHERE
    )


@dataclass(frozen=True, eq=False)
class ShardFile:
    """The file of a shard, which holds its checksum and is not in the manifest.

    Attributes:
        entry: The file.
        arrays: Its arrays; none if the head alone was read.
        fingerprint: What it was measured with.
        skipped: Sample id and reason of each unreadable image.
        size: Number of its samples, readable or not.
        pieces: Forward passes per batch.
    """

    entry: Entry
    arrays: Arrays
    fingerprint: Fingerprint
    skipped: tuple[tuple[int, str], ...]
    size: int
    pieces: int

    def digests(self) -> dict[int, bytes]:
        """Returns the SHA-256 of every image that was read, readable or not, by sample id.

        Raises:
            DamagedFileError: If its arrays do not say it.
        """
        from tuiprobe.measure.run.arrays import CheckedArrays  # loads numpy

        checked = CheckedArrays(self.entry, self.arrays)
        images = checked.shaped("images", "i8", None)
        rows = checked.shaped("digests", "u1", len(images), DIGEST_BYTES)
        return {i: row.tobytes() for i, row in zip(images.tolist(), rows, strict=True)}


def write_shard(shard: ShardFile, id: ShardId, key: str) -> None:
    """Publishes a shard, which is final after that.

    Args:
        shard: What it holds.
        id: Its set and number.
        key: Key of the set.
    """
    metadata = {
        "key": key,
        "place": f"{id[0]} {id[1]}",
        "fingerprint": shard.fingerprint.model_dump_json(),
        "pieces": str(shard.pieces),
        "skipped": json.dumps(shard.skipped),
        "size": str(shard.size),
    }
    write_arrays(shard.entry, shard.arrays, metadata)


def read_shard(
    directory: RunDir, set_name: str, number: int, key: str, *, with_arrays: bool = True
) -> ShardFile:
    """Returns the file of a shard.

    Args:
        directory: The run directory.
        set_name: Its set.
        number: Its number within the set.
        key: Key of the set.
        with_arrays: Whether to read its arrays and compare the checksum, or only its metadata.

    Raises:
        DamagedFileError: If it is missing, damaged, or of another run or position.
    """
    entry = directory.shard_file(set_name, number)
    arrays: Arrays = {}
    if with_arrays:
        arrays, metadata = read_arrays(entry)
    else:
        metadata = read_metadata(entry)
    if metadata.get("key") != key:
        raise DamagedFileError(f"{entry} belongs to another run or other images")
    if metadata.get("place") != f"{set_name} {number}":
        raise DamagedFileError(f"{entry} belongs to another place")
    try:
        fingerprint = Fingerprint.model_validate_json(metadata["fingerprint"])
        skipped = tuple((i, reason) for i, reason in parse_json(metadata["skipped"]))
        if not all(_is_id(i) and isinstance(reason, str) for i, reason in skipped):
            raise ValueError("its unreadable images are no list")
        size, pieces = int(metadata["size"]), int(metadata["pieces"])
        if not 1 <= pieces <= _MOST_PIECES:
            raise ValueError("pieces is out of range")
    except UNFIT as error:
        cause = str(error).partition("\n")[0]
        raise entry.damaged(cause) from error
    return ShardFile(entry, arrays, fingerprint, skipped, size, pieces)


def _is_id(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**53
