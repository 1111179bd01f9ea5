"""`--head probe`: a linear head fitted to labelled images that the run does not measure.

The images follow the measured ones in the processing order, so the split is stratified, the same
every time, and disjoint from the measured images. Their representations are stored in the run
directory shard by shard, so an interrupted fit resumes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from tuiprobe.catalog.imagenet import imagenet_labels, imagenet_names
from tuiprobe.datasets.layout import layout_of
from tuiprobe.datasets.order import processing_order
from tuiprobe.datasets.sample import Stamp
from tuiprobe.engine.decoding import choose_workers, decode_batches
from tuiprobe.engine.plan import Plan
from tuiprobe.engine.shards import Shard, split_into_shards
from tuiprobe.errors import UsageError
from tuiprobe.files import DamagedFileError, Entry
from tuiprobe.models.heads import Head, ridge_head
from tuiprobe.probes.rows import finite_images
from tuiprobe.results import NotRun
from tuiprobe.run.arrays import read_arrays, write_arrays

IMAGES_PER_CLASS = 10
"""Average number of images per class: 10,000 images for ImageNet."""


def probe_split(plan: Plan) -> tuple[Shard, ...]:
    """Returns the shards of the split.

    Raises:
        UsageError: If too few labelled images remain.
    """
    name, dataset = next(iter(plan.suite.sets.items()))
    measured = sum(shard.size for shard in plan.shards[name])
    classes = len(dataset.classes)
    if classes == 1:
        raise UsageError(
            f"--head probe tells classes apart, and {name} has one, {dataset.classes[0]!r}. If the "
            "folders in it are the classes, give its path as --data"
        )
    order = processing_order(dataset.samples, plan.spec.seed)[measured:]
    order = order[: IMAGES_PER_CLASS * classes]
    labels = {dataset.samples[i].label for i in order.tolist()}
    missing = classes - len(labels - {None})
    if len(order) < 2 * classes or missing:
        raise UsageError(
            f"--head probe fits on images of {name} that the run does not measure: {len(order)} "
            f"are left for {classes} classes, {missing} of them without any. Leave more out with "
            "a smaller --sample, or pass --head FILE"
        )
    return split_into_shards(name, order, plan.spec.batch, None)


def _ids(shards: Sequence[Shard]) -> NDArray[np.int64]:
    return np.concatenate([shard.ids for shard in shards])


def split_digest(plan: Plan) -> str:
    """Returns a digest that changes if the images of the split may have changed."""
    shards = probe_split(plan)
    stamps = next(iter(plan.layouts.values())).stamps(_ids(shards))
    digests = [_digest(plan, shard, stamps) for shard in shards]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def fit_probe(
    plan: Plan,
    classes: tuple[str, ...],
    progress: Callable[[int, int], None],
) -> Head | NotRun:
    """Encodes the split and fits the head by ridge regression.

    Args:
        plan: The plan of the run, whose directory stores the representations of the split.
        classes: Names of the rows, in label order.
        progress: Called with the number of encoded images and of all images to encode.

    Returns:
        The head, or the reason why there is none.
    """
    shards = probe_split(plan)
    name, dataset = next(iter(plan.suite.sets.items()))
    stamps = layout_of(dataset).stamps(_ids(shards))
    digests = {shard.number: _digest(plan, shard, stamps) for shard in shards}
    parts = {
        shard.number: _read(plan.directory.head_probe_file(shard.number), digests[shard.number])
        for shard in shards
    }
    missing = [shard for shard in shards if parts[shard.number] is None]
    total, done = sum(shard.size for shard in missing), 0
    for shard in missing:
        report = partial(lambda before, images: progress(before + images, total), done)
        features, ids = _encode(plan, shard, stamps, report)
        arrays = {"features": features.numpy(), "ids": ids.numpy()}
        file = plan.directory.head_probe_file(shard.number)
        write_arrays(file, arrays, {"split": digests[shard.number]})
        parts[shard.number] = features, ids
        done += shard.size
    h, ids = (torch.cat(some) for some in zip(*filter(None, parts.values()), strict=True))
    finite = torch.from_numpy(finite_images(h.numpy()))
    labels = [dataset.samples[i].label for i in ids[finite].tolist()]
    lost = len(h) - len(labels)
    left_out = f"; {lost} more are left out, because their representation is not finite"
    try:
        head = ridge_head(h[finite], torch.tensor(labels), classes)
    except UsageError as error:
        if not lost:
            raise
        return NotRun(reason=f"{error}{left_out}")
    source = f"{head.source} of {name} that are not measured (next in the processing order)"
    source += left_out if lost else ""
    return _in_imagenets_order(head, dataset.classes, source)


def _in_imagenets_order(head: Head, labels: tuple[str, ...], source: str) -> Head:
    """Sorts rows in ImageNet's label order, so that its shifts find their classes."""
    rows = imagenet_labels(labels)
    if rows is None or len(rows) != len(imagenet_names()):
        return Head(head.weight, head.bias, head.classes, source=source)
    place = torch.tensor(rows).argsort()
    bias = head.bias[place] if head.bias is not None else None
    return Head(head.weight[place], bias, imagenet_names(), source=source)


def _digest(plan: Plan, shard: Shard, stamps: Mapping[int, Stamp]) -> str:
    """Returns a digest that changes if the images may have, so that they are encoded again."""
    dataset = plan.suite.sets[shard.set_name]
    images = [
        (i, dataset.samples[i].path, stamps[i].size, stamps[i].changed) for i in shard.ids.tolist()
    ]
    content = [plan.key, dataset.source, [len(batch) for batch in shard.batches], images]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _read(file: Entry, digest: str) -> tuple[torch.Tensor, torch.Tensor] | None:
    if not file.exists():
        return None
    try:
        arrays, metadata = read_arrays(file)
    except DamagedFileError:
        return None
    if metadata.get("split") != digest:
        return None
    return torch.from_numpy(arrays["features"]), torch.from_numpy(arrays["ids"])


def _encode(
    plan: Plan, shard: Shard, stamps: Mapping[int, Stamp], progress: Callable[[int], None]
) -> tuple[torch.Tensor, torch.Tensor]:
    workers = choose_workers(plan.spec.workers, shard.size)
    features, ids = [torch.empty(0, plan.encoder.width)], [torch.empty(0, dtype=torch.int64)]
    sets, planned, done = plan.suite.sets, {shard.set_name: stamps}, 0
    decoding = decode_batches([shard], sets, planned, plan.encoder.preprocess, workers)
    with torch.inference_mode(), decoding as batches:
        for batch in batches:
            batch.refuse_changed(plan.suite.sets[shard.set_name])
            if len(batch.ids):
                features.append(plan.encoder.encode(batch.images, batch.ids).float().cpu())
                ids.append(batch.ids)
            done += len(batch.ids) + len(batch.skipped)
            progress(done)
    return torch.cat(features), torch.cat(ids)
