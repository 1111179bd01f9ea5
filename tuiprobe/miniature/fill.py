"""Fills polygons by exact integer arithmetic, so that masks are the same on every machine.

(Pillow's own polygons moved by a pixel between its releases.) A pixel belongs to a polygon if its
centre lies inside by the even-odd rule; a centre exactly on an edge belongs to the right-hand side.
"""

import numpy as np
from numpy.typing import NDArray

UNIT = 8  # corners are given in eighths of a map pixel


def fill(
    corners: NDArray[np.int64],
    ends: NDArray[np.intp],
    owner: NDArray[np.intp],
    count: int,
    size: int,
) -> tuple[NDArray[np.uint8], int, int, int, int]:
    """Paint polygons over each other and return which one shows.

    Args:
        corners: int64 `[edges, 2]`, column and row of each corner in eighths of a pixel.
        ends: For each corner the number of the next corner of its polygon.
        owner: For each corner its polygon, 0 to count - 1, in painting order.
        count: Number of polygons.
        size: Width and height of the map.

    Returns:
        A crop of the map, uint8, 0 outside and polygon number + 1 inside, and its box
        (top, bottom, left, right) in the map.
    """
    low, high = corners.min(axis=0) // UNIT, corners.max(axis=0) // UNIT + 1
    left, top = (int(v) for v in np.clip(low, 0, size))
    right, bottom = (int(v) for v in np.clip(high, 0, size))
    if right <= left or bottom <= top:
        return np.zeros((0, 0), np.uint8), top, top, left, left
    x0, y0, x1, y1, owner = _downwards(corners, ends, owner)
    # Rows whose centre lies in [y0, y1).
    first = np.clip(-((UNIT // 2 - y0) // UNIT), top, bottom)
    rows = np.clip(-((UNIT // 2 - y1) // UNIT), top, bottom) - first
    edge = np.repeat(np.arange(len(rows)), rows)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(rows) - rows, rows) + first[edge]
    height = (y1 - y0)[edge]
    along = row * UNIT + UNIT // 2 - y0[edge]
    cross = (x0[edge] - UNIT // 2) * height + along * (x1 - x0)[edge]
    column = np.clip(cross // (UNIT * height) + 1, left, right) - left
    shape = (count, bottom - top, right - left + 1)
    at = (owner[edge] * shape[1] + row - top) * shape[2] + column
    toggles = np.bincount(at, minlength=shape[0] * shape[1] * shape[2]).astype(np.uint8)
    inside = np.add.accumulate(toggles.reshape(shape), axis=2, dtype=np.uint8)[..., :-1] & 1
    inside *= np.arange(1, count + 1, dtype=np.uint8)[:, None, None]
    return inside.max(axis=0), top, bottom, left, right


def _downwards(
    corners: NDArray[np.int64], ends: NDArray[np.intp], owner: NDArray[np.intp]
) -> tuple[NDArray[np.int64], ...]:
    """Return the edges that are not level, each from its upper to its lower end, and owners."""
    a, b = corners, corners[ends]
    swap = (a[:, 1] > b[:, 1])[:, None]
    upper, lower = np.where(swap, b, a), np.where(swap, a, b)
    slanted = upper[:, 1] != lower[:, 1]
    upper, lower = upper[slanted], lower[slanted]
    return upper[:, 0], upper[:, 1], lower[:, 0], lower[:, 1], owner[slanted]
