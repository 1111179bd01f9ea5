"""Real plans and shard files of runs whose images are numbers.

What is made up are the pixels (an image is its number) and the forward pass (a function of that
number). How shards are written, checked and merged is the engine's own code.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from tuiprobe.datasets import Sample, Suite, UnreadableImageError
from tuiprobe.datasets.sample import Content, Stamp
from tuiprobe.files import DIGEST_BYTES
from tuiprobe.measure.engine.decoding import Batch
from tuiprobe.measure.engine.extract import Extraction
from tuiprobe.measure.engine.machine import current_fingerprint
from tuiprobe.measure.engine.merge import MergedSet, merge_set
from tuiprobe.measure.engine.opening import Clock, Job
from tuiprobe.measure.engine.plan import Plan, list_images, make_plan
from tuiprobe.measure.engine.resume import ShardReader
from tuiprobe.measure.engine.shards import Shard
from tuiprobe.measure.run.status import Event
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.info import PreprocessingInfo, WeightsInfo
from tuiprobe.probes.hooks import HOOKS
from tuiprobe.request import RunRequest
from tuiprobe.spec import RunSpec


@dataclass(frozen=True)
class Numbers:
    """A set whose image i is the number i."""

    name: str
    count: int
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """Its name."""
        return f"numbers:{self.name}"

    @cached_property
    def samples(self) -> Sequence[Sample]:
        """The numbers, without labels."""
        return tuple(Sample(i, f"{i}.png", None) for i in range(self.count))

    def stamp(self, sample: Sample) -> Stamp:
        """Returns a stamp that never changes."""
        return Stamp(1, "never")

    def read(self, sample: Sample) -> Content:
        """Refuses: nothing is decoded here."""
        raise UnreadableImageError("a number")

    def open(self, sample: Sample) -> Any:
        """Refuses likewise."""
        raise UnreadableImageError("a number")


class Waves(nn.Module):
    """Sines of the number of an image at the end, and linear functions of it in every block."""

    def __init__(self, seed: int, width: int, blocks: int) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.pitch = nn.Parameter(torch.rand(width) + 0.1)
            self.blocks = nn.ModuleList(nn.Linear(1, width) for _ in range(blocks))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns `[B, width]` of images `[B, 3, 1, 1]`."""
        x = images[:, :1, 0, 0]
        for number, block in enumerate(self.blocks):
            block(torch.cos(x * (number + 1)))
        return torch.sin(x * self.pitch)


def plan_of(
    seed: int,
    sets: Mapping[str, int],
    *,
    width: int,
    blocks: int,
    batch: int,
    shard_batches: int | None = None,
    output: Path,
) -> Plan:
    """Plans a run over sets of numbers with an encoder of sines."""
    module = Waves(seed, width, blocks)
    encoder = Encoder(
        name=f"py:waves{seed}", architecture="waves", representation="pooled", width=width,
        weights=WeightsInfo(
            kind="checkpoint", source="seed", digest=hashlib.sha256(bytes([seed])).hexdigest()
        ),
        preprocessing=PreprocessingInfo(
            size=(1, 1), mean=(0.0,) * 3, std=(1.0,) * 3, interpolation="none", source="numbers"
        ),
        module=module, preprocess=lambda image: torch.zeros(3, 1, 1), forward=module,
    )  # fmt: skip
    spec = RunSpec(
        model=encoder.name, data="numbers", batch_size=batch, shard_batches=shard_batches,
        layers=("blocks.*",) if blocks else (), device="cpu", workers=0,
    )  # fmt: skip
    suite = Suite("numbers", "numbers", {name: Numbers(name, n) for name, n in sets.items()})
    order, stamps = list_images(suite, spec)
    request = RunRequest(spec=spec, output=output)
    return make_plan(request, encoder, suite=suite, order=order, stamps=stamps)


def batch_of(ids: np.ndarray) -> Batch:
    """Returns the images of these numbers, as the decoder would."""
    images = torch.from_numpy(ids).float()[:, None, None, None].expand(-1, 3, 1, 1)
    return Batch(
        images, torch.from_numpy(ids), (), tuple(ids.tolist()), bytes(DIGEST_BYTES * len(ids))
    )


def reader_of(plan: Plan) -> ShardReader:
    """Makes the reader that reads and checks the shards of a run."""
    print_ = current_fingerprint("cpu", plan.spec.top_k)
    return ShardReader(plan, print_)


class _NoView:
    """A live view that draws nothing."""

    def begin_shard(self, shard: Shard, measures: object) -> None: ...

    def advance(self, images: int, skipped: int, *batches: object) -> None: ...

    def end_shard(self, *batches: object) -> None: ...


def extraction_of(plan: Plan) -> Extraction:
    """Returns the engine's extraction, without a live view."""
    view: Any = _NoView()
    return Extraction(Job(plan, Clock(), _ignore, False, HOOKS), view, plan.all_shards)


def _ignore(event: Event) -> None:
    """Hears nothing."""


def merged(plan: Plan) -> dict[str, MergedSet]:
    """Merges a run as the engine does."""
    reader = reader_of(plan)
    return {name: merge_set(reader, shards) for name, shards in plan.shards.items()}
