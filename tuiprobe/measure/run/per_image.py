"""Reads and writes `per_image.safetensors`: the values of single images.

Two runs that measured the same samples are compared image by image. The samples of a set are the
same if their list (id, path, label, size) is, and if their contents are, where both runs know
them; the folder that they lie in does not matter.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from tuiprobe.measure.run.arrays import Arrays, CheckedArrays, below, write_arrays
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.manifest import exists_in_run
from tuiprobe.measure.run.samples import SampleRecord
from tuiprobe.results.base import NotRun
from tuiprobe.results.section import PerImage

OTHER_COUNTED: Final = NotRun(reason="the runs count different images")
OTHER_IMAGES: Final = NotRun(reason="other images or labels")
OTHER_CONTENTS: Final = NotRun(reason="images of other contents")

_LISTED: Final = "samples/"
_CONTENTS: Final = "contents/"
_KINDS: Final[dict[PerImage, str]] = {
    "correct": "u1", "kurtosis": "f4", "confidence": "f4", "linear": "f4",
}  # fmt: skip
_MOST_WIDENING: Final = 100.0
_ANSWERS: Final = {"answer": "i4", "second": "i4", "truth": "i4", "confidence": "f8"}
_UNCALIBRATED: Final = "uncalibrated"

ConfidenceColumn: TypeAlias = Literal["confidence", "calibrated"]
"""A column of `predictions.csv`: the probability of the answer as the model says it, or after the
temperature scaling that was fitted in distribution."""


@dataclass(frozen=True, eq=False)
class Answers:
    """What the head answers on the images of one set.

    A class is named by the first row of the head that answers for it.

    Attributes:
        classes: int32 [K], the classes that may answer, in the order of the set's classes.
        answer: int32 [n], the class answered; -1 where the representation has length 0.
        second: int32 [n], the next class; -1 where no other may answer.
        truth: int32 [n], the class of the label; -1 without one, or where no row answers for it.
        confidence: float64 [n], probability of the answer, after the temperature scaling fitted in
            distribution where there is one; NaN without an answer, or where it has none.
        widening: Factor on the ranges of accuracies and of their differences: above 1 where these
            answers vary more than those of a head that was made without these images.
        uncalibrated: float64 [n], probability of the answer at the scale of the model, if that is
            known.
        temperature: What logits were divided by for `confidence`.
    """

    classes: NDArray[np.int32]
    answer: NDArray[np.int32]
    second: NDArray[np.int32]
    truth: NDArray[np.int32]
    confidence: NDArray[np.float64]
    widening: float = 1.0
    uncalibrated: NDArray[np.float64] | None = None
    temperature: float | None = None

    def select(self, images: NDArray[np.int64]) -> Answers:
        """Returns the answers on some of the images."""
        columns = {part: getattr(self, part)[images] for part in _ANSWERS}
        uncalibrated = None if self.uncalibrated is None else self.uncalibrated[images]
        return replace(self, uncalibrated=uncalibrated, **columns)

    @property
    def ranking(self) -> NDArray[np.float64]:
        """The confidence that orders images: the uncalibrated one, else the calibrated one."""
        return self.confidence if self.uncalibrated is None else self.uncalibrated

    @property
    def calibrated(self) -> NDArray[np.float64] | None:
        """`confidence` where a temperature was fitted."""
        return None if self.temperature is None else self.confidence


@dataclass(frozen=True, eq=False)
class SetValues:
    """The images of one set.

    Attributes:
        samples: Digest of the list of the images that `ids` names.
        contents: Digest of their contents; empty where the run does not know it.
        ids: int64 [n], the images with a finite representation, ascending.
        values: Values [n] by kind; NaN for an image that has none.
        answers: The answers of the head, if it has one whose rows may answer.
    """

    samples: str
    contents: str
    ids: NDArray[np.int64]
    values: Mapping[PerImage, NDArray[Any]]
    answers: Answers | None = None

    def select(self, images: NDArray[np.int64]) -> SetValues:
        """Returns the set with some of its images, whose list has no digest."""
        values = {kind: array[images] for kind, array in self.values.items()}
        answers = None if self.answers is None else self.answers.select(images)
        return SetValues("", "", self.ids[images], values, answers)

    def differs_from(self, other: SetValues) -> NotRun | None:
        """Returns why the images of two runs are not the same."""
        if not np.array_equal(self.ids, other.ids):
            return OTHER_COUNTED
        if self.samples != other.samples:
            return OTHER_IMAGES
        if self.contents and other.contents and self.contents != other.contents:
            return OTHER_CONTENTS
        return None


ImageValues = Mapping[str, SetValues]
"""The values of single images, by set."""


def list_digest(samples: Sequence[SampleRecord], contents: str, source: str) -> str:
    """Returns the digest of a list of samples: id, path, label and size, in this order.

    Args:
        samples: The samples.
        contents: Digest of their contents; empty where it is not known.
        source: Where they come from. It counts only where neither contents nor sizes are known,
            since a name like "row 5" says nothing about what it is of.
    """
    identified = contents or any(sample.size is not None for sample in samples)
    digest = hashlib.sha256(b"" if identified else json.dumps(source).encode())
    for sample in samples:
        digest.update(json.dumps([sample.id, sample.path, sample.label, sample.size]).encode())
    return digest.hexdigest()


def write_per_image(directory: RunDir, key: str, images: ImageValues) -> None:
    """Publishes the values of all sets."""
    arrays: Arrays = {}
    metadata = {"key": key}
    for name, of_set in images.items():
        metadata[_LISTED + name] = of_set.samples
        if of_set.contents:
            metadata[_CONTENTS + name] = of_set.contents
        arrays[f"{name}/ids"] = of_set.ids.astype(np.int64)
        for kind, values in of_set.values.items():
            arrays[f"{name}/{kind}"] = values.astype(_KINDS[kind])
        if of_set.answers is not None:
            parts = ("classes", *_ANSWERS)
            arrays |= {f"{name}/head/{part}": getattr(of_set.answers, part) for part in parts}
            if of_set.answers.widening != 1:
                arrays[f"{name}/head/widening"] = np.array([of_set.answers.widening])
            if of_set.answers.uncalibrated is not None:
                arrays[f"{name}/head/{_UNCALIBRATED}"] = of_set.answers.uncalibrated
            if of_set.answers.temperature is not None:
                arrays[f"{name}/head/temperature"] = np.array([of_set.answers.temperature])
    write_arrays(directory.per_image_file, arrays, metadata)


def read_per_image(directory: RunDir) -> ImageValues:
    """Returns the values of all sets; empty where the run has none, as one copied without them.

    Raises:
        DamagedFileError: If the file is damaged, or belongs to another run.
    """
    file = directory.per_image_file
    if not exists_in_run(file):
        return {}
    checked, images = CheckedArrays.of_run(directory, file), {}
    for name, digest_of_list in below(checked.metadata, _LISTED).items():
        ids = checked.shaped(f"{name}/ids", "i8", None)
        if ids.size and (ids[0] < 0 or not (np.diff(ids) > 0).all()):
            raise checked.damaged(f"{name}/ids are not ascending ids")
        values = {
            kind: _in_range(checked, f"{name}/{kind}", kind, len(ids))
            for kind in get_args(PerImage)
            if f"{name}/{kind}" in checked.arrays
        }
        images[name] = SetValues(
            samples=digest_of_list,
            contents=checked.metadata.get(_CONTENTS + name, ""),
            ids=ids,
            values=values,
            answers=_answers(checked, f"{name}/head/", len(ids)),
        )
    return images


def _answers(checked: CheckedArrays, prefix: str, n: int) -> Answers | None:
    if not checked.holds(f"{prefix}answer", "i4"):
        return None
    classes = checked.shaped(f"{prefix}classes", "i4", None)
    read = {part: checked.shaped(prefix + part, kind, n) for part, kind in _ANSWERS.items()}
    uncalibrated = temperature = None
    if prefix + _UNCALIBRATED in checked.arrays:
        uncalibrated = checked.shaped(prefix + _UNCALIBRATED, "f8", n)
    if f"{prefix}temperature" in checked.arrays:
        temperature = float(checked.finite(f"{prefix}temperature", "f8", 1)[0])
    given, confidence = read["answer"] >= 0, read["confidence"]
    both = confidence if uncalibrated is None else np.concatenate([confidence, uncalibrated])
    known = both[~np.isnan(both)]
    rows = [np.unique(read[part][read[part] != -1]) for part in ("answer", "second", "truth")]
    if (
        classes.min(initial=0) < 0
        or not all(np.isin(row, classes).all() for row in rows)
        or not np.isnan(confidence[~given]).all()
        or not ((known >= 0) & (known <= 1 + 1e-6)).all()
        or (temperature is not None and temperature <= 0)
    ):
        raise checked.damaged(f"{prefix} holds what no head answers")
    widening = 1.0
    if f"{prefix}widening" in checked.arrays:
        widening = float(checked.finite(f"{prefix}widening", "f8", 1)[0])
        if not 1 <= widening <= _MOST_WIDENING:
            raise checked.damaged(f"{prefix}widening is no factor of a range")
    answer, second, truth, confidence = (read[part] for part in _ANSWERS)
    return Answers(classes, answer, second, truth, confidence, widening, uncalibrated, temperature)


def _in_range(checked: CheckedArrays, name: str, kind: PerImage, n: int) -> NDArray[Any]:
    values = checked.shaped(name, _KINDS[kind], n)
    known = values[np.isfinite(values)]
    if (known.size and known.min() < 0) or (kind != "kurtosis" and known.max(initial=0) > 1):
        raise checked.damaged(f"{name} holds what no image has")
    return values
