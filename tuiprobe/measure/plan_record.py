"""Writes the records of a plan, so readers need neither the model nor the data."""

from __future__ import annotations

import json
from collections.abc import Mapping

from tuiprobe.datasets.base import Stamp
from tuiprobe.manifest import write_named, write_record
from tuiprobe.measure.plan import Plan
from tuiprobe.run.records import (
    FileRecord,
    PlanRecord,
    SetRecord,
    TapRecord,
)
from tuiprobe.spec import FINAL_TAP


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
    sets = (
        SetRecord(
            name=name,
            source=dataset.source,
            found=len(dataset.samples),
            planned=sum(shard.size for shard in plan.shards[name]),
            shards=len(plan.shards[name]),
            shard_images=plan.shards[name][0].size,
            classes=dataset.classes,
            notes=dataset.notes if i else (*dataset.notes, *plan.suite.notes),
            published=plan.suite.published.get(name),
            key=plan.set_keys[name],
            target=name in plan.suite.targets,
            rows=plan.row_sets[name].record() if name in plan.row_sets else None,
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
        files=file_records(plan.files),
    )


def file_records(stamps: Mapping[str, Stamp]) -> dict[str, FileRecord]:
    """Returns the records of the files among some stamps."""
    return {
        name: FileRecord(size=stamp.size, changed=stamp.changed or "")
        for name, stamp in stamps.items()
        if stamp.size is not None
    }


def write_plan(plan: Plan) -> None:
    """Publishes `samples.jsonl` and `plan.json`."""
    directory = plan.directory
    # Written before the plan: a recorded source implies that the stamps are recorded.
    write_named(directory.samples_file, "".join(_sample_lines(plan)))
    write_record(directory.plan_file, record_of(plan).model_dump(mode="json"))


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
