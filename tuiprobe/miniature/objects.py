"""The forty object classes: `objects.json` describes them, the shapes in this file draw them.

A class has `synonyms` for captions, its usual `colors` and `scenes`, the most frequent first, and
`parts` in painting order. A part is `[name, role, shape, numbers...]`; coordinates lie in the
square from -1 to 1 with y pointing down, and angles are in degrees.

| shape | numbers |
|---|---|
| `poly` | x, y of each corner |
| `rect` | left, top, right, bottom |
| `oval` | centre x, y, radii x, y, then optionally tilt, and start and stop of a sector |
| `line` | width, then x, y of each point of a polyline |
| `ring` | centre x, y, radius, width, then optionally start and stop of an arc |
| `star` | centre x, y, outer and inner radius |
| `row` | top, bottom, width, then the left edge of each of several equal rectangles |
| `wheel` | centre x, y, radius; adds a white hub |
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Corners = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class ObjectPart:
    """One named part of an object, a polygon.

    Attributes:
        name: Concept name, shared between classes ("wheel", "head").
        role: How it is painted: `main`, `shaded` (a darker main) or `accent` as the figure says;
            `glass`, `black`, `brown`, `green` or `white` always the same.
        points: Corners of the polygon.
    """

    name: str
    role: str
    points: Corners


@dataclass(frozen=True)
class ObjectClass:
    """One class of objects.

    Attributes:
        name: Class name, also the folder name of exported images.
        synonyms: Other words for it in captions.
        colors: Usual colours, the most frequent first.
        scenes: Usual scenes, the most frequent first.
        parts: Parts in painting order.
    """

    name: str
    synonyms: tuple[str, ...]
    colors: tuple[str, ...]
    scenes: tuple[str, ...]
    parts: tuple[ObjectPart, ...]


def _poly(*numbers: float) -> Corners:
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def _rect(left: float, top: float, right: float, bottom: float) -> Corners:
    return (left, top), (right, top), (right, bottom), (left, bottom)


def _oval(
    x: float,
    y: float,
    rx: float,
    ry: float,
    tilt: float = 0.0,
    start: float = 0.0,
    stop: float = 360.0,
) -> Corners:
    count = 18 if max(rx, ry) > 0.25 else 12
    full = stop - start >= 360
    steps = [start + (stop - start) * i / (count if full else count - 1) for i in range(count)]
    c, s = math.cos(math.radians(tilt)), math.sin(math.radians(tilt))
    points = []
    for angle in steps:
        u, v = rx * math.cos(math.radians(angle)), ry * math.sin(math.radians(angle))
        points.append((x + c * u - s * v, y + s * u + c * v))
    return tuple(points)


def _line(width: float, *numbers: float) -> Corners:
    """Returns a thick polyline as one polygon: along its left side, and back along its right."""
    spine = _poly(*numbers)
    left, right = [], []
    for i, (x, y) in enumerate(spine):
        x0, y0 = spine[max(i - 1, 0)]
        x1, y1 = spine[min(i + 1, len(spine) - 1)]
        length = math.hypot(x1 - x0, y1 - y0)
        nx, ny = -(y1 - y0) / length * width / 2, (x1 - x0) / length * width / 2
        left.append((x + nx, y + ny))
        right.append((x - nx, y - ny))
    return tuple(left + right[::-1])


def _ring(
    x: float, y: float, radius: float, width: float, start: float = 0.0, stop: float = 360.0
) -> Corners:
    count = 18
    spine: list[float] = []
    for i in range(count + 1):
        angle = math.radians(start + (stop - start) * i / count)
        spine += [x + radius * math.cos(angle), y + radius * math.sin(angle)]
    return _line(width, *spine)


def _star(x: float, y: float, outer: float, inner: float) -> Corners:
    points = []
    for i in range(10):
        radius = inner if i % 2 else outer
        angle = math.radians(-90 + 180 * i / 5)
        points.append((x + radius * math.cos(angle), y + radius * math.sin(angle)))
    return tuple(points)


_SHAPES: dict[str, Callable[..., Corners]] = {
    "poly": _poly,
    "rect": _rect,
    "oval": _oval,
    "line": _line,
    "ring": _ring,
    "star": _star,
}


def _draw(name: str, role: str, shape: str, *numbers: float) -> list[ObjectPart]:
    """Returns the parts that one entry of `objects.json` stands for: one, but for two shapes."""
    if shape == "row":
        top, bottom, width, *lefts = numbers
        return [ObjectPart(name, role, _rect(x, top, x + width, bottom)) for x in lefts]
    if shape == "wheel":
        x, y, r = numbers
        hub = ObjectPart("hub", "white", _oval(x, y, r * 0.45, r * 0.45))
        return [ObjectPart(name, role, _oval(x, y, r, r)), hub]
    return [ObjectPart(name, role, _SHAPES[shape](*numbers))]


def _load(path: Path) -> tuple[ObjectClass, ...]:
    """Returns the classes of a file in its order, which is the byte order of their names."""
    classes = json.loads(path.read_text(encoding="utf-8"), parse_int=float)
    return tuple(
        ObjectClass(
            name,
            tuple(kind["synonyms"]),
            tuple(kind["colors"]),
            tuple(kind["scenes"]),
            tuple(part for entry in kind["parts"] for part in _draw(*entry)),
        )
        for name, kind in classes.items()
    )


OBJECTS: tuple[ObjectClass, ...] = _load(Path(__file__).with_name("objects.json"))
CLASS_NAMES: tuple[str, ...] = tuple(item.name for item in OBJECTS)
PART_NAMES: tuple[str, ...] = tuple(
    sorted({part.name for item in OBJECTS for part in item.parts}, key=str.encode)
)
