"""A session of labelling: candidates, the pictures in the order of a plan, the labels on disk."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tuiprobe.datasets.load import load_dataset
from tuiprobe.datasets.registry import SOURCES
from tuiprobe.errors import DataError, TuiprobeError, UsageError
from tuiprobe.label.candidates import read_candidate
from tuiprobe.label.contest import Contest, Verdict
from tuiprobe.label.files import (
    NONE_OF_THESE,
    UNSURE,
    Elimination,
    How,
    LabelFiles,
    LabelLine,
    LabelPlan,
    PlanCandidate,
    now,
)
from tuiprobe.label.matching import CountedLabel, Matched, counted_labels, label_files, match
from tuiprobe.label.survey import CLOSE_ENOUGH, FEWEST, LabelledAccuracy, Pool, StratifiedSample
from tuiprobe.plaintext import encodable, plain
from tuiprobe.run.directory import RunDir

if TYPE_CHECKING:
    from PIL.Image import Image

    from tuiprobe.datasets.dataset import Dataset
    from tuiprobe.datasets.sample import Sample


@dataclass(frozen=True)
class PictureToLabel:
    """A picture to label.

    Attributes:
        place: Its place in the pool.
        how: How it was drawn.
        name: Its path in its set.
        digest: Its SHA-256.
        choices: The classes that candidates answer, in an order that says nothing about who
            answers what, or how many do.
    """

    place: int
    how: How
    name: str
    digest: str
    choices: tuple[str, ...]


@dataclass(frozen=True)
class LabelDecision:
    """What is decided once so many pictures are labelled.

    Attributes:
        labels: Number of labels.
        verdict: The verdict.
        winner: Place of the candidate that it is about; None if it is about none.
        dropped: Places of the candidates that are dropped.
        among: Models of the candidates, where the plan of other candidates decided it.
    """

    labels: int
    verdict: Verdict
    winner: int | None
    dropped: tuple[int, ...]
    among: tuple[str, ...] = ()


class Labelling:
    """Labels for candidates on the pictures of a target set; `open_labelling` makes it.

    Args:
        matched: The candidates.
        files: Where the labels are kept.
        plan: The plan; its candidates stand in the order of `matched`.

    Attributes:
        survey: The contest, or what there is for one run alone.
        counted: The labels that it has, in their order.
        decisions: Each change of what its plan decides, in their order.
        related: Labellings by plans of some of these candidates alone, or of these and others.
        narrow: Whether pictures are chosen to narrow the bounds of differences once the best is
            known.

    Raises:
        UsageError: If a label is of a class that no candidate may answer, or one picture has two.
    """

    survey: Contest | StratifiedSample
    counted: list[CountedLabel]
    decisions: list[LabelDecision]

    def __init__(self, matched: Matched, files: LabelFiles, plan: LabelPlan) -> None:
        self.matched, self.files, self.plan = matched, files, plan
        self.related: list[Labelling] = []
        self.narrow = self._written = False
        self._replay(counted_labels(files, matched))

    def _replay(self, labels: Sequence[CountedLabel]) -> None:
        """Computes everything from the log of labels."""
        pool = Pool(self.matched.answers, self.matched.confidences, self.plan.seed)
        self.survey = Contest(pool) if pool.candidates > 1 else StratifiedSample(pool)
        self.counted, self.decisions = [], []
        for label in labels:
            self._count(label)

    def _count(self, label: CountedLabel) -> None:
        """Adds a label to the survey; takes note of what it decides."""
        before = self.planned
        self.survey.add(label.place, label.label, label.how(self.plan))
        self.counted.append(label)
        if replace(self.planned, labels=before.labels) != before:
            self.decisions.append(self.planned)

    @property
    def planned(self) -> LabelDecision:
        """What its own plan decides now."""
        survey, count = self.survey, len(self.counted)
        if isinstance(survey, StratifiedSample):
            return LabelDecision(count, survey.verdict, None, ())
        dropped = tuple(np.flatnonzero(survey.dropped).tolist())
        return LabelDecision(count, survey.verdict, survey.winner, dropped)

    @property
    def taken(self) -> list[LabelDecision]:
        """What the plans of `related` decide of these candidates.

        The best of more candidates is the best of these, and one that is not the best of some of
        these is not the best of all.
        """
        answers, taken = self.plan.answers, list[LabelDecision]()
        for other in self.related if len(answers) > 1 else ():
            decision, theirs = other.planned, other.plan.answers
            dropped = {answers.index(theirs[n]) for n in decision.dropped if theirs[n] in answers}
            winner, larger = None, set(theirs) > set(answers)
            if larger:
                dropped = dropped if decision.verdict == "best" else set()
                if decision.winner is not None and theirs[decision.winner] in answers:
                    winner = answers.index(theirs[decision.winner])
            if winner is not None or (dropped and not larger):
                verdict = "open" if winner is None else decision.verdict
                places = tuple(sorted(dropped))
                taken.append(LabelDecision(decision.labels, verdict, winner, places, other.models))
        return taken

    @property
    def decided(self) -> LabelDecision:
        """What is decided now: by its own plan, or else by those of `related`."""
        planned, taken = self.planned, self.taken
        if isinstance(self.survey, StratifiedSample):
            (known,) = self.accuracies()
            close = known is not None and known.half <= CLOSE_ENOUGH and known.labels >= FEWEST
            return replace(planned, verdict="enough") if close else planned
        if planned.verdict != "open" or not taken:
            return planned
        if any(decision.winner is not None for decision in taken):
            return max(taken, key=lambda d: (d.verdict == "best", d.winner is not None))
        dropped = set(planned.dropped).union(*(decision.dropped for decision in taken))
        left = set(range(len(self.plan.answers))) - dropped
        if len(left) != 1:
            return replace(planned, dropped=tuple(sorted(dropped)) if left else planned.dropped)
        return replace(planned, verdict="best", winner=left.pop(), dropped=tuple(sorted(dropped)))

    @property
    def leader(self) -> int:
        """Place of the candidate that is ahead, of several the first."""
        if not isinstance(self.survey, Contest):
            return 0
        if not self.related:
            return self.survey.leader
        decided = self.decided
        if decided.winner is not None:
            return decided.winner
        left = [n for n in range(len(self.plan.answers)) if n not in decided.dropped]
        return max(left, key=lambda a: sum(self.difference(a, b)[0] for b in left if b != a))

    def accuracies(self) -> list[LabelledAccuracy | None]:
        """Returns the accuracy of each candidate, by the plan that drew most labels for it."""
        known: list[LabelledAccuracy | None] = []
        for own, answers in enumerate(self.plan.answers):
            plans = [plan for plan in (self, *self.related) if answers in plan.plan.answers]
            plan = max(plans, key=lambda plan: len(plan.survey.drawn))
            place = own if plan is self else plan.plan.answers.index(answers)
            values = plan.survey.accuracies() if plan.survey.labels else []
            known.append(values[place] if values else None)
        return known

    def difference(self, a: int, b: int) -> tuple[float, float, float]:
        """Returns an estimate and bounds of the accuracy of one candidate minus another's.

        They come from the plan that decided between the two, or that drew most labels for both.
        """
        pair = [self.plan.answers[place] for place in (a, b)]
        plans = [plan for plan in (self, *self.related) if set(pair) <= set(plan.plan.answers)]

        def evidence(plan: Labelling) -> tuple[bool, int]:
            winner = plan.planned.winner if plan.planned.verdict == "best" else None
            decides = winner is not None and plan.plan.answers[winner] in pair
            return decides, len(plan.survey.drawn)

        plan = max(plans, key=evidence)
        contest = plan.survey
        if plan is not self:
            a, b = (plan.plan.answers.index(answers) for answers in pair)
        if not isinstance(contest, Contest):
            raise UsageError("a difference takes two candidates")
        low, high = contest.bounds(a, b)
        return min(max(contest.lead(a, b), low), high), low, high

    # Pictures.

    def following(self) -> PictureToLabel | None:
        """Returns the picture to label next; None if there is none left."""
        return next(iter(self.upcoming(1)), None)

    def upcoming(self, count: int) -> list[PictureToLabel]:
        """Returns the pictures to label next, as if no candidate were dropped meanwhile.

        Args:
            count: At most so many.
        """
        matched, pictures = self.matched, []
        for place, how in self.survey.upcoming(count, self.narrow):
            digest = matched.digests[place]
            answers = sorted(set(matched.answers[:, place].tolist()))
            mixed = np.random.default_rng(int(digest[:16], 16)).permutation(answers)
            choices = tuple(matched.classes[answer] for answer in mixed.tolist())
            pictures.append(PictureToLabel(place, how, matched.paths[place], digest, choices))
        return pictures

    @cached_property
    def _dataset(self) -> Dataset:
        source = self.matched.source_run.source
        kind = source.partition(":")[0]
        if kind not in SOURCES.builtin_names:
            raise DataError(f"the pictures are of {kind}, whose code is not run to show them")
        return load_dataset(source)

    @cached_property
    def _samples(self) -> dict[str, Sample]:
        return {sample.path: sample for sample in self._dataset.samples}

    def image(self, place: int) -> Image:
        """Returns a picture, RGB.

        Args:
            place: Its place in the pool.

        Raises:
            DataError: If it cannot be read, or is not the picture that the runs measured.
        """
        path = self.matched.paths[place]
        if path not in self._samples:
            raise DataError(f"{plain(path)} is no longer in {self._dataset.source}")
        content = self._dataset.read(self._samples[path])
        if content.digest().hex() != self.matched.digests[place]:
            raise DataError(f"{plain(path)} has changed since the runs measured it: run them again")
        return content.image()

    def path(self, place: int) -> Path | None:
        """Returns the file of a picture; None where pictures are no files of their own."""
        folder = getattr(self._dataset, "folder", None)
        return None if folder is None else Path(folder) / self.matched.paths[place]

    # Answers.

    def label(self, place: int, how: How, label: str) -> None:
        """Labels a picture; the label is on disk when this returns.

        Args:
            place: Place of the picture in the pool.
            how: How it was drawn; `outside` if nothing drew it.
            label: A class of the runs, `NONE_OF_THESE` or `UNSURE`.

        Raises:
            UsageError: If it is none of these, or the picture is labelled.
            RunError: If the operating system refuses to write.
        """
        digest, path = self.matched.digests[place], plain(self.matched.paths[place])
        if place in self.survey.labels:
            raise UsageError(f"{path} is labelled already")
        self.matched.number(label, path)
        self.files.held()  # so that nobody else has labelled since this session was opened
        if not self._written:
            self.write_plan()
        plan = "" if how == "outside" else self.plan.id
        line = LabelLine(path, digest, plain(label), plan, how, now())
        before = len(self.decisions)
        self.files.append(line)
        for labelling in (self, *self.related):
            matched = labelling.matched
            row = CountedLabel(matched.places[digest], matched.number(label, path), line)
            labelling._count(row)
        if len(self.decisions) > before:
            self.write_plan()

    def undo(self) -> None:
        """Takes the last label back, on disk too.

        Raises:
            UsageError: If there is none.
            DataError: If the file ends with another one.
        """
        if not self.counted:
            raise UsageError("there is no label to take back")
        self.files.remove_last(self.counted[-1].line)
        before = self.decisions
        for labelling in (self, *self.related):
            labelling._replay(labelling.counted[:-1])
        if self.decisions != before:
            self.write_plan()

    def close(self) -> None:
        """Releases the file of labels for other processes."""
        self.files.close()

    # Plan.

    def write_plan(self) -> None:
        """Publishes the plan as it stands now; another seed of these candidates gives way to it."""
        eliminations = tuple(
            Elimination(labels=decision.labels, dropped=decision.dropped)
            for before, decision in pairwise([None, *self.decisions])
            if decision is not None and decision.dropped != (before.dropped if before else ())
        )
        update = {"stages": tuple(self.survey.stage.tolist()), "eliminations": eliminations}
        self.plan = self.plan.model_copy(update=update)
        own = sorted(self.plan.answers)
        others = [plan for plan in self.files.plans() if sorted(plan.answers) != own]
        self.files.write_plans([*others, self.plan])
        self._written = True

    @cached_property
    def letters(self) -> tuple[str, ...]:
        """The letter of each candidate, in an order that the user did not choose."""
        count = len(self.matched.candidates)
        mixed = np.random.default_rng(int(self.plan.id, 16)).permutation(count)
        return tuple(
            chr(ord("A") + place) if place < 26 else f"A{place}" for place in mixed.tolist()
        )

    @property
    def models(self) -> tuple[str, ...]:
        """The name of each candidate: its model, or its run where two have the same model."""
        names = [candidate.model for candidate in self.matched.candidates]
        times = Counter(names)
        return tuple(
            name if times[name] == 1 else candidate.directory.path.name
            for name, candidate in zip(names, self.matched.candidates, strict=True)
        )

    @property
    def unsure(self) -> int:
        """Number of pictures labelled as `UNSURE`."""
        return sum(row.line.label == UNSURE for row in self.counted)

    @property
    def outside(self) -> list[int]:
        """Pictures that were labelled unasked after the first draw, by place."""
        asked = {*self.survey.drawn, *self.survey.known}
        return [place for place in self.survey.labels if place not in asked]

    def right(self, places: Iterable[int]) -> tuple[int, ...]:
        """Returns on how many of some labelled pictures each candidate is right."""
        chosen = list(places)
        labels = np.array([self.survey.labels[place] for place in chosen], dtype=np.int64)
        return tuple((self.matched.answers[:, chosen] == labels).sum(axis=1).tolist())


def open_labelling(
    runs: Sequence[Path], target: str | None = None, seed: int | None = None
) -> Labelling:
    """Opens or resumes the labelling of a target set.

    Args:
        runs: Run directories; one for its accuracy alone.
        target: Name of the target set; None for the only one.
        seed: Seed of the order of labelling; None for that of the plan, or for the next one.

    Raises:
        UsageError: If the plan of these candidates has another seed, or other candidates have this
            one, or two labels of one picture differ.
        DataError: If a run cannot be labelled, or runs differ in pictures or classes.
    """
    labelling, folder = _open(runs, target, seed), runs[0].resolve().parent
    answers, drawn = set(labelling.plan.answers), {row.line.plan for row in labelling.counted}
    for plan in labelling.files.plans() if len(answers) == len(runs) else ():
        theirs = set(plan.answers)
        if plan.id in drawn and len(theirs) > 1 and (theirs < answers or theirs > answers):
            other = labelling_of(plan, folder, labelling.matched.source_run.target)
            labelling.related += [other] if other is not None else []
    return labelling


def _open(runs: Sequence[Path], target: str | None, seed: int | None) -> Labelling:
    if len({path.resolve() for path in runs}) < len(runs):
        raise UsageError("a run is named twice; name each candidate once")
    matched = match([read_candidate(RunDir(path), target) for path in runs])
    for name in (NONE_OF_THESE, UNSURE):
        if name in matched.classes:
            raise DataError(f"{name} is a class of these runs, and stands for an answer here")
    files = label_files(runs[0].resolve().parent, matched)
    digests = matched.answers_digests
    plans = files.plans()
    own = [plan for plan in plans if sorted(plan.answers) == sorted(digests)]
    if own and seed in (None, own[0].seed):
        return Labelling(_in_order(matched, digests, own[0]), files, own[0])
    if own and any(line.plan == own[0].id for line in files.lines()):
        raise UsageError(
            f"these candidates are labelled by seed {own[0].seed}: choosing among seeds would void "
            "the guarantee; leave out --seed"
        )
    taken = [plan.seed for plan in plans if plan not in own]
    if seed in taken:
        raise UsageError(
            f"seed {seed} belongs to other candidates on these pictures, and a new list of "
            "candidates takes a new seed; leave out --seed"
        )
    seed = max(taken, default=-1) + 1 if seed is None else seed
    plan = LabelPlan(
        id=hashlib.sha256(" ".join((str(seed), *digests)).encode()).hexdigest()[:12],
        seed=seed,
        candidates=tuple(
            PlanCandidate(
                run=encodable(candidate.directory.path.name),
                model=encodable(candidate.model),
                answers=digest,
            )
            for candidate, digest in zip(matched.candidates, digests, strict=True)
        ),
        pictures=matched.digests,
        stages=(0,) * len(matched.digests),
    )
    return Labelling(matched, files, plan)


def labelling_of(plan: LabelPlan, folder: Path, target: str) -> Labelling | None:
    """Returns the labelling of the candidates of a plan; None if one is gone or answers otherwise.

    Args:
        plan: The plan.
        folder: Where its candidates lie.
        target: Name of the target set.
    """
    names = [candidate.run for candidate in plan.candidates]
    if any(Path(name).name != name for name in names):
        return None  # a plan from a stranger opens nothing elsewhere
    try:
        labelling = _open([folder / name for name in names], target, None)
    except TuiprobeError:
        return None
    return labelling if labelling.plan.id == plan.id else None


def _in_order(matched: Matched, digests: Sequence[str], plan: LabelPlan) -> Matched:
    """Returns candidates and pictures in the order of a plan."""
    numbers = matched.places
    if numbers.keys() != set(plan.pictures) or len(numbers) != len(plan.pictures):
        raise DataError(f"the plan {plan.id} beside the runs is damaged: its pictures are others")
    matched = matched.of(np.array([numbers[digest] for digest in plan.pictures], dtype=np.int64))
    left, places = list(range(len(digests))), []
    for digest in plan.answers:
        places.append(next(place for place in left if digests[place] == digest))
        left.remove(places[-1])
    return replace(
        matched,
        candidates=tuple(matched.candidates[place] for place in places),
        answers=matched.answers[places],
        confidences=matched.confidences[places],
    )
