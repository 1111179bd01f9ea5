"""The plan, written down: what readers need so that they never load the model or open the data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from tuiprobe.errors import UsageError
from tuiprobe.files import DamagedFileError, parse_json
from tuiprobe.results import Fingerprint, Model
from tuiprobe.rundir import RunDir
from tuiprobe.spec import FINAL_TAP, RunSpec

if TYPE_CHECKING:
    from tuiprobe.engine.plan import Plan


class TapRecord(BaseModel):
    """One measured tap: name, kind of its activations, token rule and width."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: Literal["vector", "token", "map"]
    tokens: Literal["class", "all", "mean"] | None
    channels: int


class SetRecord(BaseModel):
    """One set of images as planned; `published` is that of :class:`tuiprobe.datasets.Suite`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    source: str
    found: int
    planned: int
    shards: int
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
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    shards: int
    skipped: tuple[tuple[int, str], ...]
    fingerprints: tuple[Fingerprint, ...]
    pieces: int


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
    # Before the plan: a source that is written down vouches for the stamps.
    directory.samples_file.write_text("".join(_sample_lines(plan)))
    directory.plan_file.write_json(record_of(plan).model_dump(mode="json"))


def write_spec(spec: RunSpec, directory: RunDir) -> None:
    """Publishes ``spec.json``."""
    directory.spec_file.write_json(spec.model_dump(mode="json"))


def change_spec(directory: RunDir, changes: Mapping[str, Any]) -> None:
    """Changes options of a run that decide no measured number.

    Raises:
        UsageError: If a value is none that the option takes.
        DamagedFileError: If the run's specification is missing or damaged.
    """
    found = directory.spec_file.read_json()
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
        DamagedFileError: If it is missing, or of another version.
    """
    try:
        return PlanRecord.model_validate(directory.plan_file.read_json())
    except ValidationError as error:
        raise DamagedFileError(
            f"{directory.path} is no run of this version of tuiprobe: {error.errors()[0]['msg']}"
        ) from error


def _sample(directory: RunDir, line: str) -> SampleRecord:
    """Reads a line; by hand, for pydantic refuses the surrogates of undecodable file names."""
    try:
        found = parse_json(line)
        record = SampleRecord.model_construct(**found)
        label = record.label
        if (
            len(found) == len(SampleRecord.model_fields)
            and type(record.id) is int
            and 0 <= record.id < 2**53
            and isinstance(record.set, str)
            and isinstance(record.path, str)
            and (label is None or (type(label) is int and 0 <= label < 2**53))
        ):
            return record
    except (ValueError, TypeError, AttributeError):
        pass
    raise DamagedFileError(f"{directory.samples_file} is damaged: {line[:60]!r} is no image")


def read_samples(directory: RunDir) -> dict[str, dict[int, SampleRecord]]:
    """Returns the samples of every set by id."""
    samples: dict[str, dict[int, SampleRecord]] = {}
    for line in directory.samples_file.read_text().splitlines():
        record = _sample(directory, line)
        samples.setdefault(record.set, {})[record.id] = record
    return samples
