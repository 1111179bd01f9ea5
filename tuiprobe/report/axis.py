"""Round numbers for an axis, and their text."""

from __future__ import annotations

from math import ceil, floor, log10


def round_ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Returns about `wanted` round values between `low` and `high`.

    >>> round_ticks(0.0, 1.0), round_ticks(-0.2, 7.6, 4)
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [0.0, 2.0, 4.0, 6.0])
    """
    if not high > low or wanted < 1:
        return [low]
    raw = (high - low) / wanted
    size = 10.0 ** floor(log10(raw))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= raw * 0.999)
    first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
    ticks = [round(i * step, 12) for i in range(first, last + 1)]
    return ticks if len(ticks) > 1 else round_ticks(low, high, 2 * wanted)


def tick_text(value: float) -> str:
    """Returns a value on an axis as text.

    >>> tick_text(0.2), tick_text(1500.0), tick_text(-0.0)
    ('0.2', '1500', '0')
    """
    return f"{value + 0.0:.6g}"
