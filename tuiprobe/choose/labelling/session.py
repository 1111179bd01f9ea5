"""A session of labelling: candidates, which pictures come next, the labels on disk."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tuiprobe.choose.labelling.candidates import read_candidate, shared_targets
from tuiprobe.choose.labelling.certificate import Certificate, certificate_of, question_digest
from tuiprobe.choose.labelling.contest import FINAL, UNDECIDED, Contest, LabelVerdict
from tuiprobe.choose.labelling.label_log import (
    NONE_OF_THESE,
    UNSURE,
    CertificateQuestion,
    LabelFiles,
    LabelLine,
    Questions,
)
from tuiprobe.choose.labelling.matching import (
    CountedLabel,
    Matched,
    counted_labels,
    label_files,
    match,
)
from tuiprobe.choose.labelling.survey import (
    WIDEST,
    LabelledAccuracy,
    SampledRange,
    StratifiedSample,
    Survey,
)
from tuiprobe.datasets.load import Originals
from tuiprobe.errors import DataError, TuiprobeError, UsageError
from tuiprobe.files import names_below
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.naming import NamedRun, distinct_names
from tuiprobe.plaintext import encodable, plain

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class PictureToLabel:
    """A picture to label.

    Attributes:
        index: Its index in the pool.
        name: Its path in its set.
        digest: Its SHA-256.
        choices: The classes that candidates answer, in an order that does not reveal who
            answers what, or how many do.
        skipped: Whether it was skipped before: skipped again it is unsure.
    """

    index: int
    name: str
    digest: str
    choices: tuple[str, ...]
    skipped: bool


@dataclass(frozen=True)
class LabelDecision:
    """What is decided once so many pictures are labelled.

    Attributes:
        labels: Number of labels.
        verdict: The verdict.
        winner: Index of the candidate that it is about.
        dropped: Indices of the candidates that are dropped.
    """

    labels: int
    verdict: LabelVerdict
    winner: int | None
    dropped: tuple[int, ...]


@dataclass(frozen=True)
class LastLabel:
    """The label that was given last.

    Attributes:
        label: The class, or what stands for one; empty where the picture was skipped.
        answers: The answer of each candidate, by letter; nothing while the picture has no label.
    """

    label: str
    answers: Mapping[str, str]


class Labelling:
    """Labels for candidates on the pictures of a target set; `open_labelling` makes it.

    Args:
        matched: The candidates.
        files: The files of its labels.
        asking: Whether someone asks which candidate is best, or for the certificate, which is
            recorded once labels exist.
        tolerated: The share of wrong answers of the certificate that is asked for, of one run.

    Attributes:
        survey: The contest, or the sample of one run.
        by_candidate: The same labels as a sample of each candidate; of one, the survey itself.
        counted: The labels that it has, in their order.
        decisions: Each change of what is decided, in their order.
        asked: Number of candidates asked about on these pictures, where this is not the first
            question; 0 where it is.
        first: The labelling of the first question, where it is another one whose runs are at hand.
        certificate: How many pictures the run may answer alone, where that is asked; else None.
        questions: Further certificates asked for on these pictures, where this is one; else 0.
        narrow: Whether pictures are chosen to narrow the bounds of differences once the best is
            known.
        changed: Whether a label was added or taken back, so that reports of the runs are old.

    Raises:
        UsageError: If a label is of a class that no candidate may answer, or one picture has two.
        RunError: If the question cannot be recorded.
    """

    survey: Contest | StratifiedSample
    by_candidate: list[StratifiedSample]
    counted: list[CountedLabel]
    decisions: list[LabelDecision]
    certificate: Certificate | None

    def __init__(
        self,
        matched: Matched,
        files: LabelFiles,
        asking: bool = True,
        tolerated: float | None = None,
    ) -> None:
        self.matched, self.files, self.asking = matched, files, asking
        self.tolerated = tolerated
        self.first: Labelling | None = None
        self.narrow = self.changed = False
        labels = counted_labels(files, matched)
        labelled = any(row.label is not None for row in labels)
        self.asked, self.questions = self._ask(labelled), self._ask_certificate(labelled)
        self._replay(labels)

    def _ask(self, labelled: bool) -> int:
        """Records the question if there are labels; returns what `asked` is."""
        if len(self.matched.candidates) == 1:
            return 0
        digests = self.matched.answers_digests
        question = Questions(
            pictures=self.matched.pictures_digest,
            first=digests,
            runs=tuple(encodable(run.directory.path.name) for run in self.matched.candidates),
            asked=tuple(dict.fromkeys(digests)),
        )
        if self.asking and labelled:
            record = self.files.ask(question)
        else:
            records = {record.pictures: record for record in self.files.questions()}
            record = records.get(question.pictures, question)
        is_first = set(record.first) == set(digests)
        return 0 if is_first else len({*record.asked, *digests})

    def _ask_certificate(self, labelled: bool) -> int:
        """Records the certificate asked for if there are labels; returns what `questions` is."""
        question, pictures = self._question, self.matched.pictures_digest
        if question is None:
            return 0
        if self.asking and labelled:
            return self.files.ask_certificate(pictures, question).further(question)
        records = {record.pictures: record for record in self.files.certificates()}
        return records[pictures].further(question) if pictures in records else 0

    @cached_property
    def _question(self) -> CertificateQuestion | None:
        """What the file of questions says of the certificate that is asked for."""
        if self.tolerated is None:
            return None
        digest = question_digest(self.matched, self.tolerated)
        return CertificateQuestion(digest=digest, tolerated=self.tolerated)

    def _replay(self, labels: Sequence[CountedLabel]) -> None:
        """Computes everything from the log of labels."""
        self.certificate = None
        if self.tolerated is not None:
            self.certificate = certificate_of(self.matched, self.tolerated, self.questions)
        self.survey, pool = self._new_survey(self.asked), self.matched.pool
        if isinstance(self.survey, StratifiedSample):
            self.by_candidate = [self.survey]
        else:
            candidates = range(pool.candidates)
            self.by_candidate = [StratifiedSample(pool.of_candidate(n)) for n in candidates]
        self.counted, self.decisions = [], []
        for label in labels:
            self._count(label)

    def _new_survey(self, asked: int) -> Contest | StratifiedSample:
        pool = self.matched.pool
        return Contest(pool, asked) if pool.candidates > 1 else StratifiedSample(pool)

    def _count(self, row: CountedLabel) -> None:
        """Adds a label to the survey, and records what it decides."""
        self.counted.append(row)
        # The survey of one candidate is also its sample.
        surveys: dict[Survey, None] = dict.fromkeys((self.survey, *self.by_candidate))
        if self.certificate is not None:
            surveys[self.certificate] = None
        if row.label is None:
            for survey in surveys:
                survey.skip(row.picture)
            return
        before = self.decided
        for survey in surveys:
            survey.add(row.picture, row.label)
        if replace(self.decided, labels=before.labels) != before:
            self.decisions.append(self.decided)

    @property
    def decided(self) -> LabelDecision:
        """What is decided now."""
        survey, count = self.survey, len(self.survey.labels)
        if isinstance(survey, StratifiedSample):
            return LabelDecision(count, survey.verdict, None, ())
        dropped = tuple(np.flatnonzero(survey.dropped).tolist())
        return LabelDecision(count, survey.verdict, survey.winner, dropped)

    @property
    def reopened(self) -> bool:
        """Whether it would be decided if nobody had asked about further candidates."""
        if not self.asked or self.decided.verdict != "open":
            return False
        contest = self._new_survey(len(set(self.matched.answers_digests)))
        for picture, label in self.survey.labels.items():
            contest.add(picture, label)
        return contest.verdict not in UNDECIDED

    @property
    def leader(self) -> int:
        """Index of the candidate that leads; of several the first."""
        return self.survey.leader

    def accuracies(self) -> list[LabelledAccuracy]:
        """Returns the accuracy of each candidate, whichever others it is asked about with.

        Labels that were drawn for the first question are random in the blocks of that question: for
        its candidates the larger sample counts, that of these blocks or of the run alone, and of
        equal ones the narrower range. If neither is narrow enough to be stated, this question's may
        be. Whether samples or what labels prove are stated is the same for all candidates of the
        first question, and else of this one.
        """
        first, ranges = self._first, self._ranges()
        asked = self if first is None else first
        if not set(self.matched.answers_digests) <= set(asked.matched.answers_digests):
            asked = self
        leading = (ranges if asked is self else asked._ranges())[asked.survey.leader]
        return self.survey.stated(ranges, asked.survey.narrower(leading))

    @property
    def _first(self) -> Labelling | None:
        """The labelling of the first question, if its runs are at hand."""
        return self if self.first is None and not self.asked else self.first

    def _ranges(self) -> list[SampledRange]:
        """Returns the range of each candidate by the samples that count; see `accuracies`."""
        sampled_here, first = self.survey.sampled_ranges(), self._first
        by_first: dict[str, SampledRange] = {}
        if first is not None:
            known = sampled_here if first is self else first.survey.sampled_ranges()
            by_first = dict(zip(first.matched.answers_digests, known, strict=True))

        def evidence(sampled: SampledRange) -> tuple[bool, int, float]:
            width = sampled.high - sampled.low
            return sampled.labels > 0 and width <= 2 * WIDEST, sampled.labels, -width

        ranges = []
        digests = self.matched.answers_digests
        for sampled, digest, survey in zip(sampled_here, digests, self.by_candidate, strict=True):
            (estimate,) = survey.sampled_ranges()
            best = max(by_first.get(digest, estimate), estimate, key=evidence)
            ranges.append(best if evidence(best)[0] else max(best, sampled, key=evidence))
        return ranges

    def first_minus_second(self, first: int, second: int) -> tuple[float, float, float]:
        """Returns an estimate and bounds of the first candidate's accuracy minus the second's.

        The estimate is clipped into the bounds. The lower one is above the upper one where labels
        contradict each other.
        """
        if not isinstance(self.survey, Contest):
            raise UsageError("a difference needs two candidates")
        low, high = self.survey.bounds(first, second)
        value = self.survey.lead(first, second)
        return min(max(value, low), high) if low <= high else value, low, high

    # Pictures.

    @property
    def _asking(self) -> Contest | StratifiedSample | Certificate:
        """What chooses the pictures."""
        return self.survey if self.certificate is None else self.certificate

    @property
    def ended(self) -> bool:
        """Whether more labels only narrow ranges, or certify no more."""
        if self.certificate is not None:
            return self.certificate.following() is None
        return self.decided.verdict in FINAL

    @property
    def nothing_to_label(self) -> str:
        """Why there is no picture to label, where there is none."""
        if len(self.survey.labels) < len(self.matched.digests):
            return "further labels certify no more pictures"
        return "every picture is labelled"

    def following(self) -> PictureToLabel | None:
        """Returns the picture to label next."""
        index = self._asking.following(self.narrow)
        return None if index is None else self._picture(index)

    def upcoming(self, count: int) -> list[PictureToLabel]:
        """Returns the pictures of the next list or page, those first that were skipped.

        Args:
            count: At most so many.
        """
        return [self._picture(index) for index in self._asking.upcoming(count, self.narrow)]

    def _picture(self, index: int) -> PictureToLabel:
        matched, digest = self.matched, self.matched.digests[index]
        answers = sorted(set(matched.answers[:, index].tolist()))
        mixed = np.random.default_rng(int(digest[:16], 16)).permutation(answers)
        choices = tuple(matched.classes[answer] for answer in mixed.tolist())
        skipped = index in self.survey.skipped
        return PictureToLabel(index, matched.paths[index], digest, choices, skipped)

    @cached_property
    def originals(self) -> Originals:
        """The pictures where they came from."""
        return Originals(self.matched.source_run.source)

    def image(self, index: int) -> Image:
        """Returns a picture, RGB; errors as for `Originals.open`.

        Args:
            index: Its index in the pool.
        """
        return self.originals.open(self.matched.paths[index], self.matched.digests[index])

    # Answers.

    def label(self, index: int, label: str) -> None:
        """Labels a picture, durably on disk.

        Args:
            index: Index of the picture in the pool.
            label: A class of the runs, `NONE_OF_THESE` or `UNSURE`; empty to skip the picture,
                which is `UNSURE` for one that was skipped before.

        Raises:
            UsageError: If it is none of these, or the picture is labelled.
            RunError: If the operating system refuses to write.
        """
        digest, path = self.matched.digests[index], plain(self.matched.paths[index])
        if index in self.survey.labels:
            raise UsageError(f"{path} is labelled already")
        if not label and index in self.survey.skipped:
            label = UNSURE
        if label:
            self.matched.number(label, path)
        self.files.held()  # so that nobody else has labelled since this session was opened
        labelled = bool(label or self.survey.labels)
        asked = self._ask(labelled), self._ask_certificate(labelled)
        if asked != (self.asked, self.questions):  # another program asked about others
            self.asked, self.questions = asked
            self._replay(self.counted)
        time = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        line = LabelLine(path, digest, plain(label), time)
        self.files.append(line)
        self.changed = True
        for labelling in (self, self.first):
            if labelling is not None:
                matched = labelling.matched
                number = matched.number(label, path) if label else None
                labelling._count(CountedLabel(matched.index_of[digest], number, line))

    def undo(self) -> None:
        """Takes the last label back, on disk too.

        Raises:
            UsageError: If there is none.
            DataError: If the file ends with another one.
        """
        if not self.counted:
            raise UsageError("there is no label to take back")
        self.files.remove_last(self.counted[-1].line)
        self.changed = True
        for labelling in (self, self.first):
            if labelling is not None:
                labelling._replay(labelling.counted[:-1])

    def close(self) -> None:
        """Releases the file of labels for other processes."""
        self.files.close()

    @property
    def last(self) -> LastLabel | None:
        """The label that was given last; None before the first."""
        if not self.counted:
            return None
        matched, row = self.matched, self.counted[-1]
        names = (matched.classes[answer] for answer in matched.answers[:, row.picture].tolist())
        answers = dict(zip(self.letters, names, strict=True)) if row.line.label else {}
        return LastLabel(row.line.label, answers)

    # Names.

    @cached_property
    def letters(self) -> tuple[str, ...]:
        """The letter of each candidate, in an order that the user did not choose."""
        digests = [sha256(digest.encode()).digest() for digest in self.matched.answers_digests]
        mixed = sorted(range(len(digests)), key=digests.__getitem__)
        positions = [mixed.index(candidate) for candidate in range(len(digests))]
        return tuple(
            chr(ord("A") + position) if position < 26 else f"A{position}" for position in positions
        )

    @property
    def models(self) -> list[str]:
        """The name of each candidate; see `distinct_names`."""
        candidates = self.matched.candidates
        return distinct_names([NamedRun.read(run.model, run.directory) for run in candidates])


def open_labelling(
    runs: Sequence[Path],
    target: str | None = None,
    *,
    asking: bool = True,
    tolerated: float | None = None,
) -> Labelling:
    """Opens or resumes the labelling of a target set.

    Args:
        runs: Run directories; one for its accuracy alone.
        target: Name of the target set; None for the only one that all have.
        asking: Whether someone asks which run is best; what only reads labels records no question.
        tolerated: Share of wrong answers, to ask how many pictures one run may answer alone.

    Raises:
        UsageError: If a run is named twice, two labels of one picture differ, or a certificate is
            asked for several runs.
        DataError: If a run cannot be labelled, runs have several targets, or they differ in
            pictures or classes.
    """
    if len({path.resolve() for path in runs}) < len(runs):
        raise UsageError("a run is named twice; name each candidate once")
    if tolerated is not None and len(runs) > 1:
        raise UsageError("--unattended is about one run: name the one to deploy")
    target = target or _only_target(runs)
    matched = match([read_candidate(RunDir(path), target) for path in runs])
    for name in (NONE_OF_THESE, UNSURE):
        if name in matched.classes:
            raise DataError(
                f"{name} is a class of these runs, but is reserved for labelling; rename the class"
            )
    folder = runs[0].resolve().parent
    labelling = Labelling(matched, label_files(folder, matched), asking, tolerated)
    labelling.first = _first_question(labelling, folder)
    return labelling


def _only_target(runs: Sequence[Path]) -> str | None:
    """Returns the only target set that all runs have.

    Raises:
        DataError: If they share several; says what to type.
    """
    targets = shared_targets(runs)
    if len(targets) > 1:
        words = ["tuiprobe", "label", *map(str, runs), "--target"]
        commands = (f"`{shlex.join([*words, name])}`" for name in targets)
        raise DataError(f"these runs have several target sets; type {' or '.join(commands)}")
    return targets[0] if targets else None


def _first_question(labelling: Labelling, folder: Path) -> Labelling | None:
    """Returns the labelling of the first question, if it had some of these candidates.

    It is None if this one is the first question, or a run of that is gone.
    """
    matched, present = labelling.matched, set(names_below(folder))
    digests = set(matched.answers_digests)
    for record in labelling.files.questions():
        same = record.pictures == matched.pictures_digest
        # A stranger may have written the file: it names runs of this folder, and each once.
        distinct = len(set(record.runs)) == len(record.runs) and present.issuperset(record.runs)
        if same and distinct and digests & set(record.first) and digests != set(record.first):
            with suppress(TuiprobeError):
                target = matched.source_run.target
                first = match(
                    [read_candidate(RunDir(folder / name), target) for name in record.runs]
                )
                if first.answers_digests == record.first and first.classes == matched.classes:
                    return Labelling(first, labelling.files, asking=False)
    return None
