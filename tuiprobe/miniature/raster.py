"""From a `Scene` to pixels: one map of part numbers, then paint by look-up.

Polygons are filled into a map of 128 x 128 part numbers; colours, outlines and concept masks are
all read from that map, so that a mask is exact by construction. Averaging 2 x 2 map pixels gives
the 64 x 64 picture.

Polygons are filled by exact integer arithmetic, so that masks are the same on every machine.
(Polygons of Pillow moved by a pixel between its releases.) A pixel belongs to a polygon if its
centre lies inside by the even-odd rule; a centre exactly on an edge belongs to the right-hand side.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tuiprobe.miniature.objects import OBJECTS, ObjectPart
from tuiprobe.miniature.palette import (
    COLORS,
    GLASS,
    SIZE,
    Draws,
    FloatImage,
    material_field,
    texture_field,
)
from tuiprobe.miniature.scene import Bar, Scene, SceneFigure

MAP = 2 * SIZE
UNIT = 8  # corners are given in eighths of a map pixel
_MOST_PARTS = max(len(kind.parts) for kind in OBJECTS)
_HIGHEST = np.frexp(np.arange(1 << _MOST_PARTS))[1].astype(np.uint8)
"""For a set of parts, a bit each, the number of the last one plus 1."""
_FIXED_COLORS = ("black", "brown", "green", "white")  # roles that are the name of a colour


def fill(
    corners: NDArray[np.int64],
    ends: NDArray[np.intp],
    owner: NDArray[np.intp],
    size: int,
) -> tuple[NDArray[np.uint8], int, int, int, int]:
    """Paints polygons over each other and returns which one shows.

    Args:
        corners: int64 `[edges, 2]`, column and row of each corner in eighths of a pixel.
        ends: For each corner the number of the next corner of its polygon.
        owner: For each corner its polygon in painting order, 0 to `_MOST_PARTS` - 1.
        size: Width and height of the map.

    Returns:
        A crop of the map, uint8, 0 outside and polygon number + 1 inside, and its box
        (top, bottom, left, right) in the map.
    """
    left, top = (min(max(v // UNIT, 0), size) for v in corners.min(axis=0).tolist())
    right, bottom = (min(max(v // UNIT + 1, 0), size) for v in corners.max(axis=0).tolist())
    if right <= left or bottom <= top:
        return np.zeros((0, 0), np.uint8), top, top, left, left
    x0, y0, x1, y1, owner = _downwards(corners, ends, owner)
    # Rows whose centre lies in [y0, y1).
    first = _within(-((UNIT // 2 - y0) // UNIT), top, bottom)
    rows = _within(-((UNIT // 2 - y1) // UNIT), top, bottom) - first
    edge = np.repeat(np.arange(len(rows)), rows)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(rows) - rows, rows) + first[edge]
    height = (y1 - y0)[edge]
    along = row * UNIT + UNIT // 2 - y0[edge]
    cross = (x0[edge] - UNIT // 2) * height + along * (x1 - x0)[edge]
    column = _within(cross // (UNIT * height) + 1, left, right) - left
    shape = (bottom - top, right - left + 1)
    # A bit for each polygon, which an edge toggles for all that lies to its right.
    toggles = np.zeros(shape, np.uint16)
    bits = np.left_shift(1, owner).astype(np.uint16)[edge]
    np.bitwise_xor.at(toggles.reshape(-1), (row - top) * shape[1] + column, bits)
    inside = np.bitwise_xor.accumulate(toggles, axis=1)[:, :-1]
    return _HIGHEST[inside], top, bottom, left, right


def _within(values: NDArray[np.int64], low: int, high: int) -> NDArray[np.int64]:
    """Returns the values between two bounds; NumPy's clip looks up the limits of the type first."""
    return np.minimum(np.maximum(values, low), high)


def _downwards(
    corners: NDArray[np.int64], ends: NDArray[np.intp], owner: NDArray[np.intp]
) -> tuple[NDArray[np.int64], ...]:
    """Returns the edges that are not level, each from its upper to its lower end, and owners."""
    a, b = corners, corners[ends]
    swap = (a[:, 1] > b[:, 1])[:, None]
    upper, lower = np.where(swap, b, a), np.where(swap, a, b)
    slanted = upper[:, 1] != lower[:, 1]
    upper, lower = upper[slanted], lower[slanted]
    return upper[:, 0], upper[:, 1], lower[:, 0], lower[:, 1], owner[slanted]


class _Outline:
    """The corners of a class, with the next corner and the part of each, as arrays for `fill`."""

    def __init__(self, parts: tuple[ObjectPart, ...]) -> None:
        counts = [len(part.points) for part in parts]
        self.points = np.array([point for part in parts for point in part.points])
        self.owner = np.repeat(np.arange(len(parts)), counts)
        self.ends = np.arange(1, len(self.points) + 1)
        last = np.cumsum(counts) - 1
        self.ends[last] = last + 1 - counts


_OUTLINES = tuple(_Outline(kind.parts) for kind in OBJECTS)
_BAR_ENDS, _BAR_OWNER = np.array([1, 2, 3, 0]), np.zeros(4, dtype=np.intp)


@dataclass
class Canvas:
    """The map of part numbers and what each number stands for.

    Attributes:
        ids: uint8 `[128, 128]`, 0 where the background shows.
        parts: For each number its figure (None for a bar) and part; number 0 is the background.
        base: Colour of each number; `delta` leads from it to the second colour.
    """

    ids: NDArray[np.uint8]
    parts: list[tuple[SceneFigure | None, ObjectPart | None]]
    base: list[tuple[float, float, float]]
    delta: list[tuple[float, float, float]]
    boxes: list[tuple[SceneFigure, int, int, int, int]] = field(default_factory=list)


def draw_map(scene: Scene) -> Canvas:
    """Fills the map: side objects, then the main object, then bars."""
    canvas = Canvas(np.zeros((MAP, MAP), np.uint8), [(None, None)], [(0, 0, 0)], [(0, 0, 0)])
    for figure in (*scene.figures[1:], scene.figures[0]):
        _draw_figure(figure, canvas)
    for bar in scene.bars:
        _draw_bar(bar, canvas)
    return canvas


def _position(figure: SceneFigure) -> NDArray[np.int64]:
    """Returns the corners of all parts in eighths of a map pixel, int64 `[corners, 2]`."""
    p = _OUTLINES[figure.label].points
    x, y = p[:, 0], p[:, 1]
    a, b, c, d = figure.warp
    u = x + a * y * y + b * x * y
    v = y + c * x * x + d * x * y
    if figure.flip:
        u = -u
    u = u * figure.aspect + figure.shear * v
    cos, sin = math.cos(math.radians(figure.angle)), math.sin(math.radians(figure.angle))
    scale = figure.size * MAP / 2
    column = (cos * u - sin * v) * scale + (1 + figure.x) * MAP / 2
    row = (sin * u + cos * v) * scale + (1 + figure.y) * MAP / 2
    position: NDArray[np.int64] = np.rint(np.stack([column, row], axis=1) * UNIT).astype(np.int64)
    return position


def _draw_figure(figure: SceneFigure, canvas: Canvas) -> None:
    shape = _OUTLINES[figure.label]
    parts = OBJECTS[figure.label].parts
    box = _stamp(canvas, _position(figure), shape.ends, shape.owner)
    paint = _paint(figure)
    for part in parts:
        color, delta = paint[part.role]
        canvas.parts.append((figure, part))
        canvas.base.append(color)
        canvas.delta.append(delta)
    canvas.boxes.append((figure, *box))


def _stamp(
    canvas: Canvas,
    corners: NDArray[np.int64],
    ends: NDArray[np.intp],
    owner: NDArray[np.intp],
) -> tuple[int, int, int, int]:
    """Fills polygons over the map under the next free numbers, and returns their box."""
    crop, top, bottom, left, right = fill(corners, ends, owner, MAP)
    area = canvas.ids[top:bottom, left:right]
    np.copyto(area, crop + np.uint8(len(canvas.parts) - 1), where=crop > 0)
    return top, bottom, left, right


def _paint(
    figure: SceneFigure,
) -> dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]]:
    """Returns for each role its colour and the way to the second colour of the texture."""
    none = (0.0, 0.0, 0.0)
    main, second = COLORS[figure.color], COLORS[figure.second]
    way = (second[0] - main[0], second[1] - main[1], second[2] - main[2])
    shaded = (main[0] * 0.74, main[1] * 0.74, main[2] * 0.74)
    paint = {
        "main": (main, way),
        "shaded": (shaded, (way[0] * 0.74, way[1] * 0.74, way[2] * 0.74)),
        "accent": (COLORS[figure.accent], none),
        "glass": (GLASS, none),
    }
    return paint | {name: (COLORS[name], none) for name in _FIXED_COLORS}


def _draw_bar(bar: Bar, canvas: Canvas) -> None:
    left, right = ((1 + bar.x + side * bar.width) * MAP / 2 for side in (-1, 1))
    top, bottom = ((1 + bar.y + side * bar.height) * MAP / 2 for side in (-1, 1))
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    _stamp(canvas, np.rint(corners * UNIT).astype(np.int64), _BAR_ENDS, _BAR_OWNER)
    canvas.parts.append((None, None))
    canvas.base.append(COLORS[bar.color])
    canvas.delta.append((0.0, 0.0, 0.0))


def paint_map(canvas: Canvas, draws: Draws, flat: bool) -> FloatImage:
    """Returns the colours of the map, float32 `[3, 128, 128]`, 0 where the background shows."""
    ids = canvas.ids.astype(np.intp)
    picture = np.array(canvas.base, dtype=np.float32).T.take(ids, axis=1)
    if flat:
        return picture
    delta = np.array(canvas.delta, dtype=np.float32).T
    for figure, top, bottom, left, right in canvas.boxes:
        if bottom <= top or right <= left:
            continue
        u, v = _surface(figure, top, bottom, left, right)
        here, box = ids[top:bottom, left:right], picture[:, top:bottom, left:right]
        of_figure = np.array([owner is figure for owner, _ in canvas.parts])[here]
        if figure.texture != "solid":
            share = texture_field(
                figure.texture, u * np.float32(1 / figure.period), v * np.float32(1 / figure.period)
            )
            box += delta.take(here, axis=1) * (share * of_figure)
        factor = material_field(figure.material, u, v, draws)
        box *= np.where(of_figure, factor, np.float32(1))
    return picture


def _surface(
    figure: SceneFigure, top: int, bottom: int, left: int, right: int
) -> tuple[FloatImage, FloatImage]:
    """Returns coordinates on the object, in its half sizes, turned by its slant."""
    half = MAP / 2
    angle = math.radians(figure.slant)
    cos, sin = math.cos(angle) / figure.size, math.sin(angle) / figure.size
    x = (np.arange(left, right) / half - 1 - figure.x)[None, :]
    y = (np.arange(top, bottom) / half - 1 - figure.y)[:, None]
    return (x * cos + y * sin).astype(np.float32), (y * cos - x * sin).astype(np.float32)


def halve(values: NDArray[np.float32]) -> FloatImage:
    """Returns the mean of each 2 x 2 block of the last two dimensions."""
    rows = values[..., 0::2, :] + values[..., 1::2, :]
    return (rows[..., 0::2] + rows[..., 1::2]) * np.float32(0.25)


def outline(ids: NDArray[np.uint8], width: int = 1) -> FloatImage:
    """Returns how much of each picture pixel is an edge between parts, float32 `[64, 64]`."""
    edge = np.zeros((MAP, MAP), dtype=bool)
    edge[:-1] |= ids[1:] != ids[:-1]
    edge[:, :-1] |= ids[:, 1:] != ids[:, :-1]
    if width > 1:
        edge[1:] |= edge[:-1].copy()
        edge[:, 1:] |= edge[:, :-1].copy()
    return halve(edge.astype(np.float32))
