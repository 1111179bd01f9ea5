"""A decision between models as data."""

from __future__ import annotations

from typing import Literal, TypeAlias

from tuiprobe.choose.comparing.label_evidence import FoundClass
from tuiprobe.choose.comparing.orders import Standing, Verdict
from tuiprobe.choose.comparing.same_pictures import MatchedBy, NotCompared
from tuiprobe.plaintext import joined
from tuiprobe.results import Estimate, Figure, Frozen, NotRun
from tuiprobe.results.accuracy import Accuracy
from tuiprobe.results.base import Count, Real
from tuiprobe.results.doubt import Doubt, stopping

DecisionEvidence: TypeAlias = Literal["labels", "pictures", "shifts", "none"]


class DecidedModel(Frozen):
    """One of the models of a decision.

    Attributes:
        place: Index of its run among those compared, from 0.
        model: Its name, which no other one has.
        run: Its run directory as it was named; empty where that is not known.
        accuracy: On the pictures in question, or else in distribution, by its best evidence; where
            fitted heads are compared, that of the fitted head.
        standing: `take` it; `as good` as the best within `MARGIN`; `behind` the reference by the
            range of the difference; `not the best`, without a range that says behind whom; by
            labels `at most 2 points better` than the one to take; `undecided`; `not compared`.
        difference: Accuracy of the reference minus that of this model, by the evidence: its lead.
            The ranges of all pairs hold together with 95 %.
        at_least: The least lead of the reference at the level of "not the best", as a fraction;
            only by measured accuracy.
        balanced: On labelled pictures, the mean of its recalls over the classes.
        balanced_difference: Balanced accuracy of the reference minus that of this model; ranges as
            of `difference`.
        least_found: On labelled pictures, the class that it finds least often.
        images_per_second: Speed while the run was measured.
    """

    place: Count
    model: str
    run: str
    accuracy: Accuracy | NotRun
    standing: Standing
    difference: Figure
    at_least: Real | None = None
    balanced: Estimate | None = None
    balanced_difference: Estimate | None = None
    least_found: FoundClass | None = None
    images_per_second: Real | None = None


class Decision(Frozen):
    """Which model to take, and by what evidence.

    Attributes:
        sentence: All of it in one sentence.
        verdict: Whether the first model is the `best`, `within` 2 points of the best, `equal` to
            others on every picture, or whether it is `undecided`.
        evidence: `labels` of the target, labelled `pictures` in question, or the mean of labelled
            `shifts`; else `none`.
        models: In order. The first one is the choice, or leads; it is the reference of all
            differences. Without evidence in the order in which they were given.
        target: The target set that all models have and that could be labelled.
        question: By labelled pictures, the set that they are of in the first model; else empty.
        pictures: Pictures of the target that can be labelled, or labelled pictures that all models
            answer.
        left_out: Labelled pictures that not all models answer.
        unmeasured: Further labelled pictures that all runs found: `--sample 0` measures them.
        paired_by: By labelled pictures, how they were matched between the runs; else None.
        fitted: By labelled pictures, whether heads fitted to their labels answer, since not all
            models have a head that does.
        labels: Pictures of the target that are labelled.
        shifts: The labelled shifts that the mean is of.
        command: The command that decides it by labels, or finds stronger evidence; empty where
            labels have decided, or cannot.
        answers_from: The folder of the target whose subfolders `command` takes as labels; else
            empty.
        obstacle: Why labels cannot decide: the models were measured on different pictures, or
            answer with different classes; empty where they can, or where no pictures are known.
        more: Roughly how many more labels, or labelled pictures, that takes; None while it is not
            known, as before the first label.
        close: Whether the undecided models are within 2 points of each other, so that more labelled
            pictures would hardly decide.
        doubts: Reasons to doubt it, those that withhold it first.
        notes: Other remarks that weaken it.
        not_compared: Runs that it leaves out, each with the reason. A run that repeats an earlier
            one is not among the models.
    """

    sentence: str = ""
    verdict: Verdict
    evidence: DecisionEvidence
    models: tuple[DecidedModel, ...]
    target: str = ""
    question: str = ""
    pictures: Count = 0
    left_out: Count = 0
    unmeasured: Count = 0
    paired_by: MatchedBy | None = None
    fitted: bool = False
    labels: Count = 0
    shifts: tuple[str, ...] = ()
    command: str = ""
    answers_from: str = ""
    obstacle: str = ""
    more: Count | None = None
    close: bool = False
    doubts: tuple[Doubt, ...] = ()
    notes: tuple[str, ...] = ()
    not_compared: tuple[NotCompared, ...] = ()

    def withheld(self) -> Decision:
        """Returns it as undecided if doubts withhold it; figures and doubts stay."""
        stops = stopping(self.doubts)
        if not stops:
            return self
        compared = {"standing": "undecided"}
        ids = joined([*dict.fromkeys(doubt.id for doubt in stops)])
        return self.model_copy(
            update={
                "sentence": f"Undecided, because of doubts about the evidence: {ids}.",
                "verdict": "undecided",
                "models": tuple(
                    row if row.standing == "not compared" else row.model_copy(update=compared)
                    for row in self.models
                ),
                "command": "",
                "more": None,
            }
        )

    @property
    def take(self) -> DecidedModel | None:
        """The model to take; None while it is undecided."""
        return None if self.verdict == "undecided" else self.models[0]

    @property
    def equal(self) -> list[DecidedModel]:
        """The model to take, and those that are as good."""
        return [row for row in self.models if row.standing in ("take", "as good")]
