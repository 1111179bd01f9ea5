"""The probe of answers that need no look: what it reads, and its description."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import ceil, log10
from typing import Final

from tuiprobe.choose.unattended.compute import (
    LEVEL,
    REPEATED,
    Ranked,
    Rule,
    SetRules,
    Unattended,
    unattended,
)
from tuiprobe.measure.arrays.head_arrays import SetFeatures
from tuiprobe.probes import BUILT_IN
from tuiprobe.probes.base.image_values import Temperatures, ranked_answers
from tuiprobe.probes.content import heading, prose, table
from tuiprobe.probes.protocol import Options, Probe, Results, Subject
from tuiprobe.probes.reader import RunReader
from tuiprobe.results import NotRun
from tuiprobe.results.section import Chart, Code, Section, SectionContent, Series, Text, Value
from tuiprobe.results.subject import Prediction

SHOWN: Final = (0.05, 0.1)
"""Tolerated shares that the card names, where something is shown for them."""

NEAR_COPIES: Final = "near-copies"
"""Id of the doubt under which nothing is promised."""

CURVE: Final = "unattended"
"""Id of the chart of errors by the share answered."""

NOTE: Final = (
    "If the model answers alone above the threshold of a row, at most that share of these "
    "answers is wrong, with 95 %, for pictures like these. This needs labels of all pictures "
    "of a set, or of a random part; labels from `tuiprobe label` are not a random part and are "
    "not counted. The 95 % hold for each row by itself."
)

NOT_KNOWN: Final = "whether they are as often right there is not known"


@dataclass(frozen=True)
class Inputs:
    """The answers of labelled sets and of targets, each with the confidences that order them."""

    sets: list[Ranked]
    targets: list[Ranked]


class RunsUnattended(Probe[Inputs, Unattended]):
    """How many pictures the model may answer alone, by the errors that are tolerated."""

    id = "unattended"
    title = BUILT_IN["unattended"].title
    block = "deploy"
    Result = Unattended

    def inputs(self, run: RunReader, options: Options, results: Results) -> Inputs | NotRun:
        """Reads answers and confidences."""
        if isinstance(run.labelled_head, NotRun):
            return run.labelled_head
        id_set, *shifts = run.head_sets
        temperatures = Temperatures(run)

        def ranked(images: SetFeatures) -> Ranked | NotRun:
            answers = ranked_answers(run, images, temperatures)
            if isinstance(answers, NotRun):
                return answers
            return Ranked(
                data=images.name,
                column=answers.column,
                temperature=answers.temperature,
                confidence=answers.scores.confidence,
                right=answers.scores.right,
                left_out=images.left_out is not None,
                near_copies=images.labels is not None
                and NEAR_COPIES not in run.spec.trust
                and bool(run.near_copies(images.name)),
            )

        of_id_set = ranked(id_set)
        if isinstance(of_id_set, NotRun):
            return of_id_set
        if not of_id_set.confidence.size:
            return NotRun(reason=f"no image of {id_set.name} has an answer")
        others = [ranked(images) for images in shifts if images.labels is not None]
        targets = [ranked(images) for images in run.target_sets]
        known = [one for one in others if isinstance(one, Ranked) and one.confidence.size]
        return Inputs(
            [of_id_set, *known], [one for one in targets if isinstance(one, Ranked)]
        )  # fmt: skip

    def compute(self, inputs: Inputs, options: Options) -> Unattended:
        """Tests thresholds of confidence."""
        return unattended(inputs.sets, inputs.targets)

    def with_promises(
        self, result: Unattended, images: Iterable[Prediction]
    ) -> Iterator[Prediction]:
        """Adds to each image the smallest share of errors whose rule covers it."""
        sets = {rules.data: rules for rules in result.sets}
        for image in images:
            if (rules := sets.get(image.set)) is None:
                yield image
                continue
            confidence = image.confidence if rules.column == "confidence" else image.calibrated
            yield replace(image, unattended=rules.tolerated(confidence))

    def describe(self, result: Unattended, subject: Subject) -> Section:
        """Describes what may run unattended, first in distribution."""
        id_set = result.sets[0]
        return Section(
            title=self.title,
            headline=_line(id_set),
            card=(_line(id_set),),
            content=(
                prose(NOTE),
                *(prose(*line) for line in _order(result)),
                _rules(result),
                *_targets(result),
                *_curve(result),
            ),
        )


def words(threshold: float) -> str:
    """Returns a threshold of confidence rounded up, with two digits of its distance to 1.

    >>> words(0.9141), words(0.99987321)
    ('0.915', '0.99988')
    """
    digits = max(3, 1 + ceil(-log10(max(1 - threshold, 1e-15))))
    return f"{ceil(threshold * 10**digits) / 10**digits:.{digits}f}"


def _line(rules: SetRules) -> Text:
    """Returns how many pictures of a set may run unattended, as one sentence."""
    shown = _shown(rules)
    if rules.near_copies:
        return (
            "How much of ",
            Code(code=rules.data),
            f" may run unattended is not known: {REPEATED.reason}.",
        )
    if not shown:
        five = next(rule for rule in rules.rules if rule.tolerated == SHOWN[0])
        return (
            f"No picture is shown to run unattended with {rules.images:,} labels: at most "
            f"{_percent(five.tolerated)} errors need at least {five.right_in_a_row:,} labels, all "
            "of them right.",
        )
    first, *others = shown
    column = "confidence" if rules.column == "confidence" else "calibrated confidence"
    above = "" if first.threshold is None else f" ({column} above {words(first.threshold)})"
    text: list[Value] = [first.share, " of ", Code(code=rules.data), above]
    text.append(f" can be answered alone with at most {_percent(first.tolerated)} errors")
    for rule in others:
        text += [", ", rule.share, f" with at most {_percent(rule.tolerated)}"]
    return (*text, " (95 % certain, for pictures like these).")


def _shown(rules: SetRules) -> list[Rule]:
    """Returns the rules that the card names: the first one that covers all pictures, or two."""
    known = rules.known
    shown = [rule for rule in known if rule.tolerated in SHOWN] or known[:1]
    for rule in known:
        if rule.threshold is None and rule.tolerated <= shown[0].tolerated:
            return [rule]
    return shown


def _percent(share: float) -> str:
    return f"{round(100 * share)} %"


def _order(result: Unattended) -> Iterator[Text]:
    """Yields which confidence orders the pictures, and which sets have a stricter level."""
    for rules in result.sets:
        if rules.column == "calibrated":
            yield (
                "The model has no known logit scale, so pictures of ", Code(code=rules.data),
                " are ordered by the column ", Code(code="calibrated"),
                f" of predictions.csv: the softmax of scores divided by {rules.temperature!r}.",
            )  # fmt: skip
        if rules.level != LEVEL:
            yield (
                "The head was fitted to ", Code(code=rules.data), ": each picture is answered by "
                f"a head fitted to the others, and tests have the level {rules.level:g}.",
            )  # fmt: skip
    if result.sets[0].column == "confidence":
        yield ("Pictures are ordered by the column ", Code(code="confidence"),
               " of predictions.csv, the model's confidence.")  # fmt: skip


def _rules(result: Unattended) -> SectionContent:
    return table(
        "unattended",
        [
            "data",
            ("tolerated", "errors tolerated", "share"),
            ("share", "may run unattended"),
            ("threshold", "confidence above"),
        ],
        [
            [Code(code=rules.data), rule.tolerated, rule.share, rule.threshold]
            for rules in result.sets
            for rule in rules.rules
        ],
    )


def _targets(result: Unattended) -> Iterator[SectionContent]:
    rows: list[list[Value]] = [
        [Code(code=target.data), tolerated, share, target.images]
        for target in result.targets
        for tolerated, share in target.shares
    ]
    if rows:
        yield heading("Above these thresholds without labels")
        yield prose(f"Of pictures without labels, {NOT_KNOWN}.")
        yield table(
            "unattended_targets",
            ["data", ("tolerated", "threshold for errors of", "share"),
             ("share", "pictures above", "share"), ("images", "n")],
            rows,
        )  # fmt: skip


def _curve(result: Unattended) -> Iterator[Chart]:
    id_set = result.sets[0]
    x = tuple(point.share for point in id_set.curve)
    if len(x) < 2:
        return
    yield Chart(
        id=CURVE,
        title=f"Errors on {id_set.data} by the share of pictures answered, "
        "the most confident first",
        x_label="share of pictures answered alone",
        y_label="wrong answers among them",
        x_unit="share",
        y_unit="share",
        series=(
            Series(name="found", x=x, y=tuple(point.errors for point in id_set.curve)),
            Series(
                name="at most, with 95 % for each share",
                x=x,
                y=tuple(point.bound for point in id_set.curve),
                role="second",
            ),
        ),
    )
