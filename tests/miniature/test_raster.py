"""The polygon filler against a direct even-odd test of every pixel centre in exact fractions."""

from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tuiprobe.miniature.raster import UNIT, fill

SIZE = 12
coordinate = st.integers(-4 * UNIT, (SIZE + 4) * UNIT)
polygons = st.lists(
    st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=6), min_size=1, max_size=3
)


def inside(polygon: list[tuple[int, int]], row: int, column: int) -> bool:
    x, y = Fraction(column * UNIT + UNIT // 2), Fraction(row * UNIT + UNIT // 2)
    crossings = 0
    for (x0, y0), (x1, y1) in zip(polygon, polygon[1:] + polygon[:1], strict=True):
        if (y0 <= y) != (y1 <= y) and x0 + (y - y0) * Fraction(x1 - x0, y1 - y0) < x:
            crossings += 1
    return crossings % 2 == 1


def painted(shapes: list[list[tuple[int, int]]]) -> np.ndarray:
    counts = [len(shape) for shape in shapes]
    corners = np.array([point for shape in shapes for point in shape], dtype=np.int64)
    ends = np.arange(1, len(corners) + 1)
    last = np.cumsum(counts) - 1
    ends[last] = last + 1 - np.array(counts)
    owner = np.repeat(np.arange(len(shapes)), counts)
    crop, top, bottom, left, right = fill(corners, ends, owner, SIZE)
    whole = np.zeros((SIZE, SIZE), dtype=int)
    whole[top:bottom, left:right] = crop
    return whole


@settings(max_examples=60, deadline=None)
@given(polygons)
def test_each_pixel_shows_the_last_polygon_over_its_centre(shapes):
    picture = painted(shapes)
    for row in range(SIZE):
        for column in range(SIZE):
            over = [i + 1 for i, shape in enumerate(shapes) if inside(shape, row, column)]
            assert picture[row, column] == (over[-1] if over else 0)
