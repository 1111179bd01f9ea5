"""Gates of `tuiprobe compare --fail-if`: a condition on the difference of two reports.

`FIGURE differs`, `FIGURE < NUMBER` and the like; the number is compared with second less
first. `FIGURE.low` and `FIGURE.high` are the ends of that difference's interval. A place in
front, `SET:` or `SET/LAYER:`, says where; without one the gate holds for all sets and for the
final representation. `outcome differs` asks for a finding in a word, `channels differ` for a
set of things that were found. Headline figures may be named by their human names in quotes:
`"mean of shifts" < -0.01`.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from tuiprobe.compare.differences import Comparison, Difference
from tuiprobe.errors import UsageError
from tuiprobe.plaintext import plain
from tuiprobe.results import given
from tuiprobe.results.headlines import HEADLINES

RENAMED: Final = {
    "persistent": "outlier_channels",
    "persistent_channels": "outlier_channels",
    "verdict": "outcome",
    "centred_kurtosis": "residual.kurtosis",
    "effective": "value",
    "precision": "value",
}
"""What figures of earlier versions are called now, or which one replaced them."""

_GATE = re.compile(
    r"\s*(?:(?P<place>[^\"]+):)?\s*"
    r"(?:(?P<name>[A-Za-z_][\w.]*)|\"(?P<quoted>[^\"]+)\"(?P<end>\.low|\.high)?)\s*"
    r"(?:(?P<differs>differs?)|(?P<sign><=|>=|<|>)\s*(?P<value>[-+0-9.eE]+))\s*"
)
_SIGNS: Final[dict[str, Callable[[float, float], bool]]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


@dataclass(frozen=True)
class Gate:
    """One condition.

    Attributes:
        text: As the user wrote it.
        place: Set, or set and layer; empty for all sets.
        name: Name of the figure.
        end: `value`, `low` or `high` of the difference.
        sign: How it is compared; empty for `differs`.
        limit: What it is compared with.
        headline: Whether it was named as a headline figure, which is of one set.
    """

    text: str
    place: str
    name: str
    end: str
    sign: str
    limit: float
    headline: bool = False


def parse_gate(text: str) -> Gate:
    """Reads a condition.

    Raises:
        UsageError: If it is not a condition.

    >>> parse_gate("val: kurtosis.high < -0.5").limit, parse_gate("outcome differs").name
    (-0.5, 'outcome')
    """
    match = _GATE.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        limit = float(match["value"] or 0)
    except ValueError as error:
        raise UsageError(
            f"--fail-if {plain(text)!r} is no condition; write 'FIGURE differs' or "
            "'FIGURE < NUMBER', for example 'kurtosis.high < -0.5' or 'val: top1 < -0.01'"
        ) from error
    name, end = match["name"], "value"
    if match["quoted"]:
        name, end = _id_of(text, match["quoted"]), (match["end"] or ".value")[1:]
    elif match["sign"]:
        stem, _, last = name.rpartition(".")
        if last in ("low", "high") and stem:
            name, end = stem, last
    place, sign = (match["place"] or "").strip(), match["sign"] or ""
    return Gate(text.strip(), place, name, end, sign, limit, headline=bool(match["quoted"]))


def _id_of(text: str, name: str) -> str:
    """Returns the id of a headline figure by its human name."""
    known = {one.name.casefold(): one.id for one in HEADLINES}
    found = known.get(" ".join(name.split()).casefold())
    if found is None:
        names = ", ".join(f'"{one.name}"' for one in HEADLINES)
        raise UsageError(f"--fail-if {plain(text)!r}: no headline figure has that name; {names}")
    return found


def tripped(gate: Gate, found: Comparison) -> list[str]:
    """Returns the reasons why a gate trips, one sentence each; empty where it does not.

    A figure that one of the reports lacks trips the gate: what cannot be answered is no pass.

    Raises:
        UsageError: No figure has this name, or none at this place.
    """
    if not gate.sign and (fact := found.fact(gate.name)) is not None:
        if fact.first == fact.second:
            return []
        return [plain(f"{fact.name} went from {fact.first or '-'} to {fact.second or '-'}")]
    if not gate.sign and any(one.id == gate.name for one in found.overlaps):
        return list(_sets(gate, found))
    chosen = [one for one in found.differences if _matches(gate, one)]
    if gate.headline and not gate.place:
        chosen = [one for one in chosen if one.headline is not None]
    if not chosen:
        raise UsageError(_unknown(gate, found))
    return [reason for one in chosen if (reason := _reason(gate, one))]


def _sets(gate: Gate, found: Comparison) -> Iterator[str]:
    for one in found.overlaps:
        if one.id != gate.name or gate.place not in ("", one.data):
            continue
        where = f"{one.name} on {one.data}{f', {one.place}' if one.place else ''}"
        if one.not_comparable:
            yield plain(f"{where} cannot be compared: {one.not_comparable}")
        elif one.differ:
            yield plain(f"{where}: gone {list(one.first_only)}, new {list(one.second_only)}")


def _matches(gate: Gate, one: Difference) -> bool:
    """Returns whether a gate names this figure; a short name matches the end of a dotted one."""
    if gate.name not in (one.id, one.id.rpartition(".")[0]):
        return False
    if gate.name != one.id and not one.id.endswith(".value"):
        return False
    if not gate.place:
        return not one.inner
    return gate.place in (one.data, f"{one.data}/{one.place}") and (
        "/" in gate.place or not one.inner
    )


def _reason(gate: Gate, one: Difference) -> str:
    where = f"{plain(one.data)}/{plain(one.place)}: {one.id}"
    if not given(one.difference):
        return f"{where} cannot be compared: {plain(one.difference.reason)}"
    told = f"{where} changed by {one.difference.with_interval(signed=True)}"
    if not gate.sign:
        if one.differs is None:
            return f"{where} has no interval, so whether it differs is unknown"
        return told if one.differs else ""
    value = getattr(one.difference, gate.end)
    if value is None:
        return f"{where} has no interval"
    return told if _SIGNS[gate.sign](value, gate.limit) else ""


def _unknown(gate: Gate, found: Comparison) -> str:
    names = sorted({one.id for one in found.differences})
    places = sorted({one.data for one in found.differences})
    renamed = RENAMED.get(gate.name)
    now = (
        f"; {gate.name} is called {renamed} now"
        if renamed in {*names, *(one.id for one in found.facts)}
        else ""
    )
    return plain(
        f"--fail-if {gate.text!r}: no such figure in both reports{now}; figures are "
        f"{', '.join(names)}; sets are {', '.join(places)}"
    )
