"""Which concepts two models encode in common, over the same images."""

from __future__ import annotations

from math import comb

from tuiprobe.probes.concepts.result import Concepts, Family
from tuiprobe.report.text import code, escaped, figure, table
from tuiprobe.results import Estimate, Figure, Frozen, NotRun

TAIL = 0.025
RANDOM: Family = "random directions"


class ConceptOverlap(Frozen):
    """The concepts that one family of directions encodes in two models.

    Attributes:
        family: of directions, in both.
        shared: encoded in both.
        first_only: only in the first.
        second_only: only in the second.
        jaccard: shared part of all that is encoded; `NotRun` where nothing is.
        by_chance: shared concepts expected if each model drew as many at random from those tried;
            the range holds 95 % of such draws. Easy concepts are found by most models, so an
            overlap beyond it is no sign of a common mechanism by itself.
    """

    family: Family
    shared: tuple[str, ...]
    first_only: tuple[str, ...]
    second_only: tuple[str, ...]
    jaccard: Figure
    by_chance: Figure


def concept_overlaps(
    first: Concepts | None, second: Concepts | None
) -> tuple[ConceptOverlap, ...] | NotRun:
    """Overlap for every family of directions that both have, random directions aside.

    Args:
        first: of one model; None where it has none.
        second: of the other.

    Returns:
        `NotRun` where one is missing, or where images, labels or protocol are not the same.
    """
    missing = [name for name, one in (("first", first), ("second", second)) if one is None]
    if first is None or second is None:
        return NotRun(reason=f"no concepts in the {' and the '.join(missing)} report")
    for what in ("digest", "share", "threshold", "prevalence", "balance", "negatives", "tried"):
        ours, theirs = getattr(first, what), getattr(second, what)
        if ours is None and what == "digest":
            return NotRun(reason="an older report does not say which images it rests on")
        if ours != theirs:
            said = "images or labels" if what == "digest" else what
            return NotRun(reason=f"the concept sets differ in their {said}")
    others = {one.family: set(one.encoded) for one in second.families}
    return tuple(
        _overlap(one.family, set(one.encoded), others[one.family], first.tried)
        for one in first.families
        if one.family in others and one.family != RANDOM
    )


def _overlap(family: Family, ours: set[str], theirs: set[str], tried: int) -> ConceptOverlap:
    shared, either = ours & theirs, ours | theirs
    return ConceptOverlap(
        family=family,
        shared=tuple(sorted(shared)),
        first_only=tuple(sorted(ours - theirs)),
        second_only=tuple(sorted(theirs - ours)),
        jaccard=Estimate(
            value=len(shared) / len(either), low=None, high=None, n=len(either), method="count"
        )
        if either
        else NotRun(reason="neither encodes a concept"),
        by_chance=_by_chance(len(ours), len(theirs), tried),
    )


def _by_chance(ours: int, theirs: int, tried: int) -> Figure:
    """Mean and range of a hypergeometric number of shared concepts."""
    chances = [
        comb(ours, k) * comb(tried - ours, theirs - k) / comb(tried, theirs)
        for k in range(min(ours, theirs) + 1)
    ]
    low = next(k for k in range(len(chances)) if sum(chances[: k + 1]) >= TAIL)
    high = next(k for k in range(len(chances)) if sum(chances[: k + 1]) >= 1 - TAIL - 1e-12)
    return Estimate(
        value=ours * theirs / tried, low=low, high=high, n=tried, method="hypergeometric"
    )


def overlap_sections(data: str | None, overlaps: tuple[ConceptOverlap, ...] | NotRun) -> list[str]:
    """The overlap as Markdown."""
    if isinstance(overlaps, NotRun):
        return [f"Concepts in common: not run, because {escaped(overlaps.reason)}.", ""]
    rows = [
        [
            one.family,
            str(len(one.shared)),
            str(len(one.first_only)),
            str(len(one.second_only)),
            figure(one.jaccard),
            figure(one.by_chance),
        ]
        for one in overlaps
    ]
    header = ["directions", "concepts in both", "only first", "only second", "Jaccard",
              "in both by chance"]  # fmt: skip
    lines = [f"## Concepts in common on {code(data or '')}", "", *table(header, rows)]
    for one in overlaps[:1]:
        lines += [
            f"In {one.family}: both {_listed(one.shared)}; only the first "
            f"{_listed(one.first_only)}; only the second {_listed(one.second_only)}.",
            "",
        ]
    return lines


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(escaped(name) for name in names) or "none"
