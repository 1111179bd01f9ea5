"""The sets of the miniature by name: pixels, labels, captions and paths of every image.

>>> label("val", 3999) == len(CLASS_NAMES) - 1
True
>>> path("val", 0)
'airplane/00000.png'
"""

import numpy as np
from numpy.typing import NDArray

from tuiprobe.errors import UsageError
from tuiprobe.miniature.captions import caption as _caption
from tuiprobe.miniature.draws import Draws
from tuiprobe.miniature.objects import CLASS_NAMES
from tuiprobe.miniature.profiles import PROFILES, SHIFTS, Profile
from tuiprobe.miniature.scene import Scene, sample_scene
from tuiprobe.miniature.styles import render_scene

SETS: tuple[str, ...] = tuple(PROFILES)
__all__ = ["CLASS_NAMES", "SETS", "SHIFTS", "caption", "label", "path", "render", "scene", "size"]


def _profile(name: str, index: int = 0) -> Profile:
    profile = PROFILES.get(name)
    if profile is None:
        raise UsageError(f"The miniature has no set {name!r}; its sets are {', '.join(SETS)}.")
    if not 0 <= index < profile.images:
        raise UsageError(
            f"Image {index} of the miniature set {name!r} does not exist: "
            f"numbers go from 0 to {profile.images - 1}."
        )
    return profile


def size(name: str) -> int:
    """Returns the number of images of a set."""
    return _profile(name).images


def label(name: str, index: int) -> int:
    """Returns the class of an image; labelled sets hold the classes in equal blocks.

    Unlabelled sets have classes too, which no data set of the program has: the target set
    `street` is measured without them, and tests compare its estimates with them.
    """
    profile = _profile(name, index)
    if profile.labelled:
        return index * len(CLASS_NAMES) // profile.images
    return scene(name, index).figures[0].label


def path(name: str, index: int) -> str:
    """Returns the path of the exported image inside its set; byte order is index order."""
    if _profile(name, index).labelled:
        return f"{CLASS_NAMES[label(name, index)]}/{index:05d}.png"
    return f"{index:05d}.png"


def _start(name: str, index: int) -> tuple[Scene, Draws]:
    profile = _profile(name, index)
    draws = Draws(name, index)
    main_class = label(name, index) if profile.labelled else None
    if profile.mixture:
        names, weights = zip(*profile.mixture, strict=True)
        profile = PROFILES[draws.weighted(names, weights)]
    return sample_scene(draws, profile, main_class), draws


def scene(name: str, index: int) -> Scene:
    """Returns the scene of an image."""
    return _start(name, index)[0]


def render(name: str, index: int) -> NDArray[np.uint8]:
    """Returns the pixels of an image, uint8 `[64, 64, 3]`.

    Args:
        name: One of `SETS`.
        index: Number of the image in its set.

    Raises:
        UsageError: If the set is unknown or the index out of range.
    """
    return render_scene(*_start(name, index))


def caption(name: str, index: int) -> str:
    """Returns the caption of an image, drawn independently of its pixels."""
    return _caption(scene(name, index), Draws(f"{name} captions", index))
