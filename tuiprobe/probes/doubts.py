"""Asks for doubts about the sets of a run: whether pictures repeat, and labels can be right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import takewhile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tuiprobe.measure.arrays.head_arrays import answered_rows, logit_blocks, usable_images
from tuiprobe.measure.run.arrays import HeadArrays
from tuiprobe.plaintext import count_of, plain
from tuiprobe.probes.evidence.identity import Contents, PictureRole, copies, shared_content
from tuiprobe.probes.evidence.labels import CHECK_HEAD, are_related, at_chance, one_answer
from tuiprobe.probes.evidence.orders import LabelledAnswers, other_orders
from tuiprobe.probes.evidence.slips import RowOrder, row_orders, slips
from tuiprobe.probes.evidence.values import no_answers, other_lengths
from tuiprobe.probes.reader import RunReader
from tuiprobe.results import NotRun, is_known
from tuiprobe.results.doubt import Doubt
from tuiprobe.results.set_accuracy import SetAccuracy
from tuiprobe.results.subject import Weights


def run_doubts(run: RunReader, accuracies: Sequence[SetAccuracy]) -> Iterator[Doubt]:
    """Yields reasons to doubt the figures of a run.

    Args:
        run: The run.
        accuracies: Of its labelled sets.
    """
    yield from _identity(run)
    weights = run.plan.model.weights
    if isinstance(run.head, NotRun) or weights.kind == "untrained":
        return
    for row in accuracies:
        yield from no_answers(row.data, row.images, row.unanswered)
    for target in run.target_sets:
        n = len(target.features)
        yield from no_answers(target.name, n, n - len(usable_images(target).features))
    if run.spec.kind == "vectors":
        yield from _lengths(run, run.head)
    sets, names = list(_answered(run)), run.head_file.classes
    orders = other_orders(sets, names)
    yield from orders
    searched = [_row_orders(run, of) for of in sets]
    yield from slips([order for orders_of_set in searched for order in orders_of_set])
    loaded, why = _causes(weights, searched)
    explained = {doubt.data for doubt in orders}
    for images in sets:
        for doubt in one_answer(images.name, images.rows, images.labels, names, loaded):
            explained.add(doubt.data)
            yield doubt
    for target in run.target_sets:
        usable = usable_images(target)
        allowed = np.flatnonzero(usable.classes_of_rows(len(run.head.weight)) >= 0)
        blocks = [logits.argmax(axis=1) for _, logits in logit_blocks(run.head, usable)]
        if len(allowed) > 1 and blocks:
            rows = allowed[np.concatenate(blocks)]
            yield from one_answer(target.name, rows, None, names, CHECK_HEAD)
    for row in accuracies:
        # ImageNet-A holds only images that a network got wrong: published shifts are left out.
        if row.data not in explained and row.shift is None and is_known(row.top1):
            top1 = row.top1
            ends = (top1.value, top1.low or 0.0, top1.high or 1.0)
            related = partial(_related, [of for of in sets if of.name == row.data])
            yield from at_chance(row.data, ends, top1.n, row.classes, why, related=related)


def _causes(weights: Weights, searched: Sequence[Sequence[RowOrder]]) -> tuple[str, str]:
    """Returns what may cause one answer on all images of a set, and an accuracy at chance."""
    loaded = CHECK_HEAD
    why = "the order of --classes or of the class folders may be wrong"
    if norms := weights.initial_norms:
        layers = count_of(norms, "normalisation layer")
        loaded = why = f"the weights look untrained, with {layers} as before any training"
    elif weights.kind == "checkpoint":
        why = f"the classifier may be untrained or of other classes, or {why}"
    if tables := dict.fromkeys(order.of for _, *others in searched for order in others):
        why = f"rows of {' or '.join(tables)} may have slipped, or {why}"
    return loaded, why


def _row_orders(run: RunReader, images: LabelledAnswers) -> list[RowOrder]:
    """Returns a set along its ids, and along the tables of its labels and of its answers."""
    samples, ids = run.samples[images.name], images.ids
    labels = Path(run.spec.labels).name if run.spec.labels else f"the list of {images.name}"
    tables: list[tuple[str, NDArray[np.int64], None]] = [(images.name, ids, None)]
    for column, name in (("label_row", labels), ("answer_row", run.plan.model.weights.source)):
        of_ids = (getattr(samples[i], column) for i in ids.tolist())
        rows = [*takewhile(lambda row: row is not None, of_ids)]  # none: it stops at once
        if len(rows) == len(ids):
            tables.append((plain(Path(name).name), np.array(rows, dtype=np.int64), None))
    return row_orders(images.name, images.answers[None], images.labels, tables)


def _related(sets: Sequence[LabelledAnswers]) -> bool:
    return any(are_related(of.answers, of.labels) for of in sets)


def _lengths(run: RunReader, head: HeadArrays) -> Iterator[Doubt]:
    """Yields a doubt if a head was fitted to vectors of other lengths, unless it has no bias."""
    if head.normalize or head.bias is None:
        return
    for of_set in run.head_sets:
        images, rows = usable_images(of_set), of_set.classes_of_rows(len(head.weight))
        allowed = rows >= 0
        one_row = len(np.unique(rows[allowed])) == allowed.sum()
        if images.labels is not None and images.left_out is None and one_row:
            at = {int(label): row for row, label in enumerate(rows[allowed])}
            labels = np.array([at[int(label)] for label in images.labels], dtype=np.int64)
            weight, bias = head.weight[allowed], head.bias[allowed]
            yield from other_lengths(images.name, images.features, weight, bias, labels)


def _identity(run: RunReader) -> Iterator[Doubt]:
    """Yields pictures that are in two roles, or twice in a set."""
    pictures, untrained = [], run.plan.model.weights.kind == "untrained"
    for number, data in enumerate(of for of in run.data if of.name != run.plan.concept_set):
        images = run.images_of(data.name)
        ids = np.asarray(images.ids).tolist()
        role: PictureRole = "target" if data.target else "shift" if number else "in distribution"
        digests = run.contents(images)
        contents = Contents(data.name, role, digests, ids, run.paths(data.name))
        if run.has_digests(data.name) or run.plan.model.weights.kind == "unknown":
            pictures.append(contents)
        if run.has_digests(data.name):
            yield from copies(contents, images.labels if data.labelled else None)
            if run.plan.model.representation != "none" and not untrained:
                yield from run.near_copies(data.name)
    if (fitted := run.head_file.fitted_to) is not None:
        pictures.append(Contents("of --head", "fitted", fitted, range(len(fitted)), {}))
    yield from shared_content(pictures)


def _answered(run: RunReader) -> Iterator[LabelledAnswers]:
    """Yields the labelled sets with the answers of all rows of the head."""
    numbered = {of.name for of in run.sets if all(map(str.isdecimal, of.classes))}
    assert not isinstance(run.head, NotRun)
    for of_set in run.head_sets:
        images = usable_images(of_set)
        if images.labels is not None and len(images.labels):
            order = np.argsort(np.asarray(images.ids))
            yield LabelledAnswers(
                name=images.name,
                rows=answered_rows(run.head, images)[order],
                classes=images.classes_of_rows(len(run.head.weight)),
                labels=np.asarray(images.labels)[order],
                ids=np.asarray(images.ids)[order],
                numbered=images.name in numbered,
            )
