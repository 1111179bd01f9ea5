"""Labels until a decision, wrong claims and coverage, by answers of real models.

Run with `python -m benchmarks.labels --answers DIR`; `python -m benchmarks labels --answers DIR`
renders the page too. The folder holds `*predictions.npy` `[N, M]`, `*labels.npy` `[N]` and
`*models.txt`, such as PACS of github.com/RobustML-Lab/model-selector; it is read here and never
stored. Answers have no confidences: all are 1. A pool is a random choice of pictures, labelled in
an order of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from benchmarks._common import command, machine, markdown
from benchmarks._labelling import (
    SEED,
    Case,
    Kind,
    Outcome,
    Way,
    World,
    asked,
    asked_to_best,
    changed_pool,
    draw_case,
    imported,
    imported_between,
    in_batches,
    labelled,
    one_by_one,
    pair_after_pair,
    random_order,
    read_world,
    unsure_tenth,
    unsure_where_best,
)
from benchmarks._model_selector import model_selector
from tuiprobe.choose.labelling.betting import Ints
from tuiprobe.choose.labelling.contest import UNDECIDED, Contest

TITLE = "Labels until a decision, on real answers"
ANSWERS: Final = "--answers"
ALLOWED: Final = 0.05
MOMENTS: Final[tuple[int | str, ...]] = (50, 100, "decision", "end")
"""When ranges of accuracies are compared with the truth."""


class Cell(NamedTuple):
    """Which pools are labelled: candidates and how alike they are, pictures, number of pools."""

    candidates: int
    kind: Kind
    pictures: int
    pools: int

    def cases(self, world: World, quick: bool, times: int = 1) -> list[Case]:
        """Draws the pools, with some times as many pictures."""
        size, count = self.pictures * times, max(self.pools // 25, 1) if quick else self.pools
        return [draw_case(world, self.kind, self.candidates, size, seed) for seed in range(count)]


CELLS = (
    Cell(2, "random", 500, 200),
    Cell(2, "neighbours", 500, 200),
    Cell(2, "equal", 500, 200),
    Cell(2, "random", 2000, 200),
    Cell(2, "neighbours", 2000, 200),
    Cell(2, "equal", 2000, 200),
    Cell(4, "random", 500, 200),
    Cell(4, "neighbours", 500, 200),
    Cell(4, "equal", 500, 200),
    Cell(4, "random", 2000, 200),
    Cell(10, "random", 500, 200),
    Cell(10, "equal", 500, 100),
    Cell(10, "random", 2000, 100),
    Cell(30, "random", 500, 50),
    Cell(30, "random", 2000, 10),
)
"""Many candidates take longer, so they have fewer pools."""

HARD_CASES = (
    Cell(2, "neighbours", 500, 200),
    Cell(4, "random", 500, 200),
    Cell(10, "random", 2000, 10),
    Cell(30, "random", 500, 4),
)
RIVALS = (
    Cell(2, "neighbours", 500, 200),
    Cell(4, "random", 500, 200),
    Cell(10, "random", 2000, 30),
    Cell(30, "random", 2000, 6),
)
QUESTIONS = (Cell(4, "equal", 500, 100), Cell(8, "equal", 500, 6))

WAYS: dict[str, Way] = {
    "asked one by one": asked,
    "150 easy ones from outside before": imported(150, easy=True, after=0),
    "150 hard ones before": imported(150, easy=False, after=0),
    "150 easy ones after 20": imported(150, easy=True, after=20),
    "150 hard ones after 20": imported(150, easy=False, after=20),
    "a hard one after every ten": imported_between(easy=False),
    "150 easy ones after the decision": imported(150, easy=True, after=None),
    "150 hard ones after the decision": imported(150, easy=False, after=None),
    "batches of 40, half of the hard ones skipped": in_batches(40),
    "batches of 200, half of the hard ones skipped": in_batches(200),
}
UNSURE: dict[str, Callable[[Case, np.random.Generator], Ints]] = {
    "a tenth unsure": unsure_tenth,
    "unsure on 7 % where the best beats the second": unsure_where_best,
}
CHANGED = {
    "250 hard pictures added after 50": False,
    "half of the pictures replaced after 50": True,
}


def outcome_figures(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Returns the figures that summarise the outcomes of a cell."""
    ranges: dict[str, dict[str, float]] = {}
    for moment in MOMENTS:
        seen = [outcome.ranges[moment] for outcome in outcomes if moment in outcome.ranges]
        if not seen:
            continue
        given, held, half, _ = (np.concatenate(rows) for rows in zip(*seen, strict=True))
        ranges[str(moment)] = {
            "held": float(held.mean()),
            "given": float(given.mean()),
            "half": 100 * float(np.median(half[given])) if given.any() else 0.0,
            "pools": len(seen),
        }
        if given.any():
            ranges[str(moment)]["held_given"] = float(held[given].mean())
    decided = [outcome.decided or np.inf for outcome in outcomes]
    best = [outcome.best or np.inf for outcome in outcomes]
    return {
        "pools": len(outcomes),
        "decided": median(decided),
        "undecided": sum(not outcome.decided for outcome in outcomes),
        "best": median(best),
        "wrong": float(np.mean([outcome.wrong for outcome in outcomes])),
        "bounds": float(np.mean([outcome.held for outcome in outcomes])),
        "ranges": ranges,
    }


def median(counts: Sequence[float]) -> float | None:
    """Returns the median number of labels; None if most pools have none."""
    middle = float(np.median(counts))
    return middle if np.isfinite(middle) else None


def cell_figures(world: World, cell: Cell, quick: bool) -> dict[str, Any]:
    """Returns labels, claims and coverage of a cell, beside random order."""
    begin, cases = time.process_time(), cell.cases(world, quick)
    ours = [labelled(case, asked_to_best, seed) for seed, case in enumerate(cases)]
    at_random = [labelled(case, random_order, seed) for seed, case in enumerate(cases)]
    return {
        "cell": cell._asdict(),
        **outcome_figures(ours),
        "random": outcome_figures(at_random),
        "seconds": time.process_time() - begin,
    }


def way_figures(world: World, cell: Cell, quick: bool) -> dict[str, Any]:
    """Returns the figures of a cell whose pools are labelled in all ways."""
    begin, cases = time.process_time(), cell.cases(world, quick)
    figures = {}
    for name, way in WAYS.items():
        outcomes = [labelled(case, way, seed) for seed, case in enumerate(cases)]
        figures[name] = outcome_figures(outcomes)
    for name, unsure in UNSURE.items():
        outcomes = [
            labelled(case, asked, seed, unsure(case, np.random.default_rng([SEED, 1, seed])))
            for seed, case in enumerate(cases)
        ]
        figures[name] = outcome_figures(outcomes)
    twice = cell.cases(world, quick, times=2)
    for name, replaced in CHANGED.items():
        outcomes = [changed_pool(case, cell.pictures, replaced) for case in twice]
        figures[name] = outcome_figures(outcomes)
    return {
        "cell": cell._asdict(),
        "ways": figures,
        "seconds": time.process_time() - begin,
    }


class Pick(NamedTuple):
    """Whether a chosen candidate is the best of its pool, and within 2 points of it."""

    best: bool
    within: bool

    @classmethod
    def of(cls, case: Case, chosen: int) -> Pick:
        """Returns whether a choice is the best, and within 2 points of it."""
        behind = int(case.right.max() - case.right[chosen])
        return cls(behind == 0, behind <= 0.02 * case.pool.pictures)


def picks(case: Case, counts: Sequence[int], sequence: Sequence[int]) -> list[Pick]:
    """Returns the choice of whoever is most often right on the first labels of a sequence."""
    right = case.pool.answers[:, list(sequence)] == case.truth[list(sequence)]
    return [Pick.of(case, int(right[:, :n].sum(axis=1).argmax())) for n in counts]


def rival_figures(world: World, cell: Cell, quick: bool) -> dict[str, Any]:
    """Returns how often each method's choice is the best, by number of labels."""
    begin, chosen = time.process_time(), []
    for seed, case in enumerate(cell.cases(world, quick)):
        contest, leaders = Contest(case.pool), []
        for picture in one_by_one(contest):
            contest.add(picture, int(case.truth[picture]))
            decided = contest.verdict not in UNDECIDED
            winner = contest.winner if decided else contest.leader
            leaders.append(contest.leader if winner is None else winner)
            if decided:
                break
        counts = [50, 100, len(leaders)]
        draws = np.random.default_rng([SEED, 2, seed])
        rival = list(islice(model_selector(case.pool.answers, case.truth, draws), max(counts)))
        chosen.append(
            [
                [Pick.of(case, leaders[min(n, len(leaders)) - 1]) for n in counts],
                picks(case, counts, rival),
                picks(case, counts, case.pool.order.tolist()),
            ]
        )
    shares = np.array(chosen, dtype=float).mean(axis=0)  # method, labels, best or within
    return {
        "cell": cell._asdict(),
        "pools": len(chosen),
        "shares": dict(zip(("tuiprobe", "Model Selector", "random"), shares.tolist(), strict=True)),
        "seconds": time.process_time() - begin,
    }


def question_figures(world: World, cell: Cell, quick: bool) -> dict[str, Any]:
    """Returns the share of pools with a wrong claim when every pair was asked about."""
    begin = time.process_time()
    questions = [pair_after_pair(case) for case in cell.cases(world, quick)]
    first, further, unpaid = np.mean(questions, axis=0).tolist()
    return {
        "cell": cell._asdict(),
        "pools": len(questions),
        "first": first,
        "further": further,
        "unpaid": unpaid,
        "seconds": time.process_time() - begin,
    }


def run(quick: bool, folder: Path) -> dict[str, Any]:
    """Measures everything on the answers of a folder."""
    world = read_world(folder)
    return {
        "machine": machine(),
        "models": len(world.answers),
        "pictures": len(world.labels),
        "cells": [cell_figures(world, cell, quick) for cell in CELLS],
        "hard": [way_figures(world, cell, quick) for cell in HARD_CASES],
        "rivals": [rival_figures(world, cell, quick) for cell in RIVALS],
        "questions": [question_figures(world, cell, quick) for cell in QUESTIONS],
    }


def coverage(figures: dict[str, Any], moment: int | str) -> str:
    """Renders how often ranges held at a moment, and how many were given."""
    seen = figures["ranges"].get(str(moment))
    if not seen:
        return "none"
    if not seen["given"]:
        return "none given"
    return f"{seen['held_given']:.3f} ({100 * seen['given']:.0f} %, ±{seen['half']:.0f})"


def counted(figures: dict[str, Any], what: str) -> str:
    """Renders a median number of labels."""
    return "most never" if figures[what] is None else f"{figures[what]:g}"


def described(cell: dict[str, Any]) -> list[str]:
    """Renders candidates and pictures of a cell."""
    return [f"{cell['candidates']} {cell['kind']}", f"{cell['pictures']:,}"]


def table(figures: dict[str, Any]) -> str:
    """Renders the figures."""
    text = f"""
Answers of {figures["models"]} networks on {figures["pictures"]:,} pictures of PACS. Each pool is
other pictures, other candidates and another order. *random*: any of the networks; *neighbours*: of
similar accuracy; *equal*: neighbours that exchange their answers at random, picture by picture, so
that they differ by chance alone, which is the hardest case for a claim. A claim is wrong if at any
time the best candidate was dropped, or the one named was not the best, or not within 2 points of
it; {ALLOWED:.0%} may be. Ranges of accuracies: how many of those given from samples hold the
truth (how many candidates have one, half its width in points; the others get what labels prove,
which always holds). Labels are medians.

"""
    text += markdown(
        ["candidates", "pictures", "pools", "labels to the first decision", "in random order",
         "to the best", "wrong claims", "all bounds hold at all times", "ranges at the decision",
         "at 50 labels", "at 100 labels"],
        [[*described(f["cell"]), str(f["pools"]), counted(f, "decided"),
          counted(f["random"], "decided"), counted(f, "best"), f"{f['wrong']:.3f}",
          f"{f['bounds']:.3f}", coverage(f, "decision"), coverage(f, 50), coverage(f, 100)]
         for f in figures["cells"]],
    )  # fmt: skip
    text += """
Labels from outside are the easiest or hardest pictures by all networks. Pictures that less than
half of the networks get right are hard. *Unsure* is an answer that counts against a claim.

"""
    text += markdown(
        ["candidates", "pictures", "pools", "labelled", "labels to the decision", "undecided",
         "wrong claims", "all bounds hold", "ranges at the decision", "at the end", "at 50 labels",
         "at 100 labels"],
        [[*described(f["cell"]), str(w["pools"]), name, counted(w, "decided"), str(w["undecided"]),
          f"{w['wrong']:.3f}", f"{w['bounds']:.3f}", coverage(w, "decision"), coverage(w, "end"),
          coverage(w, 50), coverage(w, 100)]
         for f in figures["hard"] for name, w in f["ways"].items()],
    )  # fmt: skip
    text += """
Every pair of equal candidates asked about, one after the other, until all is labelled; number of
pools with a wrong claim.

"""
    text += markdown(
        ["candidates", "pictures", "pools", "first question", "all further ones",
         "if each had the level of the first"],
        [[*described(f["cell"]), str(f["pools"]),
          *(f"{f['pools'] * f[asked]:.0f}" for asked in ("first", "further", "unpaid"))]
         for f in figures["questions"]],
    )  # fmt: skip
    text += """
How often the candidate that is ahead is the best / within 2 points of the best, by number of
labels. Model Selector (Okanovic et al. 2025, written from the paper, e = .45) has no rule when to
stop; random order names who is right most often. Ours stops at its decision.

"""
    text += markdown(
        ["candidates", "pictures", "pools", "method", "at 50 labels", "at 100 labels",
         "at our decision"],
        [[*described(f["cell"]), str(f["pools"]), method,
          *(f"{best:.2f} / {within:.2f}" for best, within in shares)]
         for f in figures["rivals"] for method, shares in f["shares"].items()],
    )  # fmt: skip
    parts = ("cells", "hard", "questions", "rivals")
    seconds = sum(f["seconds"] for part in parts for f in figures[part])
    return text + f"\n{figures['machine']['cpu']}, {seconds / 60:.0f} minutes of one core.\n"


if __name__ == "__main__":
    command(__doc__, run, table, folder=ANSWERS)
