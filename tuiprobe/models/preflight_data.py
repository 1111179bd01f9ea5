"""Preflight with images: labels, class mask, counts, range of values, and a known accuracy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.stats import binomtest
from torch import Tensor, nn

from tuiprobe.catalog.imagenet import imagenet_labels, imagenet_wnids
from tuiprobe.datasets.decode import has_deep_values
from tuiprobe.datasets.sample import UnreadableImageError
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.heads import Head
from tuiprobe.models.preflight import Check
from tuiprobe.models.prompt_heads import prompt_rows
from tuiprobe.numbers import interval, number

if TYPE_CHECKING:
    from PIL.Image import Image

    from tuiprobe.datasets.dataset import Dataset
    from tuiprobe.datasets.sample import Sample

SAMPLE = 500
"""Number of images of the known-answer check."""
BATCH = 50  # images per forward pass

KNOWN_COUNTS = {
    (1000, 50_000): "ImageNet validation",
    (1000, 10_000): "ImageNet-V2",
    (1000, 50_889): "ImageNet-Sketch",
    (200, 30_000): "ImageNet-R",
    (200, 7_500): "ImageNet-A",
}

_PARTS = frozenset(
    ("train", "training", "val", "valid", "validation", "dev", "test", "testing", "eval")
)
"""Names of the parts of a data set, which are no classes."""

_FIRST, _LOOKED_AT = 8, 32
"""Images that are looked at for their depth, and all that are looked at if one of them has 16."""


def check_labels(
    classes: Sequence[str],
    images: int,
    *,
    named: bool = False,
    imagenet: Sequence[int] | None = None,
) -> list[Check]:
    """Checks the meaning of the class folders, and whether a well-known set is complete.

    Args:
        classes: Names of the class folders, by label.
        images: Number of images.
        named: Whether the user gave the names with --classes.
        imagenet: The label of each ImageNet class, -1 for none, if a suite gives it (ObjectNet).
    """
    if not classes:
        return [Check("label map", "skip", "no labels")]
    if all(name.lower() in _PARTS for name in classes):
        detail = f"its classes are called {', '.join(classes)}, as the parts of a data set are"
        fix = f"give the folder of one part ({classes[0]}), which holds the classes"
        return [Check("label map", "fail", detail, fix, "labels")]
    count = len(classes)
    if imagenet is not None:
        answering = sum(label >= 0 for label in imagenet)
        detail = (
            f"{answering} ImageNet classes answer for {len(set(imagenet) - {-1})} of its classes"
        )
        return [
            Check("label map", "pass", f"{count} classes by the set's own mapping"),
            Check("class mask", "pass", detail),
        ]
    labels = imagenet_labels(classes)
    if labels is None:
        if not all(name.isdigit() for name in classes):
            return [Check("label map", "pass", f"{count} classes by their own names")]
        if named:
            return [Check("label map", "pass", f"{count} index folders, named by --classes")]
        detail = f"{count} index folders, but not ImageNet's 1,000: names unknown"
        return [
            Check("label map", "warn", detail, "give the names in label order by --classes FILE")
        ]
    kind = "names in the order of the labels"
    if classes[0].isdigit():
        kind = "index folders"
    elif classes[0] in imagenet_wnids():
        kind = "WordNet ids"
    jumbled = list(labels) != sorted(labels)
    order = " in string order (1, 10, 100, 2), mapped by value" if jumbled else ""
    checks = [Check("label map", "pass", f"{count} {kind}{order}")]
    if count < 1000:
        detail = f"{count} of 1,000 classes: the head is masked to them"
        checks.append(Check("class mask", "pass", detail))
    name = KNOWN_COUNTS.get((count, images))
    if name is not None:
        checks.append(Check("image count", "pass", f"{images:,} images, as {name} has"))
    else:
        detail = f"{images:,} images in {count} classes: no complete ImageNet set"
        fix = "fine for a sample; else files are missing"
        checks.append(Check("image count", "warn", detail, fix))
    return checks


def check_range(images: Dataset, samples: Sequence[Sample]) -> Check | None:
    """Checks that 16-bit images use their range; None if the first images have 8 bits.

    A set whose values end far below white, such as 12 bits in files of 16, would be measured as
    black. Reads a few images, and decodes those with more than 8 bits a channel.

    Args:
        images: The set.
        samples: Images of it, in the order in which they are measured.
    """
    counts = np.zeros(256, dtype=np.int64)
    deep: list[str] = []
    for place, sample in enumerate(samples[:_LOOKED_AT]):
        if place == _FIRST and not deep:
            break
        try:
            content = images.read(sample)
            if not isinstance(content.data, bytes) or not has_deep_values(content.data):
                continue
            values = np.asarray(content.image()).reshape(-1)
        except UnreadableImageError:
            continue
        counts += np.bincount(values, minlength=256)
        deep.append(sample.path)
    if not deep:
        return None
    level = int(np.searchsorted(np.cumsum(counts), 0.999 * counts.sum()))
    detail = f"99.9 % of the values in {len(deep)} of the 16-bit images are at most {level} of 255"
    if level >= 255 / 8:
        return Check("value range", "pass", detail)
    return Check(
        "value range",
        "fail",
        f"{detail}, so they would be measured as black ({', '.join(deep[:3])})",
        "scale the values of all files to the full range of 16 bits, by one factor, or save them "
        "with 8 bits",
        "images",
    )


@dataclass(frozen=True)
class ClassifierSetup:
    """All settings that decide whether an image is classified correctly.

    Attributes:
        preprocess: Converts an image to a tensor.
        activation: `gelu` or `quickgelu` to replace the model's activation, with an uncached
            head; None to keep it.
        labels: Class of each folder, indexed by the data set's label.
        classes: Names in the order of the head's rows.
        templates: Prompt templates; empty for a classifier.
    """

    preprocess: Callable[[Image], Tensor]
    activation: str | None
    labels: tuple[int, ...]
    classes: tuple[str, ...]
    templates: tuple[str, ...]


CAUSES = {
    "preprocess": "normalisation and resizing",
    "activation": "activation function",
    "labels": "label map",
    "classes": "class order",
    "templates": "prompt templates",
}
"""Display name of each part of a setup."""


@dataclass(frozen=True)
class KnownAnswer:
    """The result of the known-answer check.

    Attributes:
        expected: Published accuracy.
        hits: Images classified correctly.
        n: Images classified.
        causes: Parts each of which, restored alone, restores the accuracy; all differing parts if
            only restoring them together does.
    """

    expected: float
    hits: int
    n: int
    causes: tuple[str, ...] = ()

    def _interval(self, confidence: float) -> tuple[float, float]:
        """Returns the Wilson interval of the measured accuracy."""
        test = binomtest(self.hits, self.n, self.expected)
        ends = test.proportion_ci(confidence_level=confidence, method="wilson")
        return float(ends.low), float(ends.high)

    @property
    def agrees(self) -> bool:
        """Whether the published figure lies in the 99.9 % interval."""
        low, high = self._interval(0.999)
        return low <= self.expected <= high

    def check(self) -> Check:
        """Returns the result as a check, with the 95 % interval."""
        detail = (
            f"accuracy {interval(self.hits / self.n, *self._interval(0.95), 'share')} on "
            f"{self.n:,} images, published {number(self.expected, 'share')}"
        )
        if self.agrees:
            return Check("known answer", "pass", detail)
        if not self.causes:
            fix = "none of the parts that differ explains it; check weights and data"
            return Check("known answer", "fail", detail, fix)
        fix = f"restoring the {' and the '.join(self.causes)} restores it"
        labels = CAUSES["labels"] in self.causes
        return Check("known answer", "fail", detail, fix, "labels" if labels else "encoder")


def sample_of(images: Dataset, seed: int = 0) -> list[Sample]:
    """Draws a seeded sample of the labelled images."""
    labelled = [sample for sample in images.samples if sample.label is not None]
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(labelled), generator=generator)[:SAMPLE]
    return [labelled[i] for i in order.tolist()]


def known_answer(
    encoder: Encoder,
    images: Dataset,
    samples: Sequence[Sample],
    expected: float,
    used: ClassifierSetup,
    reference: ClassifierSetup | None = None,
) -> KnownAnswer:
    """Compares the accuracy under `used` with the published one, and searches for the cause.

    A part is a cause only if restoring it to `reference` restores the accuracy. If no single part
    does, all differing parts are tried together.

    Args:
        encoder: The encoder.
        images: Data set that opens samples.
        samples: Labelled images.
        expected: Published accuracy, a fraction.
        used: The settings of the run.
        reference: The right settings by catalog and libraries; None to skip the search.
    """
    views: dict[tuple[int, str | None], Tensor] = {}

    def answer(setup: ClassifierSetup) -> KnownAnswer:
        # Names, labels and prompts do not change h.
        view = (id(setup.preprocess), setup.activation)
        if view not in views:
            views[view] = _representations(encoder, images, samples, setup)
        return KnownAnswer(expected, _hits(encoder, samples, setup, views[view]), len(samples))

    first = answer(used)
    if first.agrees or reference is None:
        return first
    parts = [name for name in CAUSES if getattr(used, name) != getattr(reference, name)]
    causes = tuple(
        CAUSES[part]
        for part in parts
        if answer(replace(used, **{part: getattr(reference, part)})).agrees
    )
    if not causes and len(parts) > 1 and answer(reference).agrees:
        causes = tuple(CAUSES[part] for part in parts)
    return replace(first, causes=causes)


def _representations(
    encoder: Encoder, images: Dataset, samples: Sequence[Sample], setup: ClassifierSetup
) -> Tensor:
    """Computes h `[n, width]` of the samples under a setup."""
    rows = []
    with torch.inference_mode(), activation(encoder.module, setup.activation):
        for start in range(0, len(samples), BATCH):
            part = samples[start : start + BATCH]
            tensors = torch.stack([setup.preprocess(images.open(sample)) for sample in part])
            rows.append(encoder.encode(tensors).cpu())
    return torch.cat(rows)


def _hits(encoder: Encoder, samples: Sequence[Sample], setup: ClassifierSetup, h: Tensor) -> int:
    # Before the activation is replaced: a cached head must belong to the unchanged model.
    head = encoder.head(setup.classes, setup.templates) if setup.activation is None else None
    with torch.inference_mode(), activation(encoder.module, setup.activation):
        head = head if head is not None else _head(encoder, setup)
        guesses = head.logits(h).argmax(dim=1)
        guesses[~h.isfinite().all(dim=1)] = -1  # no prediction: argmax of NaN is arbitrary
    truth = [setup.labels[s.label] for s in samples if s.label is not None]
    return sum(g == t for g, t in zip(guesses.tolist(), truth, strict=True))


def _head(encoder: Encoder, setup: ClassifierSetup) -> Head:
    """Returns the model's classifier, or a head that is not cached: its activation is replaced."""
    if encoder.text is not None:
        rows = prompt_rows(encoder.text, setup.classes, setup.templates)
        return Head(rows, None, setup.classes, setup.templates, normalize=True)
    if encoder.classifier is None:
        raise ValueError(f"{encoder.name} has no head to answer with")
    return encoder.classifier


@contextmanager
def activation(module: nn.Module, kind: str | None) -> Iterator[None]:
    """Replaces GELU or QuickGELU by one of them inside the block; None changes nothing."""
    from open_clip.transformer import QuickGELU

    if kind is None:
        yield
        return
    new: type[nn.Module] = QuickGELU if kind == "quickgelu" else nn.GELU
    swapped = [
        (parent, name, child)
        for parent in module.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.GELU | QuickGELU)
    ]
    try:
        for parent, name, _ in swapped:
            setattr(parent, name, new().eval())
        yield
    finally:
        for parent, name, child in swapped:
            setattr(parent, name, child)
