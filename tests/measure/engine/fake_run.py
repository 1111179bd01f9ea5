"""Run directories written from arrays alone, as the engine would have left them."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from tuiprobe.files import DamagedFileError
from tuiprobe.measure.arrays.tap_arrays import flatten_summary
from tuiprobe.measure.engine.merge import SHARD_FIELDS, MergedSet, shard_sums, write_merged
from tuiprobe.measure.run.arrays import checksum_of, write_arrays
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.manifest import FILES, FOLDERS, write_manifest
from tuiprobe.measure.run.records import MeasuredRecord
from tuiprobe.results import Fingerprint, Model, NotRun, Preprocessing, Weights
from tuiprobe.spec import FINAL_TAP
from tuiprobe.stats import ActivationStats

KEY = "0123456789abcdef" * 4
PRINT = Fingerprint(torch="2", device="cpu", isa="scalar", threads=1)


@dataclass
class FakeSet:
    """One set: representations [n, C], labels [n] or None, and what the plan says of it."""

    features: np.ndarray
    labels: np.ndarray | None
    classes: tuple[str, ...] = ()
    source: str = "imagefolder:/data"
    answers: np.ndarray | None = None
    more: dict[str, object] = field(default_factory=dict)


def model(**changes: object) -> Model:
    """Returns a description of an encoder that nobody has."""
    about = Model(
        name="fake", loader="py", architecture="fake", representation="pooled", width=4,
        parameters=1, weights=Weights(kind="checkpoint", source="x", digest="0" * 64),
        preprocessing=Preprocessing(
            size=(8, 8), mean=(0.5,) * 3, std=(0.5,) * 3, interpolation="none", source="test"
        ),
    )  # fmt: skip
    return about.model_copy(update=changes)


def write_run(
    path: Path,
    sets: Mapping[str, FakeSet],
    weight: np.ndarray | None,
    *,
    bias: np.ndarray | None = None,
    normalize: bool = False,
    reason: str = "fake brings no head",
    spec: Mapping[str, object] | None = None,
    about: Mapping[str, object] | None = None,
    extra_head: Mapping[str, np.ndarray] | None = None,
) -> RunDir:
    """Writes a merged run that has no results yet; without a weight, one that has no head."""
    directory = RunDir(path)
    directory.create(KEY)
    write_manifest(path, {})
    width = next(iter(sets.values())).features.shape[1]
    directory.spec_file.write_json({"model": "fake", "data": "imagefolder:/data", **(spec or {})})
    _write_plan(directory, sets, model(width=width, **(about or {})))
    write_merged(directory, KEY, {name: _merged(record.features) for name, record in sets.items()})
    if weight is None:
        write_arrays(directory.head_file, {}, {"not_run": NotRun(reason=reason).model_dump_json()})
        return directory
    arrays = {"weight": weight.astype(np.float32), **(extra_head or {})}
    if bias is not None:
        arrays["bias"] = bias.astype(np.float32)
    for name, record in sets.items():
        if record.labels is not None:
            answers = np.arange(len(weight)) if record.answers is None else record.answers
            arrays[f"answers/{name}"] = answers.astype(np.int64)
    metadata = {
        "source": "test", "normalize": json.dumps(normalize), "classes": "[]", "templates": "[]"
    }  # fmt: skip
    write_arrays(directory.head_file, arrays, metadata)
    return directory


def _write_plan(directory: RunDir, sets: Mapping[str, FakeSet], about: Model) -> None:
    lines, records = [], []
    for name, record in sets.items():
        n = len(record.features)
        labels = [None] * n if record.labels is None else record.labels.tolist()
        classes = record.classes
        if record.labels is not None and not classes:
            classes = tuple(f"class {i}" for i in range(int(record.labels.max(initial=0)) + 1))
        lines += [
            json.dumps({"id": i, "set": name, "path": f"{i}.png", "label": labels[i]})
            for i in range(n)
        ]
        records.append(
            {
                "name": name, "source": record.source, "found": n, "planned": n, "shards": 1,
                "classes": classes, "notes": [], "key": KEY, **record.more,
            }
        )  # fmt: skip
    directory.samples_file.write_text("".join(line + "\n" for line in lines))
    tap = {"name": FINAL_TAP, "kind": "vector", "tokens": None, "channels": about.width}
    directory.plan_file.write_json(
        {
            "key": KEY, "model": about.model_dump(mode="json"), "taps": [tap],
            "sets": records,
        },
    )  # fmt: skip


def _merged(features: np.ndarray) -> MergedSet:
    stats = ActivationStats(features.shape[1], k=4)
    ids = np.arange(len(features))
    h = torch.from_numpy(features.astype(np.float32))
    stats.update(h, torch.from_numpy(ids))
    summary = stats.compute()
    arrays = {f"{FINAL_TAP}/{name}": array for name, array in flatten_summary(summary).items()}
    for name, value in zip(SHARD_FIELDS, shard_sums(summary.samples), strict=True):
        arrays[f"{FINAL_TAP}/shard_{name}"] = np.array([value])
    record = MeasuredRecord(
        shards=1, skipped=(), fingerprints=(PRINT,), pieces=1, read=len(ids), contents="0" * 64
    )
    return MergedSet(arrays=arrays, features=h.numpy(), ids=ids, record=record)


def vouch(run: RunDir) -> None:
    """Publishes a manifest that names what lies in a run now, whoever wrote it."""
    entries = (run.at(path.relative_to(run.path).as_posix()) for path in run.path.rglob("*"))
    named = [entry for entry in entries if entry.name in FILES or entry.name.startswith(FOLDERS)]
    checksums = {}
    for item in named:
        with suppress(DamagedFileError):
            checksums[item.name] = checksum_of(item)
    write_manifest(run.path, checksums)
