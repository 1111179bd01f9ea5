"""What the images of known sets show: ImageNet's, its shifts', and the miniature's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_PUBLISHED: Final[Mapping[str, str]] = {
    "imagenet": "ImageNet's validation images",
    "imagenet_v2": "photos of ImageNet's classes, collected again",
    "imagenet_r": "renditions such as cartoons and paintings",
    "imagenet_sketch": "drawings in black and white",
    "imagenet_a": "photos that a ResNet-50 got wrong",
    "objectnet": "things at home from unusual views",
}
"""By the names that a suite with ImageNet gives its sets."""

_MINIATURE: Final[Mapping[str, str]] = {
    "val": "like the training images",
    "v2": "a little harder",
    "r": "cartoons, paintings and silhouettes, like ImageNet-R",
    "sketch": "outlines on paper",
    "a": "small, hidden and cluttered, like ImageNet-A",
    "objectnet": "turned, in unusual scenes",
    "street": "a mixture of the shifts, in place of your pictures",
}


def set_contents(name: str, source: str, of_imagenet: bool = False) -> str:
    """Describes the content of a set; by its source where nothing else is known.

    Args:
        name: Name of the set in a report.
        source: As the user typed it.
        of_imagenet: Whether the set is of a suite with ImageNet.

    >>> set_contents("sketch", "miniature:sketch"), set_contents("a", "imagefolder:a")
    ('outlines on paper', 'from imagefolder:a')
    """
    kind, _, of = source.partition(":")
    known = _MINIATURE.get(of) if kind == "miniature" else None
    if known is None and of_imagenet:
        known = _PUBLISHED.get(name)
    return known or f"from {source}"
