"""Refuses classes that are another level of folders, or may count from 0 or from 1.

Read wrongly, all labels are wrong.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tuiprobe.catalog.class_names import match_classes
from tuiprobe.datasets import Dataset, Suite
from tuiprobe.datasets.label_numbers import counts_from_one, open_origin
from tuiprobe.datasets.layout import layout_of
from tuiprobe.errors import DataError
from tuiprobe.models.preflight_data import check_labels
from tuiprobe.plaintext import listed, plain
from tuiprobe.spec import RunSpec


def refuse_levels(dataset: Dataset, names: Sequence[str]) -> None:
    """Refuses folders that are parts of a data set, or one around the folders of the classes.

    Args:
        dataset: The in-distribution set.
        names: Names of the outputs, by which the classes are known.

    Raises:
        DataError: If its folders are those; names the folder to give.
    """
    for check in check_labels(dataset.classes, len(dataset.samples)):
        if check.status == "fail":
            raise DataError(f"{plain(dataset.source)}: {check.detail}; {check.fix}")
    if len(dataset.classes) != 1:
        return
    paths = [sample.path.split("/") for sample in dataset.samples]
    deeper = sorted({path[1] for path in paths if len(path) > 2})
    inner = match_classes(deeper, names).known
    if any(place is not None for place in inner):
        folder = plain(dataset.classes[0])
        raise DataError(
            f"{plain(dataset.source)} holds one folder, {folder}, and the classes are below it "
            f"({listed(list(map(plain, deeper)), 3)}): give {folder} in place of it"
        )


def refuse_origins(
    spec: RunSpec, suite: Suite, rows: int, other: str, given: tuple[str, ...]
) -> None:
    """Refuses labelled sets whose numbers count from 1, or leave open what they count from.

    Of folders, whose numbers are all classes of a set, any without 0 do. Other labels are of a
    sample of images, which may hold no image of the first class: they do if they are exactly 1 to
    K - 1 of K classes. A set after a first one that counts from 0 counts likewise.

    Args:
        spec: The spec of the run.
        suite: The sets of images.
        rows: K, the number of outputs or names.
        other: What has so many, in words.
        given: The names of `--classes`; numbers among them say what labels are.

    Raises:
        DataError: If the labels of a set are those.
    """
    for number, (name, dataset) in enumerate(suite.sets.items()):
        used = [] if name in suite.targets else _used_numbers(dataset)
        if used and used[0] == 0 and number == 0:
            return
        if not used or used[0] == 0 or used[-1] > rows:
            continue
        if match_classes([str(i) for i in used], given).places is not None:
            continue
        source = plain(spec.labels or dataset.source)
        folders = bool(getattr(dataset, "class_folders", False))
        if used[-1] == rows and not folders:
            raise DataError(counts_from_one(source, rows, other))
        if used[-1] < rows and (folders or (len(used) == rows - 1 and rows > 2)):
            raise DataError(open_origin(source, used, rows, other, folders=folders))


def _used_numbers(dataset: Dataset) -> list[int]:
    """Returns the numbers that are labels of images, ascending; none if classes have names."""
    classes = dataset.classes
    if not classes or not all(name.isascii() and name.isdecimal() for name in classes):
        return []
    labels = np.unique(layout_of(dataset).labels())
    return sorted(int(classes[label]) for label in labels[labels >= 0])
