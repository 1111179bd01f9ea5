"""Building blocks of objects: named parts, each one polygon in the square from -1 to 1, y down."""

import math
from dataclasses import dataclass

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Part:
    """One named part of an object.

    Attributes:
        name: Concept name, shared between classes ("wheel", "head").
        role: Which paint it gets: m main, s shaded main, a accent, k black, w white, g glass,
            v green, b brown.
        points: Corners of the polygon.
    """

    name: str
    role: str
    points: Points


@dataclass(frozen=True)
class ObjectClass:
    """One class of objects.

    Attributes:
        name: Class name, also the folder name of exported images.
        synonyms: Other words for it in captions.
        colors: Canonical colours, the first one most frequent.
        scenes: Canonical scenes, the first one most frequent.
        parts: Parts in painting order.
    """

    name: str
    synonyms: tuple[str, ...]
    colors: tuple[str, ...]
    scenes: tuple[str, ...]
    parts: tuple[Part, ...]


def poly(name: str, role: str, *numbers: float) -> Part:
    """Return a polygon part from `x, y, x, y, ...`."""
    return Part(name, role, tuple(zip(numbers[::2], numbers[1::2], strict=True)))


def rect(name: str, role: str, x0: float, y0: float, x1: float, y1: float) -> Part:
    """Return an upright rectangle."""
    return Part(name, role, ((x0, y0), (x1, y0), (x1, y1), (x0, y1)))


def oval(
    name: str,
    role: str,
    x: float,
    y: float,
    rx: float,
    ry: float,
    tilt: float = 0.0,
    start: float = 0.0,
    stop: float = 360.0,
) -> Part:
    """Return an ellipse (or a sector between two angles) about `(x, y)`; angles in degrees."""
    count = 18 if max(rx, ry) > 0.25 else 12
    full = stop - start >= 360
    steps = [start + (stop - start) * i / (count if full else count - 1) for i in range(count)]
    c, s = math.cos(math.radians(tilt)), math.sin(math.radians(tilt))
    points = []
    for angle in steps:
        u, v = rx * math.cos(math.radians(angle)), ry * math.sin(math.radians(angle))
        points.append((x + c * u - s * v, y + s * u + c * v))
    return Part(name, role, tuple(points))


def line(name: str, role: str, width: float, *numbers: float) -> Part:
    """Return a thick polyline through `x, y, x, y, ...` as one polygon."""
    spine = list(zip(numbers[::2], numbers[1::2], strict=True))
    left, right = [], []
    for i, (x, y) in enumerate(spine):
        x0, y0 = spine[max(i - 1, 0)]
        x1, y1 = spine[min(i + 1, len(spine) - 1)]
        length = math.hypot(x1 - x0, y1 - y0)
        nx, ny = -(y1 - y0) / length * width / 2, (x1 - x0) / length * width / 2
        left.append((x + nx, y + ny))
        right.append((x - nx, y - ny))
    return Part(name, role, tuple(left + right[::-1]))


def ring(
    name: str,
    role: str,
    x: float,
    y: float,
    radius: float,
    width: float,
    start: float = 0.0,
    stop: float = 360.0,
) -> Part:
    """Return an arc of the given radius and width; angles in degrees."""
    count = 18
    spine: list[float] = []
    for i in range(count + 1):
        angle = math.radians(start + (stop - start) * i / count)
        spine += [x + radius * math.cos(angle), y + radius * math.sin(angle)]
    return line(name, role, width, *spine)


def star(name: str, role: str, x: float, y: float, outer: float, inner: float, n: int = 5) -> Part:
    """Return a star with n points."""
    points = []
    for i in range(2 * n):
        radius = inner if i % 2 else outer
        angle = math.radians(-90 + 180 * i / n)
        points.append((x + radius * math.cos(angle), y + radius * math.sin(angle)))
    return Part(name, role, tuple(points))
