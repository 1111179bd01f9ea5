"""Builds the linear head of a run once, and publishes it for every probe.

`--head probe` fits it to labelled images that the run does not measure. They follow the measured
ones in the processing order, so the split is stratified, the same every time, and disjoint from the
measured images. Their representations are stored in the run directory shard by shard, so an
interrupted fit resumes.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from tuiprobe.catalog.imagenet import imagenet_labels, imagenet_names, prompt_names
from tuiprobe.datasets.layout import layout_of, processing_order
from tuiprobe.datasets.sample import Stamp
from tuiprobe.engine.decoding import choose_workers, decode_batches
from tuiprobe.engine.head_choice import class_of_each_row, unmatched
from tuiprobe.engine.plan import Plan
from tuiprobe.engine.shards import Shard, split_into_shards
from tuiprobe.engine.stopping import Interrupted
from tuiprobe.errors import DataError, UsageError
from tuiprobe.files import unless_damaged
from tuiprobe.models.heads import Head, ridge_head
from tuiprobe.probes.base.row_statistics import finite_images
from tuiprobe.results import NotRun
from tuiprobe.results.subject import long_head
from tuiprobe.run.arrays import Arrays
from tuiprobe.run.checked_arrays import HeadArrays
from tuiprobe.run.head_file import (
    OUTSIDE,
    HeadFile,
    read_fitted,
    read_head,
    write_fitted,
    write_head,
)
from tuiprobe.run.status import Event, Listener, bounded
from tuiprobe.spec import MAX_CPU_PROMPTS

IMAGES_PER_CLASS = 10
"""Average number of images per class that a head is fitted to: 10,000 images for ImageNet."""

TRIAL_SECONDS = 2.0
"""After which the rate is taken for that of the rest."""

_RESUMES = "the same command resumes"


def build_head(
    plan: Plan,
    listen: Listener,
    *,
    hurried: bool = False,
    check: Callable[[], None] = lambda: None,
    seconds: float | None = None,
) -> None:
    """Publishes `head.safetensors`: the head, and the class of each row in each set.

    If no head is available, the file holds only the reason. An existing head is kept if it matches
    the options; only what it says of target sets is renewed.

    Args:
        plan: The plan of the run.
        listen: Receives what is built, with progress.
        hurried: Whether the run was interrupted; then only a head that needs no computation is
            written.
        check: Called while the head is built; raises to stop. Finished parts are kept.
        seconds: Most that it may take; None for no limit.

    Raises:
        LongHeadError: As soon as it will take longer.
    """
    choice, digest = plan.head, _digest(plan)
    written = unless_damaged(partial(read_head, plan.directory))
    if written is not None and written.choice == digest:  # a reason alone has no choice
        _renew(plan, written)
        return
    unit = "images" if choice.kind == "probe" else "classes"
    progress = HeadProgress(unit, listen, check, seconds)
    try:
        head = _build(plan, listen, progress, hurried)
        shift_heads = dict(_shift_name_heads(plan, progress, hurried))
    except Interrupted:
        stopped = NotRun(reason="stopped while the head was built", remedy=_RESUMES)
        write_head(plan.directory, plan.key, HeadFile(stopped))
        raise
    if isinstance(head, NotRun):
        write_head(plan.directory, plan.key, HeadFile(head))
        return
    answers, without = dict[str, NDArray[np.int64]](), dict[str, NotRun]()
    for name, dataset in plan.suite.sets.items():
        rows = class_of_each_row(plan.suite, choice, head.classes, name)
        if rows is not None:
            if plan.spec.answers_among == "all" or plan.encoder.with_answers is not None:
                rows = np.where(rows < 0, OUTSIDE + np.arange(len(rows)), rows)
            answers[name] = rows
        elif dataset.classes:
            without[name] = unmatched(plan.suite, choice, head.classes, name)
    file = HeadFile(
        _arrays_of(head),
        answers=answers | _of_targets(plan, answers, len(head.weight)),
        unmatched=without,
        shift_heads=shift_heads,
        classes=head.classes,
        templates=head.templates,
        choice=digest,
    )
    write_head(plan.directory, plan.key, file)


def _arrays_of(head: Head) -> HeadArrays:
    return HeadArrays(
        head.weight.float().cpu().numpy(),
        None if head.bias is None else head.bias.float().cpu().numpy(),
        head.normalize,
        head.source,
        head.logit_scale,
        head.logit_bias,
    )


def _digest(plan: Plan) -> str:
    """Returns a digest that changes with the choice, or if the images of the fit may have."""
    split = ""
    if plan.head.kind == "probe":
        shards = linear_probe_split(plan)
        digests = [_shard_digest(plan, shard, _stamps(plan, shard)) for shard in shards]
        split = hashlib.sha256("".join(digests).encode()).hexdigest()
    return plan.head.digest() + split + "all" * (plan.spec.answers_among == "all")


def head_is_another(plan: Plan) -> bool:
    """Returns whether the directory holds a head of another choice."""
    written = unless_damaged(partial(read_head, plan.directory))
    return written is not None and written.choice not in ("", _digest(plan))


def _renew(plan: Plan, file: HeadFile) -> None:
    """Publishes an existing head again if the target sets are others."""
    assert not isinstance(file.head, NotRun)
    labelled = plan.suite.sets.keys() - plan.suite.separately_keyed
    answers = {name: rows for name, rows in file.answers.items() if name in labelled}
    answers |= _of_targets(plan, answers, len(file.head.weight))
    same = answers.keys() == file.answers.keys()
    if not same or any(not np.array_equal(a, file.answers[name]) for name, a in answers.items()):
        write_head(plan.directory, plan.key, replace(file, answers=answers))


def _of_targets(
    plan: Plan, answers: Mapping[str, NDArray[np.int64]], rows: int
) -> dict[str, NDArray[np.int64]]:
    """Returns which rows of a head may answer in the target sets.

    These are the rows that may answer in the in-distribution set, with the same classes. If no row
    answers there, or the user named the classes and some of them are not in that set, all rows may
    answer, each for itself.
    """
    first = answers.get(plan.suite.in_distribution_name)
    if first is None or (plan.spec.classes is not None and bool((first < 0).any())):
        first = np.arange(rows, dtype=np.int64)
    return dict.fromkeys(plan.suite.targets, first)


def _build(plan: Plan, listen: Listener, progress: HeadProgress, hurried: bool) -> Head | NotRun:
    """Returns the head of a choice, or the reason why there is none."""
    choice = plan.head
    if choice.not_run is not None:
        return choice.not_run
    if choice.head is not None:
        return replace(choice.head, classes=choice.classes)
    if choice.kind == "probe":
        if hurried:
            return NotRun(reason="stopped before the head was fitted", remedy=_RESUMES)
        return _fit(plan, listen, progress)
    if unbuilt := _unbuilt(plan, choice.classes, hurried):
        return unbuilt
    prompts = len(choice.classes) * len(choice.templates)
    left = plan.encoder.prompts_left(choice.classes, choice.templates)
    cached = f", {prompts - left} of them cached" if left < prompts else ""
    message = f"building the zero-shot head: {prompts} prompts{cached}"
    listen(Event("stage", message, {"stage": "head"}))
    head = plan.encoder.head(choice.classes, choice.templates, progress=progress)
    if head is None:
        raise DataError(f"{plan.spec.model} gave no head for {len(choice.classes)} class names")
    return head


def _shift_name_heads(
    plan: Plan, progress: HeadProgress, hurried: bool
) -> Iterator[tuple[str, HeadArrays | NotRun]]:
    """Builds a zero-shot head from a shift's own class names, such as ObjectNet's 113.

    An alternative to the usual protocol, which uses the rows of ImageNet's classes.

    Yields:
        A set and its head with one row per label, or the reason why it is missing.
    """
    for name, dataset in plan.suite.sets.items():
        if plan.head.kind != "zero-shot" or plan.suite.published.get(name) != "objectnet":
            continue
        names = prompt_names(dataset.classes)
        if unbuilt := _unbuilt(plan, names, hurried):
            yield name, unbuilt
            continue
        head = plan.encoder.head(names, plan.head.templates, progress=progress)
        if head is not None:
            source = f"{head.source}, {len(names)} class names of its own"
            yield name, _arrays_of(replace(head, source=source))


def _unbuilt(plan: Plan, names: tuple[str, ...], hurried: bool) -> NotRun | None:
    """Returns why no zero-shot head of some names is built now; None if it may be."""
    left = plan.encoder.prompts_left(names, plan.head.templates)
    if left and hurried:
        return NotRun(reason="stopped before the head was built", remedy=_RESUMES)
    return long_head(left) if too_long(left, plan) else None


def too_long(prompts: int, plan: Plan) -> bool:
    """Returns whether there are too many prompts to encode without being asked."""
    text = plan.encoder.text
    padded = text is not None and text.lengths is None
    return plan.device == "cpu" and padded and prompts > MAX_CPU_PROMPTS and not plan.head.requested


class LongHeadError(Exception):
    """The head takes longer than it may."""


class HeadProgress:
    """A callback for (done, total) that tells the listener, and may stop.

    Args:
        unit: The counted unit, for example `classes`.
        listen: Receives progress.
        check: Called each time; raises to stop.
        most: Seconds that the head may take; None for no limit.
    """

    def __init__(
        self, unit: str, listen: Listener, check: Callable[[], None], most: float | None = None
    ) -> None:
        self._unit, self._listen, self._check = unit, listen, check
        self._begun, self._most = time.monotonic(), most
        self._total = -1
        self._from, self._since = 0, 0.0

    def __call__(self, done: int, total: int) -> None:
        """Reports that `done` of `total` are finished.

        Raises:
            LongHeadError: If all of them will take too long.
        """
        now = time.monotonic()
        if total != self._total:  # The first call: what was cached does not predict the speed.
            self._total, self._from, self._since = total, done, now
        seconds = now - self._since
        rate = (done - self._from) / seconds if seconds > 0 else 0.0
        eta = bounded(max(total - done, 0) / rate) if rate > 0 else None
        data = {"stage": "head", "unit": self._unit, "done": done, "total": total}
        self._listen(Event("progress", "", {**data, "rate": rate, "eta": eta}))
        self._check()
        expected = now - self._begun + (eta if eta is not None and seconds > TRIAL_SECONDS else 0)
        if self._most is not None and done < total and expected > self._most:
            raise LongHeadError


def linear_probe_split(plan: Plan) -> tuple[Shard, ...]:
    """Returns the shards of the images that a head is fitted to.

    Raises:
        UsageError: If too few labelled images remain.
    """
    name, dataset = plan.suite.in_distribution_name, plan.suite.in_distribution
    measured = sum(shard.size for shard in plan.shards[name])
    classes = len(dataset.classes)
    if classes == 1:
        raise UsageError(
            f"--head probe tells classes apart, and {name} has one, {dataset.classes[0]!r}. If the "
            "folders in it are the classes, give its path as --data"
        )
    order = processing_order(dataset.samples, plan.spec.seed)[measured:]
    order = order[: IMAGES_PER_CLASS * classes]
    labels = {dataset.samples[i].label for i in order.tolist()}
    missing = classes - len(labels - {None})
    if len(order) < 2 * classes or missing:
        raise UsageError(
            f"--head probe fits on images of {name} that the run does not measure: {len(order)} "
            f"are left for {classes} classes, {missing} of them without any. Leave more out with "
            "a smaller --sample, or pass --head FILE"
        )
    return split_into_shards(name, order, plan.spec.batch, None)


def _stamps(plan: Plan, shard: Shard) -> dict[int, Stamp]:
    return layout_of(plan.suite.sets[shard.set_name]).stamps(shard.ids)


def _shard_digest(plan: Plan, shard: Shard, stamps: Mapping[int, Stamp]) -> str:
    """Returns a digest that changes if the images may have, so that they are encoded again."""
    dataset = plan.suite.sets[shard.set_name]
    images = [(i, dataset.samples[i].path, s.size, s.changed) for i, s in stamps.items()]
    content = [plan.key, dataset.source, [len(batch) for batch in shard.batches], images]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _fit(plan: Plan, listen: Listener, progress: HeadProgress) -> Head | NotRun:
    """Encodes the images of the split that are not stored, and fits the head by ridge regression.

    Returns:
        The head, or the reason why there is none.
    """
    shards = linear_probe_split(plan)
    name, dataset = plan.suite.in_distribution_name, plan.suite.in_distribution
    images = sum(shard.size for shard in shards)
    message = f"fitting a linear head to {images} images that are not measured"
    listen(Event("stage", message, {"stage": "head"}))
    stamps = [_stamps(plan, shard) for shard in shards]
    digests = [_shard_digest(plan, *pair) for pair in zip(shards, stamps, strict=True)]
    parts = [read_fitted(plan.directory, i, digest) for i, digest in enumerate(digests)]
    missing = [i for i, part in enumerate(parts) if not part]
    total, done = sum(shards[i].size for i in missing), 0
    for i in missing:

        def report(images: int, before: int = done) -> None:
            progress(before + images, total)

        parts[i] = _encode(plan, shards[i], stamps[i], report)
        write_fitted(plan.directory, i, digests[i], parts[i])
        done += shards[i].size
    h, ids = (np.concatenate([part[field] for part in parts]) for field in ("features", "ids"))
    finite = finite_images(h)
    labels = [dataset.samples[i].label for i in ids[finite].tolist()]
    lost = len(h) - len(labels)
    left_out = f"; {lost} more are left out, because their representation is not finite"
    try:
        head = ridge_head(torch.from_numpy(h[finite]), torch.tensor(labels), plan.head.classes)
    except UsageError as error:
        if not lost:
            raise
        return NotRun(reason=f"{error}{left_out}")
    source = f"{head.source} of {name} that are not measured (next in the processing order)"
    head = replace(head, source=source + left_out * (lost > 0))
    rows = imagenet_labels(dataset.classes)
    if rows is None or len(rows) != len(imagenet_names()) or head.bias is None:
        return head
    place = torch.tensor(rows).argsort()  # ImageNet's order, so that its shifts find their classes
    return replace(head, weight=head.weight[place], bias=head.bias[place], classes=imagenet_names())


def _encode(
    plan: Plan, shard: Shard, stamps: Mapping[int, Stamp], progress: Callable[[int], None]
) -> Arrays:
    workers = choose_workers(plan.spec.workers, shard.size)
    features, ids = [torch.empty(0, plan.encoder.width)], [torch.empty(0, dtype=torch.int64)]
    by_set, preprocesses, done = {shard.set_name: stamps}, [plan.encoder.preprocess], 0
    decoding = decode_batches([shard], plan.suite.sets, by_set, preprocesses, workers)
    with torch.inference_mode(), decoding as batches:
        for (batch,) in batches:
            if len(batch.ids):
                features.append(plan.encoder.encode(batch.images).float().cpu())
                ids.append(batch.ids)
            done += len(batch.ids) + len(batch.skipped)
            progress(done)
    return {"features": torch.cat(features).numpy(), "ids": torch.cat(ids).numpy()}
