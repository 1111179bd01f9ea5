"""What two runs have in common: channels, concepts, or any set that a probe names."""

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
        not_comparable: Why members of the two runs do not mean the same; empty where they do.
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
    not_comparable: str = ""
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
    """Yields the overlap of every kind of things that a run names, by set and place."""
    ours, theirs = _by_place(first), _by_place(second)
    for place in dict.fromkeys((*ours, *theirs)):
        one, other = ours.get(place), theirs.get(place)
        yield _overlap(one, other)


def _by_place(report: Report) -> Mapping[tuple[str, str, str], NamedSet]:
    return {(one.id, one.data, one.place): one for part in report.parts for one in part.sets}


def _overlap(one: NamedSet | None, other: NamedSet | None) -> Overlap:
    either = one or other
    assert either is not None
    found = Overlap(id=either.id, name=either.name, data=either.data, place=either.place)
    if one is None or other is None:
        reason = f"not in the {'first' if one is None else 'second'} report"
    else:
        reason = _differing(one.basis, other.basis)
    if reason or one is None or other is None:
        return found.model_copy(update={"not_comparable": reason})
    a, b = set(one.members), set(other.members)
    return found.model_copy(
        update={
            "shared": _sorted(a & b),
            "first_only": _sorted(a - b),
            "second_only": _sorted(b - a),
            "jaccard": _jaccard(len(a & b), len(a | b)),
            "by_chance": None if one.universe is None else by_chance(len(a), len(b), one.universe),
        }
    )


def _differing(first: Mapping[str, str | None], second: Mapping[str, str | None]) -> str:
    """Returns why members of two sets are not comparable; empty where they are."""
    for what in dict.fromkeys((*first, *second)):
        if first.get(what) is None or second.get(what) is None:
            return f"a report does not say its {what}"
        if first[what] != second[what]:
            return f"they differ in their {what}"
    return ""


def _sorted(members: set[str]) -> tuple[str, ...]:
    """Sorts numbers by their value, then names."""
    return tuple(sorted(members, key=lambda one: (not _is_number(one), _number(one), one)))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 16


def _number(text: str) -> int:
    return int(text) if _is_number(text) else 0


def _jaccard(shared: int, either: int) -> Figure:
    if not either:
        return NotRun(reason="neither found any")
    return Estimate(
        value=shared / either, low=None, high=None, unit="share", n=either, method="count"
    )


def by_chance(ours: int, theirs: int, universe: int) -> Figure:
    """Returns mean and 95 % range of a hypergeometric number of shared things.

    >>> by_chance(10, 20, 100).value
    2.0
    """
    if not (universe > 0 and max(ours, theirs) <= universe):
        return NotRun(reason=f"{universe} cannot hold {max(ours, theirs)}")
    most = min(ours, theirs)
    log = [
        _log_comb(ours, k) + _log_comb(universe - ours, theirs - k) - _log_comb(universe, theirs)
        for k in range(max(0, ours + theirs - universe), most + 1)
    ]
    below = list(accumulate(exp(one) for one in log))
    first = most + 1 - len(below)
    low = next((k for k, part in enumerate(below, first) if part >= TAIL), most)
    high = next((k for k, part in enumerate(below, first) if part >= 1 - TAIL - 1e-12), most)
    return Estimate(
        value=ours * theirs / universe,
        low=low,
        high=high,
        unit="count",
        n=universe,
        method="hypergeometric",
    )


def _log_comb(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
