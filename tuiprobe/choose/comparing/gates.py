"""Gates of `tuiprobe compare --fail-if`: a condition on the difference of two reports.

`FIGURE differs`, `FIGURE < NUMBER` and the like; the number is compared with second minus
first, and each reason names both models. `FIGURE.low` and `FIGURE.high` are the ends of that
difference's interval. A set in front, `SET:` or `SET/LAYER:`, says where; without one the gate
holds for all sets and for the final representation. `outcome differs` asks for a finding in a
word, `channels differ` for a set of things that were found. Headline figures may be named by their
human names in quotes: `"mean of shifts" < -0.01`.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from tuiprobe.choose.comparing.differences import Comparison, Difference, Overlap
from tuiprobe.errors import UsageError
from tuiprobe.plaintext import did_you_mean, plain
from tuiprobe.results import is_known
from tuiprobe.results.figures import HEADLINES, LABELLED

_GATE = re.compile(
    r"\s*(?:(?P<where>[^\"]+):)?\s*"
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
        where: Set, or set and layer; empty for all sets.
        name: Name of the figure.
        end: `value`, `low` or `high` of the difference.
        sign: How it is compared; empty for `differs`.
        limit: What it is compared with.
        headline: Whether it was named as a headline figure, which is of one set.
    """

    text: str
    where: str
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
            "'FIGURE < NUMBER', for example 'val: top1 < -0.01' (2 points are 0.02), or with a "
            "name in double quotes '\"top-1\".high < -0.02'"
        ) from error
    name, end = match["name"], "value"
    if match["quoted"]:
        by_name = {fig.name.casefold(): fig.id for fig in HEADLINES}
        name = by_name.get(" ".join(match["quoted"].split()).casefold(), "")
        if not name:
            names = ", ".join(f'"{fig.name}"' for fig in HEADLINES)
            raise UsageError(
                f"--fail-if {plain(text)!r}: no headline figure has that name; {names}; "
                "other figures go by id, without quotes (--all lists the ids)"
            )
        end = (match["end"] or ".value")[1:]
    elif match["sign"]:
        stem, _, last = name.rpartition(".")
        if last in ("low", "high") and stem:
            name, end = stem, last
    where, sign = (match["where"] or "").strip(), match["sign"] or ""
    return Gate(text.strip(), where, name, end, sign, limit, headline=bool(match["quoted"]))


def tripped(gate: Gate, comparison: Comparison) -> list[str]:
    """Returns the reasons why a gate trips, one sentence each.

    A set that has the figure in one report only trips a gate for all sets: what cannot be
    compared is no pass.

    Raises:
        UsageError: No figure of both reports has this name, or none of this set; or a share is
            compared with a number of 1 or more.
    """
    first, second = comparison.models
    if not gate.sign and (fact := comparison.fact(gate.name)) is not None:
        if gate.where:
            raise _refusal(gate, f"{gate.name} belongs to the run, not to a set")
        of_first, of_second = fact.first or "not known", fact.second or "not known"
        reason = plain(f"{fact.name}: {second} {of_second}, {first} {of_first}")
        return [] if fact.first == fact.second else [reason]
    overlaps = [overlap for overlap in comparison.overlaps if overlap.id == gate.name]
    if not gate.sign and overlaps:
        named = [o for o in overlaps if gate.where in ("", o.data, f"{o.data}/{o.place}")]
        if not named:
            known = sorted({f"{o.data}/{o.place}" if o.place else o.data for o in overlaps})
            raise _refusal(gate, f"{gate.name} are known for {', '.join(known)}")
        return [reason for overlap in named for reason in _overlap_reasons(overlap, first, second)]
    rows = _named_figures(gate, comparison)
    reasons = [reason for row in rows if (reason := _reason(gate, row, f"{second} minus {first}"))]
    if not gate.where and not gate.headline:
        reasons += [
            plain(f"{data}: only {model} has {gate.name}; name the sets to compare")
            for id, data, model in comparison.of_one
            if id == gate.name
        ]
    return reasons


def _named_figures(gate: Gate, comparison: Comparison) -> list[Difference]:
    """Returns the differences that a gate is about; errors as for `tripped`."""
    differences = (*comparison.differences, *comparison.by_labels)
    rows = [row for row in differences if _names(gate, row)]
    if gate.headline and not gate.where:
        rows = [row for row in rows if row.headline is not None]
    if not rows and gate.name == LABELLED.id:
        problem = "there are no labels for both runs: label pictures of both by `tuiprobe label`"
        raise _refusal(gate, problem)
    if not rows:
        raise _refusal(gate, _no_figure(gate, comparison))
    figures = [of for row in rows for of in (row.first, row.second, row.difference)]
    shares = any(of.unit in ("share", "points") for of in figures if is_known(of))
    if gate.sign and shares and abs(gate.limit) >= 1:
        points = f"{abs(gate.limit):g} {'point' if abs(gate.limit) == 1 else 'points'}"
        raise _refusal(gate, f"accuracies are fractions: {gate.limit / 100:g} is {points}")
    return rows


def _no_figure(gate: Gate, comparison: Comparison) -> str:
    """Returns why a gate names no figure of both reports, and which it may mean."""
    if comparison.fact(gate.name) is not None:
        return f"{gate.name} is a word; write '{gate.name} differs'"
    lone = [f"{model} (on {data})" for id, data, model in comparison.of_one if id == gate.name]
    if lone:
        return f"only {', '.join(lone)} has {gate.name}"
    known = {row.id: None for row in comparison.differences}
    if gate.name in known:
        rows = [row for row in comparison.differences if row.id == gate.name]
        sets = dict.fromkeys(f"{row.data}/{row.place}" if row.inner else row.data for row in rows)
        return f"{gate.name} is known for {', '.join(sets)}"
    meant = did_you_mean(gate.name, known, most=1)
    return f"no figure of both reports has this id{meant} (--all lists the ids)"


def _refusal(gate: Gate, problem: str) -> UsageError:
    return UsageError(plain(f"--fail-if {gate.text!r}: {problem}"))


def _overlap_reasons(overlap: Overlap, first: str, second: str) -> Iterator[str]:
    place = f", {overlap.place}" if overlap.place else ""
    where = f"{overlap.name} on {overlap.data}{place}"
    if overlap.not_comparable:
        yield plain(f"{where} cannot be compared: {overlap.not_comparable.why}")
    elif overlap.differ:
        of_first, of_second = list(overlap.first_only), list(overlap.second_only)
        yield plain(f"{where}: only in {second} {of_second}, only in {first} {of_first}")


def _names(gate: Gate, row: Difference) -> bool:
    """Returns whether a gate names this figure."""
    if gate.name != row.id:
        return False
    if not gate.where:
        return not row.inner
    return gate.where in (row.data, f"{row.data}/{row.place}") and (
        "/" in gate.where or not row.inner
    )


def _reason(gate: Gate, row: Difference, models: str) -> str:
    """Returns why a gate trips by a figure.

    Args:
        gate: The gate.
        row: The figure.
        models: Which model is subtracted from which, in words.
    """
    where = f"{plain(row.data)}/{plain(row.place)}: {row.id}"
    if not is_known(row.difference):
        return f"{where} cannot be compared: {plain(row.difference.reason)}"
    change = f"{where}: {plain(models)}: {row.difference.with_interval(signed=True)}"
    value = getattr(row.difference, gate.end)
    if (row.differs is None) if not gate.sign else (value is None):
        return f"{where} has no interval: {plain(row.difference.method)}"
    holds = row.differs if not gate.sign else _SIGNS[gate.sign](value, gate.limit)
    return change if holds else ""
