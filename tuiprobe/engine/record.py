"""The plan, written down: what readers need so that they never load the model or open the data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tuiprobe.checksums import read_checked, read_json, seal, write_json
from tuiprobe.errors import UsageError
from tuiprobe.files import DamagedFileError, Entry, parse_json
from tuiprobe.plaintext import encodable
from tuiprobe.results import Fingerprint, Model
from tuiprobe.results.base import Count
from tuiprobe.rundir import RunDir
from tuiprobe.spec import FINAL_TAP, RunSpec

if TYPE_CHECKING:
    from tuiprobe.engine.plan import Plan


_Record = TypeVar("_Record", bound=BaseModel)

_SAMPLE_FIELDS = {"id", "set", "path", "label"}
"""What a line of `samples.jsonl` holds at least; earlier versions wrote no more."""


class TapRecord(BaseModel):
    """One measured tap: name, kind of its activations, token rule and width."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: Literal["vector", "token", "map"]
    tokens: Literal["class", "all", "mean"] | None
    channels: Annotated[int, Field(ge=1, le=2**24)]


class SetRecord(BaseModel):
    """One set of images as planned; `published` is that of :class:`tuiprobe.datasets.Suite`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    source: str
    found: Count
    planned: Count
    shards: Count
    classes: tuple[str, ...]
    notes: tuple[str, ...]
    published: str | None = None


class PlanRecord(BaseModel):
    """What ``plan.json`` holds.

    Attributes:
        key: The run's key.
        model: The encoder.
        taps: All measured taps, the final representation first.
        blocks: Which of them are blocks of a transformer's residual stream.
        all_blocks: Whether these are all of its blocks.
        sets: The sets of images, the in-distribution one first.
        concept_set: Which of them carries concepts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    model: Model
    taps: tuple[TapRecord, ...]
    blocks: tuple[str, ...]
    all_blocks: bool
    sets: tuple[SetRecord, ...]
    concept_set: str | None = None

    @model_validator(mode="after")
    def _fits(self) -> PlanRecord:
        taps, sets = [tap.name for tap in self.taps], [one.name for one in self.sets]
        if taps[:1] != [FINAL_TAP] or len(set(taps)) != len(taps):
            raise ValueError(f"the taps are not {FINAL_TAP} and others, each once")
        if sets[:1] in ([], [self.concept_set]) or len(set(sets)) != len(sets):
            raise ValueError("the sets are not one of images and others, each once")
        if self.concept_set is not None and self.concept_set not in sets:
            raise ValueError("the concept set is none of the sets")
        return self


class SampleRecord(BaseModel):
    """One line of ``samples.jsonl``: id, path and label within a set, and the image's stamp."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: int
    set: str
    path: str
    label: int | None
    size: int | None = None
    changed: str | None = None


class MeasuredRecord(BaseModel):
    """What the merged statistics of one set rest on.

    Attributes:
        shards: Number of shards merged; fewer than planned in an interrupted run.
        skipped: Sample id and reason of each unreadable image.
        fingerprints: Distinct fingerprints of the shards.
        pieces: Into how many forward passes a batch was cut for lack of memory; 1 for none.
        features: Checksum of the set's representations; None in runs of earlier versions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    shards: Count
    skipped: tuple[tuple[int, str], ...]
    fingerprints: tuple[Fingerprint, ...]
    pieces: Count
    features: str | None = None


class Measured(BaseModel):
    """What ``measured.json`` holds; written last of a merge, it names what it belongs to.

    Attributes:
        key: The run's key; None in runs of earlier versions.
        statistics: Checksum of the merged statistics; None likewise.
        sets: What the statistics of each measured set rest on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str | None = None
    statistics: str | None = None
    sets: dict[str, MeasuredRecord]


def record_of(plan: Plan) -> PlanRecord:
    """Returns what is written down of a plan."""
    final = TapRecord(name=FINAL_TAP, kind="vector", tokens=None, channels=plan.encoder.width)
    inner = (
        TapRecord(
            name=tap.name,
            kind=tap.kind,
            tokens=plan.spec.tokens if tap.kind == "token" else None,
            channels=tap.channels,
        )
        for tap in plan.taps
    )
    sets = (
        SetRecord(
            name=name,
            source=dataset.source,
            found=len(dataset.samples),
            planned=sum(shard.size for shard in plan.shards[name]),
            shards=len(plan.shards[name]),
            classes=dataset.classes,
            notes=dataset.notes if i else (*dataset.notes, *plan.suite.notes),
            published=plan.suite.published.get(name),
        )
        for i, (name, dataset) in enumerate(plan.suite.sets.items())
    )
    return PlanRecord(
        key=plan.key,
        model=plan.model,
        taps=(final, *inner),
        blocks=plan.blocks,
        all_blocks=plan.all_blocks,
        sets=tuple(sets),
        concept_set=plan.suite.concept_set,
    )


def write_plan(plan: Plan, directory: RunDir) -> None:
    """Publishes ``spec.json``, ``plan.json`` and ``samples.jsonl``."""
    write_spec(plan.spec, directory)
    lines = _sample_lines(plan)
    last = {"key": plan.key, "images": len(lines)}
    # Before the plan: a source that is written down vouches for the stamps.
    directory.samples_file.write_text(seal("".join(lines) + json.dumps(last)))
    write_json(directory.plan_file, record_of(plan).model_dump(mode="json"))


def write_spec(spec: RunSpec, directory: RunDir) -> None:
    """Publishes ``spec.json``."""
    write_json(directory.spec_file, spec.model_dump(mode="json"))


def records_are_whole(plan: Plan, directory: RunDir) -> bool:
    """Whether ``plan.json`` and ``samples.jsonl`` are there, unaltered and of this run."""
    try:
        found = read_plan(directory)
        read_samples(directory)
    except DamagedFileError:
        return False
    return found.key == plan.key


def change_spec(directory: RunDir, changes: Mapping[str, Any]) -> None:
    """Changes options of a run that decide no measured number.

    Raises:
        UsageError: If a value is none that the option takes.
        DamagedFileError: If the run's specification is missing or damaged.
    """
    found, _ = read_json(directory.spec_file, directory.plan_file)
    if not isinstance(found, dict):
        raise DamagedFileError(f"{directory.spec_file} is no specification of a run")
    try:
        spec = RunSpec.model_validate({**found, **changes})
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        if name not in changes:
            raise DamagedFileError(f"{directory.spec_file}: {name}: {first['msg']}") from error
        option = "--" + name.replace("_", "-")
        raise UsageError(f"{option}: {first['msg']} (got {changes[name]!r})") from error
    write_spec(spec, directory)


def _sample_lines(plan: Plan) -> list[str]:
    lines = []
    for name, dataset in plan.suite.sets.items():
        samples = dataset.samples
        for i, stamp in plan.stamps[name].items():
            sample = samples[i]
            entry = {
                "id": i, "set": name, "path": sample.path, "label": sample.label,
                "size": stamp.size, "changed": stamp.changed,
            }  # fmt: skip
            lines.append(json.dumps(entry) + "\n")
    return lines


def read_plan(directory: RunDir) -> PlanRecord:
    """Returns ``plan.json`` of a run.

    Raises:
        DamagedFileError: If it is missing, altered, of another version or another run.
    """
    found = _validated(PlanRecord, directory, read_json(directory.plan_file)[0])
    _refuse_foreign(directory, directory.plan_file, found.key)
    return found


def read_measured(directory: RunDir) -> Measured:
    """Returns ``measured.json`` of a run; errors as :func:`read_plan`."""
    value, sealed = read_json(directory.measured_file, directory.plan_file)
    found = _validated(Measured, directory, value if sealed else {"sets": value})
    _refuse_foreign(directory, directory.measured_file, found.key)
    return found


def read_spec(directory: RunDir) -> RunSpec:
    """Returns ``spec.json`` of a run; errors as :func:`read_plan`."""
    value, _ = read_json(directory.spec_file, directory.plan_file)
    return _validated(RunSpec, directory, value)


def read_samples(directory: RunDir) -> dict[str, dict[int, SampleRecord]]:
    """Returns the samples of every set by id; errors as :func:`read_plan`."""
    file = directory.samples_file
    content, sealed = read_checked(file, directory.plan_file)
    lines = content.decode("utf-8", "replace").splitlines()
    samples: dict[str, dict[int, SampleRecord]] = {}
    if sealed:
        _refuse_foreign(directory, file, _key_in(file, lines.pop()))
    for line in lines:
        record = _sample(directory, line)
        samples.setdefault(record.set, {})[record.id] = record
    return samples


def _validated(kind: type[_Record], directory: RunDir, value: Any) -> _Record:
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise DamagedFileError(
            f"{directory.path} is no run of this version of tuiprobe: {error.errors()[0]['msg']}"
        ) from error


def _key_in(file: Entry, last_line: str) -> str | None:
    try:
        key = parse_json(last_line).get("key")
    except (ValueError, AttributeError) as error:
        raise DamagedFileError(f"{file} is damaged: {error}") from error
    return key if isinstance(key, str) else None


def _sample(directory: RunDir, line: str) -> SampleRecord:
    """Reads a line; by hand, for pydantic refuses the surrogates of undecodable file names."""
    try:
        found = parse_json(line)
        record = SampleRecord.model_construct(**found)
        if (
            SampleRecord.model_fields.keys() >= found.keys() >= _SAMPLE_FIELDS
            and _is_count(record.id)
            and isinstance(record.set, str)
            and isinstance(record.path, str)
            and (record.label is None or _is_count(record.label))
            and (record.size is None or _is_count(record.size))
            and (record.changed is None or isinstance(record.changed, str))
        ):
            if record.path.isascii():
                return record
            return record.model_copy(update={"path": encodable(record.path)})
    except (ValueError, TypeError, AttributeError):
        pass
    raise DamagedFileError(f"{directory.samples_file} is damaged: {line[:60]!r} is no image")


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**53


def _refuse_foreign(directory: RunDir, file: Entry, key: str | None) -> None:
    """Refuses a whole file of another run."""
    own = directory.read_key()
    if key is not None and own is not None and key != own:
        raise DamagedFileError(f"{file} belongs to another run (key {key[:8]}, here {own[:8]})")
