"""Preflight with images: labels, class mask, counts and the range of values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tuiprobe.catalog.class_names import imagenet_labels, imagenet_wnids
from tuiprobe.datasets.decode import has_deep_values
from tuiprobe.errors import UnreadableImageError
from tuiprobe.results.subject import Check

if TYPE_CHECKING:
    from tuiprobe.datasets.dataset import Dataset
    from tuiprobe.datasets.sample import Sample

KNOWN_COUNTS = {
    (1000, 50_000): "ImageNet validation",
    (1000, 10_000): "ImageNet-V2",
    (1000, 50_889): "ImageNet-Sketch",
    (200, 30_000): "ImageNet-R",
    (200, 7_500): "ImageNet-A",
}

_PARTS = frozenset(
    ("train", "training", "val", "valid", "validation", "dev", "test", "testing", "eval")
)
"""Names of the parts of a data set, which are no classes."""

_FIRST, _MOST_TRIED = 8, 32
"""Images that are looked at for their depth, and all that are looked at if one of them has 16."""


def check_labels(
    classes: Sequence[str],
    images: int,
    *,
    named: bool = False,
    imagenet: Sequence[int] | None = None,
) -> list[Check]:
    """Checks the meaning of the class folders, and whether a well-known set is complete.

    Args:
        classes: Names of the class folders, by label.
        images: Number of images.
        named: Whether the user gave the names with --classes.
        imagenet: The label of each ImageNet class, -1 for none, if a suite gives it (ObjectNet).
    """
    if not classes:
        return [Check("label map", "skip", "no labels")]
    if all(name.lower() in _PARTS for name in classes):
        detail = f"its classes are called {', '.join(classes)}, as the parts of a data set are"
        fix = f"give the folder of one part ({classes[0]}), which holds the classes"
        return [Check("label map", "fail", detail, fix, cause="labels")]
    count = len(classes)
    if imagenet is not None:
        answering = sum(label >= 0 for label in imagenet)
        detail = (
            f"{answering} ImageNet classes answer for {len(set(imagenet) - {-1})} of its classes"
        )
        return [
            Check("label map", "pass", f"{count} classes by the mapping of the set"),
            Check("class mask", "pass", detail),
        ]
    labels = imagenet_labels(classes)
    if labels is None:
        if not all(name.isdigit() for name in classes):
            return [Check("label map", "pass", f"{count} classes by their names")]
        if named:
            return [Check("label map", "pass", f"{count} numbered classes, named")]
        detail = f"{count} numbered classes, but not ImageNet's 1,000: names unknown"
        return [
            Check("label map", "warn", detail, "give the names in label order by --classes FILE")
        ]
    kind = "names in the order of the labels"
    if classes[0].isdigit():
        kind = "numbers"
    elif classes[0] in imagenet_wnids():
        kind = "WordNet ids"
    jumbled = list(labels) != sorted(labels)
    order = " in string order (1, 10, 100, 2), mapped by value" if jumbled else ""
    checks = [Check("label map", "pass", f"{count} {kind}{order}")]
    if count < 1000:
        detail = f"{count} of 1,000 classes: the head is masked to them"
        checks.append(Check("class mask", "pass", detail))
    name = KNOWN_COUNTS.get((count, images))
    if name is not None:
        checks.append(Check("image count", "pass", f"{images:,} images, as {name} has"))
    else:
        detail = f"{images:,} images in {count} classes: no complete ImageNet set"
        fix = "fine for a sample; else files are missing"
        checks.append(Check("image count", "warn", detail, fix))
    return checks


def check_range(images: Dataset, samples: Sequence[Sample]) -> list[Check]:
    """Checks that 16-bit images use their range; no check if the first images have 8 bits.

    A set whose values end far below white (12 bits in files of 16) would be measured as
    black. Reads a few images, and decodes those with more than 8 bits a channel.

    Args:
        images: The set.
        samples: Images of it, in the order in which they are measured.
    """
    counts = np.zeros(256, dtype=np.int64)
    deep: list[str] = []
    for index, sample in enumerate(samples[:_MOST_TRIED]):
        if index == _FIRST and not deep:
            break
        try:
            content = images.read(sample)
            if not isinstance(content.data, bytes) or not has_deep_values(content.data):
                continue
            values = np.asarray(content.image()).reshape(-1)
        except UnreadableImageError:
            continue
        counts += np.bincount(values, minlength=256)
        deep.append(sample.path)
    if not deep:
        return []
    level = int(np.searchsorted(np.cumsum(counts), 0.999 * counts.sum()))
    detail = f"99.9 % of the values in {len(deep)} of the 16-bit images are at most {level} of 255"
    if level >= 255 / 8:
        return [Check("value range", "pass", detail)]
    detail += f", so they would be measured as black ({', '.join(deep[:3])})"
    fix = (
        "scale the values of all files to the full range of 16 bits, by one factor, or save them "
        "with 8 bits"
    )
    return [Check("value range", "fail", detail, fix, cause="images")]
