"""The probe of images without labels: what it reads, and its description."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, get_args

from tuiprobe import numbers
from tuiprobe.choose.targets.class_mix import ClassMix
from tuiprobe.choose.targets.compute import Images, LeftOut, Targets, TargetSet, estimate_targets
from tuiprobe.choose.targets.estimators import ESTIMATORS, HEADLINE, Estimator
from tuiprobe.measure.arrays.head_arrays import SetFeatures
from tuiprobe.measure.run.arrays import HeadArrays
from tuiprobe.plaintext import count_of, joined
from tuiprobe.probes import BUILT_IN
from tuiprobe.probes.base.image_values import NO_CONFIDENCES, has_confidence
from tuiprobe.probes.content import answered, heading, prose, table, value_or_dash
from tuiprobe.probes.protocol import Named, Options, Probe, Results, Subject
from tuiprobe.probes.reader import RunReader
from tuiprobe.results import NotRun, is_known
from tuiprobe.results.accuracy import Accuracy, if_same_mix, sentence
from tuiprobe.results.figures import TARGET, Fig, column, columns, named_figures
from tuiprobe.results.labelled_set import LabelledSet
from tuiprobe.results.section import (
    Chart,
    Code,
    NamedFigure,
    Section,
    SectionContent,
    Series,
    Strip,
    Strong,
    Text,
    Value,
)

UNCALIBRATED = Fig(
    "target.uncalibrated", "average confidence, not calibrated", "average-confidence",
    role="estimate",
)  # fmt: skip


Inputs = tuple[HeadArrays, Images]


class ExpectedAccuracy(Probe[Inputs, Targets]):
    """Accuracy expected on images without labels, and how far off it is on labelled sets."""

    id = "targets"
    title = BUILT_IN["targets"].title
    block = "your images"
    Result = Targets

    def inputs(self, run: RunReader, options: Options, results: Results) -> Inputs | NotRun:
        """Reads head, target sets, and the labelled sets that estimates rest on."""
        if isinstance(run.head, NotRun):
            return run.head
        if not run.targets:
            planned = [record.name for record in run.plan.sets if record.target]
            if planned:
                reason = f"no image of {' or '.join(planned)} was measured yet"
                return NotRun(reason=reason, remedy="the same command resumes the run")
            labelled = [data for data in run.id_and_shifts if data.labelled]
            if len(labelled) == 1 and (unmatched := run.head_sets[0].unmatched) is not None:
                return unmatched  # a folder that the user named is the user's pictures
            remedy = "pass --target SOURCE; it needs no labels"
            return NotRun(reason="no target set", remedy=remedy)
        id_set, *shifts = run.head_sets
        names = run.head_file.classes
        if not has_confidence(run):
            return run.head, Images(
                id_set, shifts, run.target_sets, names, no_confidences=NO_CONFIDENCES
            )
        ids_and_paths = {
            target.name: (run.features(target.name)["ids"], run.paths(target.name))
            for target in run.target_sets
        }
        return run.head, Images(id_set, shifts, run.target_sets, names, ids_and_paths)

    def live(
        self,
        head: HeadArrays,
        first: SetFeatures,
        shifts: Sequence[SetFeatures],
        targets: Sequence[SetFeatures],
    ) -> dict[str, Accuracy | NotRun]:
        """Estimates accuracy on targets from the images so far."""
        result = estimate_targets(head, Images(first, shifts, targets))
        return {target.data: target.accuracy() for target in result.targets}

    def compute(self, inputs: Inputs, options: Options) -> Targets:
        """Estimates accuracy on targets and labelled shifts."""
        return estimate_targets(*inputs)

    def describe(self, result: Targets, subject: Subject) -> Section:
        """Describes every estimate, and what it was worth on labelled shifts."""
        return describe(result)

    def cut_to_labels(
        self, result: Targets, labelled: Mapping[str, LabelledSet]
    ) -> tuple[Targets, Section]:
        """Cuts the estimate of each labelled target to what its labels prove."""
        targets = tuple(
            _cut(target, labelled[target.data]) if target.data in labelled else target
            for target in result.targets
        )
        cut = result.model_copy(update={"targets": targets})
        return cut, describe(cut, {name: data.labelled for name, data in labelled.items()})

    def named(self, result: Targets) -> Named:
        """Names the quoted estimate of every target set, and what is declared."""
        quoted = [_quoted(target) for target in result.targets]
        first = [f"target.{HEADLINE}.scaled"]  # it is the quoted one
        others = [figure for figure in named_figures(result) if figure.id not in first]
        return Named(figures=(*quoted, *others))


def _quoted(target: TargetSet) -> NamedFigure:
    # What nothing validates ranks no models: it has another id and no rank.
    fig = TARGET if target.scaled else UNCALIBRATED
    return fig.named(
        target.headline,
        target.data,
        target.place,
        classes=len(target.predicted),
        of_classes=target.head_classes,
    )


def _cut(target: TargetSet, known: LabelledSet) -> TargetSet:
    bound = target.most_right
    counted = NotRun(reason=f"{known.labelled:,} labels say how often it is right")
    refuted = is_known(bound) and bound.value < known.proven[0]
    if refuted or is_known(known.accuracy):
        target = target.model_copy(update={"class_mix": counted})
    headline = known.cut(target.headline)
    if isinstance(headline, NotRun):
        nothing = {"scaled": (), "expected": (), "uncalibrated": headline}
        return target.model_copy(update=nothing)
    if not target.scaled and is_known(known.accuracy):  # confidence is no accuracy to be cut
        return target.model_copy(update={"uncalibrated": counted})
    scaled = [
        each.model_copy(update={"accuracy": known.cut(each.accuracy)}) for each in target.scaled
    ]
    return target.model_copy(update={"scaled": tuple(scaled)})


NOTE: Final = (
    "The estimate multiplies the drop that ATC by entropy predicts by k: how much larger the "
    "drops of labelled shifts were than predicted, or 1.35 without labelled shifts."
)


NO_CLASS: Final = (
    "Images of other classes make every estimate meaningless, because they still get a class "
    "and a confidence."
)


TOO_HIGH: Final = "too high on 96 of 116 published shifts"
"""What is known of estimates that are not scaled; `benchmarks/estimates.py` counts it."""


CARD_LINES: Final = 3


BARS: Final = 30


def describe(result: Targets, labelled: Mapping[str, int] | None = None) -> Section:
    """Describes every target set, then how wrong the estimators were.

    Args:
        result: The estimates.
        labelled: Labels by target set, where some pictures have one by now.
    """
    lines = [
        line
        for target in result.targets[:CARD_LINES]
        for line in _lines(target, (labelled or {}).get(target.data, 0))
    ]
    if any(target.scaled for target in result.targets):
        lines.append((_left_out(result.left_out),))
    if (left := len(result.targets) - CARD_LINES) > 0:
        lines.append((f"{count_of(left, 'more target set')} in the section of estimates.",))
    strips = _strips(result)
    first = result.targets[0]
    return Section(
        title=BUILT_IN["targets"].title,
        headline=lines[0],
        clause=_clause(first),
        clause_on=first.data,
        card=tuple(lines),
        pictures=tuple(strip.id for strip in strips if not strip.folded),
        content=(
            *strips,
            *_estimates(result),
            *_errors(result),
            *(piece for i, target in enumerate(result.targets) for piece in _answers(i, target)),
        ),
    )


def _clause(target: TargetSet) -> str:
    """Returns the accuracy of a set for the title, or what bounds it."""
    accuracy = target.accuracy()
    if not isinstance(accuracy, NotRun):
        return sentence(accuracy)
    if target.bound is None or not is_known(target.most_right):
        return ""
    return f"right are {if_same_mix(target.most_right.value)}"


def _strips(result: Targets) -> list[Strip]:
    """Returns the pictures of each set that are shown: unsure ones, and common answers."""
    strips = []
    for number, target in enumerate(result.targets):
        groups = (("least sure", target.least_sure), ("common answers", target.common))
        ends = tuple(answered(label, pictures) for label, pictures in groups if pictures)
        if ends:
            strips.append(
                Strip(
                    id=f"pictures_{number}",
                    title=("The model's answers: least sure, most common",),
                    data=target.data,
                    ends=ends,
                    folded=number > 0,
                )
            )
    return strips


def _lines(target: TargetSet, labels: int) -> Iterator[Text]:
    """Yields the estimate of a set with its range, what it rests on, and what speaks against it.

    Args:
        target: The set, its estimates cut to what its labels prove.
        labels: How many of its pictures are labelled.
    """
    accuracy = target.accuracy()
    origin = f"estimated without its {count_of(labels, 'label')}" if labels else "no labels"
    advice = "." if labels else f": label some pictures of {target.data}."
    about: tuple[Value, ...] = (f"{target.data} ({target.images:,} images, {origin}): ",)
    mix = "" if target.bound is None else f": {_carried(target.bound, target.data)}"
    if isinstance(accuracy, NotRun):
        yield (*about, "no estimate: ", f"{accuracy.reason}.")
        if is_known(target.most_right) and mix:
            yield (f"Right are {if_same_mix(target.most_right.value)}{mix}.",)
        return
    if not target.scaled and mix:
        yield (*about, sentence(accuracy), mix, advice)
        return
    if not target.scaled:
        yield (*about, sentence(accuracy), ": not calibrated and not validated. It says how sure "
               f"the model is, not how often it is right{advice}")  # fmt: skip
        return
    yield (*about, sentence(accuracy), mix, _rests_on(target, labels))
    if target.opinions_differ:
        second = target.scaled[1]
        yield ((
            f"According to the {ESTIMATORS[second.estimator]} it would be "
            f"{second.accuracy.point()}, outside that range{advice}"
        ),)  # fmt: skip


def _rests_on(target: TargetSet, labels: int) -> str:
    """Returns the share of these ranges that hold the truth, or the doubts about the estimate.

    A range that labels may have cut is none of those.
    """
    if labels:
        return ", clipped to what these prove."
    number = _labels(target)
    tell = f"{number} labels of {target.data}"
    if isinstance(number, str):
        tell = f"Labels of {number} images of {target.data}"
    if target.bound is not None:
        return f". {tell} would measure it to ±5 points."
    if not target.too_few_wrong:
        return "; in tests, ranges like this contained the accuracy 4 times in 5."
    return (
        f". It rests on {count_of(target.wrong or 0, 'wrong answer')} in distribution; estimates "
        f"like this were {TOO_HIGH}. {tell} would measure it to ±5 points."
    )


def _carried(mix: ClassMix, data: str) -> str:
    """Returns which classes are answered more often than they are labels in distribution."""
    names = [f"“{shares.name}”" for shares in mix.carriers]
    answers, labels = (
        numbers.number(sum(shares), "share", decimals=0)
        for shares in zip(*((of.answers, of.labels) for of in mix.carriers), strict=True)
    )
    return f"{answers} of the answers on {data} are {joined(names)}, in distribution {labels}"


def _labels(target: TargetSet) -> Value:
    """Returns how many labels give ±5 points: a number, or all of the set."""
    if target.labels is None or target.labels < target.images:
        return target.labels
    return f"all {target.images:,}"


def _left_out(errors: LeftOut) -> str:
    """Returns how wrong the estimate was on labelled shifts, in words."""
    if not is_known(errors.mean_absolute) or not is_known(errors.worst):
        return "The error on a labelled shift is unknown, because the run has none."
    direction = "too high" if errors.worst.value > 0 else "too low"
    average = numbers.number(abs(errors.mean_absolute.value), "points", 0.0, 0.1)
    if errors.shifts == 1:
        return f"On the labelled shift {errors.worst_on} it was off by {average}, {direction}."
    worst = numbers.number(abs(errors.worst.value), "points", 0.0, 0.1, bare=True)
    return (
        f"Off by {average} on average on {errors.shifts} sets with labels ({errors.worst_on}: "
        f"{worst} {direction}; too high on {errors.too_high})."
    )


def _estimates(result: Targets) -> Iterator[SectionContent]:
    if any(target.expected for target in result.targets):
        yield prose(NOTE)
    rows: list[list[Value]] = []
    for target in result.targets:
        scaled: list[Value] = [opinion.accuracy for opinion in target.scaled]
        rows.append(
            [Code(code=target.data), target.images, *scaled, *[None] * (2 - len(scaled)),
             value_or_dash(target.most_right), target.scaled[0].k if scaled else None,
             value_or_dash(target.uncalibrated), _labels(target)]
        )  # fmt: skip
    yield table(
        "targets",
        [
            "data",
            ("images", "n"),
            ("estimate", "estimate, 80 % range"),
            ("second", "by difference of confidences, 80 % range"),
            columns(ClassMix, "most_right")[0],
            "k",
            column("uncalibrated", UNCALIBRATED),
            ("labels", "labels for ±5 points"),
        ],
        rows,
        Strong(strong="Expected accuracy"),
    )
    if result.basis == "calibrated":
        yield prose("Temperature fitted to ", Code(code=result.data), ": ", result.temperature, ".")
    elif isinstance(result.temperature, NotRun):
        yield prose("Not calibrated and not validated: ", f"{result.temperature.reason}.")
    yield prose(NO_CLASS)


def _errors(result: Targets) -> Iterator[SectionContent]:
    yield heading("How wrong these estimates are on labelled shifts")
    left_out = result.left_out
    if not is_known(left_out.mean_absolute):
        yield prose("Error of the estimate: ", f"{left_out.mean_absolute.reason}.")
        return
    yield table(
        "targets_checked",
        [
            ("data", "shift"),
            "measured",
            ("left_out", "error of the estimate", "points"),
            ("own", "in distribution, same classes"),
            *((name, f"predicted: {ESTIMATORS[name]}") for name in get_args(Estimator)),
        ],
        [
            [
                Code(code=check.data),
                check.measured,
                value_or_dash(check.left_out),
                value_or_dash(check.own),
                *(value_or_dash(check.of(name)) for name in get_args(Estimator)),
            ]
            for check in result.checks
        ],
        "Predicted and measured",
    )


def _answers(number: int, target: TargetSet) -> Iterator[Chart]:
    """Yields the classes that the images of a set were assigned to."""
    answered = [row for row in target.predicted if row.images]
    if not answered:
        return
    never, bars = len(target.predicted) - len(answered), answered[:BARS]
    note = f"{never:,} of {len(target.predicted):,} classes are never predicted"
    if len(answered) > BARS:
        note += f"; the {BARS} most predicted are drawn"
    yield Chart(
        id=f"predicted_{number}",
        title=f"Images of {target.data} by predicted class",
        x_label="class",
        y_label="images",
        series=(
            Series(
                name="images",
                x=tuple(float(i) for i in range(len(bars))),
                y=tuple(float(row.images) for row in bars),
                mark="bars",
            ),
        ),
        y_unit="count",
        ticks=tuple(row.name for row in bars),
        note=f"{note}.",
    )
