"""Intervals on a scale as one line of text."""

from __future__ import annotations


def span(
    low: float,
    value: float,
    high: float,
    bounds: tuple[float, float],
    width: int,
    sign: str = "◆",
) -> str:
    """Returns an interval with its value, on a scale between two bounds.

    Args:
        low: Low end.
        value: Between both ends.
        high: High end.
        bounds: What the first and the last cell stand for; zero between them is marked.
        width: Cells; at least 3.
        sign: What stands for the value.

    >>> span(0.5, 0.75, 1.0, (-1, 1), 13), span(-1, 0.5, 1, (-1, 1), 9)
    ('      ┼  ├◆─┤', '├───┼─◆─┤')
    """
    first, last = bounds

    def cell(at: float) -> int:
        return max(0, min(round((at - first) / (last - first) * (width - 1)), width - 1))

    cells = [" "] * width
    start, end = cell(low), cell(high)
    if end > start:
        cells[start : end + 1] = ["├", *"─" * (end - start - 1), "┤"]
    if first < 0 < last:
        cells[cell(0.0)] = "┼"
    cells[cell(value)] = sign
    return "".join(cells)
