"""What a probe reads from a run directory: sets, statistics and heads as a report has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property

import numpy as np

from tuiprobe.files import DamagedFileError
from tuiprobe.measure.arrays.head_arrays import SetFeatures, fit_head
from tuiprobe.measure.arrays.measured_run import MeasuredRun, counted_once
from tuiprobe.measure.arrays.ridge import LeaveOneOut
from tuiprobe.measure.arrays.row_statistics import (
    final_statistics,
    finite_images,
)
from tuiprobe.measure.arrays.tap_arrays import ShardSums, TapArrays
from tuiprobe.measure.run.arrays import CheckedArrays, HeadArrays
from tuiprobe.measure.run.head_file import FittedImages, HeadFile, read_head
from tuiprobe.measure.run.measurements import (
    ROW_SAMPLE,
    Labels,
    read_labels,
    tap_statistics,
)
from tuiprobe.measure.run.records import (
    SetRecord,
    TapRecord,
)
from tuiprobe.probes.evidence.identity import Contents, near_copies
from tuiprobe.results import Fingerprint, Inapplicable, NotRun, SetSummary, Skipped
from tuiprobe.results.doubt import Doubt
from tuiprobe.spec import FINAL_TAP

LISTED_NONFINITE = 100
"""Images of a set that `results.json` names for a representation that is not finite."""


class RunReader(MeasuredRun):
    """A measured run as probes read it.

    Args:
        directory: The run directory.

    Raises:
        DamagedFileError: From any property or method, if a file is missing or damaged.
    """

    @cached_property
    def data(self) -> tuple[SetSummary, ...]:
        """The measured sets as a report describes them."""
        return tuple(self._data_set(record) for record in self.sets)

    @cached_property
    def id_and_shifts(self) -> tuple[SetSummary, ...]:
        """The in-distribution set and its shifts: no concept set, no target set."""
        others = {record.name for record in self.sets if record.target} | {self.plan.concept_set}
        sets = tuple(data for data in self.data if data.name not in others)
        if not sets:
            raise DamagedFileError(f"{self.directory.measured_file} names no set of images")
        return sets

    @property
    def fingerprint(self) -> Fingerprint:
        """Software and hardware of the first shards."""
        for record in self.measured.sets.values():
            for fingerprint in record.fingerprints:
                return fingerprint
        raise DamagedFileError(f"{self.directory.measured_file} does not say what measured it")

    @cached_property
    def targets(self) -> tuple[SetSummary, ...]:
        """The target sets, or else the data if they have no labels."""
        return tuple(data for data in self.data if data.target)

    @cached_property
    def target_names(self) -> tuple[str, ...]:
        """Names of `targets`, for which no representation is read."""
        return tuple(record.name for record in self.sets if self._is_target(record))

    @cached_property
    def _statistics(self) -> CheckedArrays:
        return CheckedArrays.of_run(self.directory, self.directory.statistics_file)

    def tap(self, data: SetSummary, tap: TapRecord) -> TapArrays:
        """Returns the statistics of one set at one tap.

        Args:
            data: The set.
            tap: The tap, out of `plan.taps`.
        """
        final = tap.name == FINAL_TAP
        images = len(self._features[data.name]["ids"]) if final else None
        samples = self.samples[data.name]
        record = self.plan.set_named(data.name)
        fields = tap_statistics(self._statistics, record, tap, samples, images)
        features = self._finite[data.name]
        if final:
            fields = final_statistics(fields, features)
        ids = fields["sample_ids"]
        return TapArrays(
            set=data.name,
            tap=tap.name,
            kind=tap.kind,
            tokens=tap.tokens,
            channels=tap.channels,
            statistics=fields,
            final=final,
            rows=features["features"] if final else fields[ROW_SAMPLE],
            shards=ShardSums(
                share_sum=fields["shard_share_sum"],
                share_square_sum=fields["shard_share_square_sum"],
                images=fields["shard_images"],
            ),
            labels=np.array([samples[i].label for i in ids.tolist()]) if data.labelled else None,
        )

    @property
    def head(self) -> HeadArrays | NotRun:
        """The linear head, or why there is none."""
        return self.head_file.head

    @property
    def labelled_head(self) -> HeadArrays | NotRun:
        """The head, or why it does not answer on labelled images in distribution."""
        if isinstance(self.head, NotRun) or self.head_sets[0].labels is not None:
            return self.head
        return self.head_sets[0].unlabelled

    @cached_property
    def head_file(self) -> HeadFile:
        """The head, names of its classes, and what its rows stand for in each set."""
        file, width = read_head(self.directory), self.plan.model.width
        for head in (file.head, *file.shift_heads.values()):
            if isinstance(head, HeadArrays) and head.weight.shape[1] != width:
                raise self.directory.head_file.damaged(f"a head is not of {width} channels")
        return file

    @property
    def shift_heads(self) -> Mapping[str, HeadArrays | NotRun]:
        """Heads of a shift's class names by set, or why one is missing."""
        return self.head_file.shift_heads

    def near_copies(self, name: str) -> tuple[Doubt, ...]:
        """Returns the doubt that many pictures of a set are near copies; searched once."""
        if name not in self._near_copies:
            found: tuple[Doubt, ...] = ()
            if self.has_digests(name):
                images = self.images_of(name)
                ids, digests = np.asarray(images.ids).tolist(), self.contents(images)
                contents = Contents(name, "in distribution", digests, ids, self.paths(name))
                found = tuple(near_copies(contents, images.features, self.spec.seed))
            self._near_copies[name] = found
        return self._near_copies[name]

    @cached_property
    def _near_copies(self) -> dict[str, tuple[Doubt, ...]]:
        return {}

    def _counted(self, images: SetFeatures) -> SetFeatures:
        """Returns a set with exact copies once, and without those whose labels differ."""
        if not self.has_digests(images.name):
            return images
        order = np.argsort(np.asarray(images.ids))
        of_set = images.select(order)
        counted = np.zeros(len(order), dtype=np.bool_)
        counted[order] = counted_once(self.contents(of_set), of_set.labels)
        return images if counted.all() else images.select(counted)

    @cached_property
    def head_sets(self) -> list[SetFeatures]:
        """The sets of images with labels and answers, where the head has any; exact copies once.

        Of a set that the head was fitted to, these are the images that it was fitted to, or those
        of a test part.
        """
        file, sets = self.head_file, []
        for data in self.id_and_shifts:
            arrays, samples = self._finite[data.name], self.samples[data.name]
            answers, labels = file.answers.get(data.name), None
            if data.labelled and answers is not None:
                labels = np.array([samples[i].label for i in arrays["ids"].tolist()], np.int64)
            features, why = arrays["features"], file.unmatched.get(data.name)
            images = SetFeatures(data.name, features, labels, answers, why, ids=arrays["ids"])
            if file.fitted is not None and file.fitted.data == data.name:
                tested = file.fitted.tested
                if tested is None:
                    images = self._left_out(images, file.fitted)
                else:
                    images = images.select(np.isin(arrays["ids"], tested))
            sets.append(self._counted(images))
        return sets

    @property
    def fitted_images(self) -> SetFeatures | None:
        """The images that the head was fitted to, to be answered without each."""
        fitted = self.head_file.fitted
        if fitted is None:
            return None
        arrays, samples = self._finite[fitted.data], self.samples[fitted.data]
        labels = np.array([samples[i].label for i in arrays["ids"].tolist()], np.int64)
        answers = self.head_file.answers.get(fitted.data)
        images = SetFeatures(fitted.data, arrays["features"], labels, answers, ids=arrays["ids"])
        return self._left_out(images, fitted)

    @cached_property
    def fitted_to_labels(self) -> tuple[HeadArrays, SetFeatures] | NotRun:
        """A head fitted to the labels in distribution, and these images; the head in use if it is.

        Each image is to be answered without it.
        """
        fitted, name = self.fitted_images, self.id_and_shifts[0].name
        if fitted is not None and isinstance(self.head, HeadArrays):
            return self.head, fitted
        if not self.id_and_shifts[0].labelled:
            return Inapplicable(reason=f"{name} has no labels")
        record = self.plan.set_named(name)
        return fit_head(self.distinct_images(name), len(record.classes))

    def _left_out(self, images: SetFeatures, fitted: FittedImages) -> SetFeatures:
        """Returns the images that the head was fitted to, to be answered without each."""
        ids = np.asarray(images.ids)
        index = np.searchsorted(fitted.ids, ids).clip(max=len(fitted.ids) - 1)
        chosen = fitted.ids[index] == ids
        if int(chosen.sum()) != len(fitted.ids):
            raise self.directory.head_file.damaged("it was fitted to images that the run lacks")
        assert isinstance(self.head, HeadArrays)
        rows = len(self.head.weight)
        left_out = LeaveOneOut.of(fitted.rows, fitted.remainders, rows)[index[chosen]]
        return replace(images.select(chosen), left_out=left_out)

    @cached_property
    def target_sets(self) -> list[SetFeatures]:
        """The target sets, without labels; `answers` says which rows of the head may answer."""
        answers = self.head_file.answers
        return [
            self._counted(
                SetFeatures(
                    data.name,
                    self._finite[data.name]["features"],
                    answers=answers.get(data.name),
                    ids=self._finite[data.name]["ids"],
                )
            )
            for data in self.targets
        ]

    @property
    def answered_sets(self) -> tuple[SetFeatures, ...]:
        """The sets of images and the target sets; data without labels, which are both, once."""
        return tuple(
            {images.name: images for images in (*self.head_sets, *self.target_sets)}.values()
        )

    @cached_property
    def concept_labels(self) -> Labels:
        """What is in each image of the concept set."""
        return read_labels(self.directory)

    @cached_property
    def _without_labels(self) -> bool:
        """Whether the images of the run have no labels, and none of its sets is a target."""
        images = (record for record in self.sets if record.name != self.plan.concept_set)
        return not any(record.classes or record.target for record in images)

    def _is_target(self, record: SetRecord) -> bool:
        return record.target or (record == self.sets[0] and self._without_labels)

    def _data_set(self, record: SetRecord) -> SetSummary:
        samples, measured = self.samples.get(record.name, {}), self.measured.sets[record.name]
        features = self._features[record.name]
        nonfinite = features["ids"][~finite_images(features["features"])].tolist()
        named = [*measured.lost_ids, *nonfinite]
        if any(i not in samples for i, _ in measured.skipped):
            raise DamagedFileError(
                f"{self.directory.measured_file} names an image that is not of {record.name}"
            )
        stored = len(features["ids"])
        return SetSummary(
            name=record.name,
            source=record.source,
            images=record.planned,
            measured=measured.read,
            sampled=None if stored == measured.read - measured.lost else stored,
            skipped=tuple(Skipped(path=samples[i].path, reason=why) for i, why in measured.skipped),
            nonfinite=measured.lost + len(nonfinite),
            nonfinite_images=tuple(samples[i].path for i in named[:LISTED_NONFINITE]),
            classes=len(record.classes),
            labelled=bool(record.classes),
            target=self._is_target(record),
        )
