"""Whether published models say anything about a model, for those who ask before a run."""

from __future__ import annotations

from tuiprobe.catalog.accuracies import IMAGENET, published_row
from tuiprobe.catalog.forecast import kind_of
from tuiprobe.catalog.presets import presets
from tuiprobe.catalog.published_models import right_spec
from tuiprobe.datasets import Suite
from tuiprobe.datasets.registry import SOURCES
from tuiprobe.spec import RunSpec

NO_IMAGENET = "its accuracy on ImageNet is neither measured here nor published"
UNTRAINED = "random weights: published models say nothing about them"


def without_peers(spec: RunSpec, suite: Suite, trained: str | None) -> str:
    """Returns why published models say nothing about a model; empty where they do.

    Args:
        spec: The run.
        suite: Its sets of images.
        trained: How the encoder was trained, where its loader said so.
    """
    first = next(iter(suite.sets))
    kind, _, rest = suite.sets[first].source.partition(":")
    source = SOURCES.builtin(kind)
    if source is not None and source.family is not None and rest == source.family.id_set:
        return "too few models are published on these sets"
    preset = presets().get(spec.model)
    if preset is not None and not preset.public and spec.checkpoint is None:
        return UNTRAINED
    row = None
    if spec.checkpoint is None:
        name = spec.model if preset is None else preset.spec
        row = published_row(right_spec(name), preset.size if preset is not None else None)
    training = trained or (preset.training if preset is not None else "unknown")
    try:
        kind_of(training, row)
    except ValueError as error:
        return str(error)
    if suite.published.get(first) == IMAGENET or (row is not None and row.imagenet is not None):
        return ""
    return NO_IMAGENET
