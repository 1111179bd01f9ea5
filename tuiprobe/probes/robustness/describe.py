"""The description of accuracy under shift."""

from __future__ import annotations

from collections.abc import Iterator

from tuiprobe.probes.protocol import Subject
from tuiprobe.probes.robustness.result import Accuracy, EffectiveRobustness, OwnNames, Robustness
from tuiprobe.probes.robustness.scatter import scatter
from tuiprobe.probes.telling import heading, points, prose, several, table
from tuiprobe.results import NotRun, given
from tuiprobe.results.section import Code, Content, Section, Strong, Text, Value

AXES = {
    "imagenet": "full validation set",
    "val": "full val",
    "own classes": "validation images of the shift's own classes",
}

NOTE = (
    "Effective robustness is shift accuracy minus the baseline's prediction at the in-distribution "
    "accuracy, sigmoid(a logit(x) + b). The precision interval shows how well the figure is "
    "known. Only a model outside the wider prediction interval is above the baseline."
)


def describe(result: Robustness, subject: Subject) -> Section:
    """Describes accuracy of every set, then effective robustness by every baseline."""
    drawn = scatter(result, subject.model.name)
    return Section(
        title="Accuracy under shift",
        headline=tuple(_headline(result)),
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
        yield from (", ", one.value, f" effective robustness by {one.baseline}")
    yield "."


def _card(result: Robustness) -> Iterator[Text]:
    first, *shifts = result.accuracies
    if not shifts:
        yield ("Top-1 ", first.top1, f" on {first.data}.")
        return
    each: list[Value] = []
    for one in shifts:
        value = one.top1.alone() if given(one.top1) else "no figure"
        each += [", " if each else "", f"{one.data} ", value]
    yield ("Measured: top-1 ", first.top1, f" on {first.data}, mean ", result.mean_shift,
           f" over {several(len(shifts), 'shift')} (", *each, ").")  # fmt: skip
    if isinstance(result.effective, NotRun):
        yield ("Effective robustness: ", result.effective)
        return
    for er in result.headlines()[:1]:
        above = {True: ", above the baseline", False: ", within the baseline", None: ""}[er.above]
        extrapolated = ", extrapolated" if er.extrapolated else ""
        yield (
            f"Effective robustness by {er.baseline} ({several(len(er.target), 'shift')}): ",
            er.value, "; prediction interval ", er.prediction, f"{above}{extrapolated}.",
        )  # fmt: skip


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
            ("precision", "effective robustness, precision"),
            ("prediction", "prediction"),
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
