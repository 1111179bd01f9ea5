"""Whether runs measured the same pictures, by their digests, whatever a set is called.

Runs that did not are left out of a decision, each with the reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tuiprobe.choose.comparing.inference import Pairing
from tuiprobe.choose.comparing.runs import Run
from tuiprobe.datasets.registry import last_part
from tuiprobe.datasets.sample import row_name
from tuiprobe.errors import TuiprobeError
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.head_file import class_name
from tuiprobe.measure.run.per_image import OTHER_IMAGES, SetValues
from tuiprobe.measure.run.pictures import Pictures, read_digests, read_pictures
from tuiprobe.measure.run.records import read_plan
from tuiprobe.measure.run.samples import read_samples
from tuiprobe.plaintext import joined, plain
from tuiprobe.results import Frozen, NotRun, SetSummary, is_known
from tuiprobe.results.accuracy import sets_in_question
from tuiprobe.results.base import Count
from tuiprobe.results.figures import MEAN_SHIFT
from tuiprobe.results.section import NamedFigure

FEWEST_SHARED: Final = 0.9
"""Share of the pictures of either run that both must hold, to be runs on the same pictures."""

NO_SUCH_SET: Final = NotRun(reason="no such set")
OTHER_LABELS: Final = NotRun(reason="other labels of the same pictures")

MatchedBy: TypeAlias = Literal["contents", "ids", "rows"]
"""How pictures are matched: by content, or stored vectors by id column or row number."""


class SharedRows(NamedTuple):
    """Rows of the same pictures in the values of two runs, and how they were matched."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    by: MatchedBy


class MeasuredSet(NamedTuple):
    """A set as one run measured it."""

    run: Run
    name: str

    @property
    def summary(self) -> SetSummary | None:
        """What its report says of the set."""
        return next((data for data in self.run.report.data if data.name == self.name), None)

    @property
    def values(self) -> SetValues:
        """What the run knows of its single images."""
        return self.run.images[self.name]

    def differs_from(self, other: MeasuredSet) -> NotRun | None:
        """Returns why its pictures are not those of another set.

        Where no values of single images are stored, name, source and number of images decide.
        """
        if self.name not in self.run.images or other.name not in other.run.images:
            return _differ_by_summary(self.summary, other.summary)
        shared = self.shared(other)
        return shared if isinstance(shared, NotRun) else None

    def shared(self, other: MeasuredSet) -> SharedRows | NotRun:
        """Returns the rows of the pictures that both sets hold, or why they are other pictures.

        Pictures are the same by content, stored vectors by their id column, or else by row number
        where their counts and labels are equal. Some may be missing, as those that one of the runs
        could not use.
        """
        if self.values.differs_from(other.values) is None and (
            self.name == other.name or self.values.contents
        ):
            every = np.arange(len(self.values.ids))
            return SharedRows(every, every, "contents")
        try:
            shared = _matched(self, other)
        except (TuiprobeError, KeyError):
            return OTHER_IMAGES  # nothing says that they are the same
        most = max(len(self.values.ids), len(other.values.ids))
        if isinstance(shared, SharedRows) and len(shared.first) < FEWEST_SHARED * most:
            return OTHER_IMAGES
        return shared


class CommonRows(NamedTuple):
    """Rows of the pictures that several sets hold, in the order of the first set.

    Attributes:
        rows: int64 `[M, n]`, rows in the values of each set.
        by: How they were matched.
    """

    rows: NDArray[np.int64]
    by: MatchedBy


def common_rows(sets: Sequence[MeasuredSet]) -> CommonRows | NotRun:
    """Returns the rows of the pictures that all sets hold, or why one holds others than the first.

    Args:
        sets: Each as one run measured it.
    """
    first, *others = sets
    rows = np.full((len(sets), len(first.values.ids)), -1)
    rows[0] = np.arange(rows.shape[1])
    by: MatchedBy = "contents"
    for row, other in zip(rows[1:], others, strict=True):
        shared = first.shared(other)
        if isinstance(shared, NotRun):
            return shared
        row[shared.first] = shared.second
        by = "rows" if "rows" in (by, shared.by) else shared.by
    return CommonRows(rows[:, (rows >= 0).all(axis=0)], by)


def shared_pictures(runs: Sequence[Run]) -> dict[str, list[Pictures]]:
    """Returns the pictures that all runs hold as each of them answers them, by set of the first.

    They are of sets of one name, and of the only labelled set of each run, whatever it is called;
    in the order of the first run.

    Raises:
        DamagedFileError: If a file of a run is missing or damaged.
    """
    answers = [read_pictures(run.directory, run.images) for run in runs]
    in_question = [[data.name for data in sets_in_question(run.report.data)] for run in runs]
    shared = {}
    for name in answers[0]:
        names = [name] * len(runs)
        if all(len(of) == 1 for of in in_question) and in_question[0] == [name]:
            names = [of for (of,) in in_question]
        if not all(of in by_set for of, by_set in zip(names, answers, strict=True)):
            continue
        common = common_rows([MeasuredSet(*of) for of in zip(runs, names, strict=True)])
        if isinstance(common, CommonRows):
            of_each = zip(names, answers, common.rows, strict=True)
            shared[name] = [by_set[of].select(rows) for of, by_set, rows in of_each]
    return shared


def pictures_groups(sets: Mapping[int, MeasuredSet]) -> list[list[int]]:
    """Groups runs by the pictures of one set each.

    Args:
        sets: A set by index of its run.

    Returns:
        The indices of each group, in their order; the largest group first.
    """
    return _grouped(sets, lambda one, other: sets[one].differs_from(sets[other]) is None)


def _grouped(indices: Iterable[int], alike: Callable[[int, int], bool]) -> list[list[int]]:
    """Groups indices that are like the first one of their group; the largest group first."""
    groups: list[list[int]] = []
    for index in indices:
        group = next((group for group in groups if alike(group[0], index)), None)
        if group is None:
            groups.append([index])
        else:
            group.append(index)
    return sorted(groups, key=len, reverse=True)


def means_of_shifts(runs: Sequence[Run]) -> dict[int, NamedFigure]:
    """Returns the mean over labelled shifts of each run that has one, by its index."""
    means = ((n, run.report.headline(MEAN_SHIFT.id)) for n, run in enumerate(runs))
    return {n: mean for n, mean in means if mean is not None and is_known(mean.figure)}


def shifts_groups(runs: Sequence[Run], means: Mapping[int, NamedFigure]) -> list[list[int]]:
    """Groups runs by the pictures of the shifts that their means are over, largest group first."""
    return _grouped(means, partial(_same_shifts, runs, means))


def _same_shifts(
    runs: Sequence[Run], means: Mapping[int, NamedFigure], one: int, other: int
) -> bool:
    """Returns whether the means of two runs are over the same pictures of the same sets."""
    first, second = means[one], means[other]
    sets = [() if mean.mean_of is None else mean.mean_of.sets for mean in (first, second)]
    if first.data != second.data or sets[0] != sets[1]:
        return False
    return not other_pictures(runs[one], runs[other], sets[0])


def other_pictures(one: Run, other: Run, names: Collection[str]) -> dict[str, NotRun]:
    """Returns the sets of these names that differ between two runs, each with the reason."""
    differing = (MeasuredSet(one, name).differs_from(MeasuredSet(other, name)) for name in names)
    return {name: reason for name, reason in zip(names, differing, strict=True) if reason}


def pairing_of(first: Run, second: Run) -> Pairing:
    """Returns the values per image of two runs, with the rows of the images that both hold."""
    rows = {}
    for name in sorted(first.images.keys() & second.images.keys()):
        if first.images[name].differs_from(second.images[name]):
            shared = MeasuredSet(first, name).shared(MeasuredSet(second, name))
            if isinstance(shared, SharedRows):
                rows[name] = (shared.first, shared.second)
    return Pairing(first.images, second.images, rows)


def _differ_by_summary(one: SetSummary | None, two: SetSummary | None) -> NotRun | None:
    if one is None or two is None:
        return None if one is two else NO_SUCH_SET
    if (one.name, one.measured) != (two.name, two.measured):
        return OTHER_IMAGES
    return None if last_part(one.source) == last_part(two.source) else OTHER_IMAGES


def _matched(first: MeasuredSet, other: MeasuredSet) -> SharedRows | NotRun:
    """Matches the pictures of two runs by what their directories say of them.

    Raises:
        DamagedFileError: If a file of a run is missing or damaged.
    """
    one, two = _pictures_of(first), _pictures_of(other)
    keys: tuple[Sequence[str], Sequence[str]]
    by: MatchedBy = "contents"
    if one.is_stored != two.is_stored:
        return OTHER_IMAGES
    if not one.is_stored:
        keys = one.contents, two.contents
    elif one.is_named and two.is_named:
        keys, by = (one.names, two.names), "ids"
    elif one.planned == two.planned and any(one.labels):
        keys, by = (one.rows, two.rows), "rows"
    else:
        return OTHER_IMAGES
    row_of = {key: row for row, key in enumerate(keys[0])}
    pairs = [(row_of[key], row) for row, key in enumerate(keys[1]) if key in row_of]
    if any(one.labels[a] != two.labels[b] for a, b in pairs):
        return OTHER_LABELS
    rows = np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)
    return SharedRows(rows[:, 0], rows[:, 1], by)


@dataclass(frozen=True)
class _Pictures:
    """What a run directory says of the pictures of a set, in the order of their values.

    Attributes:
        rows: Sample ids as text.
        names: Their names.
        contents: SHA-256 of each picture, and which copy of it this is; empty for stored vectors.
        labels: Class name of each label.
        is_stored: Whether they are stored vectors.
        is_named: Whether an id column names them.
        planned: Number of samples of the set.
    """

    rows: tuple[str, ...]
    names: tuple[str, ...]
    contents: tuple[str, ...]
    labels: tuple[str, ...]
    is_stored: bool
    is_named: bool
    planned: int


def _pictures_of(of: MeasuredSet) -> _Pictures:
    file = of.run.directory.results_file
    return _read_pictures(of.run.directory.path, of.name, file.changed(), of.values.ids.tobytes())


@lru_cache(maxsize=64)
def _read_pictures(run: Path, name: str, changed: int, ids: bytes) -> _Pictures:
    """Reads what a run says of samples; `changed` is another value whenever that may be."""
    directory = RunDir(run)
    record = read_plan(directory).set_named(name)
    samples, numbers = read_samples(directory)[name], np.frombuffer(ids, np.int64).tolist()
    digests = {} if record.files else read_digests(directory, record)
    names, labels = zip(*((samples[i].path, samples[i].label) for i in numbers), strict=True)
    copies: Counter[str] = Counter()
    contents = []
    for digest in (digests[i] for i in numbers if digests):
        copies[digest] += 1
        contents.append(f"{digest} {copies[digest]}")
    return _Pictures(
        rows=tuple(map(str, numbers)),
        names=names,
        contents=tuple(contents),
        labels=tuple("" if of is None else class_name(record.classes, of) for of in labels),
        is_stored=bool(record.files),
        is_named=names != tuple(map(row_name, numbers)),
        planned=record.planned,
    )


Reason: TypeAlias = Literal[
    "same measurement", "other pictures", "other labels", "no such set", "no labels", "no accuracy"
]

_MOST_SETS: Final = 4
"""Sets that a reason names."""


class NotCompared(Frozen):
    """A run that a decision leaves out.

    Attributes:
        place: Index of its run among those given, from 0.
        model: Its name; the directory of what is the same measurement.
        run: Its run directory as it was named.
        reason: Why.
        words: The reason in words, with the sets or the run that it is about.
    """

    place: Count
    model: str
    run: str
    reason: Reason
    words: str


def left_out(runs: Sequence[Run], index: int, reason: Reason, words: str) -> NotCompared:
    """Returns one of several runs as one that is left out."""
    run = runs[index]
    directory = plain(str(run.directory.path))
    name = directory if reason == "same measurement" else run.report.model.name
    return NotCompared(place=index, model=name, run=directory, reason=reason, words=words)


def without_evidence(
    runs: Sequence[Run], indices: Iterable[int], reference: int, sets: Sequence[str]
) -> tuple[NotCompared, ...]:
    """Returns why runs have no evidence that compares with that of another run.

    Args:
        runs: The runs.
        indices: Indices of those that have none.
        reference: Index of the run that leads.
        sets: The sets that its evidence is of.
    """
    return tuple(
        left_out(runs, index, *_reason(runs[index], runs[reference], sets)) for index in indices
    )


def _reason(run: Run, reference: Run, sets: Sequence[str]) -> tuple[Reason, str]:
    data = {data.name: data for data in run.report.data}
    targets = {data.name for data in reference.report.data if data.target}
    if missing := [name for name in sets if name not in data]:
        return "no such set", f"did not measure {joined(missing, _MOST_SETS)}"
    unlabelled = [name for name in sets if not data[name].labelled and name not in targets]
    if unlabelled:
        return "no labels", f"no labels in {joined(unlabelled, _MOST_SETS)}"
    differ = {name: why for name in sets if (why := _differ(run, reference, name)) is not None}
    if labels := [name for name, why in differ.items() if why == OTHER_LABELS]:
        return "other labels", f"other labels in {joined(labels, _MOST_SETS)}"
    if differ:
        return "other pictures", f"other pictures in {joined(list(differ), _MOST_SETS)}"
    return "no accuracy", f"no accuracy on {joined(list(sets), _MOST_SETS) or 'labelled sets'}"


def _differ(run: Run, reference: Run, name: str) -> NotRun | None:
    return MeasuredSet(run, name).differs_from(MeasuredSet(reference, name))


def in_words(models: Sequence[NotCompared], most: int) -> str:
    """Returns runs that are left out in a line, each reason once.

    Args:
        models: The runs.
        most: Names of one reason that are listed.
    """
    names: dict[str, list[str]] = {}
    for model in models:
        names.setdefault(model.words, []).append(model.model)
    return ", ".join(f"{joined(of, most)} ({words})" for words, of in names.items())
