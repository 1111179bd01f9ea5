"""Matches the rows of a head to the classes of each set."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from tuiprobe.catalog.class_names import match_classes, place_of_each
from tuiprobe.catalog.imagenet import imagenet_labels, prompt_names
from tuiprobe.engine.head_choice import HeadChoice
from tuiprobe.engine.plan import Plan
from tuiprobe.errors import DataError, UsageError
from tuiprobe.plaintext import listed, plain

IMAGENET_CLASSES = 1000


def class_of_each_row(
    plan: Plan, choice: HeadChoice, rows: tuple[str, ...], name: str
) -> NDArray[np.int64] | None:
    """Returns the class of a set that each row of a head predicts; see `answers_for`."""
    dataset = plan.suite.sets[name]
    if not dataset.classes:
        return None
    first = next(iter(plan.suite.sets.values()))
    if choice.kind == "probe" and rows == choice.classes and dataset.classes == first.classes:
        return np.arange(len(rows), dtype=np.int64)
    if choice.in_label_order and choice.kind != "probe":
        with suppress(UsageError):  # sets may have different classes
            return _inverted(place_of_each(dataset.classes, rows), len(rows))
    return answers_for(dataset.classes, rows, plan.suite.imagenet.get(name))


def refuse_unmatched(plan: Plan) -> None:
    """Refuses labels of a file whose rows in the head are not known.

    Any guess may give a wrong accuracy.

    Raises:
        DataError: If they are names and the rows have none, or numbers beyond the last row.
    """
    choice, path = plan.head, str(plan.spec.labels)
    if plan.spec.labels is None or choice.head is None:
        return
    name, layout = next(iter(plan.layouts.items()))
    matched = class_of_each_row(plan, choice, choice.classes, name) is not None
    if matched and not choice.assumed:
        return
    classes, high = layout.dataset.classes, int(layout.labels().max())
    head = f"the head has {len(choice.classes):,} rows"
    if classes[high] != str(high):
        raise DataError(
            f"{path} holds names ({plain(classes[0][:80])}, …), and nothing says which rows "
            "of the head they are; give the names of all rows in their order by --classes FILE, "
            "or write row numbers in place of names"
        )
    raise DataError(f"{path} holds the label {high:,}, and {head}, from 0; is it the right head?")


def unmatched(plan: Plan, choice: HeadChoice, rows: Sequence[str], name: str) -> str:
    """Explains why the classes of a labelled set are not rows of the head, and what to do."""
    dataset = plan.suite.sets[name]
    classes = len(dataset.classes)
    if choice.unnamed:
        return (
            f"the head has {len(rows):,} rows without class names and {name} has {classes:,} "
            f"classes; name the rows by --classes FILE"
        )
    matched = match_classes(dataset.classes, rows)
    if any(matched.candidates):
        return f"{matched.problems()}; rename these folders of {name}"
    deeper = {path.split("/")[1] for s in dataset.samples if (path := s.path).count("/") > 1}
    inner = match_classes(sorted(deeper), rows)
    below = [inner.classes[i] for i, place in enumerate(inner.known) if place is not None]
    if below:
        remedy = f"the folders below them are ({listed(below, 5)}): move these up"
    else:
        remedy = "fit a head to them by --head probe"
    names = listed([plain(name[:80]) for name in dataset.classes], 5)
    return f"no class of {name} ({names}) is a class of the head ({rows[0]}, …); {remedy}"


def _inverted(places: Sequence[int], rows: int) -> NDArray[np.int64]:
    answers = np.full(rows, -1, dtype=np.int64)
    answers[list(places)] = np.arange(len(places))
    return answers


def answers_for(
    classes: Sequence[str], rows: Sequence[str], imagenet: Sequence[int] | None = None
) -> NDArray[np.int64] | None:
    """Returns the class that each row of a head predicts, -1 for rows that are not used.

    Args:
        classes: Class names of a data set, by label.
        rows: Class names of the head.
        imagenet: The data set's label for each class of ImageNet, -1 if it has none; several
            classes may share a label. Used if the names do not match.

    Returns:
        int64 `[len(rows)]`; None if head and data set do not fit together.

    >>> answers_for(("cat", "dog"), ("cat", "dog")).tolist()
    [0, 1]
    >>> answers_for(("dog",), ("cat", "dog")).tolist()
    [-1, 0]
    >>> answers_for(("dog", "cow"), ("cat", "dog")) is None
    True
    """
    if not classes:
        return None
    if prompt_names(classes) == tuple(rows):
        return np.arange(len(rows), dtype=np.int64)
    if imagenet is not None and len(rows) == IMAGENET_CLASSES:
        return np.array(imagenet, dtype=np.int64)
    labels = imagenet_labels(classes) if len(rows) == IMAGENET_CLASSES else None
    places = labels or match_classes(classes, rows).places
    return None if places is None else _inverted(places, len(rows))
