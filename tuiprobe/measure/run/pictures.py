"""The images behind a figure: those of a set with label, answer and confidence, by what they show.

Screens, pages and `predictions.csv` show what these queries give, so that one figure never has two
lists of images.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tuiprobe.errors import UsageError
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.head_file import class_name, read_head
from tuiprobe.measure.run.per_image import Answers, ImageValues, SetValues, read_per_image
from tuiprobe.measure.run.records import SetRecord, read_plan, read_shard
from tuiprobe.measure.run.samples import SampleRecord, read_samples
from tuiprobe.results.report import Report
from tuiprobe.results.subject import Prediction

Indices = NDArray[np.int64]
"""Indices of images in the columns of their `Pictures`."""


class ClassAnswers(NamedTuple):
    """How many images of a class are answered rightly."""

    name: str
    right: int
    n: int


@dataclass(frozen=True, eq=False)
class Pictures:
    """The images of a set and what the model answers on them.

    Attributes:
        directory: The run.
        record: The set.
        values: Its values of each image; the ids are ascending, or in the order of another
            run.
        samples: Samples of the set by id.
        names: The class of each row of the head.
    """

    directory: RunDir
    record: SetRecord
    values: SetValues
    samples: Mapping[int, SampleRecord]
    names: tuple[str, ...]

    @cached_property
    def answers(self) -> Answers:
        """What the head answers; without a head no class, and no image has an answer."""
        none = np.full(len(self.values.ids), -1, dtype=np.int32)
        return self.values.answers or Answers(
            none[:0], none, none, none, np.full(len(none), np.nan)
        )

    @cached_property
    def digests(self) -> Mapping[int, str]:
        """SHA-256 of the images by sample id; empty for stored vectors.

        Raises:
            DamagedFileError: If a shard is missing or damaged.
        """
        if self.record.files:
            return {}
        return read_digests(self.directory, self.record)

    def select(self, indices: Indices) -> Pictures:
        """Returns the set with some of its images, in that order."""
        return replace(self, values=self.values.select(indices))

    def at(self, indices: Indices) -> list[Prediction]:
        """Returns images at some indices, in that order."""
        return [self._prediction(index) for index in indices.tolist()]

    def _prediction(self, index: int) -> Prediction:
        answers, id = self.answers, int(self.values.ids[index])
        rows = [int(of[index]) for of in (answers.truth, answers.answer, answers.second)]
        label, answer, second = (None if r < 0 else class_name(self.names, r) for r in rows)
        return Prediction(
            set=self.record.name,
            id=id,
            path=self.samples[id].path,
            digest=self.digests.get(id, ""),
            label=label or self._set_name(self.samples[id].label),
            answer=answer,
            confidence=_known(answers.uncalibrated, index),
            calibrated=_known(answers.calibrated, index),
            second=second,
        )

    def _set_name(self, label: int | None) -> str | None:
        """Returns the set's name of a class, which no row of the head answers for."""
        if label is None:
            return None
        return self.record.classes[label] if label < len(self.record.classes) else f"class {label}"

    def everything(self) -> Indices:
        """Returns the indices of all images."""
        return np.arange(len(self.values.ids))

    def wrong(self, label: str | None = None, answer: str | None = None) -> Indices:
        """Returns the images that the model answers wrongly, most sure first.

        Args:
            label: Of this class alone; None for all.
            answer: Answered as this class alone; None for all.
        """
        answers = self.answers
        wrong = (answers.truth >= 0) & (answers.truth != answers.answer)
        for row, name in ((answers.truth, label), (answers.answer, answer)):
            if name is not None:
                wrong &= np.isin(row, self._rows(name))
        return self._most_sure_first(np.flatnonzero(wrong))

    def answered(self, answer: str) -> Indices:
        """Returns the images that are answered as a class, most sure first."""
        return self._most_sure_first(
            np.flatnonzero(np.isin(self.answers.answer, self._rows(answer)))
        )

    def least_sure(self) -> Indices:
        """Returns the images with an answer, least sure first; ties by sample id."""
        answers = np.flatnonzero(self.answers.answer >= 0)
        return answers[np.argsort(self.answers.ranking[answers], kind="stable")]

    def by_class(self) -> list[ClassAnswers]:
        """Returns the classes with labels, those with the fewest right answers first."""
        truth, answer = self.answers.truth, self.answers.answer
        counts = [
            ClassAnswers(
                name=class_name(self.names, row),
                right=int(np.sum((truth == row) & (answer == row))),
                n=int(np.sum(truth == row)),
            )
            for row in np.unique(truth[truth >= 0]).tolist()
        ]
        return sorted(counts, key=lambda of: of.right / of.n)

    def common(self) -> list[tuple[str, int]]:
        """Returns the classes that are answered, with their counts, the most common first."""
        rows, counts = np.unique(self.answers.answer[self.answers.answer >= 0], return_counts=True)
        order = np.argsort(-counts, kind="stable")
        return [(class_name(self.names, int(rows[i])), int(counts[i])) for i in order]

    def _rows(self, name: str) -> list[int]:
        rows = self.answers.classes.tolist()
        return [row for row in rows if class_name(self.names, row) == name]

    def _most_sure_first(self, indices: Indices) -> Indices:
        return indices[np.argsort(-self.answers.ranking[indices], kind="stable")]


def _known(values: NDArray[np.float64] | None, index: int) -> float | None:
    """Returns the value of an image, where there are values and it has one."""
    return None if values is None or math.isnan(values[index]) else float(values[index])


def read_pictures(directory: RunDir, known: ImageValues | None = None) -> dict[str, Pictures]:
    """Reads the images of every set but those whose representation is not finite.

    Args:
        directory: A finished run.
        known: The values of its images where they were read before.

    Raises:
        DamagedFileError: If a file of the run is missing or damaged.
    """
    plan, samples = read_plan(directory), read_samples(directory)
    names = read_head(directory).classes
    values = read_per_image(directory) if known is None else known
    return {
        record.name: Pictures(directory, record, values[record.name], samples[record.name], names)
        for record in plan.sets
        if record.name in values
    }


def predictions(report: Report) -> list[Prediction]:
    """Returns label, answer and confidence of every image of a run; see `Report.predictions`.

    Raises:
        UsageError: If the report was not read from a run directory.
    """
    if report.directory is None:
        raise UsageError("images are stored next to results.json: read the report by its directory")
    sets = read_pictures(RunDir(report.directory)).values()
    return [picture for images in sets for picture in images.at(images.everything())]


def read_digests(directory: RunDir, record: SetRecord, *, partial: bool = False) -> dict[int, str]:
    """Returns the SHA-256 of every image of a set, readable or not, by sample id.

    Args:
        directory: The run directory.
        record: The set, of images.
        partial: Whether shards may be missing, as those of a stopped run are.

    Raises:
        DamagedFileError: If a shard is missing or damaged.
    """
    digests: dict[int, str] = {}
    for number in range(record.shards):
        if partial and not directory.shard_file(record.name, number).exists():
            continue
        shard = read_shard(directory, record.name, number, record.key)
        digests |= {i: digest.hex() for i, digest in shard.digests().items()}
    return digests


def differing(sets: Sequence[Pictures]) -> Indices:
    """Returns the images on which models differ, those first that the first model is most sure of.

    Args:
        sets: The same images as each model answers them, in one order.
    """
    first = sets[0]
    if any(of.values.answers is None for of in sets):
        return np.empty(0, dtype=np.int64)
    names = [
        np.array([class_name(of.names, row) if row >= 0 else "" for row in of.answers.answer])
        for of in sets
    ]
    differ = np.any([name != names[0] for name in names], axis=0)
    by_confidence = first.least_sure()[::-1]
    indices: Indices = by_confidence[differ[by_confidence]]
    return indices
