"""The images behind a figure: those of a set with label, answer and confidence, by what they show.

Screens, pages and `predictions.csv` show what these queries give, so that one figure never has two
lists of images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuiprobe.errors import UsageError
from tuiprobe.results.report import Report
from tuiprobe.results.subject import Prediction
from tuiprobe.run.checked_arrays import CheckedArrays
from tuiprobe.run.directory import RunDir
from tuiprobe.run.head_file import class_name, read_head
from tuiprobe.run.per_image import Answers, SetValues, read_per_image
from tuiprobe.run.records import SetRecord, read_plan, read_shard
from tuiprobe.run.samples import SampleRecord, read_samples

DIGEST_BYTES = 32

Places = NDArray[np.int64]
"""Places of images in the columns of their `Pictures`."""


@dataclass(frozen=True, eq=False)
class Pictures:
    """The images of a set and what the model answers on them.

    Attributes:
        set: Name of the set.
        ids: int64 [n], sample ids, ascending.
        paths: Their paths.
        digests: SHA-256 of their contents; empty for stored vectors.
        labels: Class of the label of each; None without one.
        answers: What the head answers; None without a head.
        names: The class of each row of the head.
    """

    set: str
    ids: NDArray[np.int64]
    paths: tuple[str, ...]
    digests: tuple[str, ...]
    labels: tuple[str | None, ...]
    answers: Answers | None
    names: tuple[str, ...]

    def at(self, places: Places) -> list[Prediction]:
        """Returns images at some places, in that order."""
        return [self._picture(place) for place in places.tolist()]

    def _picture(self, place: int) -> Prediction:
        given = self.answers
        answer = None if given is None else self._name(int(given.answer[place]))
        return Prediction(
            set=self.set,
            id=int(self.ids[place]),
            path=self.paths[place],
            digest=self.digests[place] if self.digests else "",
            label=self.labels[place],
            answer=answer,
            confidence=None if given is None or not answer else float(given.confidence[place]),
            second=None if given is None else self._name(int(given.second[place])),
        )

    def _name(self, row: int) -> str | None:
        return None if row < 0 else class_name(self.names, row)

    def everything(self) -> Places:
        """Returns the places of all images."""
        return np.arange(len(self.ids))

    def wrong(self, label: str | None = None, answer: str | None = None) -> Places:
        """Returns the images that the model answers wrongly, most sure first.

        Args:
            label: Of this class alone; None for all.
            answer: Answered as this class alone; None for all.
        """
        if self.answers is None:
            return np.empty(0, dtype=np.int64)
        given = self.answers
        wrong = (given.truth >= 0) & (given.truth != given.answer)
        for row, name in ((given.truth, label), (given.answer, answer)):
            if name is not None:
                wrong &= np.isin(row, self._rows(name))
        return self._most_sure_first(np.flatnonzero(wrong))

    def answered(self, answer: str) -> Places:
        """Returns the images that are answered as a class, most sure first."""
        if self.answers is None:
            return np.empty(0, dtype=np.int64)
        return self._most_sure_first(
            np.flatnonzero(np.isin(self.answers.answer, self._rows(answer)))
        )

    def least_sure(self) -> Places:
        """Returns the images with an answer, least sure first; ties by sample id."""
        if self.answers is None:
            return np.empty(0, dtype=np.int64)
        given = np.flatnonzero(self.answers.answer >= 0)
        return given[np.argsort(self.answers.confidence[given], kind="stable")]

    def _rows(self, name: str) -> list[int]:
        classes = () if self.answers is None else self.answers.classes.tolist()
        return [row for row in classes if class_name(self.names, row) == name]

    def _most_sure_first(self, places: Places) -> Places:
        assert self.answers is not None
        return places[np.argsort(-self.answers.confidence[places], kind="stable")]


def read_pictures(directory: RunDir) -> dict[str, Pictures]:
    """Reads the images of every set but those whose representation is not finite.

    Args:
        directory: A finished run.

    Raises:
        DamagedFileError: If a file of the run is missing or damaged.
    """
    plan, samples = read_plan(directory), read_samples(directory)
    names, values = read_head(directory).classes, read_per_image(directory)
    return {
        record.name: _of_set(
            record, samples[record.name], values[record.name], names,
            {} if record.files else read_digests(directory, record, plan.key),
        )
        for record in plan.sets if record.name in values
    }  # fmt: skip


def predictions(report: Report) -> list[Prediction]:
    """Returns label, answer and confidence of every image of a run; see `Report.predictions`.

    Raises:
        UsageError: If the report was not read from a run directory.
    """
    if report.directory is None:
        raise UsageError("images lie beside results.json: read the report by its directory")
    sets = read_pictures(RunDir(report.directory)).values()
    return [picture for images in sets for picture in images.at(images.everything())]


def read_digests(directory: RunDir, record: SetRecord, key: str) -> dict[int, str]:
    """Returns the SHA-256 of every image of a set, readable or not, by sample id.

    Args:
        directory: The run directory.
        record: The set, of images.
        key: Key of the run, of which sets have their own where `record` names one.

    Raises:
        DamagedFileError: If a shard is missing or damaged.
    """
    digests: dict[int, str] = {}
    for number in range(record.shards):
        shard = read_shard(directory, record.name, number, record.key or key)
        checked = CheckedArrays(shard.entry, shard.arrays)
        images = checked.shaped("images", "i8", None)
        rows = checked.shaped("digests", "u1", len(images), DIGEST_BYTES)
        digests |= {i: row.tobytes().hex() for i, row in zip(images.tolist(), rows, strict=True)}
    return digests


def _of_set(
    record: SetRecord,
    samples: Mapping[int, SampleRecord],
    values: SetValues,
    names: tuple[str, ...],
    digests: Mapping[int, str],
) -> Pictures:
    ids, given = values.ids.tolist(), values.answers
    truth = [-1] * len(ids) if given is None else given.truth.tolist()
    return Pictures(
        set=record.name,
        ids=values.ids,
        paths=tuple(samples[i].path for i in ids),
        digests=tuple(digests[i] for i in ids) if digests else (),
        labels=tuple(
            class_name(names, row) if row >= 0 else _own_name(record, samples[i].label)
            for i, row in zip(ids, truth, strict=True)
        ),
        answers=given,
        names=names,
    )


def _own_name(record: SetRecord, label: int | None) -> str | None:
    """Returns the name that a set itself gives to a class, where no row of the head answers it."""
    if label is None:
        return None
    return record.classes[label] if label < len(record.classes) else f"class {label}"


def differing(sets: Sequence[Pictures]) -> list[Places]:
    """Returns the images on which models differ, for each model, most sure answer first.

    Args:
        sets: The images of one set as each model answers them; the order is that of the first.
    """
    answers = [
        {p.digest: p.answer for p in pictures.at(pictures.everything()) if p.answer}
        for pictures in sets
    ]
    shared = set.intersection(*(set(one) for one in answers))
    differ = {digest for digest in shared if len({one[digest] for one in answers}) > 1}
    first = sets[0]
    order = [place for place in first.least_sure()[::-1].tolist() if first.digests[place] in differ]
    places = [{digest: i for i, digest in enumerate(pictures.digests)} for pictures in sets]
    return [np.array([at[first.digests[i]] for i in order], dtype=np.int64) for at in places]
