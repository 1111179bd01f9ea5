"""Thresholds of confidence above which at most a tolerated share of the answers is wrong.

For each tolerated share ε, thresholds are tested from the most confident 5 % of the pictures on,
in steps of 5 %: "at least ε of the answers above this threshold are wrong" is rejected by an exact
binomial test at level α. The first test that fails ends the sequence, so all of them together err
with a chance of at most α (fixed-sequence testing; Learn then Test, Angelopoulos et al. 2021, arXiv
2110.01052; Geifman and El-Yaniv 2017, arXiv 1705.08500). This holds for labelled pictures that are
a random sample of those to come; each ε has this chance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, floor, log
from typing import Annotated, ClassVar, Final, NamedTuple

import numpy as np
from scipy.special import bdtr, betaincinv

from tuiprobe.channels.array_types import Bool, Float64
from tuiprobe.measure.run.per_image import ConfidenceColumn
from tuiprobe.probes.intervals import exact
from tuiprobe.results import NotRun, is_known
from tuiprobe.results.base import Count, Frozen, Many, Real, Share
from tuiprobe.results.figures import FIGURES, Fig
from tuiprobe.results.report import ProbeResult

TOLERATED: Final = (0.01, 0.02, 0.05, 0.1, 0.2)
"""Shares of wrong answers that a user may tolerate."""

REPEATED: Final = NotRun(
    reason="the model hardly tells many pictures from others, and the tests take independent ones"
)

STEPS: Final = 20
"""Thresholds that are tested, at equal steps of the share of pictures above."""

LEVEL: Final = 0.05
"""Chance that more than the tolerated share of the answers above a threshold is wrong."""

LEFT_OUT_LEVEL: Final = 0.025
"""Level of the tests for pictures that the head was fitted to, each answered without it: at .05 the
chance would be up to .09, since these answers vary more than independent ones."""


class Rule(Frozen):
    """The share of the pictures that may run unattended if so many wrong answers are tolerated.

    Attributes:
        tolerated: ε.
        percent: It in per cent, two digits.
        share: Pictures with a confidence above the threshold, of all.
        threshold: Of confidence, if only pictures above one may.
        right_in_a_row: As many right answers, and no wrong one, are the least that shows it.
    """

    tolerated: Real
    percent: str
    share: Annotated[
        Share, Fig("{self.percent}", "{outer}, at most {self.percent} % wrong", "unattended")
    ]
    threshold: Real | None
    right_in_a_row: Count


class ErrorPoint(Frozen):
    """Errors among the most confident pictures.

    Attributes:
        share: These pictures, of all.
        errors: Share of wrong answers among them.
        bound: Exact upper end of the one-sided 95 % interval of their error.
    """

    share: Real
    errors: Real
    bound: Real


class SetRules(Frozen):
    """The rules of one labelled set.

    Attributes:
        data: Name of the set.
        images: Pictures with an answer and a confidence.
        column: Column of `predictions.csv` that orders the pictures.
        temperature: What logits are divided by before the softmax; 1 for the scale of the model.
        level: Chance that a rule is wrong.
        near_copies: Whether many pictures are near copies of others: then there is no rule.
        rules: By ascending ε.
        curve: By ascending share.
    """

    data: str
    images: Count
    column: ConfidenceColumn
    temperature: Real
    level: Real
    near_copies: bool = False
    rules: Annotated[Many[Rule], Fig("unattended", "pictures that may run unattended")]
    curve: Many[ErrorPoint]

    @property
    def known(self) -> list[Rule]:
        """The rules for which something is shown."""
        return [rule for rule in self.rules if is_known(rule.share)]

    def tolerated(self, confidence: float | None) -> float | None:
        """Returns the smallest ε whose rule covers a confidence."""
        if confidence is None:
            return None
        covering = (r for r in self.known if r.threshold is None or confidence > r.threshold)
        return next((rule.tolerated for rule in covering), None)


class TargetShares(Frozen):
    """Pictures without labels above the thresholds of the first set.

    Attributes:
        data: Name of the set.
        images: Its pictures with a confidence.
        shares: Share of them above the threshold of each rule that the first set has.
    """

    data: str
    images: Count
    shares: Many[tuple[Real, Real]]


class Unattended(ProbeResult):
    """How many pictures may run unattended.

    Attributes:
        sets: Labelled sets, the in-distribution one first.
        targets: Sets without labels.
    """

    probe: ClassVar[str] = "unattended"

    sets: Annotated[Many[SetRules], FIGURES]
    targets: Many[TargetShares] = ()


@dataclass(frozen=True, eq=False)
class Ranked:
    """The answers of a set, to be ranked by confidence.

    Attributes:
        data: Name of the set.
        column: Which confidence it is.
        temperature: What logits were divided by for it.
        confidence: float64 [n].
        right: bool [n].
        left_out: Whether the head was fitted to these pictures, and answers each without it.
        near_copies: Whether many of them are near copies of others.
    """

    data: str
    column: ConfidenceColumn
    temperature: float
    confidence: Float64
    right: Bool | None = None
    left_out: bool = False
    near_copies: bool = False


class Above(NamedTuple):
    """Pictures above a threshold, None for all, and the wrong answers among them."""

    threshold: float | None
    images: int
    wrong: int


def unattended(sets: Sequence[Ranked], targets: Sequence[Ranked]) -> Unattended:
    """Finds the rules of labelled sets, and how many pictures of others those of the first cover.

    Args:
        sets: With labels and at least one picture each, the in-distribution one first.
        targets: Without labels.
    """
    found = tuple(_rules_of(ranked) for ranked in sets)
    return Unattended(sets=found, targets=tuple(_shares(found[0], target) for target in targets))


def above_thresholds(confidence: Float64, right: Bool) -> list[Above]:
    """Returns the pictures above each threshold that is tested, in the order of the tests.

    >>> above_thresholds(np.linspace(1, 0, 20), np.arange(20) < 15)[1]
    Above(threshold=0.9473684210526316, images=1, wrong=0)
    """
    order = np.argsort(-confidence, kind="stable")
    ranked, n = confidence[order], len(confidence)
    wrong = np.concatenate([[0], np.cumsum(~right[order])])
    tested = []
    for step in range(1, STEPS):
        if rank := floor(step * n / STEPS + 0.5):
            threshold = float(ranked[rank - 1])
            images = int(np.searchsorted(-ranked, -threshold))
            tested.append(Above(threshold, images, int(wrong[images])))
    return [*tested, Above(None, n, int(wrong[n]))]


def last_passed(tested: Sequence[Above], tolerated: float, level: float) -> Above | None:
    """Returns the last threshold before the first test that fails."""
    passed, least = None, right_in_a_row(tolerated, level)
    for above in tested:
        if above.images < least:
            continue
        if bdtr(above.wrong, above.images, tolerated) > level:
            break
        passed = above
    return passed


def right_in_a_row(tolerated: float, level: float) -> int:
    """Returns how many right answers, and no wrong one, reject that ε of them are wrong.

    >>> right_in_a_row(0.05, 0.05), right_in_a_row(0.05, 0.025)
    (59, 72)
    """
    return ceil(log(level) / log(1 - tolerated))


def _rules_of(ranked: Ranked) -> SetRules:
    assert ranked.right is not None  # the caller passes labelled sets
    tested = above_thresholds(ranked.confidence, ranked.right)
    level, n = LEFT_OUT_LEVEL if ranked.left_out else LEVEL, len(ranked.confidence)
    rules = []
    for tolerated in TOLERATED:
        passed, least = last_passed(tested, tolerated, level), right_in_a_row(tolerated, level)
        share: Share = NotRun(
            reason=f"not shown with {n:,} labels: {least:,} right in a row would be the least"
        )
        if ranked.near_copies:
            share, passed = REPEATED, None
        elif passed is not None:
            method = "exact binomial tests in a fixed sequence: it has no interval, but 95 %"
            share = exact(passed.images / n, n, method, "share")
        rules.append(
            Rule(
                tolerated=tolerated,
                percent=f"{round(100 * tolerated):02d}",
                share=share,
                threshold=None if passed is None else passed.threshold,
                right_in_a_row=least,
            )
        )
    return SetRules(
        data=ranked.data,
        images=n,
        column=ranked.column,
        temperature=ranked.temperature,
        level=level,
        near_copies=ranked.near_copies,
        rules=tuple(rules),
        curve=tuple(_curve(tested, n)),
    )


def _curve(tested: Sequence[Above], n: int) -> Iterator[ErrorPoint]:
    """Yields the errors above each threshold, of equal ones once."""
    for m, k in dict.fromkeys((above.images, above.wrong) for above in tested if above.images):
        bound = 1.0 if k == m else float(betaincinv(k + 1, m - k, 1 - LEVEL))
        yield ErrorPoint(share=m / n, errors=k / m, bound=bound)


def _shares(id_set: SetRules, target: Ranked) -> TargetShares:
    shares = tuple(
        (rule.tolerated, float((target.confidence > (rule.threshold or -1.0)).mean()))
        for rule in id_set.known
        if len(target.confidence)
    )
    return TargetShares(data=target.data, images=len(target.confidence), shares=shares)
