"""What is known of an image before it is read: its name, its label, its stamp."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tuiprobe.errors import DataError
from tuiprobe.plaintext import plain, undecodable


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
