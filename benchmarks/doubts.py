"""How often doubts accuse what is honest: 3,000 runs of two or three models, on arrays.

Every model answers what it sees, and every label is that of its picture. A run has labelled
pictures in distribution, and 60 to 1,000 labelled pictures of a target in the order of a file, on
which models are as often right. Weak ones are a fifth to two fifths of the way from guessing to
always right.

Another 1,500 have other things to be wrong: vectors of different pictures, ridge regressions on
such vectors, and confidences written with two to six digits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from time import process_time
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from benchmarks._common import command, machine, markdown
from tuiprobe.datasets.input_tables import InputTable
from tuiprobe.errors import DataError
from tuiprobe.models.loaders.answer_checks import class_of_confidence
from tuiprobe.probes.evidence.identity import Contents, copies, near_copies, shared_content
from tuiprobe.probes.evidence.labels import (
    LabelledPictures,
    answers_as_labels,
    are_related,
    at_chance,
    found_by_any,
)
from tuiprobe.probes.evidence.orders import LabelledAnswers, other_orders
from tuiprobe.probes.evidence.slips import RowOrder, slips
from tuiprobe.probes.evidence.values import other_lengths
from tuiprobe.results.doubt import Doubt
from tuiprobe.results.proportions import wilson_bounds

TITLE = "Doubts about honest runs"

RUNS: Final = 500
"""Runs of each kind."""

Float32 = NDArray[np.float32]
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


def _vectors(rng: np.random.Generator) -> tuple[Float32, Int64, int]:
    """Returns vectors `[n, C]` of different pictures, their classes, and how many classes."""
    classes, channels = int(rng.choice([2, 5, 10, 40])), int(rng.choice([32, 128, 512]))
    labels = rng.integers(0, classes, int(rng.choice([200, 600, 1500])))
    middles = rng.normal(size=(classes, channels)) * rng.uniform(0.2, 2)
    scales = np.geomspace(1, rng.uniform(0.05, 1), channels)  # some directions vary most
    vectors = (middles[labels] + rng.normal(size=(len(labels), channels))) * scales
    return (vectors + rng.uniform(0, 3)).astype(np.float32), labels, classes


def different_pictures(seed: int) -> Iterator[Doubt]:
    """Yields the doubts about vectors and digests of different pictures."""
    rng = np.random.default_rng([seed, 1])
    vectors, labels, _ = _vectors(rng)
    n = len(labels)
    digests = rng.integers(0, 256, (n, 32), dtype=np.uint8)
    first = Contents("val", "in distribution", digests[: n // 2], range(n // 2), {})
    yield from shared_content([first, Contents("shift", "shift", digests[n // 2 :], range(n), {})])
    yield from copies(first, labels[: n // 2])
    yield from near_copies(first, vectors[: n // 2])


def ridge_heads(seed: int) -> Iterator[Doubt]:
    """Yields the doubts about a ridge regression on vectors of other pictures of the same kind.

    Every second one is fitted to vectors of length 1, and given such.
    """
    rng = np.random.default_rng([seed, 2])
    vectors, labels, classes = _vectors(rng)
    if seed % 2:
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    fitted, known = np.split(rng.permutation(len(labels)), 2)
    x, onehot = vectors[fitted].astype(np.float64), np.eye(classes)[labels[fitted]]
    centred = x - x.mean(axis=0)
    gram = centred.T @ centred
    penalty = np.linalg.eigvalsh(gram)[-1] * 10 ** rng.uniform(-6, 0)
    weight = np.linalg.solve(gram + penalty * np.eye(len(gram)), centred.T @ onehot)
    bias = onehot.mean(axis=0) - x.mean(axis=0) @ weight
    head = weight.T.astype(np.float32), bias.astype(np.float32)
    yield from other_lengths("val", vectors[known], *head, labels[known])


def confidences(seed: int) -> Iterator[Doubt]:
    """Yields a doubt where confidences of answers are refused; those of softmax, rounded."""
    rng = np.random.default_rng([seed, 3])
    classes, digits = int(rng.choice([2, 3, 10, 100, 1000])), int(rng.integers(2, 7))
    logits = rng.normal(size=(300, classes)) * rng.uniform(0.1, 4)
    shares = softmax(logits, axis=1)
    rows = [(f"{share:.{digits}f}",) for share in shares.max(axis=1)]
    table = InputTable("answers.csv", ("confidence",), rows, range(len(rows)), "")
    answers = dict(enumerate(shares.argmax(axis=1).tolist()))
    try:
        class_of_confidence(table, "confidence", answers, classes, ())
    except DataError as error:
        yield Doubt(id="no-answer", sentence=str(error), withholds=True)


OTHERS: Final = {
    "different pictures": different_pictures,
    "ridge heads on vectors": ridge_heads,
    "rounded confidences": confidences,
}


def run(quick: bool) -> dict[str, Any]:
    """Counts runs of each kind with a doubt, and those that are withheld by one, by its id."""
    runs, start = RUNS // 10 if quick else RUNS, process_time()
    makers = {kind: partial(honest_run, kind) for kind in KINDS} | OTHERS
    kinds = {}
    for kind, doubts_of in makers.items():
        withheld: Counter[str] = Counter()
        noted: Counter[str] = Counter()
        for seed in range(runs):
            doubts = list(doubts_of(seed))
            withheld.update({doubt.id for doubt in doubts if doubt.withholds})
            noted.update({doubt.id for doubt in doubts if not doubt.withholds})
        kinds[kind] = {"runs": runs, "withheld": dict(withheld), "noted": dict(noted)}
    return {"kinds": kinds, "seconds": process_time() - start, "machine": machine()}


def table(figures: dict[str, Any]) -> str:
    """Renders the counts of each kind."""

    def counts(of: dict[str, int]) -> str:
        return ", ".join(f"`{id}` {count}" for id, count in sorted(of.items())) or "0"

    rows = [
        [f"{kind} ({of['runs']:,})", counts(of["withheld"]), counts(of["noted"])]
        for kind, of in figures["kinds"].items()
    ]
    return markdown(["runs", "withheld", "noted"], rows)


if __name__ == "__main__":
    command(__doc__, run, table)
