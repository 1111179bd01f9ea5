"""How much may run unattended: how often the promises break, and how much of what is possible.

Run with `python -m benchmarks.unattended`. With labels, a draw is broken if the true error above
the threshold exceeds ε. Without, a pool is broken if more than ε of the certified ones are wrong
at any time. "Any order" counts the pools whose first prefix with too many errors is ever certified
by bets over all labels, which no order of labelling can exceed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np

from benchmarks._common import command, machine, markdown
from tuiprobe.choose.labelling.betting import Bools, Floats
from tuiprobe.choose.labelling.certificate import Certificate
from tuiprobe.choose.labelling.survey import NOBODY, Pool
from tuiprobe.choose.unattended.compute import (
    LEFT_OUT_LEVEL,
    LEVEL,
    TOLERATED,
    above_thresholds,
    last_passed,
)
from tuiprobe.measure.arrays.head_arrays import SetFeatures, fit_head
from tuiprobe.probes.base.confidence import CrossFitted, Logits, cross_fit
from tuiprobe.results import NotRun

TITLE = "How much may run unattended"
SEED: Final = 61
SIZES: Final = (200, 500, 2_000)
DRAWS: Final = 2_000
POPULATION: Final = 1_000_000
NEW: Final = 4_000
"""Pictures that measure the true error: of a world, and of each fitted head."""

CLASSES, CHANNELS, SPREAD = 5, 20, 1.2
ALLOWED: Final = 0.05

Rng = np.random.Generator


class Answers(NamedTuple):
    """Confidence of some pictures, and whether the answers are right."""

    confidence: Floats
    right: Bools


def calibrated(n: int, rng: Rng) -> Answers:
    """Draws pictures whose confidence is the chance that the answer is right."""
    confidence = rng.beta(4, 0.7, n)
    return Answers(confidence, rng.random(n) < confidence)


def tied(n: int, rng: Rng) -> Answers:
    """Draws pictures whose confidence has one digit."""
    confidence, right = calibrated(n, rng)
    return Answers(np.round(confidence, 1), right)


def overconfident(n: int, rng: Rng) -> Answers:
    """Draws pictures whose answers are right most often at .8, and seldom enough above."""
    confidence = rng.random(n)
    chance = 0.5 + 0.6 * np.minimum(confidence, 0.8) - 0.4 * np.clip(confidence - 0.8, 0, None)
    return Answers(confidence, rng.random(n) < chance)


DRAWN: Final[Mapping[str, Callable[[int, Rng], Answers]]] = {
    "calibrated": calibrated,
    "ties": tied,
    "badly calibrated": overconfident,
}
FITTED: Final = "fitted head, leave-one-out"


def gaussian_classes(n: int, rng: Rng, centres: Floats) -> SetFeatures:
    """Draws representations of classes around their centres."""
    labels = rng.integers(0, CLASSES, n)
    noise = rng.normal(size=(n, CHANNELS)) * SPREAD
    return SetFeatures("val", (centres[labels] + noise).astype(np.float32), labels)


def fitted_head(n: int, rng: Rng, centres: Floats, others: SetFeatures) -> tuple[Answers, Answers]:
    """Fits a head to n pictures; returns its answers on each without it, and on new pictures."""
    images = gaussian_classes(n, rng, centres)
    fitted = fit_head(images, CLASSES)
    assert not isinstance(fitted, NotRun)
    head, images = fitted
    source = cross_fit(head, images, images)
    assert isinstance(source, CrossFitted)
    scores = (Logits(head, of).confidences(source.pooled) for of in (images, others))
    own, new = (Answers(each.confidence, np.asarray(each.right)) for each in scores)
    return own, new


class Above:
    """The true errors of a world above any threshold."""

    def __init__(self, answers: Answers) -> None:
        order = np.argsort(-answers.confidence, kind="stable")
        self._ranked = -answers.confidence[order]
        self._wrong = np.concatenate([[0], np.cumsum(~answers.right[order])])

    def error(self, threshold: float | None) -> float:
        """Returns the share of wrong answers above a threshold."""
        n = len(self._ranked)
        m = n if threshold is None else int(np.searchsorted(self._ranked, -threshold))
        return float(self._wrong[m] / m) if m else 0.0

    def possible(self, tolerated: float) -> float:
        """Returns the largest share of pictures with a tolerated error."""
        n = len(self._ranked)
        ends = np.append(np.flatnonzero(np.diff(self._ranked)) + 1, n)
        fine = ends[self._wrong[ends] / ends <= tolerated]
        return float(fine.max(initial=0) / n)


def by_labels(world: str, n: int, draws: int) -> dict[str, Any]:
    """Returns for each ε how often it was exceeded, and what was found of what is possible."""
    rng = np.random.default_rng([SEED, n, len(world)])
    centres = rng.normal(size=(CLASSES, CHANNELS)) * 0.6
    fitted = world == FITTED
    others = gaussian_classes(NEW, rng, centres)
    truth = None if fitted else Above(DRAWN[world](POPULATION, rng))
    broken, found, possible = (np.zeros(len(TOLERATED)) for _ in range(3))
    for _ in range(draws):
        if truth is None or fitted:
            answers, new = fitted_head(n, rng, centres, others)
            truth = Above(new)
        else:
            answers = DRAWN[world](n, rng)
        tested = above_thresholds(*answers)
        for i, tolerated in enumerate(TOLERATED):
            passed = last_passed(tested, tolerated, LEFT_OUT_LEVEL if fitted else LEVEL)
            if passed is not None:
                found[i] += passed.images / n
                broken[i] += truth.error(passed.threshold) > tolerated
        if fitted or not possible.any():
            possible += [truth.possible(tolerated) for tolerated in TOLERATED]
    possible /= draws if fitted else 1
    columns = zip(TOLERATED, broken / draws, found / draws, possible, strict=True)
    return {f"{e:g}": {"broken": b, "found": f, "possible": p} for e, b, f, p in columns}


# Without labels.


def certificate(confidence: Floats, tolerated: float, rng: Rng) -> Certificate:
    """Returns the certificate of a model that answers class 0, in a random order."""
    n = len(confidence)
    pool = Pool(
        np.zeros((1, n), dtype=np.int64), confidence[None], rng.permutation(n), rng.permutation(n)
    )
    return Certificate(pool, pool.order, pool.other, tolerated)


def one_too_many(labels: Certificate, rng: Rng) -> Bools:
    """Makes one answer too many wrong in every prefix."""
    wrong, before, made = np.zeros(len(labels.ranked), dtype=bool), 0, 0
    for prefix in labels.prefixes:
        new = labels.ranked[before : prefix.size]
        more = min(prefix.limit + 1 - made, len(new))
        wrong[rng.choice(new, more, replace=False)] = True
        before, made = prefix.size, made + more
    return wrong


def honest(labels: Certificate, rng: Rng) -> Bools:
    """Makes answers wrong as often as their confidence says."""
    return np.asarray(rng.random(labels.pool.pictures) > labels.pool.confidences[0])


def confidences(kind: str, n: int) -> Floats:
    """Returns confidences of a calibrated model, or some that say nothing of it."""
    return np.full(n, 0.95) if kind == "constant" else 1 - 0.5 * ((np.arange(n) + 0.5) / n) ** 2


def certified_wrongly(kind: str, n: int, tolerated: float, pools: int) -> float:
    """Returns the share of pools whose promise can be broken at any time, in any order."""
    broken = 0
    for seed in range(pools):
        rng = np.random.default_rng([SEED, n, seed])
        labels = certificate(confidences(kind, n), tolerated, rng)
        if kind == "reversed":
            wrong = np.asarray(rng.random(n) > labels.pool.confidences[0][::-1])
        elif kind == "constant":
            wrong = rng.permutation(n) < int(tolerated * n) + 1
        else:
            wrong = one_too_many(labels, rng) if kind == "one too many" else honest(labels, rng)
        for picture in range(n):
            labels.add(picture, NOBODY if wrong[picture] else 0)
        chain = list(zip(labels.prefixes, labels.bets, strict=True))[labels.start :]
        first = next((bet for prefix, bet in chain if bet.wrong > prefix.limit), None)
        broken += first is not None and first.best >= labels.needed
    return broken / pools


def walked(way: str, n: int, tolerated: float, pools: int) -> float:
    """Returns the share of pools with a broken promise while they are labelled in some way."""
    broken = 0
    for seed in range(pools):
        rng = np.random.default_rng([SEED, n, seed, len(way)])
        labels = certificate(confidences("", n), tolerated, rng)
        wrong = one_too_many(labels, rng)
        if way == "right ones imported":
            for picture in rng.choice(np.flatnonzero(~wrong), n // 3, replace=False).tolist():
                labels.add(picture, 0)
        fell = False
        while (picture := labels.following()) is not None and not fell:
            if way == "wrong ones skipped" and wrong[picture] and picture not in labels.skipped:
                labels.skip(picture)
                continue
            labels.add(picture, NOBODY if wrong[picture] else 0)
            pictures = labels.unattended
            fell = int(wrong[pictures].sum()) > labels.state.most_wrong if len(pictures) else False
        broken += fell
    return broken / pools


def progress(n: int, tolerated: float, pools: int) -> dict[str, float]:
    """Returns the mean share certified after some labels, and what is possible."""
    moments: tuple[int, ...] = (100, 300, 600)
    certified = dict.fromkeys(moments, 0.0)
    possible = saved = 0.0
    for seed in range(pools):
        rng = np.random.default_rng([SEED, n, seed])
        labels = certificate(confidences("", n), tolerated, rng)
        wrong, best = honest(labels, rng), 0
        fine = [p.size for p in labels.prefixes if wrong[labels.ranked[: p.size]].sum() <= p.limit]
        possible += max(fine, default=0) / n / pools
        for count in range(max(moments) + 1):
            if count % 20 == 0:
                best = max(best, labels.state.certified - count)
            if count in moments:
                certified[count] += labels.state.certified / n / pools
            if (picture := labels.following()) is None:
                for later in (m for m in moments if m > count):
                    certified[later] += labels.state.certified / n / pools
                break
            labels.add(picture, NOBODY if wrong[picture] else 0)
        saved += best / pools
    return {**{str(k): v for k, v in certified.items()}, "possible": possible, "saved": saved}


def run(quick: bool = False) -> dict[str, Any]:
    """Returns broken promises and what was found, with labels and without."""
    draws, pools = (100, 10) if quick else (DRAWS, 400)
    labelled = {
        world: {str(n): by_labels(world, n, draws) for n in SIZES} for world in (*DRAWN, FITTED)
    }
    bounded: dict[str, Callable[[], float]] = {
        f"{kind}, any order": partial(certified_wrongly, kind, 400, 0.05, 5 * pools)
        for kind in ("one too many", "constant", "reversed", "calibrated")
    }
    ways = ("one by one", "right ones imported", "wrong ones skipped")
    walks = {f"one too many, {way}": partial(walked, way, 120, 0.1, pools) for way in ways}
    cells = ((500, 0.05), (2_000, 0.02), (2_000, 0.05), (2_000, 0.1), (10_000, 0.05))
    return {
        "machine": machine(),
        "draws": draws,
        "labelled": labelled,
        "hostile": {name: measure() for name, measure in (bounded | walks).items()},
        "progress": {f"{n}, {e:g}": progress(n, e, max(pools // 20, 1)) for n, e in cells},
    }


def table(figures: dict[str, Any]) -> str:
    """Returns the figures as Markdown."""
    rows = [
        [world, n, *(f"{cell['broken']:.3f} · {_percent(cell['found'])} of "
                     f"{_percent(cell['possible'])}" for cell in cells.values())]
        for world, sizes in figures["labelled"].items()
        for n, cells in sizes.items()
    ]  # fmt: skip
    hostile = [[name, f"{share:.3f}"] for name, share in figures["hostile"].items()]
    counts = [
        [name, *(_percent(cell[key]) for key in ("100", "300", "600", "possible")),
         f"{cell['saved']:,.0f}"]
        for name, cell in figures["progress"].items()
    ]  # fmt: skip
    heads = [f"ε {e:.0%}" for e in TOLERATED]
    return (
        f"With labels, {figures['draws']:,} draws a cell: share of draws above ε (at most "
        f"{ALLOWED:g}), then pictures found of those possible.\n\n"
        + markdown(["world", "pictures", *heads], rows)
        + "\nWithout labels: share of pools with a broken promise "
        f"(at most {ALLOWED:g} within noise).\n\n"
        + markdown(["pools", "broken"], hostile)
        + "\nShare certified after so many labels, and pictures that nobody had to look at at the "
        "best moment.\n\n" + markdown(["N, ε", "100", "300", "600", "possible", "saved"], counts)
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


if __name__ == "__main__":
    command(__doc__, run, table)
