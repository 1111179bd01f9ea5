"""A session of labelling: candidates, the pictures in the order of a plan, the labels on disk."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal

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
    label_targets,
    now,
)
from tuiprobe.label.matching import (
    CountedLabel,
    Matched,
    counted_labels,
    label_numbers,
    match,
    some_classes,
)
from tuiprobe.label.survey import Draw, StratifiedSample
from tuiprobe.plaintext import encodable, plain
from tuiprobe.run.directory import RunDir

if TYPE_CHECKING:
    from PIL.Image import Image

    from tuiprobe.datasets.dataset import Dataset


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
    """

    labels: int
    verdict: Verdict | Literal["enough"]
    winner: int | None
    dropped: tuple[int, ...]


class Labelling:
    """Labels for candidates on the pictures of a target set; `open_labelling` makes it.

    Args:
        matched: The candidates.
        files: Where the labels are kept.
        plan: The plan; its candidates stand in the order of `matched`.

    Attributes:
        survey: The contest, or what there is for one run alone.
        counted: The labels that it has, in their order.
        decisions: Each change of what is decided, in their order.
        narrow: Whether pictures are chosen to narrow the bounds of differences once the best is
            known.

    Raises:
        UsageError: If a label is of a class that no candidate may answer, or one picture has two.
    """

    def __init__(self, matched: Matched, files: LabelFiles, plan: LabelPlan) -> None:
        self.matched, self.files, self.plan = matched, files, plan
        self.narrow = False
        pool = matched.pool(plan.seed)
        self.survey: Contest | StratifiedSample = (
            Contest(pool) if pool.candidates > 1 else StratifiedSample(pool)
        )
        self.counted: list[LabelLine] = []
        self.decisions: list[LabelDecision] = []
        self._numbers = label_numbers(matched)
        self._written = False
        for row in counted_labels(files.lines(), matched, files):
            self._count(row)

    def _count(self, row: CountedLabel) -> None:
        """Adds a label to the survey; takes note of what it decides."""
        before = self.decided
        self.survey.add(row.place, row.label, row.how(self.plan))
        self.counted.append(row.line)
        if replace(self.decided, labels=before.labels) != before:
            self.decisions.append(self.decided)

    @property
    def decided(self) -> LabelDecision:
        """What is decided now."""
        survey, count = self.survey, len(self.counted)
        if isinstance(survey, StratifiedSample):
            return LabelDecision(count, survey.verdict, None, ())
        dropped = tuple(np.flatnonzero(survey.dropped).tolist())
        return LabelDecision(count, survey.verdict, survey.winner, dropped)

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

    def image(self, place: int) -> Image:
        """Returns a picture, RGB.

        Args:
            place: Its place in the pool.

        Raises:
            DataError: If it cannot be read, or is not the picture that the runs measured.
        """
        number, path = int(self.matched.ids[place]), self.matched.paths[place]
        samples = self._dataset.samples
        if number >= len(samples) or samples[number].path != path:  # the set is another one now
            moved = next((sample.id for sample in samples if sample.path == path), None)
            if moved is None:
                raise DataError(f"{plain(path)} is no longer in {self._dataset.source}")
            number = moved
        content = self._dataset.read(samples[number])
        if content.digest().hex() != self.matched.digests[place]:
            raise DataError(f"{plain(path)} has changed since the runs measured it: run them again")
        return content.image()

    def path(self, place: int) -> Path | None:
        """Returns the file of a picture; None where pictures are no files of their own."""
        folder = getattr(self._dataset, "folder", None)
        return None if folder is None else Path(folder) / self.matched.paths[place]

    # Answers.

    def answer(self, label: str) -> None:
        """Labels the picture that `following` returns; it is on disk when this returns.

        Args:
            label: A class of the runs, `NONE_OF_THESE` or `UNSURE`.

        Raises:
            UsageError: If it is none of these, or every picture is labelled.
            RunError: If the operating system refuses to write.
        """
        draws = self.survey.upcoming(1, self.narrow)
        if not draws:
            raise UsageError("every picture is labelled")
        self.label(draws[0], label)

    def label(self, draw: Draw, label: str) -> None:
        """Labels any picture; errors as for `answer`.

        Args:
            draw: The picture and how it was drawn; `outside` if nothing drew it.
            label: As for `answer`.
        """
        place = draw.picture
        digest, path = self.matched.digests[place], plain(self.matched.paths[place])
        if place in self.survey.labels:
            raise UsageError(f"{path} is labelled already")
        number = self.number(label, path)
        self.files.held()  # so that nobody else has labelled since this session was opened
        if not self._written:
            self.write_plan()
        plan = "" if draw.how == "outside" else self.plan.id
        line = LabelLine(path, digest, plain(label), plan, draw.how, now())
        before = len(self.decisions)
        self.files.append(line)
        self._count(CountedLabel(place, number, line))
        if len(self.decisions) > before:
            self.write_plan()

    def number(self, label: str, where: str) -> int:
        """Returns the number of a class, or `NOBODY`.

        Args:
            label: As for `answer`.
            where: What it labels, for the message.

        Raises:
            UsageError: If it is no class.
        """
        if plain(label) not in self._numbers:
            classes = some_classes(self.matched.classes)
            raise UsageError(f"{where}: {plain(label)!r} is no class of these runs: {classes}")
        return self._numbers[plain(label)]

    def undo(self) -> None:
        """Takes the last label back, on disk too.

        Raises:
            UsageError: If there is none.
            DataError: If the file ends with another one.
        """
        if not self.counted:
            raise UsageError("there is no label to take back")
        self.files.remove_last(self.counted[-1])
        self.counted.pop()
        self.survey.undo()
        if self.decisions and self.decisions[-1].labels > len(self.counted):
            self.decisions.pop()
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
        return sum(line.label == UNSURE for line in self.counted)

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
    if len({path.resolve() for path in runs}) < len(runs):
        raise UsageError("a run is named twice; name each candidate once")
    matched = match([read_candidate(RunDir(path), target) for path in runs])
    for name in (NONE_OF_THESE, UNSURE):
        if name in matched.classes:
            raise DataError(f"{name} is a class of these runs, and stands for an answer here")
    files = _files(runs[0].resolve().parent, matched)
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
    return Labelling(matched, files, _new_plan(matched, digests, seed))


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
        labelling = open_labelling([folder / name for name in names], target)
    except TuiprobeError:
        return None
    return labelling if labelling.plan.id == plan.id else None


def _files(folder: Path, matched: Matched) -> LabelFiles:
    """Returns the files of the target set, or those in which its pictures have labels."""
    own, pictures = matched.source_run.target, set(matched.digests)
    names = label_targets(folder)
    if own in names or not names:
        return LabelFiles(folder, own)
    files = [LabelFiles(folder, name) for name in names]
    counts = [sum(line.digest in pictures for line in file.lines()) for file in files]
    best = max(counts)
    return files[counts.index(best)] if best else LabelFiles(folder, own)


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


def _new_plan(matched: Matched, digests: Sequence[str], seed: int) -> LabelPlan:
    name = hashlib.sha256(" ".join((str(seed), *digests)).encode()).hexdigest()[:12]
    candidates = tuple(
        PlanCandidate(
            run=encodable(candidate.directory.path.name),
            model=encodable(candidate.model),
            answers=digest,
        )
        for candidate, digest in zip(matched.candidates, digests, strict=True)
    )
    return LabelPlan(
        id=name,
        seed=seed,
        candidates=candidates,
        pictures=matched.digests,
        stages=(0,) * len(matched.digests),
    )
