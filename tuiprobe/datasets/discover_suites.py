"""Finds ImageNet, its shifts and Broden by their usual folder names."""

from __future__ import annotations

import re
from collections.abc import Iterator
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


def discover(root: Path) -> dict[str, str]:
    """Returns the sources of the usual folders below `root`, by name as in `USUAL`; ignores case.

    Raises:
        DataError: If the folder does not exist or holds no ImageNet.
    """
    if not root.is_dir():
        raise DataError(f"{ROOT_VARIABLE}: {root} is not a folder")
    sources = {}
    for name, places in USUAL.items():
        folder = next((p for p in _candidates(root, places) if _fits(name, p)), None)
        if folder is not None:
            kind = {"concepts": "broden", "objectnet": "objectnet"}.get(name, "imagefolder")
            sources[name] = f"{kind}:{folder}"
    if "imagenet" not in sources:
        raise DataError(
            f"{ROOT_VARIABLE}: no ImageNet validation set (folders named n01440764, …) below "
            f"{root}; it is looked for as {', '.join(USUAL['imagenet'][:3])}, …"
        )
    return sources


def _candidates(root: Path, places: tuple[str, ...]) -> Iterator[Path]:
    for place in places:
        paths = [root]
        for part in place.split("/"):
            paths = [c for path in paths for c in _children(path) if c.name.lower() == part]
        yield from paths


def _children(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir())


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
