"""What is known of an image before it is read: its name, its label, its stamp."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tuiprobe.errors import DataError
from tuiprobe.plaintext import plain, undecodable

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
"""A number as programs write it; `1.0e+01` is what `numpy.savetxt` makes of 10."""

LARGEST_LABEL = 10**15
"""Larger numbers are no labels; this one fits int64, and is refused as too large."""

_MISSING = {"nan", "none", "null", "na", "n/a", "<na>"}


class UnreadableImageError(DataError):
    """One image cannot be decoded; the engine skips, counts and lists it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One image of a data set.

    Attributes:
        id: Rank of `path` among all paths of its data set in byte order.
        path: Path relative to the root of the data set, with forward slashes.
        label: Index into the data set's `classes`; None if the data have no labels.
    """

    id: int
    path: str
    label: int | None


@dataclass(frozen=True, slots=True)
class Stamp:
    """A cheap substitute for the content of an image: if the content changed, the stamp differs.

    Attributes:
        size: Bytes of the file or member; None if there is no file. Part of a run's key.
        changed: Time of the last change, or a digest; None if only reading the image can show a
            change.
    """

    size: int | None
    changed: str | None


def refuse_undecodable(text: str, what: str) -> None:
    """Refuses a name whose bytes are not UTF-8, because files of a run are.

    Raises:
        DataError: If it is one; names it and the bytes.
    """
    if odd := undecodable(text):
        raise DataError(
            f"{what} '{plain(text)}' has a name that is not UTF-8 ({odd}), and reports are; "
            "rename it, such as by convmv -f latin1 -t utf8"
        )


def safe_name(text: str) -> str:
    """Returns `text` reduced to characters that are safe in file names on every system.

    >>> safe_name("my val/set")
    'my-val-set'
    """
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-.") or "data"


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
