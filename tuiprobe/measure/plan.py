"""Spec to plan: what will be measured, in which order and pieces, under which key."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np

from tuiprobe.datasets import Dataset, Suite
from tuiprobe.datasets.base import Stamp
from tuiprobe.datasets.concepts import concept_dataset
from tuiprobe.datasets.content import digest_of
from tuiprobe.datasets.order import processing_order
from tuiprobe.datasets.registry import safe_name
from tuiprobe.errors import DataError, UsageError
from tuiprobe.globs import matches
from tuiprobe.measure.head_choice import HeadChoice, choose_head
from tuiprobe.measure.shards import Shard, split_into_shards
from tuiprobe.models.ablated import ablation_in_words
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.taps import Tap
from tuiprobe.results import Model
from tuiprobe.spec import FINAL_TAP, RunSpec, content_key

KEYED_CONTENTS = 8
"""Images of each set whose content is part of the key, the first of the processing order.

Folders of equal names and sizes, such as BMP files of two corruptions, get keys of their own. The
contents of all images are compared when a run is resumed: `tuiprobe.measure.contents`.
"""

_BLOCK = re.compile(r"(?:^|\.)(?:resblocks|blocks)\.\d+$")
"""What open_clip and timm call the blocks of a transformer."""


@dataclass(frozen=True)
class Plan:
    """A run, decided down to the last sample.

    Attributes:
        spec: What the user asked for.
        encoder: The loaded encoder.
        model: What the report says about it.
        taps: Inner taps to measure; the final representation comes on top.
        blocks: Which of them are blocks of a transformer's residual stream.
        all_blocks: Whether these are all of its blocks.
        suite: The sets of images.
        shards: All shards of each set.
        stamps: By set name and sample id, what each image looked like before the first was read.
        key: SHA-256 of everything that decides the numbers of all sets but the concept set.
        set_keys: By set name, the key that its shards carry: the run's, or for the concept set one
            of its own, so that another concept set measures nothing else anew.
    """

    spec: RunSpec
    encoder: Encoder
    model: Model
    taps: tuple[Tap, ...]
    blocks: tuple[str, ...]
    all_blocks: bool
    suite: Suite
    shards: dict[str, tuple[Shard, ...]]
    stamps: dict[str, dict[int, Stamp]]
    key: str
    set_keys: dict[str, str]

    @cached_property
    def head(self) -> HeadChoice:
        """Which head the run uses; decided once.

        Raises:
            UsageError: If the options contradict each other, the encoder or the data.
            WeightsError: If the file with the head cannot be used.
        """
        return choose_head(self.spec, self.encoder, self.suite)

    @property
    def images(self) -> int:
        """Images to measure over all sets."""
        return sum(shard.size for shards in self.shards.values() for shard in shards)

    @property
    def directory_name(self) -> str:
        """`<model>-<data>-<key8>`."""
        return f"{safe_name(self.spec.model)}-{self.suite.name}-{self.key[:8]}"


def make_plan(spec: RunSpec, encoder: Encoder, suite: Suite) -> Plan:
    """Decides order, shards, taps and key.

    Raises:
        UsageError: If a layer pattern matches no tap, or a token rule cannot be met.
        DataError: If a set holds no image.
    """
    available = tuple(tap for tap in encoder.taps() if tap.name != FINAL_TAP) if spec.layers else ()
    taps = choose_taps(available, spec)
    shards, stamps = {}, {}
    for name, dataset in suite.sets.items():
        wanted = spec.concept_sample if name == suite.concept_set else spec.sample
        order = processing_order(dataset.samples, spec.seed)[:wanted]
        if len(order) == 0:
            raise DataError(f"{dataset.source}: no image to measure")
        shards[name] = split_into_shards(name, order, spec.batch_size, spec.shard_batches)
        stamps[name] = stamps_of(dataset, shards[name])
    model = describe_model(spec, encoder)
    images = {name: _images(suite.sets[name], stamps[name]) for name in suite.sets}
    sets = [name for name in suite.sets if name != suite.concept_set]
    key = content_key(
        {
            **_content(spec, model, taps),
            "shards": {name: _batches(shards[name]) for name in sets},
            "images": {name: images[name] for name in sets},
        }
    )
    keys = dict.fromkeys(sets, key)
    concepts = concept_dataset(suite)
    if concepts is not None and suite.concept_set is not None:
        name = suite.concept_set
        own = {"shards": _batches(shards[name]), "images": images[name]}
        keys[name] = content_key({"run": key, "concepts": concepts.digest, **own})
    blocks, all_blocks = _tapped_blocks(available, taps)
    return Plan(spec, encoder, model, taps, blocks, all_blocks, suite, shards, stamps, key, keys)


def _batches(shards: tuple[Shard, ...]) -> list[int]:
    return [len(one.batches) for one in shards]


def stamps_of(dataset: Dataset, shards: tuple[Shard, ...]) -> dict[int, Stamp]:
    """Returns the stamps of all images of some shards, in processing order."""
    ids = np.concatenate([batch for shard in shards for batch in shard.batches]).tolist()
    return {i: dataset.stamp(dataset.samples[i]) for i in ids}


def _tapped_blocks(
    available: tuple[Tap, ...], taps: tuple[Tap, ...]
) -> tuple[tuple[str, ...], bool]:
    blocks = [t.name for t in available if t.kind == "token" and _BLOCK.search(t.name)]
    tapped = tuple(tap.name for tap in taps if tap.name in blocks)
    return tapped, bool(blocks) and len(tapped) == len(blocks)


def choose_taps(taps: tuple[Tap, ...], spec: RunSpec) -> tuple[Tap, ...]:
    """Returns the taps that match a pattern, in the encoder's order.

    Raises:
        UsageError: If a pattern matches none, or the class token is wanted where there is none.
    """
    for pattern in spec.layers:
        if not any(matches(tap.name, pattern) for tap in taps):
            names = ", ".join(tap.name for tap in taps[:8])
            raise UsageError(
                f"--layers {pattern!r} matches no layer; the first of {len(taps)} are: {names}"
            )
    chosen = tuple(t for t in taps if any(matches(t.name, p) for p in spec.layers))
    if spec.tokens == "class":
        without = [t.name for t in chosen if t.kind == "token" and t.prefix_tokens == 0]
        if without:
            raise UsageError(f"--tokens class: {without[0]} has no class token; use all or mean")
    return chosen


def describe_model(spec: RunSpec, encoder: Encoder) -> Model:
    """Returns what the report says about the encoder."""
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
        ablated=tuple(ablation_in_words(*one) for one in encoder.ablated.items()),
    )


def _content(spec: RunSpec, model: Model, taps: tuple[Tap, ...]) -> dict[str, Any]:
    """What decides a number beside the images; paths of weights and data do not."""
    preprocessing = model.preprocessing.model_dump(mode="json", exclude={"source", "assumed"})
    return {
        "architecture": [model.loader, model.architecture, model.representation],
        "weights": model.weights.digest,
        "preprocessing": preprocessing,
        "taps": [FINAL_TAP, *(tap.name for tap in taps)],
        "tokens": spec.tokens,
        "top_k": spec.top_k,
        "dtype": spec.dtype,
        "batch_size": spec.batch_size,
        "seed": spec.seed,
        **({"ablated": model.ablated} if model.ablated else {}),
    }


def _images(dataset: Dataset, stamps: dict[int, Stamp]) -> dict[str, Any]:
    """Path, label and size of each image in processing order, and what the first of them hold."""
    samples = dataset.samples
    first = islice(stamps, KEYED_CONTENTS)
    return {
        "listed": [(samples[i].path, samples[i].label, one.size) for i, one in stamps.items()],
        "contents": [digest_of(dataset, samples[i]).hex() for i in first],
    }
