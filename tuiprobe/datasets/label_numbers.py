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


def counts_from_one(path: str, high: int, other: str) -> str:
    """Returns the message for labels 1 to K where there are K classes, 0 to K - 1."""
    return (
        f"{path} holds the labels 1 to {high:,}, and {other}: labels count from 0; subtract 1 "
        "from each, or write names in place of numbers and give their order by --classes FILE"
    )


def open_origin(
    source: str, used: Sequence[int], rows: int, other: str, *, folders: bool = False
) -> str:
    """Returns the message for numbered labels that may count from 0 or from 1.

    Args:
        source: Where the labels are from.
        used: The numbers, ascending.
        rows: K, the number of classes.
        other: What has so many, in words.
        folders: Whether they are names of class folders.
    """
    kind = "class folders" if folders else "labels"
    numbers = f"{used[0]:,} to {used[-1]:,}" if len(used) > 1 else f"{used[0]:,}"
    zero, one = (f"--classes FILE with the lines {low} to {rows - 1 + low:,}" for low in (0, 1))
    ways = f"if from 0, give {zero}; if from 1, subtract 1 from each"
    if folders:
        ways = f"give {zero}, or {one}; or rename the folders to the names of classes"
    return (
        f"{source} has {kind} {numbers} and none is 0, and {other}: {used[0]:,} is number "
        f"{used[0]:,} of them if labels count from 1, and number {used[0] + 1:,} if from 0; {ways}"
    )
