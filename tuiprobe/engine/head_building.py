"""Builds the linear head of a run once, and publishes it for every probe."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tuiprobe.catalog.imagenet import prompt_names
from tuiprobe.engine.head_choice import HeadChoice
from tuiprobe.engine.head_fit import fit_probe, probe_split, split_digest
from tuiprobe.engine.head_matching import class_of_each_row, unmatched
from tuiprobe.engine.plan import Plan
from tuiprobe.engine.stopping import Interrupted
from tuiprobe.errors import DataError
from tuiprobe.files import DamagedFileError
from tuiprobe.models.heads import Head
from tuiprobe.results import NotRun
from tuiprobe.run.arrays import Arrays, read_own_arrays, write_arrays
from tuiprobe.run.head_file import ANSWERS, OUTSIDE, OWN_NAMES, OWN_REASON, UNMATCHED
from tuiprobe.run.status import Event, Listener, bounded
from tuiprobe.spec import MAX_CPU_PROMPTS

TRIAL_SECONDS = 2.0
"""After which the rate is taken for that of the rest."""


class LongHeadError(Exception):
    """The head takes longer than it may."""


class HeadProgress:
    """A callback for (done, total) that tells the listener, and may stop.

    Args:
        what: The counted unit, for example `classes`.
        listen: Receives progress.
        check: Called each time; raises to stop.
        most: Seconds that the head may take; None for no limit.
    """

    def __init__(
        self, what: str, listen: Listener, check: Callable[[], None], most: float | None = None
    ) -> None:
        self._what, self._listen, self._check = what, listen, check
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
        data = {"stage": "head", "unit": self._what, "done": done, "total": total}
        self._listen(Event("progress", "", {**data, "rate": rate, "eta": eta}))
        self._check()
        expected = now - self._begun + (eta if eta is not None and seconds > TRIAL_SECONDS else 0)
        if self._most is not None and done < total and expected > self._most:
            raise LongHeadError


def write_head(
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
    choice, directory = plan.head, plan.directory
    digest, among_all = _digest(plan), plan.spec.answers_among == "all"
    if _renew(plan, digest):
        return
    unit = "images" if choice.kind == "probe" else "classes"
    progress = HeadProgress(unit, listen, check, seconds)
    most = MAX_CPU_PROMPTS if too_long(MAX_CPU_PROMPTS + 1, plan, choice) else None
    try:
        head = _build(plan, choice, listen, progress, hurried)
        own, notes = _own_name_heads(plan, choice, progress, 0 if hurried else most)
    except Interrupted:
        reason = "stopped while the head was built; the same command goes on with it"
        write_arrays(directory.head_file, {}, {"reason": reason, "key": plan.key})
        raise
    if isinstance(head, NotRun):
        write_arrays(directory.head_file, {}, {"reason": head.reason, "key": plan.key})
        return
    arrays: Arrays = {"weight": head.weight.float().cpu().numpy(), **own}
    if head.bias is not None:
        arrays["bias"] = head.bias.float().cpu().numpy()
    if head.logit_scale is not None:
        arrays["logit_scale"] = np.array([head.logit_scale], dtype=np.float32)
        arrays["logit_bias"] = np.array([head.logit_bias], dtype=np.float32)
    for name in plan.suite.sets:
        answers = class_of_each_row(plan, choice, head.classes, name)
        if answers is not None:
            outside = OUTSIDE + np.arange(len(answers))
            opened = np.where(answers < 0, outside, answers) if among_all else answers
            arrays[ANSWERS + name] = opened
        elif plan.suite.sets[name].classes:
            notes[UNMATCHED + name] = unmatched(plan, choice, head.classes, name)
    arrays |= _of_targets(plan, arrays)
    metadata = {
        "source": head.source,
        "normalize": json.dumps(head.normalize),
        "classes": json.dumps(head.classes),
        "templates": json.dumps(head.templates),
        "choice": digest,
        "key": plan.key,
        **notes,
    }
    write_arrays(directory.head_file, arrays, metadata)


def _digest(plan: Plan) -> str:
    split = split_digest(plan) if plan.head.kind == "probe" else ""
    return plan.head.digest() + split + "all" * (plan.spec.answers_among == "all")


def head_is_another(plan: Plan) -> bool:
    """Says whether the directory holds a head of another choice."""
    file = plan.directory.head_file
    try:
        _, metadata = read_own_arrays(plan.directory, file) if file.exists() else ({}, {})
    except DamagedFileError:
        return False
    return metadata.get("choice", _digest(plan)) != _digest(plan)


def _renew(plan: Plan, digest: str) -> bool:
    """Keeps an existing head of this choice; publishes it again for other target sets.

    A file that holds a reason in place of a head has no choice, and the reason is checked again.
    """
    file = plan.directory.head_file
    try:
        arrays, metadata = read_own_arrays(plan.directory, file) if file.exists() else ({}, {})
    except DamagedFileError:
        return False
    if metadata.get("choice") != digest:
        return False
    labelled = {ANSWERS + name for name in plan.suite.sets if name not in plan.suite.own_keys}
    kept = {n: a for n, a in arrays.items() if not n.startswith(ANSWERS) or n in labelled}
    renewed = kept | _of_targets(plan, kept)
    same = renewed.keys() == arrays.keys()
    if not same or any(not np.array_equal(array, arrays[n]) for n, array in renewed.items()):
        write_arrays(file, renewed, metadata)
    return True


def _of_targets(plan: Plan, arrays: Arrays) -> Arrays:
    """Returns which rows of a head may answer in the target sets.

    These are the rows that may answer in the in-distribution set, with the same classes. If no row
    answers there, or the user named the classes and some of them are not in that set, all rows may
    answer, each for itself.
    """
    first = arrays.get(ANSWERS + next(iter(plan.suite.sets)))
    if first is None or (plan.spec.classes is not None and bool((first < 0).any())):
        first = np.arange(len(arrays["weight"]), dtype=np.int64)
    return {ANSWERS + name: first for name in plan.suite.targets}


def _build(
    plan: Plan,
    choice: HeadChoice,
    listen: Listener,
    progress: HeadProgress,
    hurried: bool,
) -> Head | NotRun:
    """Returns the head of a choice, or the reason why there is none."""
    if choice.kind == "none":
        return NotRun(reason=choice.reason)
    if choice.head is not None:
        return replace(choice.head, classes=choice.classes)
    if choice.kind == "probe":
        if hurried:
            return NotRun(reason="stopped before the head was fitted; the same command resumes")
        split = sum(shard.size for shard in probe_split(plan))
        message = f"fitting a linear head to {split} images that are not measured"
        listen(Event("stage", message, {"stage": "head"}))
        return fit_probe(plan, choice.classes, progress)
    left = plan.encoder.prompts_left(choice.classes, choice.templates)
    if left and hurried:
        return NotRun(reason="stopped before the head was built; the same command resumes")
    if too_long(left, plan, choice):
        return NotRun(
            reason=f"{left:,} prompts take a CPU hours: ask for them with --head zero-shot (it "
            "resumes where it is stopped, and is kept), run on --device cuda, or pass fewer "
            "--templates"
        )
    prompts = len(choice.classes) * len(choice.templates)
    cached = f", {prompts - left} of them cached" if left < prompts else ""
    message = f"building the zero-shot head: {prompts} prompts{cached}"
    listen(Event("stage", message, {"stage": "head"}))
    head = plan.encoder.head(choice.classes, choice.templates, progress=progress)
    if head is None:
        raise DataError(f"{plan.spec.model} gave no head for {len(choice.classes)} class names")
    return head


def _own_name_heads(
    plan: Plan, choice: HeadChoice, progress: HeadProgress, most: int | None
) -> tuple[Arrays, dict[str, str]]:
    """Builds a head from a shift's own class names, such as ObjectNet's 113.

    An alternative to the usual protocol, which uses the rows of ImageNet's classes.

    Args:
        plan: The plan of the run.
        choice: The head of the run; only a zero-shot head has this alternative.
        progress: Called with progress.
        most: Most prompts that may be encoded; cached prompts do not count. None for no limit.

    Returns:
        Arrays `own_names/<set>` with one row per label, and metadata with the source of each
        head, or the reason why it is missing.
    """
    arrays: Arrays = {}
    notes: dict[str, str] = {}
    if choice.kind != "zero-shot":
        return arrays, notes
    for name, dataset in plan.suite.sets.items():
        if plan.suite.published.get(name) != "objectnet":
            continue
        names = prompt_names(dataset.classes)
        left = plan.encoder.prompts_left(names, choice.templates)
        if most is not None and left > most:
            notes[OWN_REASON + name] = (
                "stopped before its head was built; the same command resumes"
                if most == 0
                else f"{left:,} prompts take a CPU hours; ask for them with --head zero-shot"
            )
            continue
        head = plan.encoder.head(names, choice.templates, progress=progress)
        if head is not None:
            arrays[OWN_NAMES + name] = head.weight.float().cpu().numpy()
            notes[OWN_NAMES + name] = f"{head.source}, {len(names)} class names of its own"
    return arrays, notes


def too_long(prompts: int, plan: Plan, choice: HeadChoice) -> bool:
    """Says whether there are too many prompts to encode without being asked."""
    text = plan.encoder.text
    padded = text is not None and text.lengths is None
    return plan.device == "cpu" and padded and prompts > MAX_CPU_PROMPTS and not choice.asked
