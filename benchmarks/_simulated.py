"""Many ranks in virtual time: real plans, leases, shard files, resuming and merging.

What is simulated are the pixels (an image is its number), the forward pass (a function of that
number) and the seconds that it takes. Who measures which shard, what a rank that starts again
finds, and how shards are written, checked and merged is the engine's own code.
"""

from __future__ import annotations

import hashlib
import heapq
import random
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import nn

from tuiprobe.datasets import Sample, Suite, UnreadableImageError
from tuiprobe.datasets.base import Stamp
from tuiprobe.datasets.content import DIGEST_BYTES, Content
from tuiprobe.events import Event
from tuiprobe.measure.crew import Crew
from tuiprobe.measure.decoding import Batch
from tuiprobe.measure.extract import Extraction
from tuiprobe.measure.fingerprint import current_fingerprint
from tuiprobe.measure.merge import MergedSet, empty_states, merge_set
from tuiprobe.measure.plan import Plan, make_plan
from tuiprobe.measure.ranks import Rank
from tuiprobe.measure.resume import ShardReader, take_inventory
from tuiprobe.measure.shards import Shard
from tuiprobe.measure.stopping import StopRequest
from tuiprobe.measure.unreadable import UnreadableLimit
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.info import PreprocessingInfo, WeightsInfo
from tuiprobe.run.directory import RunDir
from tuiprobe.spec import RunSpec

Life = Generator[float]
"""A rank: yields the seconds until it goes on."""


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
    return make_plan(spec, encoder, suite)


def shards_of(plan: Plan) -> list[Shard]:
    """Returns all shards of a plan, in its order."""
    return [shard for pieces in plan.shards.values() for shard in pieces]


def batch_of(ids: np.ndarray) -> Batch:
    """Returns the images of these numbers, as the decoder would."""
    images = torch.from_numpy(ids).float()[:, None, None, None].expand(-1, 3, 1, 1)
    return Batch(
        images, torch.from_numpy(ids), (), tuple(ids.tolist()), bytes(DIGEST_BYTES * len(ids)), ()
    )


def reader_of(plan: Plan, directory: RunDir) -> ShardReader:
    """Returns what reads and checks the shards of a run."""
    print_ = current_fingerprint("cpu", plan.spec.top_k)
    return ShardReader(directory, plan.set_keys, print_, empty_states(plan))


class _Leases:
    """Passes on to the crew what the live view would; draws nothing."""

    def __init__(self, crew: Crew | None) -> None:
        self._crew = crew
        self._images = 0

    def begin_shard(self, shard: Shard, measures: object) -> None:
        self._images, self._shard = 0, shard
        if self._crew is not None:
            self._crew.hold(shard)

    def advance(self, images: int, skipped: int, features: object = ()) -> None:
        self._images += images
        if self._crew is not None:
            self._crew.beat(self._images, 1.0, 1.0)

    def end_shard(self) -> None:
        if self._crew is not None:
            self._crew.measured(self._shard)


def extraction_of(plan: Plan, directory: RunDir, crew: Crew | None = None) -> Extraction:
    """Returns the engine's extraction, without live files."""
    live: Any = _Leases(crew)
    quiet = UnreadableLimit(plan.images, 0.0, 0, _ignore)
    print_ = current_fingerprint("cpu", plan.spec.top_k)
    stop = StopRequest(directory.cancel_file)
    return Extraction(plan, directory, print_, live, stop, quiet, _ignore)


def _ignore(event: Event) -> None:
    """Hears nothing."""


def measure_alone(plan: Plan, directory: RunDir) -> None:
    """Measures all shards in order."""
    extraction = extraction_of(plan, directory)
    for shard in shards_of(plan):
        extraction.begin(shard)
        for ids in shard.batches:
            extraction.take(batch_of(ids))
        extraction.publish()


def merged(plan: Plan, directory: RunDir) -> dict[str, MergedSet]:
    """Merges a run as the engine does."""
    reader = reader_of(plan, directory)
    return {name: merge_set(plan, reader, shards) for name, shards in plan.shards.items()}


def bits(sets: Mapping[str, MergedSet]) -> str:
    """Returns a digest of everything that a merge computed."""
    digest = hashlib.sha256()
    for name, one in sets.items():
        arrays = {**one.arrays, "features": one.features, "ids": one.ids}
        for field_name in sorted(arrays):
            digest.update(f"{name} {field_name} {arrays[field_name].shape}".encode())
            digest.update(np.ascontiguousarray(arrays[field_name]).tobytes())
    return digest.hexdigest()


@dataclass
class World:
    """How the ranks fare.

    Attributes:
        ranks: Number of ranks; every eight share a host.
        rate: Images per second of a usual rank.
        mean_life: Mean seconds until a rank dies; each start draws anew.
        comes_back: Chance that a rank that died is started again.
        load: Seconds that a start takes.
        slow: Numbers of ranks that measure at a tenth of the speed.
        seed: Seed of all chance.
    """

    ranks: int
    rate: float
    mean_life: float
    comes_back: float = 0.5
    load: float = 60.0
    slow: tuple[int, ...] = ()
    seed: int = 0


@dataclass
class Fates:
    """What happened.

    Attributes:
        seconds: Virtual time until the last rank ended.
        deaths: How often a rank died.
        lost: How many ranks never came back.
        wasted: Images measured in shards that were never published.
        twice: Images measured in shards that another rank published too.
        done: Images in shards that were published first.
        warnings: What the ranks said.
    """

    seconds: float = 0.0
    deaths: int = 0
    lost: int = 0
    wasted: int = 0
    twice: int = 0
    done: int = 0
    warnings: list[str] = field(default_factory=list)


class Simulation:
    """A run of many ranks that die.

    Args:
        plan: The plan of the run.
        directory: The run directory; everything in it is written by the engine.
        world: How the ranks fare.
    """

    def __init__(self, plan: Plan, directory: RunDir, world: World) -> None:
        self._plan, self._directory, self._world = plan, directory, world
        self._shards = shards_of(plan)
        self._chance = random.Random(world.seed)
        self._clock = 0.0
        self._current: dict[int, int] = {}  # images of the shard that a rank measures
        self.fates = Fates()

    def go(self) -> Fates:
        """Lets all ranks live until the run is measured."""
        self._directory.create(self._plan.key)
        world, fates = self._world, self.fates
        ends = {n: self._chance.expovariate(1 / world.mean_life) for n in range(world.ranks)}
        lives: dict[int, Life] = {n: self._life(n) for n in range(world.ranks)}
        events = [(0.0, n) for n in lives]
        while events:
            time, number = heapq.heappop(events)
            if time >= ends[number]:  # it died before it could go on
                self._clock = ends[number]
                lives.pop(number).close()
                fates.deaths += 1
                fates.wasted += self._current.pop(number, 0)
                if len(lives) and self._chance.random() >= world.comes_back:
                    fates.lost += 1
                    continue
                lives[number] = self._life(number)
                back = self._clock + self._chance.uniform(10, 120)
                ends[number] = back + self._chance.expovariate(1 / world.mean_life)
                heapq.heappush(events, (back, number))
                continue
            self._clock = time
            try:
                heapq.heappush(events, (time + next(lives[number]), number))
            except StopIteration:
                del lives[number]
        fates.seconds = self._clock
        return fates

    def _life(self, number: int) -> Life:
        """Lives as `Stages` does: prepares, measures its own, takes over, ends."""
        world, rank = (
            self._world,
            Rank(number, self._world.ranks, number % 8, min(8, self._world.ranks)),
        )
        crew = Crew(
            self._directory, rank, self._shards, self._hear, now=lambda: self._clock,
            host=f"host-{number // 8}",
        )  # fmt: skip
        crew.join()
        yield world.load
        extraction = extraction_of(self._plan, self._directory, crew)
        inventory = take_inventory(
            reader_of(self._plan, self._directory), self._shards, self._hear, rank.owns
        )
        missing = {(shard.set_name, shard.number) for shard in inventory.missing}
        crew.distrust(inventory.missing)
        owned = (shard for i, shard in enumerate(self._shards) if rank.owns(i))
        pending = crew.left([s for s in owned if (s.set_name, s.number) in missing])
        while pending:
            yield from self._measure(number, extraction, pending[0])
            pending = crew.left(pending[1:])
        while absent := crew.absent():
            shard = crew.take(absent)
            if shard is None:
                crew.wait()
                yield 5.0
            else:
                yield from self._measure(number, extraction, shard)
        crew.enter("done")

    def _measure(self, number: int, extraction: Extraction, shard: Shard) -> Life:
        slow = 10 if number in self._world.slow else 1
        extraction.begin(shard)
        self._current[number] = 0
        for ids in shard.batches:
            yield slow * len(ids) / self._world.rate
            self._current[number] += len(ids)
            extraction.take(batch_of(ids))
        if self._directory.shard_file(shard.set_name, shard.number).exists():
            self.fates.twice += shard.size
        else:
            self.fates.done += shard.size
        extraction.publish()
        del self._current[number]

    def _hear(self, event: Event) -> None:
        if event.kind == "warning":
            self.fates.warnings.append(event.message)
