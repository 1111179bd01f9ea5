"""What a zero-shot head costs: the first 25 ImageNet classes and 80 templates on ViT-B/32's tower.

Run with `python -m benchmarks.heads`. open_clip's `build_zero_shot_classifier` builds the same head
from the same weights (random), in five parts, each after a whole build of ours. On a loaded machine
set OMP_WAIT_POLICY=passive, as the program does, or waiting threads count as processor time.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import open_clip
import torch
from torch import Tensor

from benchmarks._common import command, machine, markdown, row
from tuiprobe.catalog.class_names import imagenet_names, imagenet_templates
from tuiprobe.models.load import load_encoder

TITLE = "Zero-shot heads"
MODEL = "ViT-B-32"
TARGET = 3.5
PART = 5
"""Classes of the peer's head in each round."""


def run(quick: bool = False) -> dict[str, Any]:
    """Returns seconds and processor seconds of both, and the largest difference of a weight."""
    about, templates = machine(), imagenet_templates()
    names = imagenet_names()[: PART if quick else 5 * PART]
    tokenizer = open_clip.get_tokenizer(MODEL)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        torch.manual_seed(0)
        torch.save(open_clip.create_model(MODEL).state_dict(), folder / "weights.pt")
        encoder = load_encoder(f"open_clip:{MODEL}", checkpoint=folder / "weights.pt")

        def ours(number: int) -> Tensor:
            head = encoder.head(names, templates, cache=folder / str(number))
            assert head is not None
            return head.weight

        def theirs(part: tuple[str, ...]) -> Tensor:
            build = open_clip.build_zero_shot_classifier
            weight: Tensor = build(encoder.module, tokenizer, part, templates)
            return weight.T

        rounds, difference = [], 0.0
        for start in range(0, len(names), PART):
            head, *mine = timed(partial(ours, start))
            other, *spent = timed(partial(theirs, names[start : start + PART]))
            rounds.append({"ours": mine, "theirs": spent})
            difference = max(difference, float((head[start : start + PART] - other).abs().max()))
    return {
        "machine": about,
        "waiting": os.environ.get("OMP_WAIT_POLICY", "active"),
        "prompts": len(names) * len(templates),
        "rounds": rounds,
        "difference": difference,
    }


def timed(work: Callable[[], Tensor]) -> tuple[Tensor, float, float]:
    """Returns the result of a call, its seconds and its processor seconds."""
    begin, used = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - begin, time.process_time() - used


def table(figures: dict[str, Any]) -> str:
    """Returns the ratios as Markdown."""
    about, rounds = figures["machine"], figures["rounds"]
    rows = []
    for place, clock in enumerate(("time", "processor time")):
        theirs = sum(times["theirs"][place] for times in rounds)
        ours = statistics.mean(times["ours"][place] for times in rounds)
        work = f"{clock}, open_clip / tuiprobe"
        rows.append(row(work, theirs / ours, TARGET, note=f"{theirs:.1f} s, {ours:.1f} s"))
    return (
        f"{figures['prompts']:,} prompts of ImageNet, {MODEL}'s tower with random weights, "
        f"{about['cpu']}, {about['threads']} threads (waiting: {figures['waiting']}); load average "
        f"before: {about['load_before']:.1f}. Largest difference between the heads: "
        f"{figures['difference']:.1e} (1e-5 allowed).\n\n"
        + markdown(["work", "ratio", "target", "met", ""], rows)
    )


if __name__ == "__main__":
    command(__doc__, run, table)
