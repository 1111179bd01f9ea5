"""Names of sets: safe in file names, unique in a run, and UTF-8."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import chain, count

from tuiprobe.errors import DataError
from tuiprobe.plaintext import plain, undecodable


def refuse_undecodable(text: str, what: str) -> None:
    """Refuses a name whose bytes are not UTF-8, as the files of a run must be.

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


def free_name(name: str, taken: Iterable[str], suffix: str = "") -> str:
    """Returns the name, or a variant that differs from all others on every file system.

    >>> free_name("val", ["val"], "-target"), free_name("x", ["X", "x-2"])
    ('val-target', 'x-3')
    """
    folded = {other.casefold() for other in taken}
    numbered = (f"{name}{suffix}-{number}" for number in count(2))
    names = chain([name, f"{name}{suffix}"], numbered)
    return next(candidate for candidate in names if candidate.casefold() not in folded)
