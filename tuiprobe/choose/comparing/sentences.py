"""The sentence of a decision, and what weakens a comparison, in words.

The sentence says which model to take, by what evidence, and how far ahead it is. It says "best"
only beside a range above 0, the least lead at the level of the verdict, or the risk. Notes name
other images, untrained models and warnings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import floor, log10
from typing import Final

from tuiprobe.choose.comparing.decision import DecidedModel, Decision
from tuiprobe.choose.comparing.inference import ends_of
from tuiprobe.choose.comparing.label_evidence import LabelEvidence
from tuiprobe.choose.comparing.orders import FEWEST_PICTURES, costs_known
from tuiprobe.choose.comparing.runs import Run
from tuiprobe.choose.labelling.contest import MARGIN_POINTS
from tuiprobe.plaintext import count_of, joined
from tuiprobe.probes import LABELS
from tuiprobe.results import Figure, NotRun, Report, is_known
from tuiprobe.results.accuracy import MOST_RIGHT, among_few, if_same_mix

NAMED = 4
"""Models that a note names."""


def weakening(
    runs: Sequence[Run],
    labels: LabelEvidence | NotRun | None,
) -> Iterator[str]:
    """Yields the notes that weaken a decision, each with the models that it is about.

    Args:
        runs: The runs.
        labels: The evidence of labels.
    """
    reports = [run.report for run in runs]
    warnings = [(text, report) for report in reports for text in report.warnings]
    yield from by_models(warnings, len(runs))
    yield from subject_notes(reports)
    few = [
        (
            f"answers on {of.data} are chosen among {of.classes:,} of {of.of_classes:,} classes",
            report,
        )
        for report in reports
        for of in report.accuracies
        if among_few(of)
    ]
    yield from by_models(few, len(runs))
    yield from by_models(_bounds(reports), len(runs))
    yield from by_models(_types(reports), len(runs))
    known = {text for text, _ in warnings}
    yield from (note for note in label_notes(reports, labels) if note not in known)
    if isinstance(labels, LabelEvidence):
        if labels.status.verdict == "contradictory":
            yield f"the labels of {labels.status.target} contradict each other"
        yield from labels.status.remarks()


def _bounds(reports: Sequence[Report]) -> Iterator[tuple[str, Report]]:
    """Yields bounds by the mix of classes on sets where nothing was measured or estimated."""
    for report in reports:
        known = {of.data for of in report.accuracies}
        for bound in (named for part in report.parts for named in part.figures):
            if bound.id == MOST_RIGHT and bound.data not in known and is_known(bound.figure):
                yield f"right on {bound.data} are {if_same_mix(bound.figure.value)}", report


def _types(reports: Sequence[Report]) -> list[tuple[str, Report]]:
    """Returns in which floating point types encoders computed, unless all did in float32."""
    of_encoders = [report for report in reports if report.model.preprocessing.known]
    types = [(f"computed in {report.spec.get('dtype')}", report) for report in of_encoders]
    return types if {text for text, _ in types} != {"computed in float32"} else []


def by_models(notes: Iterable[tuple[str, Report]], everybody: int) -> Iterator[str]:
    """Yields each note once, behind the models that it is about unless it is about all of them.

    Args:
        notes: Each note with the report that it is about.
        everybody: Number of models that it can be about.
    """
    models: dict[str, list[str]] = {}
    for note, report in notes:
        models.setdefault(note, []).append(report.model.name)
    for note, names in models.items():
        yield note if len(names) == everybody else f"{joined(names, NAMED)}: {note}"


def subject_notes(reports: Iterable[Report]) -> Iterator[str]:
    """Yields a note on each report that does not describe a trained model as it is."""
    for report in reports:
        yield from (f"{report.model.name} is {text}" for text in reservations(report))


def reservations(report: Report) -> Iterator[str]:
    """Yields why a report does not describe a trained model as it is."""
    if report.model.weights.kind == "untrained":
        yield "UNTRAINED: its weights are random"
    if report.partial:
        yield "PARTIAL: not all of its images were measured"


def model_notes(first: Report, second: Report) -> Iterator[str]:
    """Yields the differences of two models that weaken the comparison."""
    kinds = first.model.representation, second.model.representation
    if kinds[0] != kinds[1]:
        yield (
            f"{first.model.name} gives {kinds[0]} representations and {second.model.name} "
            f"{kinds[1]} ones: only answers are compared, not figures of channels; to compare "
            "these for a CLIP's ViT, take the tap before its projection"
        )
    widths = first.model.width, second.model.width
    if widths[0] != widths[1]:
        yield (
            f"widths differ, {widths[0]} and {widths[1]} channels: compare height, in "
            "sigmas, not kurtosis"
        )
    before, after = (
        report.model.preprocessing.model_copy(update={"source": ""}) for report in (first, second)
    )
    if before != after:
        yield "preprocessing differs"


def label_notes(reports: Sequence[Report], labels: object) -> Iterator[str]:
    """Yields why labels do not count, once each."""
    parts = [part for report in reports if (part := report.part_of(LABELS)) is not None]
    reasons = [part.not_run.reason for part in parts if part.not_run is not None]
    if parts and not reasons and isinstance(labels, NotRun):
        reasons.append(f"labels cannot decide between these runs: {labels.reason}")
    yield from dict.fromkeys(reasons)


RISK: Final = "risk at most 5 %"

_LEAST_SAID: Final = 0.0005
"""A lead that may be smaller, and then reads 0.0 points, is not said: the risk takes its place."""

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
    shifts = len(decision.shifts)
    return count_of(shifts, "labelled shift") if shifts else "labelled shifts"


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
    if decision.more is None:
        return _unmeasured(decision)
    more = f"; about {_rounded(decision.more):,} more labelled pictures would decide"
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
    lead = nearest.difference
    if is_known(lead) and lead.value > 0 and not lead.range_alone:
        words += f"; it leads {nearest.model} by about {lead.point()}"
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


def levels(decision: Decision) -> str:
    """Returns at which levels the ranges of leads hold, and what is "not the best", in words."""
    if len(decision.models) < 3:
        return "ranges hold with 95 %"
    words = "ranges of all pairs hold together with 95 %"
    if any(row.standing == "not the best" for row in decision.models):
        words += '; "not the best" and "at least" are one-sided, so the range may include 0'
    return words


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
    """Returns which of several models that are as good is chosen."""
    known = costs_known(runs[row.place].report for row in decision.equal)
    return "the cheapest" if known else "one"
