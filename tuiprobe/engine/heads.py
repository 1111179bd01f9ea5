"""The linear head of a run: built once, stored beside the statistics, read by every probe."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tuiprobe.engine.plan import Plan
from tuiprobe.errors import DataError
from tuiprobe.events import Event, Listener
from tuiprobe.models import Head
from tuiprobe.models.labels import (
    imagenet_labels,
    imagenet_names,
    imagenet_templates,
    prompt_names,
)
from tuiprobe.rundir import Arrays, RunDir, write_arrays

MAX_CPU_PROMPTS = 10_000
"""Prompts that a CPU encodes unasked: 1,000 classes x 80 templates would take it hours."""

IMAGENET_CLASSES = 1000


def write_head(plan: Plan, directory: RunDir, listen: Listener) -> None:
    """Publishes ``head.safetensors``: the head, and which class each row answers for in each set.

    Where there is no head to be had, the file holds the reason alone.
    """
    if directory.head_file.exists():
        return
    found = _find_head(plan, listen)
    if isinstance(found, str):
        write_arrays(directory.head_file, {}, {"reason": found})
        return
    arrays: Arrays = {"weight": found.weight.float().cpu().numpy()}
    if found.bias is not None:
        arrays["bias"] = found.bias.float().cpu().numpy()
    for name, dataset in plan.suite.sets.items():
        answers = answers_for(dataset.classes, found.classes, plan.suite.imagenet.get(name))
        if answers is not None:
            arrays[f"answers/{name}"] = answers
    metadata = {
        "source": found.source,
        "normalize": json.dumps(found.normalize),
        "classes": json.dumps(found.classes),
        "templates": json.dumps(found.templates),
    }
    write_arrays(directory.head_file, arrays, metadata)


def answers_for(
    classes: Sequence[str], rows: Sequence[str], imagenet: Sequence[int] | None = None
) -> NDArray[np.int64] | None:
    """Returns the class that each row of a head answers for, -1 for rows that may not answer.

    Args:
        classes: Class names of a data set, by label.
        rows: Class names of the head.
        imagenet: The data set's label for each class of ImageNet, -1 where it has none; several
            may share one label. Used where the names do not match.

    Returns:
        int64 ``[len(rows)]``, or None where the two do not belong together.

    >>> answers_for(("cat", "dog"), ("cat", "dog")).tolist()
    [0, 1]
    >>> answers_for(("cat",), ("cat", "dog")) is None
    True
    """
    if classes and tuple(prompt_names(classes)) == tuple(rows):
        return np.arange(len(rows), dtype=np.int64)
    if imagenet is not None and len(rows) == IMAGENET_CLASSES:
        return np.array(imagenet, dtype=np.int64)
    labels = imagenet_labels(classes) if classes and len(rows) == IMAGENET_CLASSES else None
    if labels is None:
        return None
    answers = np.full(len(rows), -1, dtype=np.int64)
    answers[list(labels)] = np.arange(len(labels))
    return answers


def _find_head(plan: Plan, listen: Listener) -> Head | str:
    classes = next(iter(plan.suite.sets.values())).classes
    if not classes:
        return "the images carry no class names, so there is nothing to name in a head"
    if plan.encoder.text is None:
        return _classifier(plan, classes)
    return _zero_shot(plan, classes, listen)


def _classifier(plan: Plan, classes: tuple[str, ...]) -> Head | str:
    head = plan.encoder.head()
    if head is None:
        return f"{plan.spec.model} brings no head"
    if answers_for(classes, head.classes) is None:
        return f"the {len(classes)} classes of the data are not among those of {head.source}"
    return head


def _zero_shot(plan: Plan, classes: tuple[str, ...], listen: Listener) -> Head | str:
    text = plan.encoder.text
    assert text is not None
    of_imagenet = imagenet_labels(classes) is not None
    names = imagenet_names() if of_imagenet else prompt_names(classes)
    templates = imagenet_templates() if of_imagenet else text.templates
    prompts = len(names) * len(templates)
    if plan.spec.device == "cpu" and prompts > MAX_CPU_PROMPTS:
        return f"{prompts} prompts take a CPU hours; run on --device cuda"
    listen(Event("stage", f"building the zero-shot head: {prompts} prompts", {"stage": "head"}))
    head = plan.encoder.head(names, templates)
    if head is None:
        raise DataError(f"{plan.spec.model} gave no head for {len(names)} class names")
    return head
