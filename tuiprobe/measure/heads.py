"""The linear head of a run: built once, stored with the statistics, read by every probe."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tuiprobe.catalog.class_names import match_classes, place_of_each, shortened
from tuiprobe.catalog.labels import imagenet_labels, prompt_names
from tuiprobe.datasets.vectors import ROWS
from tuiprobe.errors import DataError, UsageError
from tuiprobe.events import Event, Listener
from tuiprobe.files import DamagedFileError
from tuiprobe.measure.head_choice import HeadChoice
from tuiprobe.measure.head_probe import fit_probe, probe_split, split_digest
from tuiprobe.measure.head_progress import HeadProgress
from tuiprobe.measure.own_names import own_name_heads
from tuiprobe.measure.plan import Plan
from tuiprobe.measure.stopping import Interrupted
from tuiprobe.models.heads import Head
from tuiprobe.plaintext import plain
from tuiprobe.run.arrays import Arrays, read_own_arrays, write_arrays
from tuiprobe.run.directory import RunDir
from tuiprobe.run.head_file import ANSWERS, UNMATCHED
from tuiprobe.spec import MAX_CPU_PROMPTS

IMAGENET_CLASSES = 1000


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
        listen: Told what is built, with progress.
        hurried: Whether the run was interrupted; then only a head that needs no computation is
            written.
        check: Called while the head is built; raises to stop. Finished parts are kept.
        seconds: Most that it may take; None for no limit.

    Raises:
        LongHeadError: As soon as it will take longer.
    """
    choice, directory = plan.head, plan.directory
    wanted = choice.digest() + (split_digest(plan) if choice.kind == "probe" else "")
    kept = _kept(directory, wanted)
    if kept is not None:
        _renew_targets(plan, *kept)
        return
    progress = HeadProgress(_counted(choice), listen, check, seconds)
    try:
        found = _build(plan, choice, listen, progress, hurried)
        own, said = own_name_heads(
            plan, choice, progress, 0 if hurried else _most_prompts(plan, choice)
        )
    except Interrupted:
        reason = "stopped while the head was built; the same command goes on with it"
        write_arrays(directory.head_file, {}, {"reason": reason, "key": plan.key})
        raise
    if isinstance(found, str):
        write_arrays(directory.head_file, {}, {"reason": found, "key": plan.key})
        return
    arrays: Arrays = {"weight": found.weight.float().cpu().numpy(), **own}
    if found.bias is not None:
        arrays["bias"] = found.bias.float().cpu().numpy()
    if found.logit_scale is not None:
        arrays["logit_scale"] = np.array([found.logit_scale], dtype=np.float32)
        arrays["logit_bias"] = np.array([found.logit_bias], dtype=np.float32)
    for name in plan.suite.sets:
        answers = answers_of(plan, choice, found.classes, name)
        if answers is not None:
            arrays[ANSWERS + name] = answers
        elif plan.suite.sets[name].classes:
            said[UNMATCHED + name] = unmatched(plan, choice, found.classes, name)
    arrays |= _of_targets(plan, arrays)
    metadata = {
        "source": found.source,
        "normalize": json.dumps(found.normalize),
        "classes": json.dumps(found.classes),
        "templates": json.dumps(found.templates),
        "choice": wanted,
        "key": plan.key,
        **said,
    }
    write_arrays(directory.head_file, arrays, metadata)


def _kept(directory: RunDir, digest: str) -> tuple[Arrays, dict[str, str]] | None:
    """Returns arrays and metadata of an existing head of this choice."""
    if not directory.head_file.exists():
        return None
    try:
        arrays, metadata = read_own_arrays(directory, directory.head_file)
    except DamagedFileError:
        return None
    # A reason has no choice; check it again.
    return (arrays, metadata) if metadata.get("choice") == digest else None


def _renew_targets(plan: Plan, arrays: Arrays, metadata: dict[str, str]) -> None:
    """Publishes a kept head again if other target sets were measured with it."""
    labelled = {ANSWERS + name for name in plan.suite.sets if name not in plan.suite.own_keys}
    kept = {n: a for n, a in arrays.items() if not n.startswith(ANSWERS) or n in labelled}
    renewed = kept | _of_targets(plan, kept)
    same = renewed.keys() == arrays.keys()
    if not same or any(not np.array_equal(array, arrays[n]) for n, array in renewed.items()):
        write_arrays(plan.directory.head_file, renewed, metadata)


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


def _counted(choice: HeadChoice) -> str:
    return "images" if choice.kind == "probe" else "classes"


def _build(
    plan: Plan,
    choice: HeadChoice,
    listen: Listener,
    progress: HeadProgress,
    hurried: bool,
) -> Head | str:
    if choice.kind == "none":
        return choice.reason
    if choice.head is not None:
        return replace(choice.head, classes=choice.classes)
    if choice.kind == "probe":
        if hurried:
            return "stopped before the head was fitted; the same command resumes"
        split = sum(shard.size for shard in probe_split(plan))
        said = f"fitting a linear head to {split} images that are not measured"
        listen(Event("stage", said, {"stage": "head"}))
        return fit_probe(plan, choice.classes, progress)
    return _zero_shot(plan, choice, listen, progress, hurried)


def _zero_shot(
    plan: Plan, choice: HeadChoice, listen: Listener, progress: HeadProgress, hurried: bool
) -> Head | str:
    left = plan.encoder.prompts_left(choice.classes, choice.templates)
    if left and hurried:
        return "stopped before the head was built; the same command resumes"
    if too_long(left, plan, choice):
        return (
            f"{left:,} prompts take a CPU hours: ask for them with --head zero-shot (it resumes "
            "where it is stopped, and is kept), run on --device cuda, or pass fewer --templates"
        )
    all_ = len(choice.classes) * len(choice.templates)
    cached = f", {all_ - left} of them cached" if left < all_ else ""
    said = f"building the zero-shot head: {all_} prompts{cached}"
    listen(Event("stage", said, {"stage": "head"}))
    head = plan.encoder.head(choice.classes, choice.templates, progress=progress)
    if head is None:
        raise DataError(f"{plan.spec.model} gave no head for {len(choice.classes)} class names")
    return head


def too_long(prompts: int, plan: Plan, choice: HeadChoice) -> bool:
    """Says whether there are too many prompts to encode without being asked."""
    text = plan.encoder.text
    padded = text is not None and text.lengths is None
    return plan.device == "cpu" and padded and prompts > MAX_CPU_PROMPTS and not choice.asked


def _most_prompts(plan: Plan, choice: HeadChoice) -> int | None:
    return MAX_CPU_PROMPTS if too_long(MAX_CPU_PROMPTS + 1, plan, choice) else None


def answers_of(
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
    """Refuses labels of vectors whose rows in the head are not known.

    Any guess may give a wrong accuracy.

    Raises:
        DataError: If they are names and the rows have none, or numbers beyond the last row.
    """
    rows, choice, path = plan.row_sets[ROWS], plan.head, str(plan.spec.labels)
    if rows.labels is None or choice.head is None:
        return
    matched = answers_of(plan, choice, choice.classes, ROWS) is not None
    if matched and not choice.assumed:
        return
    high, head = int(rows.labels.max()), f"the head has {len(choice.classes):,} rows"
    if rows.classes[high] != str(high):
        raise DataError(
            f"{path} holds names ({plain(rows.classes[0][:80])}, …), and nothing says which rows "
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
        remedy = f"the folders below them are ({shortened(below)}): move these up"
    else:
        remedy = "fit a head to them by --head probe"
    listed = shortened([plain(one[:80]) for one in dataset.classes])
    return f"no class of {name} ({listed}) is a class of the head ({rows[0]}, …); {remedy}"


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
