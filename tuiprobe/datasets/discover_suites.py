"""Finds ImageNet, its shifts and Broden by their usual folder names."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from tuiprobe.errors import DataError

ROOT_VARIABLE = "TUIPROBE_DATA"

USUAL = {
    "imagenet": (
        "imagenet/val", "imagenet-1k/val", "imagenet1k/val", "imagenet_1k/val",
        "ilsvrc2012/val", "imagenet/ilsvrc2012/val", "imagenet-val", "imagenet_val",
        "ilsvrc/data/cls-loc/val", "imagenet/validation", "val",
    ),
    "imagenet_v2": (
        "imagenetv2-matched-frequency-format-val", "imagenetv2-matched-frequency",
        "imagenetv2/imagenetv2-matched-frequency-format-val", "imagenetv2", "imagenet-v2",
        "imagenet_v2",
    ),
    "imagenet_r": ("imagenet-r", "imagenet_r", "imagenetr"),
    "imagenet_sketch": ("imagenet-sketch", "imagenet-sketch/sketch", "imagenet_sketch", "sketch"),
    "objectnet": ("objectnet-1.0", "objectnet", "objectnet/objectnet-1.0"),
    "imagenet_a": ("imagenet-a", "imagenet_a", "imageneta"),
    "concepts": ("broden1_224", "broden1_227", "broden1_384", "broden", "broden/broden1_224"),
}  # fmt: skip
"""Folders below the root, in lower case; the first that fits is used."""

_WNID = re.compile(r"n\d{8}")


@dataclass(frozen=True)
class DiscoveredSets:
    """The data sets found below a root folder.

    Attributes:
        root: The folder that was searched.
        sources: Data source of each set found, by published name.
        concepts: Source of the concept set; None if there is none.
    """

    root: Path
    sources: dict[str, str] = field(default_factory=dict)
    concepts: str | None = None


def discover(root: Path) -> DiscoveredSets:
    """Looks for the usual folders below `root`; case is ignored.

    Raises:
        DataError: If the folder does not exist or holds no ImageNet.
    """
    if not root.is_dir():
        raise DataError(f"{ROOT_VARIABLE}: {root} is not a folder")
    sources = {}
    concepts = None
    for name, places in USUAL.items():
        folder = next((p for p in _candidates(root, places) if _fits(name, p)), None)
        if folder is None:
            continue
        if name == "concepts":
            concepts = f"broden:{folder}"
        else:
            kind = "objectnet" if name == "objectnet" else "imagefolder"
            sources[name] = f"{kind}:{folder}"
    if "imagenet" not in sources:
        raise DataError(
            f"{ROOT_VARIABLE}: no ImageNet validation set (folders named n01440764, …) below "
            f"{root}; it is looked for as {', '.join(USUAL['imagenet'][:3])}, …"
        )
    return DiscoveredSets(root, sources, concepts)


def _candidates(root: Path, places: tuple[str, ...]) -> list[Path]:
    found = []
    for place in places:
        paths = [root]
        for part in place.split("/"):
            paths = [child for path in paths for child in _children(path) if _same(child, part)]
        found += paths
    return found


def _children(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir())


def _same(path: Path, name: str) -> bool:
    return path.name.lower() == name


def _fits(name: str, folder: Path) -> bool:
    """Says whether a folder has the layout that its name suggests."""
    if name == "concepts":
        return (folder / "index.csv").is_file()
    if name == "objectnet":
        return (folder / "images").is_dir()
    children = [child.name for child in _children(folder)]
    if name == "imagenet_v2":
        return any(child.isdecimal() for child in children)
    return any(_WNID.fullmatch(child) for child in children)
