"""Decisions on one labelled set: how often they are wrong, and how often ranges miss.

Run with `python -m benchmarks.decisions`. A picture is as hard for all models as 60 % of the
variance says that decides whether one is right; the true accuracies are known.
"""

from __future__ import annotations

from functools import cache
from itertools import combinations
from types import SimpleNamespace
from typing import Any, Final, Literal, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from benchmarks._common import command, markdown
from tuiprobe.choose.comparing.inference import joint_reach
from tuiprobe.choose.comparing.label_evidence import AnsweredPictures
from tuiprobe.choose.comparing.orders import BEATEN, order_by_pictures
from tuiprobe.choose.comparing.runs import Run
from tuiprobe.choose.labelling.contest import MARGIN
from tuiprobe.probes import intervals

TITLE = "Decisions by labelled pictures"
DRAWS: Final = 20_000
SHARED: Final = 0.6
"""Share of the variance that all models have in common."""

NO_COSTS: Final = cast(
    Run, SimpleNamespace(report=SimpleNamespace(model=SimpleNamespace(parameters=0)))
)
"""A run whose cost is not known, so that the one that leads is taken."""

World = Literal["equal", "one 5 points ahead", "80 to 60 %"]
WORLDS: Final[tuple[World, ...]] = ("equal", "one 5 points ahead", "80 to 60 %")


class Count(NamedTuple):
    """What became of the draws of one cell.

    Attributes:
        decided: A model is to be taken.
        wrong: It is not the best, or not within 2 points of it, as was said.
        best_beaten: The best model, of equal ones a given one, is called behind or not the best.
        false_behind: Some model is called behind one that is no better.
        missed: Some range of some pair does not hold the true difference.
    """

    decided: float
    wrong: float
    best_beaten: float
    false_behind: float
    missed: float


def accuracies(world: World, models: int) -> NDArray[np.float64]:
    """Returns the true accuracies, the best first."""
    if world == "equal":
        return np.full(models, 0.75)
    if world == "one 5 points ahead":
        return np.array([0.8, *[0.75] * (models - 1)])
    return np.linspace(0.8, 0.6, models)


def draw(
    thresholds: NDArray[np.float64], pictures: int, rng: np.random.Generator
) -> AnsweredPictures:
    """Returns answers to a random sample of pictures; `thresholds` are quantiles of accuracies."""
    models = len(thresholds)
    hard = np.sqrt(SHARED) * rng.standard_normal(pictures)
    single = np.sqrt(1 - SHARED) * rng.standard_normal((models, pictures), dtype=np.float32)
    right = hard + single < thresholds[:, None]
    none = np.full(pictures, -1)
    return AnsweredPictures(
        ("set",) * models, tuple(range(models)), right, none, (), (1.0,) * models
    )


def count(world: World, models: int, pictures: int, draws: int) -> Count:
    """Decides on so many random sets of pictures."""
    truth, rng = accuracies(world, models), np.random.default_rng([models, pictures])
    runs, reach = [NO_COSTS] * models, joint_reach(models)
    thresholds = np.asarray(norm.ppf(truth))
    totals = np.zeros(len(Count._fields))
    for _ in range(draws):
        answered = draw(thresholds, pictures, rng)
        order = order_by_pictures(runs, answered)
        first = order.order[0]
        lost = truth[0] - truth[first]
        claims = {"best": lost > 0 or world == "equal", "within": lost > MARGIN}
        behind = [n for n, standing in order.standings.items() if standing == "behind"]
        right = answered.right.astype(np.float32)
        gained = (right @ (1 - right).T).astype(int).tolist()
        missed = False
        for a, b in combinations(range(models), 2):
            lead = intervals.paired_difference(gained[a][b], gained[b][a], pictures, reach)
            assert lead.low is not None
            assert lead.high is not None
            missed |= not lead.low <= truth[a] - truth[b] <= lead.high
        totals += (
            order.verdict != "undecided",
            claims.get(order.verdict, False),
            order.standings[0] in BEATEN,
            any(truth[n] >= truth[first] for n in behind),
            missed,
        )
    return Count(*(totals / draws).tolist())


def run(quick: bool = False) -> dict[str, Any]:
    """Returns the counts of each world, number of models and number of pictures."""
    draws = DRAWS // 100 if quick else DRAWS
    intervals.paired_difference = cache(intervals.paired_difference)  # few counts occur
    cells = [
        [world, models, pictures, *count(world, models, pictures, draws)]
        for world in WORLDS
        for models in (2, 4, 10)
        for pictures in (20, 100, 1000)
    ]
    return {"draws": draws, "cells": cells}


def table(figures: dict[str, Any]) -> str:
    """Returns the counts as Markdown; the level of each is .05."""
    heads = [
        "models", "M", "pictures", "decided", "wrong", "best called beaten", "falsely behind",
        "a range of a pair misses",
    ]  # fmt: skip
    rows = [
        [world, str(models), f"{pictures:,}", *(f"{share:.3f}" for share in shares)]
        for world, models, pictures, *shares in figures["cells"]
    ]
    head = (
        f"{figures['draws']:,} sets of pictures a row; every level is .05. Below 30 pictures "
        "nothing is decided. Of equal models *wrong* counts every one that is called the best.\n\n"
    )
    return head + markdown(heads, rows)


if __name__ == "__main__":
    command(__doc__, run, table)
