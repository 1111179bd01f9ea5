"""Chooses the head of a run, and says which class each of its rows answers for in every set.

Options and labels that could be read in two ways are refused before any image is measured.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tuiprobe.catalog.class_names import (
    imagenet_labels,
    imagenet_names,
    imagenet_templates,
    index_of_each,
    match_classes,
    of_imagenet,
    prompt_names,
    refuse_other_names,
    spelled_out,
    written_classes,
)
from tuiprobe.datasets import Dataset, Suite
from tuiprobe.datasets.labels import counts_from_one, deeper_folders, open_origin
from tuiprobe.datasets.layout import layout_of
from tuiprobe.errors import DataError, UsageError
from tuiprobe.models import Encoder
from tuiprobe.models.checks.data_checks import check_labels
from tuiprobe.models.heads import Head, head_from_file
from tuiprobe.models.info import state_digest
from tuiprobe.models.prompt_heads import TextTower, read_templates
from tuiprobe.plaintext import joined, plain
from tuiprobe.results import NotRun
from tuiprobe.results.subject import HeadKind, head_kind
from tuiprobe.spec import RunSpec


@dataclass(frozen=True, kw_only=True)
class HeadChoice:
    """The head of a run, before it is built.

    Attributes:
        kind: Kind of head; `none` if no head is available.
        classes: Names of the rows.
        templates: Prompt templates, for `zero-shot`.
        head: The head itself, for `classifier` and `file`.
        not_run: Why there is no head, for `none`.
        in_label_order: Whether the user gave the names. Rows may then be matched to labels by
            position if the names differ from the folder names.
        requested: Whether the user asked for this kind of head, however long it takes.
        assumed: Whether rows without names are assumed to be in label order because their number
            is that of the labels.
        logit_scale: As of a `Head`, for `zero-shot`.
        logit_bias: As of a `Head`, for `zero-shot`.
        note: Why the head is not that of the model; empty where that is plain.
    """

    kind: HeadKind | Literal["none"]
    classes: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()
    head: Head | None = None
    not_run: NotRun | None = None
    in_label_order: bool = False
    requested: bool = False
    assumed: bool = False
    logit_scale: float | None = None
    logit_bias: float = 0.0
    note: str = ""

    @property
    def unnamed(self) -> bool:
        """Whether the meaning of the rows is unknown, so that they have numbers as names."""
        return _are_numbers(self.classes)

    @property
    def named(self) -> bool:
        """Whether the user, or the file of the head, gave the names of the rows."""
        by_file = self.head is not None and bool(self.head.names_from)
        return (self.in_label_order and not self.assumed) or by_file

    def digest(self) -> str:
        """Returns a digest that differs between the head choices of a run."""
        content: list[object] = [
            self.kind, self.classes, self.templates, self.in_label_order
        ]  # fmt: skip
        if self.head is not None:
            state = {"weight": self.head.weight}
            if self.head.bias is not None:
                state["bias"] = self.head.bias
            content.append(state_digest(state))
        scaled = self.head or self
        if scaled.logit_scale is not None or scaled.logit_bias:
            content.append([scaled.logit_scale, scaled.logit_bias])
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def choose_head(spec: RunSpec, encoder: Encoder, suite: Suite) -> HeadChoice:
    """Returns the head that the options ask for, or else that of the encoder.

    Raises:
        UsageError: If the options contradict each other, the encoder or the data.
        DataError: If labels count from 1, or folders are on another level.
        WeightsError: If the file with the head cannot be used.
    """
    labels = suite.in_distribution.classes
    written = written_classes(spec.classes) if spec.classes is not None else ()
    given = tuple(map(spelled_out, written))
    if given:
        _refuse_misread(spec, suite, given, len(given), f"--classes holds {len(given):,} names")
    bare = encoder.text is None and spec.head is None
    head = encoder.head() if bare else None
    head = head and _with_numbers(head, encoder, labels, given)
    kind = head_kind(
        spec.head,
        spec.model,
        text=encoder.text is not None,
        classifier=head is not None and (bool(given) or _may_answer(suite, head)),
        labels=len(labels),
        names=len(given),
    )
    _refuse_prompts(spec, encoder)
    if isinstance(kind, NotRun):
        return HeadChoice(kind="none", not_run=kind)
    if kind == "zero-shot":
        assert encoder.text is not None
        return _zero_shot(spec, encoder.text, labels, given)
    if kind == "probe":
        return _fitted(spec, suite, given, "" if head is None else plain(head.classes[0]))
    if kind == "file":
        return _from_file(spec, encoder.width, suite, written)
    assert head is not None
    return _classifier(spec, encoder, head, suite, written)


def _refuse_prompts(spec: RunSpec, encoder: Encoder) -> None:
    """Refuses prompts for a head that is made without, and a zero-shot head without text tower."""
    prompted = spec.head == "zero-shot" or (spec.head is None and encoder.text is not None)
    if spec.templates is not None and not prompted:
        raise UsageError("--templates belong to a zero-shot head; this run uses another one")
    if prompted and encoder.text is None:
        other = "pass --head FILE or --head probe"
        raise UsageError(f"--head zero-shot: {spec.model} has no text tower; {other}")


def _with_numbers(
    head: Head, encoder: Encoder, labels: Sequence[str], given: Sequence[str]
) -> Head:
    """Returns a head of 1,000 rows of a user's file with numbers, where its classes are others.

    Nothing in the file names them, and the labels or the user name as many that are not ImageNet's.
    """
    named = given or labels
    assumed = _is_assumed(head, encoder) and len(named) == len(head.classes)
    if not assumed or imagenet_labels(named) is not None:
        return head
    return replace(head, classes=tuple(map(str, range(len(named)))))


def _is_assumed(head: Head, encoder: Encoder) -> bool:
    """Returns whether the rows of a user's weights are ImageNet's by their number alone."""
    unnamed = head.classes == imagenet_names() and not (head.named or head.names_from)
    return unnamed and encoder.weights.kind == "checkpoint"


def _may_answer(suite: Suite, head: Head) -> bool:
    """Returns whether a classifier answers with any class of the labelled images.

    One without names may: its rows are then named by the labels or by `--classes`.
    """
    name, id_set = suite.in_distribution_name, suite.in_distribution
    if len(id_set.classes) < 2 or _are_numbers(head.classes) or _by_row(id_set.classes, head):
        return True
    if answers_for(id_set.classes, head.classes, suite.imagenet.get(name)) is not None:
        return True
    return any(match_classes((*id_set.classes, *deeper_folders(id_set)), head.classes).candidates)


def _fitted(spec: RunSpec, suite: Suite, given: tuple[str, ...], other: str) -> HeadChoice:
    """Returns the choice of a head that is fitted to labels.

    Args:
        spec: The spec of the run.
        suite: The sets of images.
        given: Class names of the user.
        other: The first class of a classifier that knows none of the labels; empty without.

    Raises:
        UsageError: If there are no labels, or all are of one class.
    """
    name, labels = suite.in_distribution_name, suite.in_distribution.classes
    if not labels:
        raise UsageError(
            f"--head probe fits a head of {spec.model} to labels, and the images have none"
        )
    if len(labels) == 1:
        raise UsageError(
            f"--head probe needs two or more classes, and {name} has one, {labels[0]!r}. If the "
            "folders in it are the classes, give its path as --data"
        )
    names, note = prompt_names(labels), ""
    if given:
        names = tuple(given[index] for index in index_of_each(labels, given))
    if other:
        note = (
            f"the classes of {name} are not among those of {spec.model} ({other}, …), so a head is "
            "fitted to their labels"
        )
    return HeadChoice(kind="probe", classes=names, requested=True, note=note)


def _zero_shot(
    spec: RunSpec, text: TextTower, labels: Sequence[str], given: tuple[str, ...]
) -> HeadChoice:
    of_imagenet = imagenet_labels(labels) is not None
    templates = imagenet_templates() if of_imagenet else text.templates
    if spec.templates is not None:
        templates = read_templates(Path(spec.templates))
    return HeadChoice(
        kind="zero-shot",
        classes=given or (imagenet_names() if of_imagenet else prompt_names(labels)),
        templates=templates,
        in_label_order=bool(given),
        requested=spec.head is not None,
        logit_scale=text.logit_scale,
        logit_bias=text.logit_bias,
    )


def _from_file(spec: RunSpec, width: int, suite: Suite, written: Sequence[str]) -> HeadChoice:
    head = head_from_file(Path(str(spec.head)), width=width)
    given, count = tuple(map(spelled_out, written)), len(head.classes)
    _refuse_misread(spec, suite, given, count, f"the head has {count:,} rows")
    labels, thousand, note = suite.in_distribution.classes, imagenet_names(), ""
    named = given or labels
    others = len(named) == len(thousand) and imagenet_labels(named) is None
    if count == len(thousand) and not others and _are_numbers(head.classes):
        head = replace(head, classes=thousand)
        note = "" if given else _assumed(head.source, labels)
        given = given or thousand
    choice = _of_rows("file", _among(head, written, spec, head.source), given, labels)
    return replace(choice, note=note)


def _assumed(of: str, labels: Sequence[str]) -> str:
    """Returns a note if 1,000 outputs count as ImageNet's and the labels do not."""
    if imagenet_labels(labels) is not None:
        return ""
    return f"nothing names the classes of {of}: they are taken as ImageNet's; --classes names them"


def _classifier(
    spec: RunSpec, encoder: Encoder, head: Head, suite: Suite, written: Sequence[str]
) -> HeadChoice:
    labels = suite.in_distribution.classes
    if not bool(head.weight.any()):
        zeros = f"the {head.source} of {spec.model} holds nothing but zeros"
        return HeadChoice(kind="none", not_run=NotRun(reason=zeros, remedy="load a trained one"))
    given, count = tuple(map(spelled_out, written)), len(head.classes)
    of_python = encoder.loader == "py" and not _are_numbers(head.classes)
    if not given and not head.names_from and (head.named or of_python):
        given = head.classes  # as the user gave them
    _refuse_misread(spec, suite, given, count, f"{head.source} has {count:,} rows")
    of = f"{plain(spec.checkpoint or spec.model)} ({head.source})"
    choice = _of_rows("classifier", _among(head, written, spec, of), given, labels)
    assumed = _assumed(of, labels) if not given and _is_assumed(head, encoder) else ""
    read_as = f"{of}: {head.note}" if head.note else ""
    return replace(choice, note="; ".join(filter(None, (read_as, assumed))))


def _among(head: Head, written: Sequence[str], spec: RunSpec, of: str) -> Head:
    """Returns a head with the rows that `--classes` names, where these are some of ImageNet's.

    Args:
        head: The head.
        written: The names.
        spec: The spec of the run.
        of: What brings the head, for messages.

    Raises:
        UsageError: If there are as many names as rows, or they are classes of the head.
    """
    count = len(head.classes)
    if len(written) in (0, count):
        return head
    names = f"--classes {plain(str(spec.classes)[:80])} holds {len(written):,} names for the"
    if not of_imagenet(head.classes):
        raise UsageError(f"{names} {count:,} rows of {of}")
    matched = match_classes(written, head.classes)
    if matched.indices is None:
        raise UsageError(f"{names} {count:,} classes of {of}: {matched.problems()}")
    rows = list(matched.indices)
    return replace(
        head,
        weight=head.weight[rows],
        bias=None if head.bias is None else head.bias[rows],
        classes=tuple(head.classes[row] for row in rows),
        source=f"{head.source}, {len(rows):,} of them",
    )


def _of_rows(
    kind: Literal["classifier", "file"], head: Head, given: tuple[str, ...], labels: Sequence[str]
) -> HeadChoice:
    """Returns the choice of a head that exists, with the names of its rows.

    Raises:
        UsageError: If `--classes` holds a name of the head in another line.
    """
    choice = HeadChoice(kind=kind, head=head, requested=kind == "file")
    numbered = _are_numbers(head.classes)
    if not given:
        by_row = set(labels) <= set(head.classes)  # folders named by row number
        if numbered and len(labels) == len(head.classes) and not by_row:
            names = prompt_names(labels)
            return replace(choice, classes=names, in_label_order=True, assumed=True)
        return replace(choice, classes=head.classes)
    if head.names_from:
        refuse_other_names(given, head.classes, "--classes", head.names_from)
    known = () if numbered else match_classes(given, head.classes).known
    moved = [(line, row) for line, row in enumerate(known) if row is not None and row != line]
    if moved:
        line, row = moved[0]
        raise UsageError(
            f"--classes holds names of {head.source} in another order: {plain(given[line][:80])!r} "
            f"is name {line + 1} and stands for output {row + 1} of {len(known):,} ({len(moved):,} "
            "such names); leave out --classes, or give the names in the order of the outputs"
        )
    return replace(choice, classes=given, in_label_order=True)


def _are_numbers(classes: Sequence[str]) -> bool:
    return bool(classes) and tuple(classes) == tuple(str(i) for i in range(len(classes)))


def _by_row(classes: Sequence[str], head: Head) -> bool:
    """Returns whether classes have the numbers of the rows of a head whose file names these."""
    return bool(head.names_from) and not of_imagenet(head.classes) and _are_decimal(classes)


def _are_decimal(classes: Sequence[str]) -> bool:
    return bool(classes) and all(name.isascii() and name.isdecimal() for name in classes)


def _refuse_misread(
    spec: RunSpec, suite: Suite, given: tuple[str, ...], rows: int, other: str
) -> None:
    """Refuses labels that may count from 1, folders of another level, and names that do not match.

    Args:
        spec: The spec of the run.
        suite: The sets of images.
        given: Names of the outputs that the user gave; numbers among them define the labels.
        rows: The number of outputs or names.
        other: What has so many, in words.

    Raises:
        DataError: If the labels of a set are those.
        UsageError: If the names do not fit the classes of the first set.
    """
    _refuse_origins(spec, suite, given, rows, other)
    id_set = suite.in_distribution
    if given and id_set.classes:
        _refuse_levels(id_set, given)
        index_of_each(id_set.classes, given)  # raises if they do not fit


def _refuse_origins(
    spec: RunSpec, suite: Suite, given: tuple[str, ...], rows: int, other: str
) -> None:
    """Refuses labelled sets whose numbers count from 1, or leave open what they count from.

    Of folders, whose numbers are all classes of a set, any without 0 do. Other labels are of a
    sample of images, which may hold no image of the first class: they do if they are exactly 1 to
    K - 1 of K classes. If the first set counts from 0, so do later ones.
    """
    for number, (name, dataset) in enumerate(suite.sets.items()):
        used = [] if name in suite.targets else _used_numbers(dataset)
        if used and used[0] == 0 and number == 0:
            return
        if not used or used[0] == 0 or used[-1] > rows:
            continue
        if match_classes([str(i) for i in used], given).indices is not None:
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
    if not _are_decimal(classes):
        return []
    labels = np.unique(layout_of(dataset).labels())
    return sorted(int(classes[label]) for label in labels[labels >= 0])


def _refuse_levels(dataset: Dataset, names: Sequence[str]) -> None:
    """Refuses folders that are parts of a data set, or one around the folders of the classes."""
    for check in check_labels(dataset.classes, len(dataset.samples)):
        if check.status == "fail":
            raise DataError(f"{plain(dataset.source)}: {check.detail}; {check.fix}")
    deeper = deeper_folders(dataset) if len(dataset.classes) == 1 else []
    if any(index is not None for index in match_classes(deeper, names).known):
        folder = plain(dataset.classes[0])
        raise DataError(
            f"{plain(dataset.source)} holds one folder, {folder}, and the classes are below it "
            f"({joined(list(map(plain, deeper)), 3)}): give {folder} in place of it"
        )


def class_of_each_row(
    suite: Suite, choice: HeadChoice, rows: tuple[str, ...], name: str
) -> NDArray[np.int64] | None:
    """Returns the class of a set that each row of a head predicts; see `answers_for`."""
    dataset = suite.sets[name]
    if not dataset.classes:
        return None
    id_set = suite.in_distribution
    if choice.kind == "probe" and rows == choice.classes and dataset.classes == id_set.classes:
        return np.arange(len(rows), dtype=np.int64)
    by_row = choice.head is not None and _by_row(dataset.classes, choice.head)
    if by_row or (choice.in_label_order and choice.kind != "probe"):
        with suppress(UsageError):  # sets may have different classes
            return _inverted(index_of_each(dataset.classes, rows), len(rows))
    return answers_for(dataset.classes, rows, suite.imagenet.get(name))


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
    thousand = len(rows) == len(imagenet_names())
    if imagenet is not None and thousand:
        return np.array(imagenet, dtype=np.int64)
    labels = imagenet_labels(classes) if thousand else None
    indices = labels or match_classes(classes, rows).indices
    return None if indices is None else _inverted(indices, len(rows))


def _inverted(indices: Sequence[int], rows: int) -> NDArray[np.int64]:
    answers = np.full(rows, -1, dtype=np.int64)
    answers[list(indices)] = np.arange(len(indices))
    return answers


def unmatched(suite: Suite, choice: HeadChoice, rows: Sequence[str], name: str) -> NotRun:
    """Explains why the classes of a labelled set are not rows of the head, and what to do."""
    dataset = suite.sets[name]
    if choice.unnamed:
        return NotRun(
            reason=f"the head has {len(rows):,} rows without class names and {name} has "
            f"{len(dataset.classes):,} classes",
            remedy="name the rows by --classes FILE",
        )
    matched = match_classes(dataset.classes, rows)
    if any(matched.candidates):
        return NotRun(reason=matched.problems(), remedy=f"rename these folders of {name}")
    inner = match_classes(deeper_folders(dataset), rows)
    below = [inner.classes[i] for i, index in enumerate(inner.known) if index is not None]
    if below:
        remedy = f"the folders below them are ({joined(below, 5)}): move these up"
    else:
        remedy = "fit a head to them by --head probe"
    names = joined([plain(name[:80]) for name in dataset.classes], 5)
    reason = f"no class of {name} ({names}) is a class of the head ({rows[0]}, …)"
    return NotRun(reason=reason, remedy=remedy)


def refuse_unmatched(spec: RunSpec, suite: Suite, choice: HeadChoice) -> None:
    """Refuses labels of a file whose rows in the head are not known.

    Any guess may give a wrong accuracy.

    Raises:
        DataError: If they are names and the rows have none, or numbers beyond the last row.
    """
    if spec.labels is None or choice.head is None:
        return
    name, id_set = suite.in_distribution_name, suite.in_distribution
    matched = class_of_each_row(suite, choice, choice.classes, name) is not None
    if matched and not choice.assumed:
        return
    high = int(layout_of(id_set).labels().max())
    if id_set.classes[high] != str(high):
        raise DataError(
            f"{spec.labels} holds names ({plain(id_set.classes[0][:80])}, …), and nothing says "
            "which rows of the head they are; give the names of all rows in their order by "
            "--classes FILE, or write row numbers in place of names"
        )
    raise DataError(
        f"{spec.labels} holds the label {high:,}, and the head has {len(choice.classes):,} rows, "
        "from 0; is it the right head?"
    )
