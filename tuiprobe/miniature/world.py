"""The sets of the miniature by name: pixels, labels, captions and paths of every image.

Finishing an image has seven styles, then blur, noise and tone. Pictures are float32 `[3, 64, 64]`
until the last step: what is done to a pixel is done to the three channels alike, and NumPy is
several times as fast over long rows.

>>> label("val", 3999) == len(CLASS_NAMES) - 1
True
>>> path("val", 0)
'airplane/00000.png'
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tuiprobe.errors import UsageError
from tuiprobe.miniature.captions import caption as _caption
from tuiprobe.miniature.objects import CLASS_NAMES
from tuiprobe.miniature.palette import COLOR_NAMES, COLORS, SIZE, Draws, FloatImage, background, rgb
from tuiprobe.miniature.raster import Canvas, draw_map, halve, outline, paint_map
from tuiprobe.miniature.scene import PROFILES, SHIFTS, Profile, Scene, sample_scene

_INKS = ("black", "black", "blue", "brown", "gray", "green", "purple", "red")
_Y, _X = np.ogrid[0:SIZE, 0:SIZE]


def render_scene(scene: Scene, draws: Draws) -> NDArray[np.uint8]:
    """Returns the picture of a scene, uint8 `[64, 64, 3]`."""
    canvas = draw_map(scene)
    if scene.style == "sketch":
        picture = _sketch(canvas, draws)
    elif scene.style == "silhouette":
        picture = _silhouette(canvas, draws)
    else:
        picture = _photo(scene, canvas, draws)
    return _finish(scene, picture, draws)


def _photo(scene: Scene, canvas: Canvas, draws: Draws) -> FloatImage:
    cartoon = scene.style == "cartoon"
    cover = halve((canvas.ids > 0).astype(np.float32))
    behind = _flat_background(draws) if cartoon else background(scene.scene, draws)
    if not cartoon:
        behind = behind * (1 - np.float32(scene.shadow) * _shadow(cover))
    picture = behind * (1 - cover) + halve(paint_map(canvas, draws, flat=cartoon))
    if not cartoon:
        x, y = np.float32(scene.light[0] / 32), np.float32(scene.light[1] / 32)
        picture = picture * (1 + x * (_X - 32) + y * (_Y - 32)).astype(np.float32)
    edges = outline(canvas.ids, 2 if cartoon else 1)
    picture = picture * (1 - np.float32(1.0 if cartoon else scene.edges) * edges)
    if scene.style == "inverted":
        negative: FloatImage = 255 - np.clip(picture, 0, 255)
        return negative
    if scene.style == "pixels":
        return _pixels(picture)
    if scene.style == "painting":
        return _painting(picture, draws)
    return picture


def _shadow(cover: FloatImage) -> FloatImage:
    """Returns the cover moved down and right, softened."""
    moved = np.zeros_like(cover)
    moved[4:, 3:] = cover[:-4, :-3]
    return _box_blur(moved)


def _box_blur(picture: FloatImage) -> FloatImage:
    """Returns the mean over 3 x 3 neighbours, edges repeated."""
    padded = np.concatenate([picture[..., :1, :], picture, picture[..., -1:, :]], axis=-2)
    rows = padded[..., :-2, :] + padded[..., 1:-1, :] + padded[..., 2:, :]
    padded = np.concatenate([rows[..., :1], rows, rows[..., -1:]], axis=-1)
    mean: FloatImage = (padded[..., :-2] + padded[..., 1:-1] + padded[..., 2:]) * np.float32(1 / 9)
    return mean


def _flat_background(draws: Draws) -> FloatImage:
    color = rgb(*COLORS[draws.pick(COLOR_NAMES)])
    pale = np.float32(draws.uniform(0.3, 0.8))
    return np.broadcast_to(color + (245 - color) * pale, (3, SIZE, SIZE))


def _sketch(canvas: Canvas, draws: Draws) -> FloatImage:
    lines = outline(canvas.ids, draws.pick((1, 2, 2)))
    if draws.chance(0.4):
        hatch = (_X + _Y) % draws.pick((4, 5, 6)) == 0
        dark = halve((canvas.ids % np.uint8(draws.pick((2, 3))) == 1).astype(np.float32))
        lines = np.maximum(lines, 0.7 * dark * hatch)
    paper, ink = draws.uniform(205, 252), draws.uniform(10, 90)
    tint = np.array([draws.uniform(0.93, 1) for _ in range(3)], dtype=np.float32)
    gray = np.float32(paper) - np.float32(paper - ink) * lines
    return (gray * tint[:, None, None]).astype(np.float32)


def _silhouette(canvas: Canvas, draws: Draws) -> FloatImage:
    cover = halve((canvas.ids > 0).astype(np.float32))
    ink = rgb(*COLORS[draws.pick(_INKS)])
    paper = _flat_background(draws)
    if draws.chance(0.15):
        ink, paper = paper, np.broadcast_to(ink, (3, SIZE, SIZE))
    return paper * (1 - cover) + ink * cover


def _pixels(picture: FloatImage) -> FloatImage:
    """Returns the picture in blocks of 4 x 4 and eight levels a channel."""
    four = picture.reshape(3, SIZE // 4, 4, SIZE // 4, 4)
    small = four[..., 1, :, 1] + four[..., 2, :, 1] + four[..., 1, :, 2] + four[..., 2, :, 2]
    small = np.floor(small * np.float32(1 / 128)) * 32 + 16
    return np.repeat(np.repeat(small, 4, axis=1), 4, axis=2)


def _painting(picture: FloatImage, draws: Draws) -> FloatImage:
    """Returns the picture in strokes: blocks of three pixels look up a jittered position."""
    jitter = draws.bytes(2, SIZE // 3 + 1, SIZE // 3 + 1).astype(np.intp) * 7 // 256 - 3
    jitter = np.repeat(np.repeat(jitter, 3, axis=1), 3, axis=2)[:, :SIZE, :SIZE]
    rows, columns = np.clip(_Y + jitter[0], 0, 63), np.clip(_X + jitter[1], 0, 63)
    strokes = _box_blur(picture)[:, rows, columns]
    levels: FloatImage = np.floor(strokes * np.float32(1 / 40)) * 40 + 20
    return levels


def _finish(scene: Scene, picture: FloatImage, draws: Draws) -> NDArray[np.uint8]:
    if scene.blur:
        picture = _box_blur(_box_blur(picture))
    contrast = np.float32(scene.contrast)
    offset = np.float32(128 * (1 - scene.contrast) + scene.brightness)
    picture = picture * contrast + offset
    picture = picture + np.float32(scene.noise) * draws.noise(SIZE, SIZE, 3).transpose(2, 0, 1)
    pixels = np.rint(np.clip(picture, 0, 255)).astype(np.uint8)
    return np.ascontiguousarray(pixels.transpose(1, 2, 0))


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
