"""Whether runs measured the same pictures, by their digests, whatever a set is called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from tuiprobe.comparing.runs import Run
from tuiprobe.datasets.registry import last_part
from tuiprobe.errors import TuiprobeError
from tuiprobe.results import NotRun, SetSummary
from tuiprobe.run.directory import RunDir
from tuiprobe.run.per_image import OTHER_CONTENTS, OTHER_IMAGES
from tuiprobe.run.pictures import read_digests
from tuiprobe.run.records import read_plan

NO_SUCH_SET: Final = NotRun(reason="no such set")


class MeasuredSet(NamedTuple):
    """A set as one run measured it."""

    run: Run
    name: str

    @property
    def summary(self) -> SetSummary | None:
        """What its report says of the set; None if it has no such set."""
        return next((data for data in self.run.report.data if data.name == self.name), None)

    def differs_from(self, other: MeasuredSet) -> NotRun | None:
        """Returns why its pictures are not those of another set; None where they are the same.

        Pictures that one of the runs could not use do not count. Where no values of single images
        are kept, name, source and number of images decide.
        """
        one, two = self.run.images.get(self.name), other.run.images.get(other.name)
        if one is None or two is None:
            return _differ_by_summary(self.summary, other.summary)
        why = one.differs_from(two)
        if why is None and self.name != other.name and not one.contents:
            return OTHER_IMAGES  # rows of two files
        if why is None or len(one.ids) + len(two.ids) == 2 * len(np.intersect1d(one.ids, two.ids)):
            return why
        return _differ_beyond_unusable(self, other)


def pictures_groups(sets: Mapping[int, MeasuredSet]) -> list[list[int]]:
    """Groups runs by the pictures of one set each.

    Args:
        sets: A set by place of its run.

    Returns:
        The places of each group, in their order; the largest group first.
    """
    groups: list[list[int]] = []
    for place, of in sets.items():
        same = (group for group in groups if sets[group[0]].differs_from(of) is None)
        if (group := next(same, None)) is not None:
            group.append(place)
        else:
            groups.append([place])
    return sorted(groups, key=len, reverse=True)


def other_pictures(one: Run, other: Run, names: Iterable[str]) -> Sequence[str]:
    """Returns the sets of these names that are other pictures in two runs."""
    return [name for name in names if MeasuredSet(one, name).differs_from(MeasuredSet(other, name))]


def _differ_by_summary(one: SetSummary | None, two: SetSummary | None) -> NotRun | None:
    if one is None or two is None:
        return None if one is two else NO_SUCH_SET
    if (one.name, one.measured) != (two.name, two.measured):
        return OTHER_IMAGES
    return None if last_part(one.source) == last_part(two.source) else OTHER_IMAGES


def _differ_beyond_unusable(first: MeasuredSet, second: MeasuredSet) -> NotRun | None:
    """Returns how sets of other sample ids differ beyond pictures that could not be used."""
    one, two = first.summary, second.summary
    one_ids, two_ids = first.run.images[first.name].ids, second.run.images[second.name].ids
    if one is None or two is None or one.images != two.images:
        return OTHER_IMAGES
    unusable = sum(len(of.skipped) + of.nonfinite for of in (one, two))
    if len(np.setxor1d(one_ids, two_ids)) > unusable:
        return OTHER_IMAGES
    try:
        digests = [
            _digests(of.run.directory.path, of.name, of.run.directory.results_file.changed())
            for of in (first, second)
        ]
    except TuiprobeError:
        return OTHER_IMAGES  # nothing says that they are the same
    both = np.intersect1d(one_ids, two_ids).tolist()
    same = all(digests[0].get(i) == digests[1].get(i) for i in both)
    return None if same else OTHER_CONTENTS


@lru_cache(maxsize=64)
def _digests(run: Path, name: str, changed: int) -> dict[int, str]:
    """Returns the digests of a set; `changed` is another value whenever they may be."""
    directory = RunDir(run)
    record = next((record for record in read_plan(directory).sets if record.name == name), None)
    return {} if record is None or record.files else read_digests(directory, record)
