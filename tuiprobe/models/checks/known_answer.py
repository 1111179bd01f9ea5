"""The known answer: accuracy on some images against the published one, and the cause of a gap."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from tuiprobe.catalog.accuracies import published_row
from tuiprobe.catalog.class_names import imagenet_labels, imagenet_names, prompt_names, read_classes
from tuiprobe.catalog.published_models import presets
from tuiprobe.errors import TuiprobeError
from tuiprobe.models.checks.encoder_checks import built_activations, expected_activation
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.heads import Head
from tuiprobe.models.prompt_heads import PromptProgress, prompt_rows, read_templates
from tuiprobe.numbers import interval, number
from tuiprobe.results.subject import Check

if TYPE_CHECKING:
    from PIL.Image import Image

    from tuiprobe.datasets.dataset import Dataset
    from tuiprobe.datasets.sample import Sample

SAMPLE = 500
"""Number of images of the known-answer check."""
BATCH = 50  # images per forward pass


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
        from scipy.stats import binomtest  # late: half a second, and few models have an answer

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
        return Check("known answer", "fail", detail, fix, cause="labels" if labels else "encoder")


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
    reference: ClassifierSetup,
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
        reference: The right settings by catalog and libraries.
    """
    views: dict[tuple[int, str | None], Tensor] = {}

    def answer(setup: ClassifierSetup) -> KnownAnswer:
        # Names, labels and prompts do not change h.
        view = (id(setup.preprocess), setup.activation)
        if view not in views:
            views[view] = _representations(encoder, images, samples, setup)
        return KnownAnswer(expected, _hits(encoder, samples, setup, views[view]), len(samples))

    first = answer(used)
    if first.agrees:
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
            pictures = (images.read(sample).image() for sample in part)
            tensors = torch.stack([setup.preprocess(picture) for picture in pictures])
            rows.append(encoder.encode(tensors).cpu())
    return torch.cat(rows)


def _hits(encoder: Encoder, samples: Sequence[Sample], setup: ClassifierSetup, h: Tensor) -> int:
    # Before the activation is replaced: a cached head must belong to the unchanged model.
    head = encoder.head(setup.classes, setup.templates) if setup.activation is None else None
    with torch.inference_mode(), activation(encoder.module, setup.activation):
        if head is None and encoder.text is not None:  # not cached: its activation is replaced
            rows = prompt_rows(encoder.text, setup.classes, setup.templates)
            head = Head(rows, None, setup.classes, setup.templates, normalize=True)
        head = head if head is not None else encoder.classifier
        if head is None:
            raise ValueError(f"{encoder.name} has no head to answer with")
        guesses = head.logits(h).argmax(dim=1)
        guesses[~h.isfinite().all(dim=1)] = -1  # no prediction: argmax of NaN is arbitrary
    truth = [setup.labels[s.label] for s in samples if s.label is not None]
    return sum(g == t for g, t in zip(guesses.tolist(), truth, strict=True))


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


def published_accuracy(encoder: Encoder) -> float | None:
    """Returns the published ImageNet accuracy of an encoder.

    Only published weights have one: a user's file may differ from the tag it names.
    """
    if encoder.weights.kind != "pretrained" or "@" in encoder.architecture:
        return None
    preset = presets().get(encoder.name)
    spec = preset.spec if preset is not None else encoder.name
    row = published_row(spec, encoder.preprocessing.size[0])
    return None if row is None else row.imagenet


def check_answer(
    encoder: Encoder,
    images: Dataset,
    classes: str | None,
    templates: Path | None,
    progress: PromptProgress | None = None,
) -> Check:
    """Compares accuracy on 500 images with the published figure, if both are available."""
    expected, labels = expected_answer(encoder, images)
    if expected is None or labels is None:
        reason = "no published accuracy for these weights on these images"
        return Check("known answer", "skip", reason)
    text = encoder.text
    trained = None if text is None else expected_activation(encoder)
    in_order = imagenet_labels(images.classes) is not None
    right = ClassifierSetup(
        preprocess=encoder.preprocess,
        activation=trained if built_activations(encoder) != {trained} else None,
        labels=labels,
        classes=imagenet_names() if in_order else prompt_names(images.classes),
        templates=text.templates if text is not None else (),
    )
    used = replace(
        right,
        activation=None,
        classes=read_classes(classes) if classes is not None else right.classes,
        templates=read_templates(templates) if templates is not None else right.templates,
    )
    try:
        if text is not None:  # Built once with progress, then cached.
            encoder.head(used.classes, used.templates, progress=progress)
        return known_answer(encoder, images, sample_of(images), expected, used, right).check()
    except (TuiprobeError, ValueError) as error:
        return Check("known answer", "fail", str(error))


def expected_answer(
    encoder: Encoder, images: Dataset
) -> tuple[float | None, tuple[int, ...] | None]:
    """Returns the published accuracy on these images, and the head's row for each label."""
    known = encoder.accuracies.get(images.source)
    if known is not None:
        return known, tuple(range(len(images.classes)))
    labels = imagenet_labels(images.classes)
    if labels is None or len(labels) != 1000 or len(images.samples) != 50_000:
        return None, None
    return published_accuracy(encoder), labels
