"""Class names for the labels of a data set: what folder names mean in ImageNet and its kin."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache


@lru_cache(maxsize=1)
def imagenet_wnids() -> tuple[str, ...]:
    """Returns the 1,000 WordNet ids of ImageNet-1k, in the order of its labels."""
    from timm.data import ImageNetInfo

    info = ImageNetInfo("imagenet-1k")
    return tuple(info.index_to_label_name(i) for i in range(info.num_classes()))


def imagenet_names() -> tuple[str, ...]:
    """Returns open_clip's 1,000 class names of ImageNet-1k, made for prompts."""
    from open_clip import IMAGENET_CLASSNAMES

    return tuple(IMAGENET_CLASSNAMES)


def imagenet_templates() -> tuple[str, ...]:
    """Returns the 80 prompt templates that OpenAI used for ImageNet, with ``{}`` for the name."""
    from open_clip import OPENAI_IMAGENET_TEMPLATES

    return tuple(template("{}") for template in OPENAI_IMAGENET_TEMPLATES)


def imagenet_labels(classes: Sequence[str]) -> tuple[int, ...] | None:
    """Returns the ImageNet-1k label of each class of a data set; None if it is not ImageNet's.

    Understands WordNet ids, a subset of them (ImageNet-A and -R), and the index folders of
    ImageNet-V2 in any order, which a string sort leaves as 0, 1, 10, 100, 101.

    >>> imagenet_labels(["n01443537", "n01440764"])
    (1, 0)
    >>> imagenet_labels([str(i) for i in range(1000)])[10]
    10
    >>> imagenet_labels(["cat", "dog"]) is None
    True
    """
    index = {wnid: label for label, wnid in enumerate(imagenet_wnids())}
    if classes and all(name in index for name in classes):
        return tuple(index[name] for name in classes)
    if sorted(classes) == sorted(str(i) for i in range(1000)):
        return tuple(int(name) for name in classes)
    return None


def prompt_names(classes: Sequence[str]) -> tuple[str, ...]:
    """Returns names fit for prompts: ImageNet's for its folders, else the folders' own.

    >>> prompt_names(["n01440764", "n01443537"])
    ('tench', 'goldfish')
    >>> prompt_names(["fire_truck"])
    ('fire truck',)
    """
    labels = imagenet_labels(classes)
    if labels is None:
        return tuple(name.replace("_", " ") for name in classes)
    names = imagenet_names()
    return tuple(names[label] for label in labels)
