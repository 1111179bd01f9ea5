"""The miniature: an embedded rendered world and small models trained on it.

It lets the whole program run anywhere, and is used for the tutorial and the tests. It demonstrates
the pipeline and is no evidence about real models. Rendering needs only NumPy; torch is imported
when a model is built.

>>> from tuiprobe import miniature
>>> miniature.class_names()[:3]
('airplane', 'balloon', 'bicycle')
>>> miniature.render("sketch", 0).shape
(64, 64, 3)
"""

from tuiprobe.miniature.baseline import BaselineRow, baseline_rows
from tuiprobe.miniature.build import build
from tuiprobe.miniature.captions import TEMPLATES
from tuiprobe.miniature.concepts import (
    CATEGORIES,
    CONCEPTS,
    NumberedConcept,
    image_labels,
    masks,
    pixel_shares,
)
from tuiprobe.miniature.data import MiniatureSet, dataset, suite
from tuiprobe.miniature.export import export
from tuiprobe.miniature.objects import CLASS_NAMES
from tuiprobe.miniature.profiles import SHIFTS
from tuiprobe.miniature.weights import MODEL_NAMES, card
from tuiprobe.miniature.world import SETS, caption, label, path, render, size

__all__ = [
    "CATEGORIES",
    "CONCEPTS",
    "MODEL_NAMES",
    "SETS",
    "SHIFTS",
    "BaselineRow",
    "MiniatureSet",
    "NumberedConcept",
    "baseline_rows",
    "build",
    "caption",
    "card",
    "class_names",
    "dataset",
    "export",
    "image_labels",
    "label",
    "masks",
    "path",
    "pixel_shares",
    "render",
    "size",
    "suite",
    "templates",
]


def class_names() -> tuple[str, ...]:
    """Returns the names of the forty classes, by label."""
    return CLASS_NAMES


def templates() -> tuple[str, ...]:
    """Returns the prompt templates of the zero-shot head."""
    return TEMPLATES
