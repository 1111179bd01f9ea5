"""How often doubts accuse honest labels: 3,000 runs of two or three models, on arrays.

Every model answers what it sees, and every label is that of its picture. A run has labelled
pictures in distribution, and 60 to 1,000 labelled pictures of a target in the order of a file, on
which models are as often right. Weak ones are a fifth to two fifths of the way from guessing to
always right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from time import process_time
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tuiprobe.evidence.labels import (
    LabelledPictures,
    answers_as_labels,
    are_related,
    at_chance,
    found_by_any,
)
from tuiprobe.evidence.orders import LabelledAnswers, other_orders
from tuiprobe.evidence.slips import RowOrder, slips
from tuiprobe.results.doubt import Doubt
from tuiprobe.results.proportions import wilson_bounds

RUNS: Final = 500
"""Runs of each kind."""

Int64 = NDArray[np.int64]


class _World(NamedTuple):
    """Classes, and how often each model is right; a seeded source of draws.

    Attributes:
        classes: Number of classes.
        shares: Of each model.
        off: Share of answers that are a class off, where models are.
        scene: Frames of a scene, where pictures are those of a video.
        late: Frames by which answers are late there.
        rng: The source.
    """

    classes: int
    shares: tuple[float, ...]
    off: float
    scene: int
    late: int
    rng: np.random.Generator

    def labels(self, n: int) -> Int64:
        """Returns the classes of n pictures, of uneven frequencies."""
        frequency = self.rng.dirichlet(np.full(self.classes, 5.0))
        return self.rng.choice(self.classes, n, p=frequency)

    def answers(self, labels: Int64) -> Int64:
        """Returns what each model answers, `[M, n]`; half of the mistakes are shared."""
        n, models = len(labels), len(self.shares)
        shared = self.rng.integers(1, self.classes, n)
        own = self.rng.integers(1, self.classes, (models, n))
        wrong = (labels + np.where(self.rng.random((models, n)) < 0.5, shared, own)) % self.classes
        right = self.rng.random((models, n)) < np.array(self.shares)[:, None]
        return np.where(right, labels, wrong)


Change = Callable[[_World, Int64, Int64], tuple[Int64, Int64]]


def _as_they_are(world: _World, labels: Int64, answers: Int64) -> tuple[Int64, Int64]:
    return labels, answers


def _sorted(world: _World, labels: Int64, answers: Int64) -> tuple[Int64, Int64]:
    order = np.argsort(labels, kind="stable")
    return labels[order], answers[:, order]


def _ordinal(world: _World, labels: Int64, answers: Int64) -> tuple[Int64, Int64]:
    step = world.rng.choice([-1, 1], answers.shape)
    near = np.clip(labels + step, 0, world.classes - 1)
    return labels, np.where(answers == labels, labels, near)


def _class_off(world: _World, labels: Int64, answers: Int64) -> tuple[Int64, Int64]:
    off = world.rng.random(answers.shape) < world.off
    return labels, np.where(off, np.minimum(answers + 1, world.classes - 1), answers)


def _video(world: _World, labels: Int64, answers: Int64) -> tuple[Int64, Int64]:
    labels = np.repeat(labels, world.scene)[: len(labels)]
    return labels, np.roll(world.answers(labels), world.late, axis=1)


KINDS: Final[dict[str, tuple[tuple[int, ...], tuple[float, float], Change]]] = {
    "weak models": ((2, 3, 5, 10, 40), (0.2, 0.4), _as_they_are),
    "few classes": ((2, 3), (0.4, 0.99), _as_they_are),
    "ordinal classes": ((4, 5, 10), (0.3, 0.9), _ordinal),
    "sorted folders": ((2, 5, 10, 40), (0.2, 0.95), _sorted),
    "a class off": ((4, 5, 10), (0.5, 0.95), _class_off),
    "video frames in order": ((2, 5, 10), (0.4, 0.95), _video),
}


def honest_run(kind: str, seed: int) -> Iterator[Doubt]:
    """Yields the doubts of one honest run.

    Args:
        kind: One of `KINDS`.
        seed: Of its draws.
    """
    some, (low, high), change = KINDS[kind]
    rng = np.random.default_rng([seed, len(kind)])
    classes, n = int(rng.choice(some)), int(rng.choice([60, 200, 1000]))
    above = rng.uniform(low, high, int(rng.choice([2, 3])))
    shares = tuple(1 / classes + above * (1 - 1 / classes))
    scene, late = int(rng.choice([5, 10, 30])), int(rng.integers(0, 3))
    world = _World(classes, shares, float(rng.uniform(0.3, 1)), scene, late, rng)
    sets = []
    for count in (500, n):
        labels = world.labels(count)
        labels, answers = change(world, labels, world.answers(labels))
        sets.append(LabelledPictures("target", answers, labels))
    known, target = sets
    names = [f"model {i}" for i in range(len(target.answers))]
    yield from answers_as_labels(target, known, names)
    places = np.arange(n)
    yield from slips([RowOrder("target", "file", target.answers, target.labels, places)])
    right = target.right.sum(axis=1)
    best = int(right.argmax())
    images = LabelledAnswers(
        "target", target.answers[best], np.arange(classes), target.labels, places
    )
    orders = other_orders([images], [f"class {i}" for i in range(classes)])
    yield from orders
    if not orders:
        ends = [float(end) for end in wilson_bounds(right[best], n)]
        share = (right[best] / n, ends[0], ends[1])
        yield from at_chance(
            "target", share, n, classes, "", found_by_any(target, classes),
            lambda: any(are_related(answers, target.labels) for answers in target.answers),
        )  # fmt: skip


def main() -> None:
    """Prints how many runs of each kind get a doubt, and how many are withheld by it."""
    start = process_time()
    print("| runs | withheld | noted |\n|---|---|---|")
    every: Counter[str] = Counter()
    for kind in KINDS:
        withheld: Counter[str] = Counter()
        noted: Counter[str] = Counter()
        for seed in range(RUNS):
            doubts = list(honest_run(kind, seed))
            withheld.update({doubt.id for doubt in doubts if doubt.withholds})
            noted.update({doubt.id for doubt in doubts if not doubt.withholds})
        every.update(withheld)
        cells = (
            ", ".join(f"{id} {count}" for id, count in sorted(of.items())) or "0"
            for of in (withheld, noted)
        )
        print(f"| {kind} ({RUNS}) | {' | '.join(cells)} |")
    worst = max(every.values(), default=0)
    print(f"\nmost often withheld: {worst} of {RUNS * len(KINDS):,}")
    print(f"{process_time() - start:.0f} s of a processor")


if __name__ == "__main__":
    main()
