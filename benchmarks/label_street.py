"""Labels until a decision, wrong claims and coverage, on the demonstration's street.

The street is labelled by its generator, by the answers of default runs of its four models.
`tests/choose/labelling/street.npz` holds these answers, so that the tests need no runs;
`python -m benchmarks.label_street --quick` says whether fresh runs still give them.
"""

from __future__ import annotations

import time
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

import tuiprobe
from benchmarks._common import command, machine, markdown, row
from benchmarks._labelling import PLANNED, Case, follow, labelled, one_by_one, skipping
from tuiprobe.choose.labelling.betting import Floats, Ints
from tuiprobe.choose.labelling.candidates import read_candidate
from tuiprobe.choose.labelling.contest import Contest
from tuiprobe.choose.labelling.matching import Matched, match
from tuiprobe.choose.labelling.survey import NOBODY, Pool, StratifiedSample
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.miniature import world

TITLE = "Labels until a decision, on the demonstration"
SKIPS = {
    "none": skipping(0.0, hardest=False, twice=False),
    **{
        f"{share:.0%} {name}": skipping(share, hardest, twice)
        for name, hardest, twice in (
            ("at random, answered when asked again", False, False),
            ("at random, twice", False, True),
            ("hardest, twice", True, True),
        )
        for share in (0.01, 0.05, 0.20)
    },
}
"""Pictures that are skipped."""

MODELS = ("mini_clip", "mini_clip_soft", "mini_finetuned", "mini_supervised")
STREET = Path(__file__).parent.parent / "tests/choose/labelling/street.npz"


class Street(NamedTuple):
    """What the four models answer on the street, and what is there."""

    answers: Ints
    confidences: Floats
    truth: Ints

    def case(self, models: tuple[int, ...], seed: int) -> Case:
        """Returns some of the models as candidates."""
        draws, size, rows = np.random.default_rng(seed), len(self.truth), list(models)
        orders = draws.permutation(size), draws.permutation(size)
        easy = (self.answers == self.truth).mean(axis=0)
        return Case(Pool(self.answers[rows], self.confidences[rows], *orders), self.truth, easy)


def stored_street() -> Street:
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


def street_figures(street: Street, models: tuple[int, ...], seeds: int) -> dict[str, Any]:
    """Returns the figures of some models over many orders, labelled to the end."""
    outcomes = []
    for seed in range(seeds):
        case = street.case(models, seed)
        contest = Contest(case.pool)
        outcomes.append(follow(contest, case, one_by_one(contest)))
    at = {n: [outcome.ranges[n] for outcome in outcomes] for n in PLANNED}
    errors = {n: np.array([ranges.error for ranges in at[n]]) for n in PLANNED}
    return {
        "models": [MODELS[m] for m in models],
        "seeds": seeds,
        "decided": float(np.median([outcome.decided for outcome in outcomes])),
        "best": float(np.median([outcome.best for outcome in outcomes])),
        "wrong": sum(outcome.wrong for outcome in outcomes),
        "covered": float(np.mean([outcome.held for outcome in outcomes])),
        "rmse": {str(n): 100 * float(np.sqrt((errors[n] ** 2).mean())) for n in PLANNED},
        "inside": {str(n): float(np.mean([r.held for r in at[n]])) for n in PLANNED},
    }


def skip_figures(street: Street, models: tuple[int, ...], seeds: int) -> list[dict[str, Any]]:
    """Returns labels, claims and coverage with pictures that are skipped, to the first decision."""
    figures = []
    for name, way in SKIPS.items():
        cases = [street.case(models, seed) for seed in range(seeds)]
        outcomes = [labelled(case, way, seed) for seed, case in enumerate(cases)]
        decided = [outcome.decided or np.inf for outcome in outcomes]
        ends = [outcome.ranges["end"] for outcome in outcomes]
        figures.append(
            {
                "models": len(models),
                "skipped": name,
                "seeds": seeds,
                "decided": float(np.median(decided)),
                "most": float(np.max(decided)),
                "undecided": int(np.isinf(decided).sum()),
                "wrong": sum(outcome.wrong for outcome in outcomes),
                "bounds": float(np.mean([outcome.held for outcome in outcomes])),
                "inside": float(np.mean([ranges.held for ranges in ends])),
                "stated": float(np.mean([ranges.given for ranges in ends])),
            }
        )
    return figures


def alone_figures(street: Street, seeds: int) -> list[dict[str, Any]]:
    """Returns labels and coverage for each model alone."""
    figures = []
    for model, name in enumerate(MODELS):
        counts, inside = [], []
        for seed in range(seeds):
            case = street.case((model,), seed)
            alone = StratifiedSample(case.pool)
            while alone.verdict == "open":
                picture = alone.following()
                assert picture is not None
                alone.add(picture, int(street.truth[picture]))
            (accuracy,) = alone.accuracies()
            rate = float(case.right[0]) / case.pool.pictures
            counts.append(len(alone.labels))
            inside.append(accuracy.low - 1e-9 <= rate <= accuracy.high + 1e-9)
        figures.append(
            {"model": name, "labels": float(np.median(counts)), "inside": float(np.mean(inside))}
        )
    return figures


def speed(labels: int) -> dict[str, float]:
    """Returns milliseconds of processor time from an answer to the next picture and figures."""
    draws, size, models = np.random.default_rng(0), 20_000, 12
    truth = draws.integers(20, size=size)
    wrong = draws.integers(20, size=(models, size))
    answers = np.where(draws.random((models, size)) < 0.6, truth, wrong)
    confidences = draws.uniform(0.2, 1, size=answers.shape)
    pool = Pool(answers, confidences, draws.permutation(size), draws.permutation(size))
    contest, times = Contest(pool), []
    for _ in range(labels):
        begin = time.process_time()
        picture = contest.following()
        assert picture is not None
        contest.add(picture, int(truth[picture]))
        leader = contest.leader
        for other in chain(range(leader), range(leader + 1, models)):
            contest.bounds(leader, other)
        contest.accuracies()
        _ = contest.progress, contest.labels_left
        times.append(1e3 * (time.process_time() - begin))
    return {"median": float(np.median(times)), "95 %": float(np.quantile(times, 0.95))}


def run(quick: bool) -> dict[str, Any]:
    """Measures everything."""
    street = stored_street()
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
        "skips": [
            *skip_figures(street, (1, 3), seeds // 4),
            *skip_figures(street, (0, 1, 2, 3), seeds // 10),
        ],
        "alone": alone_figures(street, seeds // 4),
        "speed": speed(600),
    }


def table(figures: dict[str, Any]) -> str:
    """Renders the figures."""
    same = "equal" if figures["same"] else "**unequal**"
    text = f"""
Hidden labels of the demonstration's street (500 pictures), answers of default runs of its four
models; those of the tests are {same} to fresh ones. A claim is wrong if at any time the best model
was dropped, or the one named was not the best, or not within 2 points of it.

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
    text += skip_table(figures["skips"])
    text += "\nOne model alone, until its accuracy is known to 5 points:\n\n"
    text += markdown(
        ["model", "labels", "the range holds"],
        [[f["model"], f"{f['labels']:g}", f"{f['inside']:.2f}"] for f in figures["alone"]],
    )
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


def skip_table(figures: list[dict[str, Any]]) -> str:
    """Renders the figures with skipped pictures."""
    text = """
Pictures that are skipped, until the first decision: at random or the hardest, and then answered
when asked again, or skipped twice and so unsure. Ranges are those at the end; the others get what
labels prove.

"""
    return text + markdown(
        ["models", "orders", "skipped", "labels to the first decision", "at most", "undecided",
         "wrong", "all bounds hold", "ranges hold (stated by samples)"],
        [[str(f["models"]), str(f["seeds"]), f["skipped"],
          f"{f['decided']:g}".replace("inf", "most never"),
          f"{f['most']:g}".replace("inf", "never"),
          str(f["undecided"]), str(f["wrong"]), f"{f['bounds']:.4g}",
          f"{f['inside']:.3f} ({100 * f['stated']:.0f} %)"] for f in figures],
    )  # fmt: skip


if __name__ == "__main__":
    command(__doc__, run, table)
