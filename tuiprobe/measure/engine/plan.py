"""Plans a run: what is measured, in which order and shards, under which key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tuiprobe.datasets import Suite
from tuiprobe.datasets.concepts import concept_dataset
from tuiprobe.datasets.dataset import safe_name
from tuiprobe.datasets.layout import Ids, SetLayout, layout_of
from tuiprobe.datasets.load import planned_images
from tuiprobe.datasets.sample import Stamp, stamp_file
from tuiprobe.errors import DataError, UsageError, WeightsError
from tuiprobe.files import DamagedFileError
from tuiprobe.measure.engine.head_choice import HeadChoice, choose_head
from tuiprobe.measure.engine.shards import Rank, Shard, set_record, split_into_shards
from tuiprobe.measure.run.counting import SetCount, in_turns
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.manifest import write_named, write_record
from tuiprobe.measure.run.preview import chosen_layers
from tuiprobe.measure.run.records import FileRecord, PlanRecord, TapRecord, read_plan
from tuiprobe.models.checks.trial import REPEATED, agree, rounded, signature
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.taps import Tap
from tuiprobe.plugins import MODELS, foreign_names, is_foreign
from tuiprobe.request import RunRequest
from tuiprobe.results import Model
from tuiprobe.spec import FINAL_TAP, RunSpec, content_key
from tuiprobe.stats import ActivationStats

_FILES = ("checkpoint", "classes", "templates", "head", "baseline")
_SOURCES = ("data", "concepts", "model")  # of a model only `answers:FILE` is a file

INNER_TOP_K = 8
"""Images stored per channel and end of an inner tap."""


@dataclass(frozen=True)
class Plan:
    """The complete plan of a run, down to the last sample.

    Attributes:
        spec: The user's spec.
        encoder: The loaded encoder.
        model: Description of the encoder for the report.
        taps: Inner taps to measure, in addition to the final representation.
        suite: The sets of images.
        shards: All shards of each set.
        stamps: Stamp of each image before the first one was read, by set name and sample id;
            empty for sets whose samples lie together in files, which have stamps.
        key: SHA-256 of everything that determines the numbers of all sets except the concept set
            and the target sets.
        set_keys: The key in the shards of each set: the run's key, except for the concept set and
            the target sets. A separate key lets each of them change without measuring the others
            again.
        directory: The run directory.
        rank: Rank of this process.
        files: The files that options name, as they were before they were read, by option.
        signature: What the forward pass of code that is not tuiprobe's computes; else empty.
    """

    spec: RunSpec
    encoder: Encoder
    model: Model
    taps: tuple[Tap, ...]
    suite: Suite
    shards: dict[str, tuple[Shard, ...]]
    stamps: dict[str, dict[int, Stamp]]
    key: str
    set_keys: dict[str, str]
    directory: RunDir
    rank: Rank = field(default_factory=Rank)
    files: dict[str, FileRecord] = field(default_factory=dict)
    signature: tuple[float, ...] = ()

    @property
    def all_shards(self) -> list[Shard]:
        """The shards of all sets, in the order in which they are measured."""
        return [self.shards[name][number] for name, number in in_turns(self.set_counts)]

    @cached_property
    def layouts(self) -> dict[str, SetLayout]:
        """How the samples of each set are read."""
        return {name: layout_of(dataset) for name, dataset in self.suite.sets.items()}

    @property
    def unit(self) -> str:
        """What the samples of the run are called, in the plural."""
        return next(iter(self.layouts.values())).unit

    @cached_property
    def set_counts(self) -> tuple[SetCount, ...]:
        """How many images each set has in how many shards, none of them done."""
        return tuple(
            SetCount(
                name=name,
                total=sum(shard.size for shard in shards),
                shards=len(shards),
                shard_images=shards[0].size,
            )
            for name, shards in self.shards.items()
        )

    @cached_property
    def head(self) -> HeadChoice:
        """The head choice of the run; decided once.

        Raises:
            UsageError: If the options contradict each other, the encoder or the data.
            WeightsError: If the file with the head cannot be used.
        """
        return choose_head(self.spec, self.encoder, self.suite)

    def accumulators(self) -> dict[str, ActivationStats]:
        """Returns empty statistics of each tap, into which those of shards are loaded."""
        inner = {tap.name: ActivationStats(tap.channels, k=INNER_TOP_K) for tap in self.taps}
        return {FINAL_TAP: ActivationStats(self.encoder.width, k=self.spec.top_k), **inner}

    @property
    def images(self) -> int:
        """Number of images to measure over all sets."""
        return sum(count.total for count in self.set_counts)

    @property
    def device(self) -> str:
        """Torch device of the encoder."""
        return str(self.encoder.device)


def list_images(suite: Suite, spec: RunSpec) -> tuple[dict[str, Ids], dict[str, dict[int, Stamp]]]:
    """Determines which images are measured, which does not depend on encoder or device.

    Returns:
        The sample ids to measure in processing order, by set, and the stamps as in `Plan`.

    Raises:
        DataError: If a set holds no image.
    """
    order: dict[str, Ids] = {}
    stamps: dict[str, dict[int, Stamp]] = {}
    planned = planned_images(suite, spec)
    for name, dataset in suite.sets.items():
        layout = layout_of(dataset)
        order[name] = layout.order(spec.seed, planned[name])
        if not len(order[name]):
            raise DataError(f"{dataset.source}: no image to measure")
        stamps[name] = layout.stamps(order[name])
    return order, stamps


def make_plan(
    request: RunRequest,
    encoder: Encoder,
    *,
    suite: Suite,
    order: Mapping[str, Ids],
    stamps: dict[str, dict[int, Stamp]],
    rank: Rank = Rank(),  # noqa: B008 - frozen
) -> Plan:
    """Determines shards, taps, key and directory.

    Args:
        request: What to measure, with device and batch size, and where.
        encoder: The loaded encoder.
        suite: The sets of images.
        order: Sample ids in processing order, by set.
        stamps: As in `Plan`.
        rank: Rank of this process.

    Raises:
        UsageError: If a layer pattern matches no tap, or a token rule does not apply.
    """
    spec = request.spec
    available = tuple(tap for tap in encoder.taps() if tap.name != FINAL_TAP) if spec.layers else ()
    taps = _choose_taps(available, spec)
    layouts = {name: layout_of(dataset) for name, dataset in suite.sets.items()}
    shards = {
        name: split_into_shards(
            name,
            order[name],
            layout.batch(spec.batch),
            spec.shard_batches,
            layout.most_batches,
        )
        for name, layout in layouts.items()
    }
    model = _describe_model(spec, encoder)
    images = {name: layout.content(stamps[name]) for name, layout in layouts.items()}
    sets = [name for name in suite.sets if name not in suite.separately_keyed]
    content = {
        **_content(spec, model, taps),
        "shards": {name: _batches(shards[name]) for name in sets},
        "images": {name: images[name] for name in sets},
    }
    prefix = request.runs / f"{safe_name(spec.model)}-{suite.name}"
    key, directory, trial = _identified(encoder, content, request.output, prefix)
    keys = dict.fromkeys(sets, key)
    concepts = concept_dataset(suite)
    for name in suite.separately_keyed:
        of_set: dict[str, Any] = {"shards": _batches(shards[name]), "images": images[name]}
        if name == suite.concept_set and concepts is not None:
            of_set["concepts"] = concepts.digest
        keys[name] = content_key({"run": key, **of_set})
    return Plan(
        spec=spec,
        encoder=encoder,
        model=model,
        taps=taps,
        suite=suite,
        shards=shards,
        stamps=stamps,
        key=key,
        set_keys=keys,
        directory=directory,
        rank=rank,
        signature=trial,
    )


def _identified(
    encoder: Encoder, content: dict[str, Any], output: Path | None, prefix: Path
) -> tuple[str, RunDir, tuple[float, ...]]:
    """Returns the key of a run, its directory, and the signature of the encoder.

    Of code that is not tuiprobe's (a user's `forward`) only its outputs tell what it
    computes: their signature is part of the key, in few digits. An earlier attempt on another
    device may have rounded to others; where its signature agrees, its key and directory are used.
    Outputs that are drawn at random would give a new directory to every attempt.

    Args:
        encoder: The encoder.
        content: What else determines the numbers.
        output: The directory, if the user named one.
        prefix: Path of a directory up to the key, if not.

    Raises:
        WeightsError: If another pass over the same input computes something else.
    """

    def of(trial: tuple[float, ...]) -> tuple[str, RunDir, tuple[float, ...]]:
        key = content_key({**content, "outputs": rounded(trial)} if trial else content)
        named = prefix.with_name(f"{prefix.name}-{key[:8]}")
        return key, RunDir(output if output is not None else named), trial

    if not is_foreign(encoder.loader, foreign_names(MODELS)):
        return of(())
    trial = signature(encoder)
    paths = [output] if output is not None else sorted(prefix.parent.glob(f"{prefix.name}-*"))
    for path in paths:
        with suppress(DamagedFileError, DataError):
            before = read_plan(RunDir(path))
            if agree(trial, before.signature, encoder.dtype):
                earlier = of(before.signature)
                if earlier[0] == before.key and earlier[1].path == path:
                    return earlier
    if not agree(trial, signature(encoder), encoder.dtype):
        raise WeightsError(
            f"{encoder.name} computes other outputs of one input each time; {REPEATED}"
        )
    return of(trial)


def _batches(shards: tuple[Shard, ...]) -> list[int]:
    return [len(shard.batches) for shard in shards]


def _choose_taps(taps: tuple[Tap, ...], spec: RunSpec) -> tuple[Tap, ...]:
    """Returns the taps that match a pattern, in the encoder's order.

    Raises:
        UsageError: If a pattern matches no tap, or there is no class token but it is requested.
    """
    names = {*chosen_layers([tap.name for tap in taps], spec.layers)}
    chosen = tuple(tap for tap in taps if tap.name in names)
    if spec.tokens == "class":
        without = [t.name for t in chosen if t.kind == "token" and t.prefix_tokens == 0]
        if without:
            raise UsageError(f"--tokens class: {without[0]} has no class token; use all or mean")
    return chosen


def _describe_model(spec: RunSpec, encoder: Encoder) -> Model:
    """Describes the encoder for the report."""
    return Model(
        name=spec.model,
        loader=encoder.loader,
        architecture=encoder.architecture,
        tag=encoder.tag,
        representation=encoder.representation,
        training=encoder.training,
        width=encoder.width,
        parameters=encoder.parameters(),
        weights=encoder.weights,
        preprocessing=encoder.preprocessing,
    )


def _content(spec: RunSpec, model: Model, taps: tuple[Tap, ...]) -> dict[str, Any]:
    """Returns all inputs of the numbers besides the images, without paths of weights or data."""
    named = {"assumed"} if model.loader == "py" else {"source", "assumed"}  # nothing else knows it
    preprocessing = model.preprocessing.model_dump(mode="json", exclude=named)
    return {
        "architecture": [model.loader, model.architecture, model.representation],
        "weights": model.weights.digest,
        "preprocessing": preprocessing,
        "taps": [FINAL_TAP, *(tap.name for tap in taps)],
        "tokens": spec.tokens,
        "top_k": spec.top_k,
        "dtype": spec.dtype,
        "batch_size": spec.batch,
        "seed": spec.seed,
    }


def record_of(plan: Plan) -> PlanRecord:
    """Returns the record of a plan."""
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
    keys, suite = plan.set_keys, plan.suite
    if plan.head.note:
        suite = replace(suite, notes=(*suite.notes, plan.head.note))
    return PlanRecord(
        key=plan.key,
        model=plan.model,
        taps=(final, *inner),
        sets=tuple(set_record(suite, name, plan.shards[name], keys[name]) for name in suite.sets),
        concept_set=plan.suite.concept_set,
        files=plan.files,
        signature=plan.signature,
    )


def option_files(spec: RunSpec) -> dict[str, FileRecord]:
    """Returns the files that options name, also as `KIND:FILE`, as they are now, by option."""
    values = {name: getattr(spec, name) for name in _FILES}
    values |= {name: (getattr(spec, name) or "").partition(":")[2] for name in _SOURCES}
    stamps = {name: stamp_file(path) for name, path in values.items() if path}
    return {
        name: FileRecord(size=stamp.size, changed=stamp.changed or "")
        for name, stamp in stamps.items()
        if stamp.size is not None
    }


def write_plan(plan: Plan) -> None:
    """Publishes `samples.jsonl` and `plan.json`."""
    directory = plan.directory
    lines = []
    for name, dataset in plan.suite.sets.items():
        samples = dataset.samples
        rows_of = {f"{of}_row": getattr(dataset, f"{of}_rows", {}) for of in ("label", "answer")}
        for i, stamp in plan.stamps[name].items():
            sample = samples[i]
            entry = {
                "id": i, "set": name, "path": sample.path, "label": sample.label,
                "size": stamp.size, "changed": stamp.changed,
            }  # fmt: skip
            entry |= {of: rows[i] for of, rows in rows_of.items() if i in rows}
            lines.append(json.dumps(entry) + "\n")
    # Written before the plan: a recorded source implies that the stamps are recorded.
    write_named(directory.samples_file, "".join(lines))
    write_record(directory.plan_file, record_of(plan).model_dump(mode="json"))
