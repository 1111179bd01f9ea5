"""The channel means that ablated inner layers are set to, measured once per run directory."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np
import torch

from tuiprobe.engine.decoding import decode_batches
from tuiprobe.engine.plan import Plan
from tuiprobe.errors import DataError
from tuiprobe.models.ablated import LayerAblation
from tuiprobe.run.arrays import Arrays, read_arrays, write_arrays
from tuiprobe.run.checked_arrays import CheckedArrays
from tuiprobe.run.status import Event, Listener

LOCK = "lock-ablation"


def set_means(plan: Plan, listen: Listener) -> None:
    """Gives every layer that is set to its mean the values that the run directory holds.

    The first process measures them on the first shard of the in-distribution set, through the
    encoder without any ablation, and writes them; every other rank and every resume reads them, so
    all images get equal values.

    Args:
        plan: The plan of the run.
        listen: Receives the event that means are measured.

    Raises:
        DataError: If no image of the shard can be read.
        DamagedFileError: If the file with the means is damaged.
    """
    ablated = {n: layer for n, layer in plan.encoder.ablated.items() if layer.mode == "mean"}
    if not ablated:
        return
    file = plan.directory.ablation_file
    with plan.directory.locked(LOCK, wait=True):
        if not file.exists():
            listen(Event("stage", "measuring the means of ablated channels", {"stage": "ablation"}))
            images = _measure(plan, ablated)
            arrays: Arrays = {
                name: np.asarray(layer.values, dtype=np.float32) for name, layer in ablated.items()
            }
            write_arrays(file, arrays, {"key": plan.key, "images": str(images)})
    checked = CheckedArrays(file, read_arrays(file)[0])
    for name, layer in ablated.items():
        values = checked.finite(name, "f4", len(layer.channels))
        layer.values = torch.from_numpy(np.array(values))


def _measure(plan: Plan, ablated: dict[str, LayerAblation]) -> int:
    """Measures the means on the first shard and returns its number of images."""
    shard = next(iter(plan.shards.values()))[0]
    dataset, images = plan.suite.sets[shard.set_name], 0
    decoding = decode_batches(
        [shard], plan.suite.sets, plan.stamps, plan.encoder.preprocess, workers=0
    )
    with torch.inference_mode(), decoding as batches, ExitStack() as collecting:
        for layer in ablated.values():
            collecting.enter_context(layer.collecting())
        for batch in batches:
            batch.refuse_changed(dataset)
            if len(batch.ids):
                plan.encoder.encode(batch.images)
                images += len(batch.ids)
        if images == 0:
            raise DataError(f"{dataset.source}: no image of the first shard can be read")
    return images
