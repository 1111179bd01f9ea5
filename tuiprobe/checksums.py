"""Checksums inside the text files they cover.

Content and checksum are written together. A JSON object holds the checksum as its last member; a
file of lines ends with a line that is such an object. The checksum is the SHA-256 of the file
without its 64 digits. For arrays see `tuiprobe.run.arrays`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from typing import Any

from tuiprobe.files import MAX_TEXT_BYTES, DamagedFileError, Entry, parse_json, reading

MEMBER = "sha256"
_SEAL = re.compile(rb'"sha256": "([0-9a-f]{64})"\s*\}\s*\Z')
_LONGEST_SEAL = 256


def seal(text: str) -> str:
    """Adds the checksum as last member of the JSON object that ends a text; returns the text.

    >>> seal('{"a": 1}')[:19]
    '{"a": 1, "sha256": '
    """
    head = text.rstrip()
    pretty = head.endswith("\n}")
    head = head[:-1].rstrip()
    comma = "" if head.endswith("{") else ","
    head += f'{comma}\n "{MEMBER}": "' if pretty else f'{comma and ", "}"{MEMBER}": "'
    tail = '"\n}\n' if pretty else '"}\n'
    digest = hashlib.sha256((head + tail).encode("utf-8", "replace")).hexdigest()
    return head + digest + tail


def is_sealed(content: bytes, name: object) -> bool:
    """Says whether file content carries a checksum; files of earlier versions do not.

    Raises:
        DamagedFileError: If the checksum does not match the content.
    """
    found = _SEAL.search(content, max(len(content) - _LONGEST_SEAL, 0))
    if found is None:
        return False
    digest = hashlib.sha256(content[: found.start(1)])
    digest.update(content[found.end(1) :])
    if digest.hexdigest().encode() != found[1]:
        raise DamagedFileError(f"{name} is damaged: its checksum does not match its content")
    return True


def checksum_in(content: bytes) -> str | None:
    """Returns the checksum that content carries at its end, without comparing it.

    >>> checksum_in(seal('{"a": 1}').encode())[:8], checksum_in(b"{}")
    ('f89b2743', None)
    """
    found = _SEAL.search(content, max(len(content) - _LONGEST_SEAL, 0))
    return None if found is None else found[1].decode()


def checksum_at_end(entry: Entry) -> str | None:
    """Returns the checksum that a file carries, without comparing it; None if it has none.

    Raises:
        DamagedFileError: If the file cannot be read.
    """
    with entry.open() as file, reading(entry):
        file.seek(max(os.fstat(file.fileno()).st_size - _LONGEST_SEAL, 0))
        return checksum_in(file.read(_LONGEST_SEAL))


def read_checked(
    entry: Entry, like: Entry | None = None, limit: int = MAX_TEXT_BYTES
) -> tuple[bytes, bool]:
    """Returns the content of a file, and whether a checksum covers it.

    Args:
        entry: What to read.
        like: An older file of the same run; if it has a checksum, this one must have one too.
        limit: Largest size in bytes.

    Raises:
        DamagedFileError: If the file is missing, too large or altered.
    """
    content = entry.read_bytes(limit)
    sealed = is_sealed(content, entry)
    if not sealed and like is not None:
        refuse_lost_seal(content, entry, like)
    return content, sealed


def refuse_lost_seal(content: bytes, entry: Entry, like: Entry) -> None:
    """Refuses the content of a file without a checksum if an older file of the run has one.

    Raises:
        DamagedFileError: If the older file has a checksum.
    """
    if checksum_in(content) is None and like.exists() and is_sealed(like.read_bytes(), like):
        raise DamagedFileError(f"{entry} is damaged: its checksum is gone")


def write_json(entry: Entry, value: Mapping[str, Any]) -> None:
    """Publishes an object as strict JSON with its checksum."""
    entry.write_text(seal(json.dumps(value, indent=1, allow_nan=False)))


def read_json(
    entry: Entry, like: Entry | None = None, limit: int = MAX_TEXT_BYTES
) -> tuple[Any, bool]:
    """Returns a JSON value without its checksum, and whether it had one.

    Arguments and errors as for `read_checked`; also refuses anything but strict JSON.
    """
    content, sealed = read_checked(entry, like, limit)
    try:
        value = parse_json(content)
    except ValueError as error:
        raise DamagedFileError(f"{entry} is damaged: {error}") from error
    if sealed and isinstance(value, dict):
        value.pop(MEMBER, None)
    return value, sealed
