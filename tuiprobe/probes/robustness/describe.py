"""The description of accuracy under shift."""

from __future__ import annotations

from collections.abc import Iterator

from tuiprobe.catalog.accuracies import ZERO_SHOT
from tuiprobe.catalog.baselines import SUPERVISED
from tuiprobe.numbers import number
from tuiprobe.probes.protocol import Subject
from tuiprobe.probes.robustness.result import Accuracy, EffectiveRobustness, OwnNames, Robustness
from tuiprobe.probes.robustness.scatter import scatter
from tuiprobe.probes.telling import heading, points, prose, several, table
from tuiprobe.results import Estimate, NotRun, given
from tuiprobe.results.section import Code, Content, Section, Strong, Text, Value

AXES = {
    "imagenet": "full validation set",
    "val": "full val",
    "own classes": "validation images of the shift's own classes",
}

BASELINE_MODELS = {
    **dict.fromkeys(SUPERVISED, "supervised models"),
    ZERO_SHOT: "zero-shot models",
    "miniature": "supervised runs",
}
"""What the models of a baseline are called."""

NEAR = 0.02
"""Distance in in-distribution accuracy up to which a model of the baseline is near."""

NOTE = (
    "Effective robustness is shift accuracy minus the baseline's prediction at the in-distribution "
    "accuracy, sigmoid(a logit(x) + b). The interval of sampling shows how well the figure is "
    "known. Only a model outside the wider interval with model spread is above the baseline."
)


def describe(result: Robustness, subject: Subject) -> Section:
    """Describes accuracy of every set, then effective robustness by every baseline."""
    drawn = scatter(result, subject.model.name)
    return Section(
        title="Accuracy under shift",
        headline=tuple(_headline(result)),
        clause=_clause(result),
        card=tuple(_card(result)),
        pictures=tuple(one.id for one in drawn[:1]),
        content=(
            *_accuracies(result),
            *_effective(result),
            *drawn,
        ),
    )


def _headline(result: Robustness) -> Iterator[Value]:
    first, *shifts = result.accuracies
    yield from ("Top-1 ", first.top1, " on ", Code(code=first.data))
    if shifts:
        yield from (", ", result.mean_shift, f" over {several(len(shifts), 'shift')}")
    for one in result.headlines()[:1]:
        yield from (", ", one.value, f" above models of equal accuracy ({one.baseline})")
    yield "."


def _clause(result: Robustness) -> str:
    """Returns accuracy in distribution and over the shifts, for the title."""
    first, *shifts = result.accuracies
    if not given(first.top1):
        return ""
    clause = f"{first.top1.alone()} right on {first.data}"
    if given(result.mean_shift):
        clause += f", {result.mean_shift.alone()} over {several(len(shifts), 'shift')}"
    return clause


def _card(result: Robustness) -> Iterator[Text]:
    first, *shifts = result.accuracies
    line: list[Value] = [first.top1, f" right on {first.data}"]
    if shifts:
        each = ", ".join(f"{one.data} {one.top1.alone(bare=True)}" for one in shifts)
        mean = f" as the mean of {several(len(shifts), 'labelled shift')} ({each})"
        line += [", ", result.mean_shift, mean]
    yield (*line, ".")
    yield from _among_all(result)
    for er in result.headlines()[:1]:
        if given(er.value) and given(er.prediction) and given(first.top1):
            yield (_beside_the_line(er, first.top1),)


def _among_all(result: Robustness) -> Iterator[Text]:
    """Yields both accuracies of the sets in which not every class of the head may answer."""
    each = [
        f"{one.data} {one.classes:,}: {one.top1.alone()}, among all {one.top1_all.alone()}"
        for one in result.accuracies
        if given(one.top1_all)
    ]
    if each:
        classes = max(one.head_classes for one in result.accuracies)
        yield (f"Answers among a set's own classes, not all {classes:,} of the head: "
               f"{'; '.join(each)}.",)  # fmt: skip


def _beside_the_line(er: EffectiveRobustness, own: Estimate) -> str:
    """Returns where a model lies beside its baseline, and whether the baseline has one near it."""
    lies = er.prediction
    if not given(lies):
        return ""
    models = f"{er.models:,} {BASELINE_MODELS.get(er.baseline, f'models of {er.baseline}')}"
    amount, bracket, ends = lies.with_interval(signed=not er.above).partition(" (")
    amount += f"{bracket}{ends.removesuffix(')')} with scatter)"  # screens draw the other range
    if er.above:
        line = f"{amount} above the line of {models}"
    else:
        line = f"Not above the line of {models}: {amount}"
    if er.nearest is not None and er.nearest > NEAR:
        about = number(own.value, "share", own.value - 0.05, own.value + 0.05)
        line += f", none near {about}"
    return f"{line}."


def _accuracies(result: Robustness) -> Iterator[Content]:
    yield table(
        "accuracies",
        [
            ("data", "data"),
            ("shift", "shift"),
            ("names", "names"),
            ("top1", "top-1"),
            ("top1_all", "top-1 among all classes of the head"),
            ("top5", "top-5"),
            ("images", "n"),
            ("classes", "classes"),
            ("head_classes", "classes of the head"),
            ("id_own_classes", (Code(code=result.data), " on the same classes")),
        ],
        [
            *(_accuracy(one, "") for one in result.accuracies),
            *(_own(one) for one in result.own_names),
        ],
    )
    yield prose("Mean top-1 of the shifts: ", result.mean_shift, ".")


def _accuracy(one: Accuracy, names: str) -> list[Value]:
    own: Value = one.id_own_classes if given(one.id_own_classes) else "-"
    among_all: Value = one.top1_all if given(one.top1_all) else "-"
    return [
        Code(code=one.data), one.shift or "", names, one.top1, among_all, one.top5, one.images,
        one.classes, one.head_classes or None, own,
    ]  # fmt: skip


def _own(one: OwnNames) -> list[Value]:
    if isinstance(one.accuracy, NotRun):
        return [
            Code(code=one.data),
            "",
            "its own",
            one.accuracy,
            None,
            None,
            None,
            None,
            None,
            None,
        ]
    return _accuracy(one.accuracy, "its own")


def _effective(result: Robustness) -> Iterator[Content]:
    yield heading("Effective robustness")
    if isinstance(result.effective, NotRun):
        yield prose(result.effective)
        return
    yield prose(NOTE)
    yield table(
        "effective_robustness",
        [
            ("baseline", "baseline"),
            ("target", "target"),
            ("axis", "x axis"),
            ("models", "models"),
            ("left_out", "left out"),
            ("precision", "above models of equal accuracy, sampling"),
            ("prediction", "with model spread"),
            ("above", "above the baseline"),
            ("percentile", "share of models below"),
        ],
        [_entry(one) for one in result.effective],
    )
    reasons = dict.fromkeys(one.reason for one in result.not_run)
    if reasons:
        yield points((NotRun(reason=reason),) for reason in reasons)


def _entry(one: EffectiveRobustness) -> list[Value]:
    target = ", ".join(one.target)
    axis = AXES.get(one.axis, one.axis)
    return [
        Code(code=one.baseline),
        f"mean of {target}" if len(one.target) > 1 else target,
        Strong(strong=f"{axis}, extrapolated") if one.extrapolated else axis,
        one.models,
        one.left_out,
        one.value,
        one.prediction if given(one.prediction) else "-",
        {True: "yes", False: "no", None: "-"}[one.above],
        one.percentile if given(one.percentile) or given(one.value) else "-",
    ]
