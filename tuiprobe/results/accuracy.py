"""How often a model is right on a set: the best evidence of a run, and how it is written.

Titles, cards, lists and files write accuracies by `sentence` and `cell`; nothing else does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil
from typing import Final, Literal, Protocol

from tuiprobe import numbers
from tuiprobe.plaintext import count_of
from tuiprobe.results.base import Count, Estimate, Figure, Frozen, NotRun, Real, is_known
from tuiprobe.results.section import NamedFigure, Range
from tuiprobe.results.subject import SetSummary

Evidence = Literal["labels", "measured", "estimate", "confidence"]
"""What an accuracy rests on, the strongest first: labels of some of the user's pictures, a labelled
set, an estimate without labels, or average confidence, which is no accuracy.
"""

EVIDENCE: Final[dict[str, Evidence]] = {
    "labelled": "labels",
    "top1": "measured",
    "target": "estimate",
    "target.uncalibrated": "confidence",
}
"""The evidence of each named figure that says how often a model is right, the strongest first."""

_RANGE: Final[dict[Evidence, Range]] = {"labels": "labels", "estimate": "estimates"}
"""The range of a figure that does not say which one it has; `images` for other evidence."""

MOST_RIGHT: Final = "target.most_right"
"""Id of the named figure that bounds an accuracy without labels by the mix of classes."""

UNKNOWN: Final = NotRun(reason="no labels, and nothing to estimate from")


class Accuracy(Frozen):
    """How often a model is right on a set.

    Attributes:
        data: Name of the set.
        value: Share of images that are right; of `confidence` the mean confidence instead. None
            where labels prove a range and nothing estimates a value within it.
        low: Lower end of the range.
        high: Upper end.
        range: What the range is.
        evidence: What it rests on.
        n: Images, or labels, that it rests on.
        classes: Among how many classes the answers were counted; 0 where that is not known.
        of_classes: How many classes the head has.
        most_right: The share that can be right at most if classes are as frequent as in
            distribution, where an estimate is above it, or nothing is estimated; else None.
    """

    data: str
    value: Real | None
    low: Real | None
    high: Real | None
    range: Range
    evidence: Evidence
    n: Count
    classes: Count = 0
    of_classes: Count = 0
    most_right: Real | None = None

    @property
    def middle(self) -> float:
        """Its value, or the middle of a proven range, by which lists sort and digits are chosen."""
        if self.value is None:
            return ((self.low or 0.0) + (1.0 if self.high is None else self.high)) / 2
        return self.value


class Answered(Protocol):
    """What has accuracies: a report."""

    @property
    def data(self) -> Sequence[SetSummary]:
        """Its sets."""

    @property
    def accuracies(self) -> tuple[Accuracy, ...]:
        """The best accuracy of each set, the user's pictures first."""


def best_accuracy(report: Answered, data: str | None = None) -> Accuracy | NotRun:
    """Returns the accuracy of a set by the best evidence of a run.

    Args:
        report: The run.
        data: Name of the set; None for the user's pictures, or else the in-distribution set.
    """
    named = (accuracy for accuracy in report.accuracies if data in (None, accuracy.data))
    return next(named, UNKNOWN)


def sets_in_question(sets: Sequence[SetSummary]) -> tuple[SetSummary, ...]:
    """Returns the sets that measure how good a model is on the user's pictures.

    These are the target sets, or else the only labelled set. Of several labelled sets without a
    target there is none: the mean of the shifts is in question.
    """
    labelled = tuple(data for data in sets if data.labelled)
    targets = tuple(data for data in sets if data.target)
    return targets or (labelled if len(labelled) == 1 else ())


def on_your_pictures(report: Answered) -> Accuracy | NotRun:
    """Returns the accuracy on the pictures in question, by the best evidence of a run."""
    names = [data.name for data in sets_in_question(report.data)]
    return next((known for known in report.accuracies if known.data in names), UNKNOWN)


def accuracies(figures: Iterable[NamedFigure], sets: Sequence[SetSummary]) -> tuple[Accuracy, ...]:
    """Returns the accuracy of each set by its best evidence, of target sets first.

    Target sets are in the order of their evidence, all others in that of the run.

    Args:
        figures: Everything that a run named.
        sets: Its sets, in their order.
    """
    strongest = list(EVIDENCE)
    figures = list(figures)
    named = [figure for figure in figures if figure.id in EVIDENCE and not figure.inner]
    bounds = {figure.data: figure.figure for figure in figures if figure.id == MOST_RIGHT}
    targets: list[Accuracy] = []
    others: list[Accuracy] = []
    for data in sets:
        of_set = [
            figure for figure in named if figure.data == data.name and is_known(figure.figure)
        ]
        if of_set:
            best = min(of_set, key=lambda figure: strongest.index(figure.id))
            classes = max((figure.classes, figure.of_classes) for figure in of_set)
            assert is_known(best.figure)
            known = accuracy_from(best.figure, data.name, EVIDENCE[best.id], best.range, classes)
            known = with_bound(known, bounds.get(data.name, UNKNOWN))
            (targets if data.target else others).append(known)
    order = list(EVIDENCE.values())
    return (*sorted(targets, key=lambda known: order.index(known.evidence)), *others)


def accuracy_from(
    figure: Estimate,
    data: str,
    evidence: Evidence,
    range: Range | None = None,
    among: tuple[int, int] = (0, 0),
) -> Accuracy:
    """Returns a figure as an accuracy.

    Args:
        figure: The share of images that are right, with its range.
        data: Name of the set.
        evidence: What it rests on.
        range: What its range is; None for the usual one of its evidence.
        among: Classes among which answers were counted, and classes of the head.
    """
    known = range != "proven" or figure.low == figure.high
    return Accuracy(
        data=data,
        value=figure.value if known else None,
        low=figure.low,
        high=figure.high,
        range=range or _RANGE.get(evidence, "images"),
        evidence=evidence,
        n=figure.n,
        classes=among[0],
        of_classes=among[1],
    )


def with_bound(accuracy: Accuracy, most_right: Figure) -> Accuracy:
    """Returns an accuracy without labels with the bound by the mix of classes.

    Args:
        accuracy: An accuracy; labels make the bound useless.
        most_right: The bound. One that no figure contradicts is left out.
    """
    unlabelled = accuracy.evidence in ("estimate", "confidence")
    if not unlabelled or isinstance(most_right, NotRun):
        return accuracy
    estimated = accuracy.middle if accuracy.evidence == "estimate" else 1.0
    if most_right.value >= estimated:
        return accuracy
    return accuracy.model_copy(update={"most_right": most_right.value})


def at_most(most_right: float) -> str:
    """Returns a bound in words, rounded up.

    >>> at_most(0.301)
    'at most 31 %'
    """
    return f"at most {numbers.number(ceil(100 * most_right - 1e-9) / 100, 'share', decimals=0)}"


def if_same_mix(most_right: float) -> str:
    """Describes a bound by the mix of classes, as a part of a sentence.

    >>> if_same_mix(0.301)
    'at most 31 % if its classes are as frequent as in distribution'
    """
    return f"{at_most(most_right)} if its classes are as frequent as in distribution"


def sentence(accuracy: Accuracy, other: Accuracy | None = None, named: bool = False) -> str:
    """Returns an accuracy in words, for titles and lines of text.

    Args:
        accuracy: The accuracy.
        other: The same among fewer or more classes, if that is known too.
        named: Whether the name of the set stands in the sentence.

    >>> known = {"data": "street", "value": 0.56, "low": 0.37, "high": 0.75, "n": 500}
    >>> sentence(Accuracy(**known, range="estimates", evidence="estimate"))
    'about 56 % right (37 to 75)'
    >>> sentence(Accuracy(**known, range="labels", evidence="labels"))
    '56 % right (37 to 75), measured on 500 pictures'
    >>> sentence(Accuracy(**known, range="images", evidence="confidence"))
    'average confidence 56 % (37 to 75), not an accuracy'
    >>> sentence(Accuracy(**known, range="estimates", evidence="estimate", most_right=0.306))
    'about 56 % right (37 to 75), or at most 31 % if its classes are as frequent as in distribution'
    >>> proven = {**known, "value": None, "low": 0.378, "high": 0.871, "n": 260}
    >>> sentence(Accuracy(**proven, range="proven", evidence="labels"))
    'between 37 and 88 % right: labels of 260 pictures prove it'
    """
    if accuracy.evidence == "confidence":
        text = f"average confidence {_with_range(accuracy)}, not an accuracy"
        if accuracy.most_right is not None:
            text += f"; right are {if_same_mix(accuracy.most_right)}"
        return text
    on = f" on {accuracy.data}" if named else ""
    pictures = count_of(accuracy.n, "picture")
    if accuracy.value is None:
        ends = accuracy.middle, accuracy.low, accuracy.high
        between = numbers.ends(*ends, "share", outward=True, joined=" and ")
        few = among_few(accuracy, other)
        return f"between {between} % right{on}{few}: labels of {pictures} prove it"
    between = numbers.ends(accuracy.value, accuracy.low, accuracy.high, "share")
    between = f" ({between})" if between else ""
    about = "about " if accuracy.evidence == "estimate" else ""
    text = f"{about}{_bare(accuracy)} right{on}{between}{among_few(accuracy, other)}"
    if accuracy.evidence == "labels":
        by = "proven by labels of" if accuracy.range == "proven" else "measured on"
        text += f", {by} {pictures}"
    if accuracy.most_right is not None:
        text += f", or {if_same_mix(accuracy.most_right)}"
    return text


def among_few(accuracy: Accuracy, other: Accuracy | None = None) -> str:
    """Returns among which classes answers were counted, where the set has fewer than the head.

    Args:
        accuracy: The accuracy.
        other: The same among fewer or more classes, if that is known too.

    >>> few = {"data": "a", "low": None, "high": None, "range": "images", "evidence": "measured"}
    >>> five = Accuracy(**few, value=0.99, n=80, classes=5, of_classes=1000)
    >>> every = Accuracy(**few, value=0.33, n=80, classes=1000, of_classes=1000)
    >>> among_few(five, every), among_few(every, five), among_few(every)
    (' among these 5 classes (33.0 % among all 1,000)', ' among all 1,000 classes (99.0 % among \
the 5 of the set)', '')
    """
    if _few(accuracy):
        aside = f" ({_bare(other)} among all {other.classes:,})" if other is not None else ""
        return f" among these {accuracy.classes:,} classes{aside}"
    if other is not None and _few(other):
        aside = f"{_bare(other)} among the {other.classes:,} of the set"
        return f" among all {accuracy.classes:,} classes ({aside})"
    return ""


def _few(accuracy: Accuracy) -> bool:
    return 0 < accuracy.classes < accuracy.of_classes


def _bare(accuracy: Accuracy) -> str:
    if accuracy.value is None:
        return with_range(accuracy)
    return numbers.number(accuracy.value, "share", accuracy.low, accuracy.high)


def cell(accuracy: Accuracy | NotRun) -> str:
    """Returns an accuracy for the cell of a list, with what it rests on.

    >>> known = {"data": "street", "value": 0.56, "low": 0.37, "high": 0.75, "n": 500}
    >>> cell(Accuracy(**known, range="estimates", evidence="estimate", classes=5, of_classes=1000))
    '56 % (37 to 75) among 5, estimated'
    """
    if isinstance(accuracy, NotRun):
        return numbers.MISSING
    return f"{brief(accuracy)}, {WORDS[accuracy.evidence]}"


def brief(accuracy: Accuracy) -> str:
    """Returns value, range, and among how few classes, where a heading says what it rests on."""
    return with_range(accuracy) + (f" among {accuracy.classes:,}" if _few(accuracy) else "")


WORDS: Final[dict[Evidence, str]] = {
    "labels": "by labels",
    "measured": "measured",
    "estimate": "estimated",
    "confidence": "confidence alone",
}
"""The evidence in one or two words."""


def with_range(accuracy: Accuracy) -> str:
    """Returns value, range and bound alone, where the context says what they are of.

    >>> known = {"data": "a", "value": 0.56, "low": 0.37, "high": 0.75, "n": 500}
    >>> with_range(Accuracy(**known, range="estimates", evidence="estimate", most_right=0.306))
    '56 % (37 to 75) or at most 31 %'
    """
    if accuracy.most_right is None:
        return _with_range(accuracy)
    return f"{_with_range(accuracy)} or {at_most(accuracy.most_right)}"


def _with_range(accuracy: Accuracy) -> str:
    return numbers.interval(
        accuracy.middle, accuracy.low, accuracy.high, "share", outward=accuracy.range == "proven"
    )
