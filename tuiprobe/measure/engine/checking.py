"""The preflight of a run: stops it before the first image if its figures would be wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tuiprobe.catalog.class_names import match_classes, prompt_names
from tuiprobe.errors import DataError, WeightsError
from tuiprobe.files import unless_damaged
from tuiprobe.measure.arrays.head_arrays import SetFeatures, logit_blocks
from tuiprobe.measure.engine.decoding import Batch, choose_workers, decode_batches
from tuiprobe.measure.engine.head_building import HeadProgress, too_long
from tuiprobe.measure.engine.head_choice import HeadChoice, class_of_each_row, unmatched
from tuiprobe.measure.engine.machine import has_bfloat16
from tuiprobe.measure.engine.plan import Plan
from tuiprobe.measure.run.arrays import HeadArrays
from tuiprobe.measure.run.head_file import read_head
from tuiprobe.measure.run.records import check_sentence, read_preflight, write_preflight
from tuiprobe.measure.run.status import Event, Listener
from tuiprobe.models.checks.data_checks import check_labels, check_range
from tuiprobe.models.checks.encoder_checks import check_encoder
from tuiprobe.models.checks.known_answer import check_answer, expected_answer
from tuiprobe.models.checks.text_checks import check_text
from tuiprobe.models.checks.trial import (
    TIMED_IMAGES,
    TRIAL_CHECKS,
    check_trial,
    check_types,
    images_of_trial,
    made_images,
    worth_timing,
)
from tuiprobe.plaintext import joined, plain
from tuiprobe.results import NotRun
from tuiprobe.results.subject import TYPES, Check

ANSWER = "known answer"

_MOST_TIMED = 64
"""Images on which float32 and bfloat16 are compared."""


def preflight(plan: Plan, listen: Listener) -> None:
    """Checks encoder, labels, images and, if ImageNet is available, the published accuracy.

    All checks are stored in `preflight.json`. A known-answer check that passed, and the trial of
    the encoder, are not repeated by a later attempt in the directory, which has the same key.
    Only rank 0 writes, and runs the known-answer check. Where the encoder is not known, because
    the samples are encoded already, their labels alone are checked.

    Args:
        plan: The plan of the run.
        listen: Receives warnings.

    Raises:
        WeightsError: If a check of the encoder fails.
        DataError: If a check of the images or their labels fails.
    """
    choice, checks = plan.head, list[Check]()
    known_encoder = plan.encoder.preprocessing.known
    if known_encoder:
        of_encoder = check_encoder(plan.encoder)
        if choice.kind == "zero-shot":
            of_encoder += check_text(plan.encoder, choice.classes, choice.templates)
        checks += of_encoder
    for name in plan.suite.sets:
        checks += [*plan.layouts[name].checks(name), *_of_labels(plan, name)]
    checks += [*head_row_checks(plan, choice), *(_ranges(plan) if known_encoder else ())]
    _refuse(checks)
    earlier = unless_damaged(partial(read_preflight, plan.directory)) or ()
    if known_encoder:
        tried = [check for check in earlier if check.name in TRIAL_CHECKS]
        checks += tried or _of_trial(plan, choice)
        _refuse(checks)
    if plan.rank.number == 0:
        if known_encoder:
            known = [check for check in earlier if (check.name, check.status) == (ANSWER, "pass")]
            progress = HeadProgress("classes", listen, lambda: None)
            checks += known or [_answer(plan, choice, progress)]
        write_preflight(plan.directory, checks)
    _refuse(checks)
    passed = sum(check.status == "pass" for check in checks)
    made = sum(check.status != "skip" for check in checks)
    done = f"{passed} of {made} checks passed" if made else "nothing to check"
    listen(Event("stage", f"preflight: {done}", {"stage": "preflight"}))
    for check in checks:
        if check.status == "warn":
            listen(Event("warning", f"preflight, {check_sentence(check)}"))


def try_types(plan: Plan, listen: Listener) -> None:
    """Adds to the checks how much faster bfloat16 is and what it changes, if that is worth a trial.

    It takes about a fiftieth of the run. Answers are those of the head, if it is built already.
    """
    images = min(plan.images // 50, _MOST_TIMED)
    if images < TIMED_IMAGES or plan.rank.number or not has_bfloat16(plan.spec.device):
        return
    checks = read_preflight(plan.directory)
    if any(check.name == TYPES for check in checks) or not worth_timing(plan.encoder):
        return
    (batch,) = _first_images(plan, images, times=1)
    if len(batch.ids) < TIMED_IMAGES:
        return
    head = read_head(plan.directory) if plan.directory.head_file.exists() else None
    answers = None
    if head is not None and not isinstance(head.head, NotRun):
        name = plan.suite.in_distribution_name
        rows = SetFeatures(name, np.empty((0, 0), np.float32), answers=head.answers.get(name))
        answers = partial(_answers, head.head, rows)
    types = check_types(plan.encoder, batch.images, answers)
    for check in types:
        listen(Event("stage", check.detail, {"stage": "preflight"}))
    if types:
        write_preflight(plan.directory, [*checks, *types])


def _answers(
    head: HeadArrays, images: SetFeatures, features: NDArray[np.float32]
) -> NDArray[np.int64]:
    """Returns the row that answers each representation, among those that may, as int64 [n]."""
    blocks = logit_blocks(head, replace(images, features=features), scaled=False)
    return np.concatenate([logits.argmax(axis=1) for _, logits in blocks])


def _first_images(plan: Plan, count: int, times: int) -> tuple[Batch, ...]:
    """Decodes the first images of the first set, and preprocesses them so many times."""
    first = next(iter(plan.shards.values()))[0]
    shard = replace(first, batches=(first.batches[0][:count],))
    workers = min(choose_workers(plan.spec.workers, plan.images), 1)  # a process that may be killed
    each = [plan.encoder.preprocess] * times
    with decode_batches([shard], plan.suite.sets, plan.stamps, each, workers) as decoded:
        return next(decoded)


def _of_trial(plan: Plan, choice: HeadChoice) -> list[Check]:
    """Tries the encoder on the first images of the first set; on made ones if none is readable."""
    encoder = plan.encoder
    batch, again = _first_images(plan, images_of_trial(encoder), times=2)
    if not len(batch.ids):
        return check_trial(encoder, made_images(encoder))
    if not torch.equal(batch.images.nan_to_num(), again.images.nan_to_num()):
        detail = "preprocess gives other tensors of the same images each time"
        return [Check("preprocessing", "fail", detail, "pass the transform of validation images")]
    return check_trial(encoder, batch.images, choice.head if choice.kind == "classifier" else None)


def _refuse(checks: list[Check]) -> None:
    for check in checks:
        if check.status == "fail":
            kind = WeightsError if check.cause == "encoder" else DataError
            raise kind(f"preflight, {check_sentence(check)}")


def _of_labels(plan: Plan, name: str) -> Iterator[Check]:
    dataset, one_file_each = plan.suite.sets[name], plan.layouts[name].one_file_each
    if one_file_each and name in plan.suite.targets:
        return
    for check in check_labels(
        dataset.classes,
        len(dataset.samples),
        named=plan.spec.classes is not None or plan.head.named,
        imagenet=plan.suite.imagenet.get(name),
    ):
        if one_file_each or check.name != "image count":
            yield replace(check, cause="labels", data=name)


def _ranges(plan: Plan) -> Iterator[Check]:
    """Checks the values of the first images of every set that are measured."""
    for name, dataset in plan.suite.sets.items():
        first = plan.shards[name][0].ids
        for check in check_range(dataset, [dataset.samples[i] for i in first]):
            yield replace(check, data=name)


def head_row_checks(plan: Plan, choice: HeadChoice) -> list[Check]:
    """Returns a warning if the rows of the head have no names, or those of other classes."""
    name, dataset = plan.suite.in_distribution_name, plan.suite.in_distribution
    rows, classes = len(choice.classes), len(dataset.classes)
    fix = "name the rows, in their order, by --classes FILE (in Python: classes=)"
    strange = choice.unnamed and classes > 0 and not set(dataset.classes) <= set(choice.classes)
    if choice.assumed or (strange and choice.in_label_order and rows == classes):
        detail = (
            f"the head's {rows:,} rows have no class names; they are taken for the {classes:,} "
            "classes in label order"
        )
    elif strange:
        detail = (
            f"the head has {rows:,} rows without class names and the data have {classes:,} "
            "classes: no accuracy can be given"
        )
    elif _names_of_others(plan, choice, dataset.classes):
        detail = (
            f"none of the classes ({dataset.classes[0]}, …) has the name of an output "
            f"({choice.classes[0]}, …); they are taken in label order"
        )
    else:
        return list(_unmatched_classes(plan, choice))
    return [Check(name="head rows", status="warn", detail=detail, fix=fix, data=name)]


def _unmatched_classes(plan: Plan, choice: HeadChoice) -> Iterator[Check]:
    """Yields a warning for every labelled set some of whose classes are matched by no name."""
    for name, dataset in plan.suite.sets.items():
        if not dataset.classes or not choice.classes or name in plan.suite.separately_keyed:
            continue
        check = Check(name="class names", status="warn", detail="", data=name)
        answers = class_of_each_row(plan.suite, choice, choice.classes, name)
        if answers is None:
            why = unmatched(plan.suite, choice, choice.classes, name)
            yield replace(check, detail=f"no accuracy: {why.reason}", fix=why.remedy)
        elif choice.in_label_order and (others := _by_position(dataset.classes, choice, answers)):
            fix = "make sure that these are the same classes"
            yield replace(check, detail=others, fix=fix)


def _by_position(classes: Sequence[str], choice: HeadChoice, answers: NDArray[np.int64]) -> str:
    """Lists classes without a match in --classes, where other classes are matched by name."""
    known = match_classes(classes, choice.classes).known
    row_of = dict(zip(answers.tolist(), range(len(answers)), strict=True))
    others = [
        f"{plain(classes[i][:80])} = {plain(choice.classes[row_of[i]][:80])}"
        for i, index in enumerate(known)
        if index is None
    ]
    if not others or len(others) == len(known):
        return ""
    return f"{len(others):,} of {len(known):,} classes by their place alone: {joined(others, 5)}"


def _names_of_others(plan: Plan, choice: HeadChoice, classes: Sequence[str]) -> bool:
    """Returns whether a user's module names its outputs unlike the classes of the data."""
    of_user = plan.encoder.loader == "py" and choice.kind == "classifier"
    if not of_user or plan.spec.classes is not None or not choice.in_label_order:
        return False
    if all(name.isdigit() for name in classes):
        return False
    return not {*classes, *prompt_names(classes)} & {*choice.classes}


def _answer(plan: Plan, choice: HeadChoice, progress: HeadProgress) -> Check:
    """Runs the known-answer check on real images, if the head does not take too long."""
    name, dataset = plan.suite.in_distribution_name, plan.suite.in_distribution
    skipped = Check(name=ANSWER, status="skip", detail="", data=name)
    if plan.encoder.accuracies:
        reason = "left to tuiprobe doctor: the model comes with accuracies"
        return replace(skipped, detail=reason)
    expected, _ = expected_answer(plan.encoder, dataset)
    if expected is None:
        reason = "no published accuracy for these weights on these images"
        return replace(skipped, detail=reason)
    if choice.kind not in ("zero-shot", "classifier"):
        return replace(skipped, detail="the run uses another head")
    if choice.kind == "zero-shot":
        left = plan.encoder.prompts_left(choice.classes, choice.templates)
        if too_long(left, plan):
            reason = f"{left:,} prompts are not encoded on a CPU unasked; see tuiprobe doctor"
            return replace(skipped, detail=reason)
    spec = plan.spec
    templates = Path(spec.templates) if spec.templates is not None else None
    check = check_answer(plan.encoder, dataset, spec.classes, templates, progress)
    return replace(check, data=name)
