"""Builds the linear head of a run once, and publishes it for every probe.

`--head probe` fits it to all labelled images that the run measured; they are encoded for nothing
else. It is fitted again when there are more of them.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from tuiprobe.catalog.class_names import imagenet_labels, imagenet_names, prompt_names
from tuiprobe.errors import DataError
from tuiprobe.files import unless_damaged
from tuiprobe.measure.arrays.head_arrays import SetFeatures
from tuiprobe.measure.arrays.measured_run import MeasuredRun
from tuiprobe.measure.arrays.ridge import fit_ridge
from tuiprobe.measure.arrays.row_statistics import fixed_threads
from tuiprobe.measure.engine.head_choice import class_of_each_row, unmatched
from tuiprobe.measure.engine.plan import Plan
from tuiprobe.measure.engine.stopping import Interrupted
from tuiprobe.measure.run.arrays import HeadArrays
from tuiprobe.measure.run.head_file import OUTSIDE, FittedImages, HeadFile, read_head, write_head
from tuiprobe.measure.run.status import Event, Listener, bounded
from tuiprobe.models.heads import Head
from tuiprobe.results import NotRun
from tuiprobe.results.subject import long_head
from tuiprobe.spec import MAX_CPU_PROMPTS

TRIAL_SECONDS = 2.0
"""Seconds after which the rate predicts that of the rest."""

_RESUMES = "the same command resumes"


def build_head(
    plan: Plan,
    listen: Listener,
    *,
    interrupted: bool = False,
    check: Callable[[], None] = lambda: None,
    seconds: float = math.inf,
) -> None:
    """Publishes `head.safetensors`: the head, and the class of each row in each set.

    If no head is available, the file holds only the reason. An existing head is kept if it matches
    the options; only what it says of target sets is renewed.

    Args:
        plan: The plan of the run.
        listen: Receives what is built, with progress.
        interrupted: Whether the run was interrupted; then only a head that needs no computation is
            written.
        check: Called while the head is built; raises to stop. Finished parts are kept.
        seconds: Most that it may take.

    Raises:
        LongHeadError: As soon as it will take longer.
    """
    choice, digest, fitting, tested = plan.head, _digest(plan), None, None
    if choice.kind == "probe":
        run, name = MeasuredRun(plan.directory), plan.suite.in_distribution_name
        if name not in run.measured.sets:
            not_yet = NotRun(reason=f"no image of {name} is measured yet", remedy=_RESUMES)
            write_head(plan.directory, plan.key, HeadFile(not_yet))
            return
        fitting, tested = _parts(plan, run.distinct_images(name))
        digest += _digest_of(fitting, run.contents(fitting), tested)
    written = unless_damaged(partial(read_head, plan.directory))
    if written is not None and written.choice == digest:  # a reason alone has no choice
        _renew(plan, written)
        return
    progress, fitted = HeadProgress("classes", listen, check, seconds), None
    try:
        if fitting is None:
            head = _build(plan, listen, progress, interrupted)
        else:
            message = f"fitting a linear head to {len(fitting.features):,} labelled {plan.unit}"
            listen(Event("stage", message, {"stage": "head"}))
            head, fitted = _fit(plan, run, fitting, tested)
        shift_heads = dict(_shift_name_heads(plan, progress, interrupted))
    except Interrupted:
        stopped = NotRun(reason="stopped while the head was built", remedy=_RESUMES)
        write_head(plan.directory, plan.key, HeadFile(stopped))
        raise
    if isinstance(head, NotRun):
        write_head(plan.directory, plan.key, HeadFile(head))
        return
    answers, without = _rows_of_sets(plan, head)
    file = HeadFile(
        _arrays_of(head),
        answers=answers | _of_targets(plan, answers, len(head.weight)),
        unmatched=without,
        shift_heads=shift_heads,
        classes=head.classes,
        templates=head.templates,
        choice=digest,
        fitted=fitted,
        fitted_to=head.fitted_to,
    )
    write_head(plan.directory, plan.key, file)


def _rows_of_sets(plan: Plan, head: Head) -> tuple[dict[str, NDArray[np.int64]], dict[str, NotRun]]:
    """Returns the class of each row of a head by set, and why other sets have none."""
    answers, without = dict[str, NDArray[np.int64]](), dict[str, NotRun]()
    all_answer = plan.spec.answers_among == "all" or plan.encoder.with_answers is not None
    for name, dataset in plan.suite.sets.items():
        rows = class_of_each_row(plan.suite, plan.head, head.classes, name)
        if rows is not None:
            outside = OUTSIDE + np.arange(len(rows))
            answers[name] = np.where(rows < 0, outside, rows) if all_answer else rows
        elif dataset.classes:
            without[name] = unmatched(plan.suite, plan.head, head.classes, name)
    return answers, without


def _arrays_of(head: Head) -> HeadArrays:
    return HeadArrays(
        head.weight.float().cpu().numpy(),
        None if head.bias is None else head.bias.float().cpu().numpy(),
        head.normalize,
        head.source,
        head.logit_scale,
        head.logit_bias,
        head.regression,
    )


def _digest(plan: Plan) -> str:
    """Returns a digest of the choice, without the images that a head is fitted to."""
    return plan.head.digest() + ("all" if plan.spec.answers_among == "all" else "")


def _parts(plan: Plan, images: SetFeatures) -> tuple[SetFeatures, NDArray[np.int64] | None]:
    """Returns the images that a head is fitted to, and the ids of a test part if there is one."""
    tested = getattr(plan.suite.in_distribution, "tested", None)
    if tested is None:
        return images, None
    ids = np.asarray(images.ids)
    of_test = np.asarray(tested, dtype=bool)[ids]
    return images.select(~of_test), ids[of_test]


def _digest_of(
    images: SetFeatures, contents: NDArray[np.uint8], tested: NDArray[np.int64] | None
) -> str:
    """Returns a digest of what a head is fitted to and judged by: ids, labels and contents."""
    parts = [np.asarray(images.ids), np.asarray(images.labels), contents]
    parts += [] if tested is None else [tested]
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


def head_is_another(plan: Plan) -> bool:
    """Returns whether the directory holds a head of another choice."""
    written = unless_damaged(partial(read_head, plan.directory))
    return written is not None and not (written.choice or _digest(plan)).startswith(_digest(plan))


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
    answers in it, or the user named the classes and some of them are not in that set, all rows may
    answer, each for itself.
    """
    of_id_set = answers.get(plan.suite.in_distribution_name)
    if of_id_set is None or (plan.spec.classes is not None and bool((of_id_set < 0).any())):
        of_id_set = np.arange(rows, dtype=np.int64)
    return dict.fromkeys(plan.suite.targets, of_id_set)


def _build(
    plan: Plan, listen: Listener, progress: HeadProgress, interrupted: bool
) -> Head | NotRun:
    """Returns the head of a choice, or the reason why there is none."""
    choice = plan.head
    if choice.not_run is not None:
        return choice.not_run
    if choice.head is not None:
        return replace(choice.head, classes=choice.classes)
    if unbuilt := _unbuilt(plan, choice.classes, interrupted):
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
    plan: Plan, progress: HeadProgress, interrupted: bool
) -> Iterator[tuple[str, HeadArrays | NotRun]]:
    """Builds a zero-shot head from the class names of a shift (ObjectNet has 113).

    An alternative to the usual protocol, which uses the rows of ImageNet's classes.

    Yields:
        A set and its head with one row per label, or the reason why it is missing.
    """
    for name, dataset in plan.suite.sets.items():
        if plan.head.kind != "zero-shot" or plan.suite.published.get(name) != "objectnet":
            continue
        names = prompt_names(dataset.classes)
        if unbuilt := _unbuilt(plan, names, interrupted):
            yield name, unbuilt
            continue
        head = plan.encoder.head(names, plan.head.templates, progress=progress)
        if head is not None:
            source = f"{head.source}, {len(names)} class names of the shift"
            yield name, _arrays_of(replace(head, source=source))


def _unbuilt(plan: Plan, names: tuple[str, ...], interrupted: bool) -> NotRun | None:
    """Returns why no zero-shot head of some names is built now."""
    left = plan.encoder.prompts_left(names, plan.head.templates)
    if left and interrupted:
        return NotRun(reason="stopped before the head was built", remedy=_RESUMES)
    return long_head(left) if too_long(left, plan) else None


def too_long(prompts: int, plan: Plan) -> bool:
    """Returns whether there are too many prompts to encode without being asked."""
    text = plan.encoder.text
    padded = text is not None and text.padded
    return plan.device == "cpu" and padded and prompts > MAX_CPU_PROMPTS and not plan.head.requested


class LongHeadError(Exception):
    """The head takes longer than it may."""


class HeadProgress:
    """A callback for (done, total) that tells the listener, and may stop.

    Args:
        unit: The counted unit, for example `classes`.
        listen: Receives progress.
        check: Called each time; raises to stop.
        most: Seconds that the head may take.
    """

    def __init__(
        self, unit: str, listen: Listener, check: Callable[[], None], most: float = math.inf
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
        if done < total and expected > self._most:
            raise LongHeadError


def _fit(
    plan: Plan, run: MeasuredRun, images: SetFeatures, tested: NDArray[np.int64] | None
) -> tuple[Head | NotRun, FittedImages | None]:
    """Fits the head to images, each of which it answers without having seen it.

    Args:
        plan: The plan of the run.
        run: What the run measured.
        images: Distinct labelled images of the in-distribution set.
        tested: Ids of the images of its test part.
    """
    name, dataset = plan.suite.in_distribution_name, plan.suite.in_distribution
    classes, labels = plan.head.classes, np.asarray(images.labels)
    imagenet = imagenet_labels(dataset.classes)
    if imagenet is not None and len(imagenet) == len(imagenet_names()):
        # In ImageNet's order, so that its shifts find their classes.
        classes, labels = imagenet_names(), np.asarray(imagenet, dtype=np.int64)[labels]
    with fixed_threads():
        fit = fit_ridge(images.features, labels, len(classes))
    if isinstance(fit, NotRun):
        return fit, None
    assert images.ids is not None
    head = Head(
        torch.from_numpy(fit.weight).float(),
        torch.from_numpy(fit.bias).float(),
        classes,
        source=f"ridge regression on {len(labels):,} images of {name}, penalty {fit.penalty:.3g}",
        regression=True,
    )
    contents = run.contents(images)
    return head, FittedImages(name, images.ids, labels, fit.remainders, contents, tested)
