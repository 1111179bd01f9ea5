"""`tuiprobe.watch` on a real training loop: what watching costs a step.

Trains the miniature's supervised model by its own recipe on 2,000 images, in blocks of steps that
are watched in turn not at all, at every tenth step with a log, and at every step.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from contextlib import nullcontext
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import torch
from torch import nn

import tuiprobe
from benchmarks._common import command, machine, markdown, row
from tools.train.cache import training_set
from tools.train.evaluation import to_input
from tools.train.loop import batches, loss_of, new_model, optimiser
from tools.train.recipes import RECIPES

TITLE = "Watching a training loop"
IMAGES, BLOCK = 2000, 20
LAYERS = "visual visual.layer*.*"
TARGET = 0.97
"""Part of the speed that must be left at every tenth step."""


class Scalars:
    """Takes scalars as TensorBoard's writer does."""

    def __init__(self) -> None:
        self.count = 0

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """Counts a scalar."""
        self.count += 1


class Training:
    """The miniature's own training loop, a block of steps at a time."""

    def __init__(self, folder: Path) -> None:
        torch.manual_seed(0)
        self.recipe = replace(RECIPES["mini_supervised"], images=IMAGES)
        self.model = new_model(self.recipe)
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimiser = optimiser(self.model, self.recipe)
        self.pixels, self.wanted = training_set(folder, self.recipe)
        self.numbers = cycle(batches(self.recipe, 0, 0))
        self.model.train()

    def steps(self, count: int) -> float:
        """Trains a number of steps and returns the last loss."""
        loss = 0.0
        for numbers in islice(self.numbers, count):
            loss = self.step(numbers)
        return loss

    def step(self, numbers: Any) -> float:
        """Trains one step and returns the loss."""
        images = to_input(torch.from_numpy(self.pixels[numbers]))
        found = loss_of(self.model, images, self.wanted[torch.from_numpy(numbers)], False)
        self.optimiser.zero_grad()
        found.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        return found.item()


def _block(training: Training, every: int, writer: Scalars) -> float:
    """Returns the seconds a step of one block; `every` 0 is not watched."""
    if every:
        watching: Any = tuiprobe.watch(training.model, LAYERS, every=every)
    else:
        watching = nullcontext()
    with watching as watched:
        begin = time.perf_counter()
        training.steps(BLOCK)
        if watched is not None:
            watched.log(0, writer)
        return (time.perf_counter() - begin) / BLOCK


def run(quick: bool) -> dict[str, Any]:
    """Measures the training in turn; 200 steps of each kind, or 40."""
    writer = Scalars()
    seconds: dict[int, list[float]] = {0: [], 10: [], 1: []}
    with tempfile.TemporaryDirectory() as folder:
        training = Training(Path(folder))
        training.steps(5)
        for _ in range(2 if quick else 10):
            for every, found in seconds.items():
                found.append(_block(training, every, writer))
        layers = len(tuiprobe.watch(training.model, LAYERS).layers)
    return {
        "machine": machine(),
        "layers": layers,
        "scalars": writer.count,
        "milliseconds": {str(every): 1000 * statistics.median(s) for every, s in seconds.items()},
        "kept": {
            str(every): statistics.median(
                plain / one for plain, one in zip(seconds[0], seconds[every], strict=True)
            )
            for every in (10, 1)
        },
    }


def table(figures: dict[str, Any]) -> str:
    """Renders the figures."""
    steps, kept = figures["milliseconds"], figures["kept"]
    head = ["speed left", "ratio", "target", "met", "milliseconds a step"]
    plain = f"{steps['0']:.1f} without"
    rows = [
        row(
            f"every 10th step, a log each {BLOCK}",
            kept["10"],
            TARGET,
            note=f"{steps['10']:.1f}, {plain}",
        ),
        ["every step", f"{kept['1']:.2f}", "none", "-", f"{steps['1']:.1f}, {plain}"],
    ]
    about = (
        f"The miniature's supervised model, batches of 128, {figures['layers']} layers watched, "
        f"on {figures['machine']['cpu']}, load {figures['machine']['load_before']:.1f} before.\n\n"
    )
    return about + markdown(head, rows)


if __name__ == "__main__":
    command(__doc__, run, table)
