"""Labels that are written as numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tuiprobe.plaintext import plain

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
"""A number as programs write it; `1.0e+01` is what `numpy.savetxt` makes of 10."""

LARGEST_LABEL = 10**15
"""Larger numbers are no labels; this one fits int64, and is refused as too large."""

_MISSING = {"nan", "none", "null", "na", "n/a", "<na>"}


def in_class_order(names: Iterable[str]) -> tuple[str, ...]:
    """Returns the distinct names of classes in label order: numbers by value, others by bytes.

    >>> in_class_order(["10", "2", "2"]), in_class_order(["b10", "b2"])
    (('2', '10'), ('b10', 'b2'))
    """
    distinct = set(names)
    if all(name.isascii() and name.isdecimal() for name in distinct):
        return tuple(sorted(distinct, key=lambda name: (int(name), name)))
    return tuple(sorted(distinct, key=lambda name: name.encode("utf-8", "surrogateescape")))


def whole_numbers(texts: Sequence[str]) -> list[int] | None:
    """Returns labels as whole numbers; None if they are names.

    Raises:
        ValueError: If a number is not whole, or a label is missing among numbers.

    >>> whole_numbers(["0", "1.0e+01", "2."]), whole_numbers(["7up", "3.5"])
    ([0, 10, 2], None)
    """
    numeric = [NUMBER.fullmatch(text) is not None for text in texts]
    if not all(numeric):
        words = [i for i, is_number in enumerate(numeric) if not is_number]
        if len(words) < len(texts) and all(texts[i].lower() in _MISSING for i in words):
            raise ValueError(f"row {words[0]} has no label ({texts[words[0]]})")
        return None
    numbers = []
    for row, text in enumerate(texts):
        value = float(text)
        if value % 1:
            raise ValueError(f"row {row} has the label {plain(text[:80])}, no whole number")
        numbers.append(int(max(min(value, LARGEST_LABEL), -LARGEST_LABEL)))
    return numbers
