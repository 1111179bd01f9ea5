"""Chooses the head of a run and checks the options before any image is measured."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from tuiprobe.catalog.class_names import (
    match_classes,
    of_imagenet,
    place_of_each,
    spelled_out,
    written_classes,
)
from tuiprobe.catalog.imagenet import (
    imagenet_labels,
    imagenet_names,
    imagenet_templates,
    prompt_names,
)
from tuiprobe.datasets import Suite
from tuiprobe.engine.label_origin import refuse_levels, refuse_origins
from tuiprobe.errors import UsageError
from tuiprobe.models import Encoder
from tuiprobe.models.heads import Head, head_from_file
from tuiprobe.models.info import state_digest
from tuiprobe.models.load import IDENTITY
from tuiprobe.models.prompt_heads import read_templates
from tuiprobe.plaintext import plain
from tuiprobe.spec import RunSpec

HeadKind = Literal["zero-shot", "classifier", "file", "probe", "none"]


@dataclass(frozen=True)
class HeadChoice:
    """The head of a run, before it is built.

    Attributes:
        kind: Kind of head; `none` if no head is available.
        classes: Names of the rows.
        templates: Prompt templates, for `zero-shot`.
        head: The head itself, for `classifier` and `file`.
        reason: Why there is no head, for `none`.
        in_label_order: Whether the user gave the names. Rows may then be matched to labels by
            position if the names differ from the folder names.
        asked: Whether the user asked for this kind of head, however long it takes.
        assumed: Whether rows without names are assumed to be in label order because their number
            is that of the labels.
    """

    kind: HeadKind
    classes: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()
    head: Head | None = None
    reason: str = ""
    in_label_order: bool = False
    asked: bool = False
    assumed: bool = False
    logit_scale: float | None = None
    logit_bias: float = 0.0

    @property
    def unnamed(self) -> bool:
        """Whether the meaning of the rows is unknown, so that they have numbers as names."""
        return _are_numbers(self.classes)

    @property
    def named(self) -> bool:
        """Whether the user gave the names of the rows."""
        return self.in_label_order and not self.assumed

    def digest(self) -> str:
        """Returns a digest that differs between the head choices of a run."""
        content: list[object] = [
            self.kind, self.classes, self.templates, self.reason, self.in_label_order
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
    """Returns the head that the options ask for, or else the encoder's own.

    Raises:
        UsageError: If the options contradict each other, the encoder or the data.
        DataError: If labels count from 1.
        WeightsError: If the file with the head cannot be used.
    """
    text = encoder.text
    first = next(iter(suite.sets.values()))
    labels = first.classes
    written = written_classes(spec.classes) if spec.classes is not None else ()
    given = tuple(map(spelled_out, written))
    if given:
        refuse_origins(spec, suite, len(given), f"--classes holds {len(given):,} names", given)
    if given and labels:
        refuse_levels(first, given)
        place_of_each(labels, given)  # raises if the names do not fit
    prompted = spec.head == "zero-shot" or (spec.head is None and text is not None)
    if spec.templates is not None and not prompted:
        raise UsageError("--templates belong to a zero-shot head; this run uses another one")
    if spec.head == "zero-shot" and text is None:
        raise UsageError(
            f"--head zero-shot: {spec.model} has no text tower; pass --head FILE or --head probe"
        )
    if prompted:
        return _prompts(spec, encoder, labels, given)
    if spec.head == "probe":
        if not labels:
            raise UsageError(
                f"--head probe fits a head of {spec.model} to labels, and the images have none"
            )
        names = prompt_names(labels)
        if given:
            names = tuple(given[place] for place in place_of_each(labels, given))
        return HeadChoice("probe", names, asked=True)
    if spec.head is not None:
        head = head_from_file(Path(spec.head), width=encoder.width)
        count = len(head.classes)
        refuse_origins(spec, suite, count, f"the head has {count:,} rows", given)
        thousand = len(imagenet_names())
        others = len(labels) == thousand and imagenet_labels(labels) is None
        if len(head.classes) == thousand and not others:
            head = replace(head, classes=imagenet_names())
            given = given or imagenet_names()
        return _brought("file", _among(head, written), given, labels)
    return _classifier(spec, encoder, suite, written)


def _among(head: Head, written: Sequence[str]) -> Head:
    """Returns a head with the rows that `--classes` names, where these are some of ImageNet's.

    Raises:
        UsageError: If there are as many names as rows, or they are classes of the head.
    """
    count = len(head.classes)
    if len(written) in (0, count):
        return head
    if not of_imagenet(head.classes):
        raise UsageError(
            f"--classes holds {len(written):,} names for the {count:,} rows of {head.source}"
        )
    matched = match_classes(written, head.classes)
    if matched.places is None:
        raise UsageError(
            f"--classes holds {len(written):,} names for the {count:,} classes of {head.source}: "
            f"{matched.problems()}"
        )
    rows = list(matched.places)
    bias = None if head.bias is None else head.bias[rows]
    source = f"{head.source}, {len(rows):,} of them"
    classes = tuple(head.classes[row] for row in rows)
    return replace(head, weight=head.weight[rows], bias=bias, classes=classes, source=source)


def _prompts(
    spec: RunSpec, encoder: Encoder, labels: Sequence[str], given: tuple[str, ...]
) -> HeadChoice:
    text = encoder.text
    assert text is not None
    if not labels and not given:
        reason = "list your classes, one a line: --classes names.txt (the images carry no names)"
        return HeadChoice("none", reason=reason)
    of_imagenet = imagenet_labels(labels) is not None
    names = given or (imagenet_names() if of_imagenet else prompt_names(labels))
    templates = imagenet_templates() if of_imagenet else text.templates
    if spec.templates is not None:
        templates = read_templates(Path(spec.templates))
    return HeadChoice(
        "zero-shot",
        names,
        templates,
        in_label_order=bool(given),
        asked=spec.head is not None,
        logit_scale=text.logit_scale,
        logit_bias=text.logit_bias,
    )


def _classifier(
    spec: RunSpec, encoder: Encoder, suite: Suite, written: Sequence[str]
) -> HeadChoice:
    head = encoder.head()
    if head is None:
        more = "" if encoder.loader == IDENTITY else " or --head probe"
        reason = f"{spec.model} brings no head; pass --head FILE{more}"
        return HeadChoice("none", reason=reason)
    if not bool(head.weight.any()):
        reason = f"the {head.source} of {spec.model} holds nothing but zeros: load a trained one"
        return HeadChoice("none", reason=reason)
    count, first = len(head.classes), next(iter(suite.sets.values()))
    labels = first.classes
    given = tuple(map(spelled_out, written))
    if not given and (head.named or (encoder.loader == "py" and not _are_numbers(head.classes))):
        given = head.classes  # as the user gave them
    refuse_origins(spec, suite, count, f"{head.source} has {count:,} rows", given)
    if given and labels and not written:
        refuse_levels(first, given)
        place_of_each(labels, given)  # raises if they do not fit
    return _brought("classifier", _among(head, written), given, labels)


def _brought(
    kind: Literal["classifier", "file"],
    head: Head,
    given: tuple[str, ...],
    labels: Sequence[str],
) -> HeadChoice:
    asked = kind == "file"
    if given:
        _refuse_other_order(head, given)
        return HeadChoice(kind, given, head=head, in_label_order=True, asked=asked)
    numbered = set(labels) <= set(head.classes)  # folders named by row number
    if _are_numbers(head.classes) and len(labels) == len(head.classes) and not numbered:
        names = prompt_names(labels)
        return HeadChoice(kind, names, head=head, in_label_order=True, asked=asked, assumed=True)
    return HeadChoice(kind, head.classes, head=head, asked=asked)


def _refuse_other_order(head: Head, given: Sequence[str]) -> None:
    """Refuses the names of a head's rows at the places of other rows.

    Raises:
        UsageError: If `--classes` holds a name of the head in another line.
    """
    if _are_numbers(head.classes):
        return
    known = match_classes(given, head.classes).known
    moved = [(line, row) for line, row in enumerate(known) if row not in (None, line)]
    if moved:
        line, row = moved[0]
        assert row is not None
        name = plain(given[line][:80])
        raise UsageError(
            f"--classes holds names of {head.source} in another order: {name!r} is name {line + 1} "
            f"and stands for output {row + 1} of {len(known):,} ({len(moved):,} such names); leave "
            "out --classes, or give the names in the order of the outputs"
        )


def _are_numbers(classes: Sequence[str]) -> bool:
    return bool(classes) and tuple(classes) == tuple(str(i) for i in range(len(classes)))
