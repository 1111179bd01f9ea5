"""Classes of ImageNet: their names and ids, and which labels the folders of a data set stand for.

`imagenet.tsv` and `imagenet_templates.txt` are generated from timm and open_clip
(`python -m tuiprobe.models.generate_lists`), and a test compares them with those installed. At the
end: what the images of ImageNet, its shifts and the miniature show.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

FILE = Path(__file__).with_name("imagenet.tsv")
"""One class a line, in the order of the labels: WordNet id, open_clip's name, WordNet's names."""

TEMPLATES_FILE = Path(__file__).with_name("imagenet_templates.txt")

SYNSET = re.compile(r"(n\d{8})(?!\d)", re.IGNORECASE)
_SEPARATORS = re.compile(r"[\s_\-'\u2019]+")

_FEWEST_NAMES = 0.9
"""Share of 1,000 names that must be ImageNet's in order; sources spell some differently."""


@lru_cache(maxsize=1)
def imagenet_columns() -> tuple[tuple[str, ...], ...]:
    """Returns the columns of `FILE`, each in the order of ImageNet's labels."""
    rows = [line.split("\t") for line in FILE.read_text("utf-8").splitlines()]
    return tuple(zip(*rows, strict=True))


def imagenet_wnids() -> tuple[str, ...]:
    """Returns the 1,000 WordNet ids of ImageNet-1k, in the order of its labels."""
    return imagenet_columns()[0]


def imagenet_names() -> tuple[str, ...]:
    """Returns open_clip's 1,000 class names of ImageNet-1k, made for prompts."""
    return imagenet_columns()[1]


def imagenet_templates() -> tuple[str, ...]:
    """Returns the 80 prompt templates that OpenAI used for ImageNet, with `{}` for the name."""
    return tuple(TEMPLATES_FILE.read_text("utf-8").splitlines())


def imagenet_labels(classes: Sequence[str]) -> tuple[int, ...] | None:
    """Returns the ImageNet-1k label of each class of a data set.

    Accepts WordNet ids, a subset of them (ImageNet-A and -R), and the numbered folders of
    ImageNet-V2 in any order (a string sort gives 0, 1, 10, 100, 101). Also accepts 1,000 names in
    label order ("tench", or "tench, Tinca tinca"), as tar shards and Hugging Face sets have them.

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
    if len(classes) == len(index):
        hits = sum(label in possible_labels(name) for label, name in enumerate(classes))
        return tuple(range(len(classes))) if hits >= _FEWEST_NAMES * len(classes) else None
    return None


def folded_name(name: str) -> str:
    """Returns a name without case and separators.

    >>> folded_name("Great_white-Shark") == folded_name("great white shark")
    True
    """
    return _SEPARATORS.sub("", name).casefold() or name


@lru_cache(maxsize=1)
def _known() -> Mapping[str, frozenset[int]]:
    """Returns the labels that each id and name of ImageNet may mean, by folded name.

    A name that comes first in a class goes before the same name among the synonyms of another.
    """
    first, later = defaultdict(set), defaultdict(set)
    for label, (wnid, name, words) in enumerate(zip(*imagenet_columns(), strict=True)):
        leading, *synonyms = words.split(",")
        for word in (wnid, name, leading):
            first[folded_name(word.strip())].add(label)
        for word in synonyms:
            later[folded_name(word.strip())].add(label)
    return {name: frozenset(labels) for name, labels in {**later, **first}.items()}


def possible_labels(name: str) -> frozenset[int]:
    """Returns the labels of ImageNet that a name may mean.

    >>> possible_labels("Great_White_Shark") == possible_labels("n01484850") == {2}
    True
    >>> sorted(possible_labels("crane"))
    [134, 517]
    """
    synset = SYNSET.match(name)
    if synset is not None:
        return _known().get(synset[1].lower(), frozenset())
    folded = _known().get(folded_name(name))
    return folded or _known().get(folded_name(name.partition(",")[0].strip()), frozenset())


def prompt_names(classes: Sequence[str]) -> tuple[str, ...]:
    """Returns names for prompts: ImageNet's for ImageNet folders, else the folder names.

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
