"""`tuiprobe.watch` on a real training loop: what watching costs a step.

Trains the miniature's supervised model by its own recipe on 2,000 images, eager and compiled with
`torch.compile(fullgraph=True)`: three copies, of which one is not watched, one at every tenth step
with a log, and one at every step. They train in turn, a block of steps at a time.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from contextlib import ExitStack
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
MODES = {"eager": False, "`fullgraph=True`": True}
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
    """The miniature's own training loop, a block of steps at a time; `every` 0 is not watched."""

    def __init__(self, folder: Path, every: int, compiled: bool, stack: ExitStack) -> None:
        torch.manual_seed(0)
        self.recipe = replace(RECIPES["mini_supervised"], images=IMAGES)
        self.model = new_model(self.recipe)
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimiser = optimiser(self.model, self.recipe)
        self.pixels, self.wanted = training_set(folder, self.recipe)
        self.numbers = cycle(batches(self.recipe, 0, 0))
        self.model.train()
        watch = tuiprobe.watch(self.model, LAYERS, every=max(every, 1))
        self.watched = stack.enter_context(watch) if every else None
        self.run: Any = torch.compile(self.model, fullgraph=True) if compiled else self.model

    def block(self, writer: Scalars) -> float:
        """Returns the seconds a step of one block, with a log at its end."""
        begin = time.perf_counter()
        self.steps(BLOCK)
        if self.watched is not None:
            self.watched.log(0, writer)
        return (time.perf_counter() - begin) / BLOCK

    def steps(self, count: int) -> float:
        """Trains a number of steps and returns the last loss."""
        loss = 0.0
        for numbers in islice(self.numbers, count):
            loss = self.step(numbers)
        return loss

    def step(self, numbers: Any) -> float:
        """Trains one step and returns the loss."""
        images = to_input(torch.from_numpy(self.pixels[numbers]))
        loss = loss_of(self.run, images, self.wanted[torch.from_numpy(numbers)], False)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        return loss.item()


def _seconds(compiled: bool, rounds: int, folder: Path, writer: Scalars) -> dict[int, list[float]]:
    """Returns the seconds a step of each block, by how often a step is measured."""
    with ExitStack() as stack:
        trainings = {n: Training(folder, n, compiled, stack) for n in (0, 10, 1)}
        for training in trainings.values():
            training.steps(5)
        blocks = [
            {n: training.block(writer) for n, training in trainings.items()} for _ in range(rounds)
        ]
    return {n: [block[n] for block in blocks] for n in trainings}


def run(quick: bool) -> dict[str, Any]:
    """Measures the trainings in turn; 200 steps of each, or 40."""
    writer, rounds = Scalars(), 2 if quick else 10
    with tempfile.TemporaryDirectory() as folder:
        modes = {
            mode: _seconds(compiled, rounds, Path(folder), writer)
            for mode, compiled in MODES.items()
        }
    return {
        "machine": machine(),
        "scalars": writer.count,
        "modes": {
            mode: {
                str(every): {
                    "milliseconds": 1000 * statistics.median(block),
                    "kept": statistics.median(
                        plain / watched for plain, watched in zip(seconds[0], block, strict=True)
                    ),
                }
                for every, block in seconds.items()
            }
            for mode, seconds in modes.items()
        },
    }


def table(figures: dict[str, Any]) -> str:
    """Renders the figures."""
    rows = []
    for mode, results in figures["modes"].items():
        times = {every: f"{result['milliseconds']:.1f}" for every, result in results.items()}
        note = f"{times['10']}, {times['0']} without"
        tenth = f"{mode}, every 10th step, a log each {BLOCK}"
        rows.append(row(tenth, results["10"]["kept"], TARGET, note=note))
        note = f"{times['1']}, {times['0']} without"
        rows.append([f"{mode}, every step", f"{results['1']['kept']:.2f}", "none", "-", note])
    about = (
        f"The miniature's supervised model, batches of 128, layers `{LAYERS}`, on "
        f"{figures['machine']['cpu']}, load {figures['machine']['load_before']:.1f} before.\n\n"
    )
    return about + markdown(["speed left", "ratio", "target", "met", "milliseconds a step"], rows)


if __name__ == "__main__":
    command(__doc__, run, table)
