"""What two runs have in common: channels, concepts, or any other set that a probe names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import accumulate
from math import exp, lgamma

from tuiprobe.results import Estimate, Figure, Frozen, NotRun, Report
from tuiprobe.results.section import NamedSet

TAIL = 0.025


class Overlap(Frozen):
    """Things found by both runs, and by one of them alone.

    Attributes:
        id: Id of the kind of things, for gates.
        name: Name of the kind, for people.
        data: Set of images.
        place: What else they are of.
        not_comparable: Why members of the two runs do not mean the same.
        shared: Found by both runs.
        first_only: Found by the first run only.
        second_only: Found by the second run only.
        jaccard: Shared part of all that was found; `NotRun` where nothing was.
        by_chance: Number shared if each run drew as many at random; the range holds 95 % of such
            draws. None where it is not known out of how many they were found. Easy concepts are
            found by most models, so an overlap beyond it is no sign of a common mechanism.
    """

    id: str
    name: str
    data: str
    place: str
    not_comparable: NotRun | None = None
    shared: tuple[str, ...] = ()
    first_only: tuple[str, ...] = ()
    second_only: tuple[str, ...] = ()
    jaccard: Figure = NotRun(reason="not compared")
    by_chance: Figure | None = None

    @property
    def differ(self) -> bool:
        """Whether one of them found what the other did not."""
        return bool(self.first_only or self.second_only)


def overlaps(first: Report, second: Report) -> Iterator[Overlap]:
    """Yields the overlap of every kind of sets that a run names, by set of images and place."""
    of_first, of_second = (
        {(named.id, named.data, named.place): named for part in report.parts for named in part.sets}
        for report in (first, second)
    )
    for key in dict.fromkeys((*of_first, *of_second)):
        a, b = of_first.get(key), of_second.get(key)
        either = a or of_second[key]
        overlap = Overlap(id=either.id, name=either.name, data=either.data, place=either.place)
        if a is None or b is None:
            without = first if a is None else second
            why = NotRun(reason=f"not in the report of {without.model.name}")
            yield overlap.model_copy(update={"not_comparable": why})
        elif other := _difference_of_basis(a.basis, b.basis):
            yield overlap.model_copy(update={"not_comparable": other})
        else:
            yield _counted(overlap, a, b)


def _counted(overlap: Overlap, first: NamedSet, second: NamedSet) -> Overlap:
    """Returns the members that two sets of one kind share, and those of one set alone."""
    a, b = set(first.members), set(second.members)
    jaccard: Figure = NotRun(reason="neither found any")
    if n := len(a | b):
        share = len(a & b) / n
        jaccard = Estimate(value=share, low=None, high=None, unit="share", n=n, method="count")
    universe = first.universe
    return overlap.model_copy(
        update={
            "shared": _sorted(a & b),
            "first_only": _sorted(a - b),
            "second_only": _sorted(b - a),
            "jaccard": jaccard,
            "by_chance": None if universe is None else by_chance(len(a), len(b), universe),
        }
    )


def _difference_of_basis(
    first: Mapping[str, str | None], second: Mapping[str, str | None]
) -> NotRun | None:
    """Returns why members of two sets are not comparable."""
    for aspect in dict.fromkeys((*first, *second)):
        if first.get(aspect) is None or second.get(aspect) is None:
            return NotRun(reason=f"a report does not say its {aspect}")
        if first[aspect] != second[aspect]:
            return NotRun(reason=f"they differ in their {aspect}")
    return None


def _sorted(members: set[str]) -> tuple[str, ...]:
    """Sorts numbers by their value, then names."""

    def order(member: str) -> tuple[bool, int, str]:
        is_number = member.isascii() and member.isdecimal() and len(member) < 16
        return not is_number, int(member) if is_number else 0, member

    return tuple(sorted(members, key=order))


def by_chance(first: int, second: int, universe: int) -> Figure:
    """Returns mean and 95 % range of a hypergeometric number of shared things.

    >>> by_chance(10, 20, 100).value
    2.0
    """
    if not (universe > 0 and max(first, second) <= universe):
        return NotRun(reason=f"{universe} cannot hold {max(first, second)}")

    def log_comb(n: int, k: int) -> float:
        return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)

    most = min(first, second)
    log = [
        log_comb(first, k) + log_comb(universe - first, second - k) - log_comb(universe, second)
        for k in range(max(0, first + second - universe), most + 1)
    ]
    below = list(accumulate(exp(term) for term in log))
    least = most + 1 - len(below)
    low = next((k for k, part in enumerate(below, least) if part >= TAIL), most)
    high = next((k for k, part in enumerate(below, least) if part >= 1 - TAIL - 1e-12), most)
    return Estimate(
        value=first * second / universe,
        low=low,
        high=high,
        unit="count",
        n=universe,
        method="hypergeometric",
    )
