"""Labels as evidence about several runs: those of a target, and those of labelled pictures.

`LabelEvidence` is what `tuiprobe label` found on a target. `AnsweredPictures` says which run is
right on each labelled picture. Pictures are matched by content, stored vectors by their id column,
or else by row number. Runs are compared on the pictures that all of them answer; if some have no
head that does, by heads fitted to the labels.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from tuiprobe.channels.array_types import Int64
from tuiprobe.choose.comparing.runs import Run, same_measurements
from tuiprobe.choose.comparing.same_pictures import (
    CommonRows,
    MatchedBy,
    MeasuredSet,
    common_rows,
    pictures_groups,
)
from tuiprobe.choose.labelling.report_part import labels_state
from tuiprobe.errors import TuiprobeError
from tuiprobe.measure.run.head_file import class_name, read_head
from tuiprobe.measure.run.records import read_plan
from tuiprobe.measure.run.samples import read_samples
from tuiprobe.numbers import NORMAL_95
from tuiprobe.results import Estimate, Figure, Frozen, NotRun
from tuiprobe.results.accuracy import sets_in_question
from tuiprobe.results.base import BOUNDS_ALONE, Count
from tuiprobe.results.proportions import LEFT_OUT_REACH
from tuiprobe.results.section import PerImage

if TYPE_CHECKING:
    from tuiprobe.choose.labelling.session import Labelling
    from tuiprobe.choose.labelling.standing import LabelStatus

BOUNDS: Final = "bounds from labels: they hold at any time, for all pairs together, with 95 %"


@dataclass(frozen=True, eq=False)
class LabelEvidence:
    """What the labels of a target say of some runs.

    Attributes:
        labelling: Their labelling.
        status: What it decides.
        candidate_of: Index of the candidate by index of its run, of the runs that were labelled.
    """

    labelling: Labelling
    status: LabelStatus
    candidate_of: Mapping[int, int]

    def first_minus_second(self, first: int, second: int) -> Figure:
        """Returns the accuracy of the first run minus that of the second, with its bounds."""
        if not {first, second} <= {*self.candidate_of}:
            return NotRun(reason="the labels do not belong to both runs")
        value, low, high = self.labelling.first_minus_second(
            self.candidate_of[first], self.candidate_of[second]
        )
        if low > high:
            return NotRun(reason="labels contradict each other")
        n, method = self.status.labelled, BOUNDS
        if self.status.behind_gap:
            value, method = (low + high) / 2, BOUNDS_ALONE
        return Estimate(value=value, low=low, high=high, unit="points", n=n, method=method)


def label_evidence(
    runs: Sequence[Run], target: str | None = None, trust: Collection[str] = ()
) -> LabelEvidence | NotRun | None:
    """Returns the evidence of labels for some runs, or why there is none.

    It is of the runs on the same target, two or more of them.

    Args:
        runs: The runs; the labels are those of the first one that has a target.
        target: Name of the target set; None for the first that has labels.
        trust: Ids of doubts about the labels that the user overrules.
    """
    same = same_measurements(runs)
    targets = {
        n: [data.name for data in run.report.data if data.target]
        for n, run in enumerate(runs)
        if n not in same
    }
    names = next(filter(None, targets.values()), [])
    try:
        for name in names:
            some = _on_one_target(runs, [n for n in targets if name in targets[n]], name)
            if target not in (None, name) or len(some) < 2:
                continue
            states = tuple(labels_state(runs[n].directory) for n in some)
            paths = tuple(runs[n].directory.path for n in some)
            if states[0] and (evidence := _evidence(paths, name, states, tuple(trust))) is not None:
                return replace(
                    evidence,
                    candidate_of=dict(zip(some, evidence.candidate_of.values(), strict=True)),
                )
    except TuiprobeError as error:
        return NotRun(reason=str(error))
    return None


def _on_one_target(runs: Sequence[Run], indices: Sequence[int], target: str) -> Sequence[int]:
    """Returns the runs that measured the pictures of the first one; all if it is alone with them.

    What keeps these from being labelled together is then said of them all.
    """
    sets = [(n, MeasuredSet(runs[n], target)) for n in indices]
    same = [n for n, of in sets if sets[0][1].differs_from(of) is None]
    return same if len(same) > 1 else indices


@lru_cache(maxsize=64)
def _evidence(
    paths: tuple[Path, ...],
    target: str,
    states: tuple[tuple[object, ...], ...],
    trust: tuple[str, ...],
) -> LabelEvidence | None:
    """Returns the evidence of labels for run directories; `states` changes whenever it may."""
    from tuiprobe.choose.labelling.session import (
        open_labelling,  # scipy, which runs without labels spare
    )
    from tuiprobe.choose.labelling.standing import label_status

    labelling = open_labelling(paths, target)
    status = label_status(labelling, trust)
    if not status.labelled:
        return None
    candidates = [candidate.directory.path for candidate in labelling.matched.candidates]
    candidate_of = {index: candidates.index(path) for index, path in enumerate(paths)}
    return LabelEvidence(labelling, status, candidate_of)


_KINDS: Final[tuple[PerImage, ...]] = ("correct", "linear")
"""Whose answers are compared: those of the heads in use, else of heads fitted to the labels."""


class FoundClass(Frozen):
    """How often a model is right on the pictures of a class.

    Attributes:
        name: Name of the class.
        right: Pictures of it that are answered rightly.
        n: Pictures of it.
    """

    name: str
    right: Count
    n: Count

    @property
    def share(self) -> float:
        """Share that is answered rightly."""
        return self.right / self.n


@dataclass(frozen=True, eq=False)
class AnsweredPictures:
    """The same labelled pictures, and which of several runs is right on each.

    Attributes:
        sets: Name of the set in each of the runs, `[M]`.
        runs: Index of each run among those that are compared, `[M]`.
        right: bool `[M, n]`.
        classes: int64 `[n]`, index of the class of each label in `names`; -1 where not known.
        names: Names of the classes that occur.
        widening: Factor of each run on the ranges of its accuracy, `[M]`; see `Answers.widening`.
        paired_by: How the pictures were matched.
        headless: Which of `runs` have no head that answers. Where any has none, heads fitted to the
            labels answer for all, each picture without it.
        left_out: Pictures of any of these runs that are not among the `n`.
        unmeasured: Further pictures that all runs found, of which they measured a sample.
    """

    sets: tuple[str, ...]
    runs: tuple[int, ...]
    right: NDArray[np.bool_]
    classes: Int64
    names: tuple[str, ...]
    widening: tuple[float, ...]
    paired_by: MatchedBy = "contents"
    headless: tuple[int, ...] = ()
    left_out: int = 0
    unmeasured: int = 0

    @property
    def pictures(self) -> int:
        """Number of pictures."""
        return int(self.right.shape[1])

    def data(self, run: int) -> str:
        """Returns the name of the set in a run."""
        return self.sets[self.runs.index(run)]

    def lead(self, first: int, second: int, reach: float = NORMAL_95) -> Estimate:
        """Returns the accuracy of one model minus that of another, by Bonett and Price.

        Args:
            first: Row of the model in `right`.
            second: Row of the other one.
            reach: Standard errors from the middle to either end.
        """
        from tuiprobe.probes.intervals import paired_difference  # needs scipy

        ahead, behind = self.right[first], self.right[second]
        gained, lost = int((ahead & ~behind).sum()), int((behind & ~ahead).sum())
        wider = max(self.widening[first], self.widening[second])
        return paired_difference(gained, lost, self.pictures, reach * wider)

    def found(self, model: int) -> list[FoundClass]:
        """Returns how often a model is right on each class, the class found least often first."""
        right, counts = self._by_class(self.right[model]), self._by_class(None)
        found = [
            FoundClass(name=name, right=hits, n=n)
            for name, hits, n in zip(self.names, right.tolist(), counts.tolist(), strict=True)
        ]
        return sorted(found, key=lambda of: (of.share, -of.n))

    def largest_class(self) -> int:
        """Returns the index of the class with most pictures."""
        return int(self._by_class(None).argmax())

    def balanced(self, model: int) -> Estimate | None:
        """Returns the mean of a model's recalls over the classes."""
        if not self.names:
            return None
        right, counts = self._by_class(self.right[model]), self._by_class(None)
        share = (right + 0.5) / (counts + 1)  # classes of few pictures say little of their variance
        half = NORMAL_95 * self.widening[model] * _error_of_mean(share * (1 - share), counts)
        value = float((right / counts).mean())
        return Estimate(
            value=value, low=max(value - half, 0.0), high=min(value + half, 1.0), unit="share",
            n=self.pictures, method="mean over classes, normal",
        )  # fmt: skip

    def balanced_lead(self, first: int, second: int, reach: float) -> Estimate:
        """Returns the difference of two balanced accuracies on the same pictures.

        The variance within a class takes one more picture, which changes as often as all pictures
        do: classes of few pictures show no variance.

        Args:
            first: Row of the model in `right`.
            second: Row of the other one.
            reach: Standard errors from the value to either end.
        """
        counts = self._by_class(None)
        gained = self._by_class(self.right[first] & ~self.right[second])
        lost = self._by_class(self.right[second] & ~self.right[first])
        up, down = (
            (changed + (changed.sum() + 1) / (counts.sum() + 2)) / (counts + 1)
            for changed in (gained, lost)
        )
        value = float(((gained - lost) / counts).mean())
        wider = max(self.widening[first], self.widening[second])
        half = reach * wider * _error_of_mean(up + down - (up - down) ** 2, counts)
        return Estimate(
            value=value, low=max(value - half, -1.0), high=min(value + half, 1.0), unit="points",
            n=self.pictures, method="paired, mean over classes",
        )  # fmt: skip

    def _by_class(self, chosen: NDArray[np.bool_] | None) -> Int64:
        """Returns how many pictures of each class there are, or how many chosen ones."""
        classes = self.classes if chosen is None else self.classes[chosen]
        return np.bincount(classes[classes >= 0], minlength=len(self.names))


def _error_of_mean(variance: NDArray[np.float64], counts: Int64) -> float:
    """Returns the standard error of a mean over classes, each of a variance and a count."""
    return float(np.sqrt((variance / counts).sum())) / len(counts)


def answered_pictures(runs: Sequence[Run]) -> AnsweredPictures | None:
    """Returns the labelled pictures in question that most runs answer; None without two runs."""
    asked = {n: of for n, run in enumerate(runs) if (of := _asked(run)) is not None}
    answering = (
        (kind, [n for n in group if kind in asked[n].values.values])
        for kind in _KINDS
        for group in pictures_groups(asked)
    )
    kind, group = max(answering, key=lambda of: len(of[1]), default=("correct", []))
    return _together(group, asked, kind) if len(group) > 1 else None


def _asked(run: Run) -> MeasuredSet | None:
    """Returns the labelled set in question of a run."""
    for data in sets_in_question(run.report.data):
        values = run.images.get(data.name)
        if data.labelled and values is not None and len(values.ids):
            return MeasuredSet(run, data.name)
    return None


def _together(
    group: Sequence[int], asked: Mapping[int, MeasuredSet], kind: PerImage
) -> AnsweredPictures:
    """Returns the pictures of a group of runs, whose first one is matched with each other."""
    common = common_rows([asked[n] for n in group])
    assert isinstance(common, CommonRows)  # or they were no group
    sets = [asked[n].values for n in group]
    right = np.stack([of.values[kind][rows] for of, rows in zip(sets, common.rows, strict=True)])
    usable = np.isfinite(right).all(axis=0)
    rows = common.rows[:, usable]
    fitted = kind == "linear"
    classes, names = (_labels if fitted else _classes)(asked[group[0]], rows[0])
    return AnsweredPictures(
        sets=tuple(asked[n].name for n in group),
        runs=tuple(group),
        right=right[:, usable].astype(bool),
        classes=classes,
        names=names,
        widening=tuple(
            LEFT_OUT_REACH if fitted else of.answers.widening if of.answers else 1.0 for of in sets
        ),
        paired_by=common.by,
        headless=tuple(n for n in group if fitted and "correct" not in asked[n].values.values),
        left_out=max(len(of.ids) for of in sets) - rows.shape[1],
        unmeasured=min(_unmeasured(asked[n]) for n in group),
    )


def _classes(asked: MeasuredSet, usable: Int64) -> tuple[Int64, tuple[str, ...]]:
    """Returns the class of each usable picture by its label, and the names of the classes."""
    answers = asked.values.answers
    if answers is None or (answers.truth[usable] < 0).all():
        return np.full(len(usable), -1), ()
    truth = answers.truth[usable]
    rows = np.unique(truth[truth >= 0])
    try:
        names = read_head(asked.run.directory).classes
    except TuiprobeError:
        names = ()
    classes = np.where(truth < 0, -1, np.searchsorted(rows, truth.clip(min=rows[0])))
    return classes, tuple(class_name(names, row) for row in rows.tolist())


def _unmeasured(asked: MeasuredSet) -> int:
    """Returns how many pictures of a set its run found and did not measure."""
    try:
        record = read_plan(asked.run.directory).set_named(asked.name)
    except TuiprobeError:
        return 0
    return record.found - record.planned


def _labels(asked: MeasuredSet, usable: Int64) -> tuple[Int64, tuple[str, ...]]:
    """Returns the same where no head answers with these classes."""
    directory = asked.run.directory
    try:
        samples = read_samples(directory)[asked.name]
        record = read_plan(directory).set_named(asked.name)
    except TuiprobeError:
        return np.full(len(usable), -1), ()
    labels = np.array([samples[i].label for i in asked.values.ids[usable].tolist()], np.int64)
    rows, classes = np.unique(labels, return_inverse=True)
    return classes, tuple(record.classes[row] for row in rows.tolist())
