"""Labels until a decision, wrong decisions and coverage: on the demonstration and simulated pools.

The street of the demonstration is labelled by its generator, by the answers of default runs of its
four models. `tests/label/street.npz` holds these answers, so that the tests need no runs;
`python -m benchmarks.labels --quick` says whether fresh runs still give them.
"""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

import tuiprobe
from benchmarks._common import command, machine, markdown, row
from tuiprobe.label.betting import Ints
from tuiprobe.label.candidates import read_candidate
from tuiprobe.label.contest import Contest
from tuiprobe.label.matching import Matched, match
from tuiprobe.label.survey import NOBODY, Pool, StratifiedSample
from tuiprobe.miniature import world
from tuiprobe.run.directory import RunDir

TITLE = "Labels until a decision"
MODELS = ("mini_clip", "mini_clip_soft", "mini_finetuned", "mini_supervised")
STREET = Path(__file__).parent.parent / "tests/label/street.npz"
PLANNED = (50, 100, 200)
"""Numbers of labels at which accuracies are compared with the truth."""

POOLS = (
    (2, 500, 0.0, 400),
    (2, 500, 0.15, 400),
    (5, 500, 0.0, 200),
    (5, 500, 0.15, 200),
    (12, 500, 0.0, 50),
    (12, 500, 0.15, 50),
    (2, 20_000, 0.0, 200),
    (2, 20_000, 0.15, 20),
    (5, 20_000, 0.0, 40),
    (5, 20_000, 0.15, 10),
    (12, 20_000, 0.0, 5),
    (12, 20_000, 0.15, 5),
)
"""Candidates, pictures, spread and number of the simulated pools; the large ones take longest."""


def seeded(answers: Ints, confidences: Any, seed: int) -> Pool:
    """Returns a pool in two random orders."""
    draws, pictures = np.random.default_rng(seed), answers.shape[1]
    return Pool(answers, confidences, draws.permutation(pictures), draws.permutation(pictures))


class Street(NamedTuple):
    """What the four models answer on the street, and what is there."""

    answers: Ints
    confidences: Any
    truth: Ints

    def pool(self, models: tuple[int, ...], seed: int) -> Pool:
        """Returns some of the models as candidates."""
        rows = list(models)
        return seeded(self.answers[rows], self.confidences[rows], seed)


def kept_street() -> Street:
    """Returns the arrays of the tests."""
    with np.load(STREET) as arrays:
        return Street(arrays["answers"].astype(np.int64), arrays["confidences"], arrays["truth"])


def measured_street() -> Street:
    """Returns the same from default runs of the four models."""
    candidates = []
    for model in MODELS:
        with TemporaryDirectory() as place:
            tuiprobe.probe(model, output=place)
            candidates.append(read_candidate(RunDir(place)))
    matched = match(candidates)
    return Street(matched.answers, matched.confidences, truth_of(matched))


def truth_of(matched: Matched) -> Ints:
    """Returns the class of each picture of the street; `NOBODY` where no head has it."""
    names = [world.CLASS_NAMES[world.label("street", i)] for i in matched.ids.tolist()]
    return np.array([matched.classes.index(n) if n in matched.classes else NOBODY for n in names])


class Contested(NamedTuple):
    """A contest that was labelled to its end.

    Attributes:
        decided: Labels to the first decision; 0 without one.
        best: Labels to `best`; 0 without one.
        wrong: Whether the best candidate was ever dropped, or a claim was wrong.
        covered: Whether all bounds held at all times.
        errors: By planned number of labels, the error of each accuracy.
        inside: Likewise, whether the range held the truth.
    """

    decided: int
    best: int
    wrong: bool
    covered: bool
    errors: dict[int, list[float]]
    inside: dict[int, list[bool]]


def contested(pool: Pool, truth: Ints, most: int | None = None) -> Contested:
    """Labels pictures in the order of a contest.

    Args:
        pool: The candidates.
        truth: int64 `[N]`, what is right.
        most: Labels at which it ends; None for all pictures. Bounds are looked at in the end: they
            never widen, so that none was ever wrong if none is then.
    """
    rates = (pool.answers == truth).mean(axis=1)
    contest, decided, best, wrong = Contest(pool), 0, 0, False
    errors: dict[int, list[float]] = {}
    inside: dict[int, list[bool]] = {}
    for count in range(1, (most or pool.pictures) + 1):
        picture = contest.upcoming()[0]
        contest.add(picture, int(truth[picture]))
        if contest.verdict in ("best", "within"):
            decided, winner = decided or count, contest.winner
            margin = 0.02 if contest.verdict == "within" else 0
            wrong |= bool(rates[winner] < rates.max() - margin - 1e-9)
        best = best or count * (contest.verdict == "best")
        wrong |= bool((contest.dropped & (rates >= rates.max())).any())
        if count in PLANNED:
            accuracies = contest.accuracies()
            errors[count] = [a.value - r for a, r in zip(accuracies, rates, strict=True)]
            inside[count] = [
                abs(a.value - r) <= a.half for a, r in zip(accuracies, rates, strict=True)
            ]
    pairs = [(a, b) for a in range(len(rates)) for b in range(a)]
    bounds = {(a, b): contest.bounds(a, b) for a, b in pairs}
    covered = all(
        low - 1e-9 <= rates[a] - rates[b] <= high + 1e-9 for (a, b), (low, high) in bounds.items()
    )
    return Contested(decided, best, wrong, covered, errors, inside)


def street_figures(street: Street, models: tuple[int, ...], seeds: int) -> dict[str, Any]:
    """Returns the figures of some models over many orders."""
    runs = [contested(street.pool(models, seed), street.truth) for seed in range(seeds)]
    errors = {n: np.array([run.errors[n] for run in runs]) for n in PLANNED}
    inside = {n: np.array([run.inside[n] for run in runs]) for n in PLANNED}
    return {
        "models": [MODELS[m] for m in models],
        "seeds": seeds,
        "decided": float(np.median([run.decided for run in runs])),
        "best": float(np.median([run.best for run in runs])),
        "wrong": sum(run.wrong for run in runs),
        "covered": float(np.mean([run.covered for run in runs])),
        "rmse": {str(n): 100 * float(np.sqrt((errors[n] ** 2).mean())) for n in PLANNED},
        "inside": {str(n): float(inside[n].mean()) for n in PLANNED},
    }


def traced(
    street: Street, models: tuple[int, ...], seed: int, pair: tuple[int, int]
) -> dict[str, Any]:
    """Returns the course of one contest: pictures, decisions, and figures at 20 and 40 labels."""
    contest, last = Contest(street.pool(models, seed)), ""
    events, at = [], {}
    while contest.verdict != "best":
        picture = contest.upcoming()[0]
        contest.add(picture, int(street.truth[picture]))
        count = len(contest.labels)
        dropped = [models[m] for m in np.flatnonzero(contest.dropped)]
        now = f"{contest.verdict}, dropped {dropped}"
        if now != last:
            events.append(f"{count}: {now}")
            last = now
        if count in (20, 40):
            a, b = (models.index(m) for m in pair)
            low, high = (100 * end for end in contest.bounds(a, b))
            accuracies = [f"{100 * x.value:.2f} ± {100 * x.half:.2f}" for x in contest.accuracies()]
            at[str(count)] = (
                f"log E {contest.stake(a, b):.3f}; bounds {low:.2f} to {high:.2f}; "
                f"accuracies {', '.join(accuracies)}"
            )
    return {
        "what": f"models {', '.join(map(str, models))}; seed {seed}",
        "first": list(contest.labels)[:12],
        "events": events[1:],
        "at": at,
    }


def alone_figures(street: Street, seeds: int) -> list[dict[str, Any]]:
    """Returns labels and coverage for each model alone."""
    figures = []
    for model, name in enumerate(MODELS):
        counts, inside = [], []
        for seed in range(seeds):
            alone = StratifiedSample(street.pool((model,), seed))
            while alone.verdict == "open":
                picture = alone.upcoming()[0]
                alone.add(picture, int(street.truth[picture]))
            (accuracy,) = alone.accuracies()
            rate = float((street.answers[model] == street.truth).mean())
            counts.append(len(alone.labels))
            inside.append(accuracy.low <= rate <= accuracy.high)
        figures.append(
            {"model": name, "labels": float(np.median(counts)), "inside": float(np.mean(inside))}
        )
    return figures


def simulated(candidates: int, pictures: int, spread: float, seed: int) -> tuple[Pool, Ints]:
    """Returns a pool of candidates that share many of their mistakes, and the truth.

    Args:
        candidates: M.
        pictures: N.
        spread: Standard deviation of their ability; 0 makes them equal but for chance.
        seed: Seed.
    """
    draws = np.random.default_rng(seed)
    truth = draws.integers(20, size=pictures)
    hard = draws.normal(size=pictures)
    ability = 0.2 + draws.normal(scale=spread, size=(candidates, 1)) if spread else 0.2
    score = ability - hard + draws.normal(scale=0.7, size=(candidates, pictures))
    likely = (truth + draws.integers(1, 20, size=pictures)) % 20  # the mistake that many make
    own = (truth + draws.integers(1, 20, size=(candidates, pictures))) % 20
    mistake = np.where(draws.random((candidates, pictures)) < 0.5, likely, own)
    answers = np.where(score > 0, truth, mistake)
    noise = draws.normal(scale=0.5, size=score.shape)
    return seeded(answers, 1 / (1 + np.exp(-np.abs(score) - noise)), seed), truth


def pool_figures(candidates: int, pictures: int, spread: float, pools: int) -> dict[str, Any]:
    """Returns labels and the share of wrong decisions over simulated pools."""
    most = min(pictures, 1500)
    runs = [
        contested(*simulated(candidates, pictures, spread, seed), most) for seed in range(pools)
    ]
    counts = [run.decided or most for run in runs]
    return {
        "candidates": candidates,
        "pictures": pictures,
        "spread": spread,
        "pools": pools,
        "decided": float(np.median(counts)),
        "undecided": sum(not run.decided for run in runs),
        "wrong": sum(run.wrong for run in runs),
        "covered": sum(run.covered for run in runs) / pools,
    }


def speed(labels: int) -> dict[str, float]:
    """Returns milliseconds of processor time from an answer to the next picture and figures."""
    pool, truth = simulated(12, 20_000, 0.1, 0)
    contest, times = Contest(pool), []
    for _ in range(labels):
        begin = time.process_time()
        picture = contest.upcoming()[0]
        contest.add(picture, int(truth[picture]))
        leader = contest.leader
        for other in range(pool.candidates):
            if other != leader:
                contest.bounds(leader, other)
        contest.accuracies()
        _ = contest.progress, contest.labels_left
        times.append(1e3 * (time.process_time() - begin))
    return {"median": float(np.median(times)), "95 %": float(np.quantile(times, 0.95))}


def run(quick: bool) -> dict[str, Any]:
    """Measures everything."""
    street = kept_street()
    fresh = measured_street()
    same = all(np.array_equal(a, b) for a, b in zip(street[::2], fresh[::2], strict=True))
    same &= np.allclose(street.confidences, fresh.confidences, rtol=1e-4)
    seeds = 20 if quick else 400
    return {
        "machine": machine(),
        "same": bool(same),
        "street": [
            street_figures(street, (1, 3), seeds),
            street_figures(street, (0, 1, 2, 3), seeds // 4),
        ],
        "traced": [
            traced(street, (1, 3), 0, (1, 3)),
            traced(street, (1, 3), 1, (1, 3)),
            traced(street, (0, 1, 2, 3), 0, (1, 3)),
        ],
        "alone": alone_figures(street, seeds // 4),
        "pools": [
            pool_figures(candidates, pictures, spread, max(pools // 10, 1) if quick else pools)
            for candidates, pictures, spread, pools in POOLS
        ],
        "speed": speed(600),
    }


def table(figures: dict[str, Any]) -> str:
    """Renders the figures."""
    kept = "equal" if figures["same"] else "**unequal**"
    text = f"""
Hidden labels of the demonstration's street (500 pictures), answers of default runs of its four
models (0 {", 1 ".join(MODELS[:2])}, 2 {MODELS[2]}, 3 {MODELS[3]}); those of the tests are {kept} to
fresh ones. A decision is wrong if the best model was dropped, or a winner was not the best, or not
within 2 points of it.

"""
    text += markdown(
        ["models", "orders", "labels to the first decision", "to the best", "wrong",
         "all bounds hold at all times", "RMSE of accuracies at 50, 100, 200 labels",
         "their ranges hold"],
        [[", ".join(f["models"]), str(f["seeds"]), f"{f['decided']:g}", f"{f['best']:g}",
          str(f["wrong"]), f"{f['covered']:.4g}",
          ", ".join(f"{f['rmse'][str(n)]:.2f}" for n in PLANNED),
          ", ".join(f"{f['inside'][str(n)]:.3f}" for n in PLANNED)] for f in figures["street"]],
    )  # fmt: skip
    text += "\nThe course of single contests:\n\n"
    for trace in figures["traced"]:
        text += (
            f"- {trace['what']}: first pictures {' '.join(map(str, trace['first']))}; "
            f"{'; '.join(trace['events'])}\n"
        )
        text += "".join(f"  - at {count} labels: {words}\n" for count, words in trace["at"].items())
    text += "\nOne model alone, until its accuracy is known to 5 points:\n\n"
    text += markdown(
        ["model", "labels", "the range holds"],
        [[f["model"], f"{f['labels']:g}", f"{f['inside']:.2f}"] for f in figures["alone"]],
    )
    text += """
Simulated pools, whose candidates share half of their mistakes; with a spread of 0 they are equal
but for chance, which is the hardest case: 5 % may be wrong there, give or take chance (10 of 200,
and 16 or fewer in 97 of 100 such tables). Labelling ends at 1,500 labels.

"""
    text += markdown(
        ["candidates", "pictures", "spread", "pools", "labels to the first decision", "undecided",
         "wrong decisions", "all bounds hold at all times"],
        [[str(f["candidates"]), f"{f['pictures']:,}", f"{f['spread']:g}", str(f["pools"]),
          f"{f['decided']:g}", str(f["undecided"]), str(f["wrong"]), f"{f['covered']:.3f}"]
         for f in figures["pools"]],
    )  # fmt: skip
    ms = figures["speed"]
    text += (
        f"\n{figures['machine']['cpu']}, load before: {figures['machine']['load_before']:.1f}\n\n"
    )
    text += markdown(
        ["what", "ms of processor time", "target", "met", ""],
        [row("answer to next figures, 20,000 pictures, 12 models", ms["median"], 20, True),
         row("the same, 95th percentile", ms["95 %"], 20, True)],
    )  # fmt: skip
    return text


if __name__ == "__main__":
    command(__doc__, run, table)
