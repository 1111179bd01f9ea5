"""The miniature: an embedded rendered world and small models trained on it.

With it every part of the program runs anywhere; tutorial and tests use it. It demonstrates
the pipeline and is no evidence about real models. Rendering needs only NumPy; torch is imported
when a model is built.

>>> from tuiprobe import miniature
>>> miniature.class_names()[:3]
('airplane', 'balloon', 'bicycle')
>>> miniature.render("sketch", 0).shape
(64, 64, 3)
"""

from tuiprobe.miniature.captions import TEMPLATES
from tuiprobe.miniature.data import MiniatureSet, dataset, export, suite
from tuiprobe.miniature.objects import CLASS_NAMES
from tuiprobe.miniature.scene import SHIFTS
from tuiprobe.miniature.weights import build, card
from tuiprobe.miniature.world import label, render

__all__ = [
    "SHIFTS",
    "MiniatureSet",
    "build",
    "card",
    "class_names",
    "dataset",
    "export",
    "label",
    "render",
    "suite",
    "templates",
]


def class_names() -> tuple[str, ...]:
    """Returns the names of the forty classes, by label."""
    return CLASS_NAMES


def templates() -> tuple[str, ...]:
    """Returns the prompt templates of the zero-shot head."""
    return TEMPLATES
