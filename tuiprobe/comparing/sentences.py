"""The sentence of a decision: which model to take, by what evidence, and how far ahead it is.

A sentence says "best" only beside a range above 0, the least lead at the level of the verdict, or
the risk.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, log10
from typing import Final

from tuiprobe.comparing.decision import DecidedModel, Decision
from tuiprobe.comparing.inference import ends_of
from tuiprobe.comparing.notes import NAMED
from tuiprobe.comparing.orders import FEWEST_PICTURES, costs_known
from tuiprobe.comparing.runs import Run
from tuiprobe.labelling.contest import MARGIN_POINTS
from tuiprobe.plaintext import count_of, joined
from tuiprobe.results import Figure, is_known

RISK: Final = "risk at most 5 %"

_LEAST_SAID: Final = 0.001
"""A lead that may be smaller than this is not said: the risk stands in its place."""

_ROUNDED_TO_ZERO: Final = 0.005
"""A range from below this needs a decimal to be read as one that does not hold 0."""


def sentence(decision: Decision, runs: Sequence[Run]) -> str:
    """Returns a decision in one sentence."""
    if decision.take is None:
        return _undecided(decision)
    if decision.evidence == "labels":
        return _by_labels(decision, decision.take, _chosen(decision, runs))
    like = " and others like them" if decision.evidence == "pictures" else ""  # they are a sample
    like += _fitted(decision)
    words = f"best on {by(decision)}{like}{_lead(decision)}"
    if decision.verdict == "within":
        words = (
            f"{_among(decision, runs)}within {MARGIN_POINTS} of the best on {by(decision)}{like}"
        )
    if decision.evidence == "shifts" and decision.target:
        words += f"; on {decision.target} itself undecided"
        words += f" by {count_of(decision.labels, 'label')}" if decision.labels else ""
    return f"Take {decision.take.model}: {words}."


def by(decision: Decision) -> str:
    """Returns the evidence in words."""
    if decision.evidence == "labels":
        return f"{decision.target} by {count_of(decision.labels, 'label')}"
    if decision.evidence == "pictures":
        return f"your {count_of(decision.pictures, 'labelled picture')}"
    return (
        count_of(len(decision.shifts), "labelled shift") if decision.shifts else "labelled shifts"
    )


def _undecided(decision: Decision) -> str:
    models = decision.models
    if decision.evidence == "none":
        return "Undecided: nothing that was measured orders these models."
    undecided = [row for row in models if row.standing == "undecided"]
    text = f"Undecided between {joined([row.model for row in undecided], NAMED)} on {by(decision)}"
    if decision.evidence != "pictures":
        return f"{text}."
    text += _fitted(decision)
    lead = undecided[1].difference
    if is_known(lead):
        pair = f"{models[0].model} leads {undecided[1].model} by "
        whose = pair if len(undecided) > 2 else ""
        text += f": {whose}{lead.with_interval()}"
    return f"{text}{_more(decision)}."


def _fitted(decision: Decision) -> str:
    return " with heads fitted to their labels" if decision.fitted else ""


def _more(decision: Decision) -> str:
    """Returns how many more labelled pictures would decide, in words; empty if that is unknown."""
    if decision.pictures < FEWEST_PICTURES:
        return f"; fewer than {FEWEST_PICTURES} decide nothing{_unmeasured(decision)}"
    if decision.close:
        return (
            f"; more pictures would hardly decide, since they are within {MARGIN_POINTS} of "
            "each other"
        )
    known = decision.more is not None
    count = f"{_rounded(decision.more or 0):,}"
    more = f"; about {count} more labelled pictures would decide" if known else ""
    return more + _unmeasured(decision)


def _unmeasured(decision: Decision) -> str:
    """Returns how many labelled pictures were not measured, and the option that measures them."""
    if not decision.unmeasured:
        return ""
    return f"; {decision.unmeasured:,} of {decision.question} are not measured yet: --sample 0"


def _rounded(count: int) -> int:
    """Returns a count of two digits.

    >>> _rounded(7), _rounded(683), _rounded(12_345)
    (7, 680, 12000)
    """
    step = int(10 ** max(0, len(str(count)) - 2))
    return round(count / step) * step


def _by_labels(decision: Decision, take: DecidedModel, chosen: str) -> str:
    """Returns the verdict of labels: a test that is valid at any time, not a range of a lead."""
    pictures = f"these {decision.pictures:,} pictures"
    if decision.verdict == "equal":
        return (
            f"Take {take.model}: {chosen} of {len(decision.equal)} that are equally often right on "
            f"all {decision.pictures:,} pictures of {decision.target}."
        )
    labels = count_of(decision.labels, "label")
    one = decision.labels == 1
    if decision.verdict == "best":
        others = "other" if len(decision.models) == 2 else "others"
        words = f"{labels} {'rules' if one else 'rule'} the {others} out on {pictures} ({RISK})"
    else:
        shows = "shows" if one else "show"
        words = f"{labels} {shows} that no other is more than {MARGIN_POINTS} better on {pictures}"
        words += f" ({RISK})"
    nearest = decision.models[1]
    if is_known(nearest.difference) and nearest.difference.value > 0:
        words += f"; it leads {nearest.model} by about {nearest.difference.point()}"
    return f"Take {take.model}: {words}."


def _lead(decision: Decision) -> str:
    """Returns how far the model to take is ahead of the next one, at the level of what is said."""
    nearest = decision.models[1]
    lead: Figure = nearest.difference
    if not is_known(lead):
        return ""
    if (low := ends_of(lead)[0]) >= _LEAST_SAID:
        shown = lead.with_interval(decimals=1 if low < _ROUNDED_TO_ZERO else None)
        return f", {shown} ahead of {nearest.model}"
    if nearest.at_least is not None and nearest.at_least >= _LEAST_SAID:
        return f", at least {_rounded_down(nearest.at_least)} points ahead of {nearest.model}"
    return f" ({RISK} that {nearest.model} is better)"


def _rounded_down(share: float) -> str:
    """Returns a difference of shares in points, never more than it is.

    >>> _rounded_down(0.0039), _rounded_down(0.0512)
    ('0.39', '5.1')
    """
    decimals = max(0, 1 - floor(log10(share)) - 2)
    step = 10.0**decimals
    return f"{floor(100 * share * step + 1e-9) / step:.{decimals}f}"


def _among(decision: Decision, runs: Sequence[Run]) -> str:
    count = len(decision.equal)
    return f"{_chosen(decision, runs)} of {count} models " if count > 1 else ""


def _chosen(decision: Decision, runs: Sequence[Run]) -> str:
    """Returns which of several models that are as good is taken."""
    known = costs_known(runs[row.place].report for row in decision.equal)
    return "the cheapest" if known else "one"
