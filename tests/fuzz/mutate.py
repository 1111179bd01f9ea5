"""Seeded mutations of bytes and of JSON trees: the same seed gives the same input everywhere.

A reader is attacked by taking a valid file, `mutated(content, draws)`, and asking that nothing
but the package's own errors comes out.
"""

import json
import random
import struct
from collections.abc import Callable
from typing import Any

INTEGERS = (0, 1, 2, 7, 8, 64, 127, 128, 255, 256, 2**15, 2**16, 2**31 - 1, 2**31, 2**32 - 1,
            2**32, 2**53, 2**62, 2**63 - 1, 2**64 - 1)  # fmt: skip
"""Limits of integer types and powers of two, where arithmetic of readers breaks."""

VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**40, -0.0, 1e308, 5e-324, "", "\0", "x" * 300,
    "../../etc/passwd", "\u202e\x9b31m", [], {}, [[]], {"": None},
)  # fmt: skip
"""Values of every JSON type, with those that readers forget."""


def bit_flip(content: bytes, draws: random.Random) -> bytes:
    """Returns `content` with one to eight bits turned."""
    altered = bytearray(content)
    for _ in range(draws.choice((1, 1, 1, 2, 8))):
        altered[draws.randrange(len(altered))] ^= 1 << draws.randrange(8)
    return bytes(altered)


def truncate(content: bytes, draws: random.Random) -> bytes:
    """Returns the beginning of `content`."""
    return content[: draws.randrange(len(content))]


def delete(content: bytes, draws: random.Random) -> bytes:
    """Returns `content` without a piece."""
    start, length = _piece(content, draws)
    return content[:start] + content[start + length :]


def duplicate(content: bytes, draws: random.Random) -> bytes:
    """Returns `content` with a piece repeated somewhere."""
    start, length = _piece(content, draws)
    place = draws.randrange(len(content) + 1)
    times = draws.choice((1, 1, 2, 50))
    return content[:place] + content[start : start + length] * times + content[place:]


def overwrite(content: bytes, draws: random.Random) -> bytes:
    """Returns `content` with a piece replaced by one from elsewhere in it."""
    start, length = _piece(content, draws)
    place = draws.randrange(len(content))
    return content[:place] + content[start : start + length] + content[place + length :]


def noise(content: bytes, draws: random.Random) -> bytes:
    """Returns `content` with a piece replaced by random, equal or extreme bytes."""
    start, length = _piece(content, draws)
    byte = draws.choice((None, 0, 255))
    piece = draws.randbytes(length) if byte is None else bytes([byte]) * length
    return content[:start] + piece + content[start + length :]


def integer(content: bytes, draws: random.Random) -> bytes:
    """Returns `content` with a binary integer replaced by one that matters, of either order."""
    code, width = draws.choice((("B", 1), ("H", 2), ("I", 4), ("Q", 8)))
    value = draws.choice(INTEGERS) % 2 ** (8 * width)
    place = draws.randrange(len(content))
    packed = struct.pack(draws.choice("<>") + code, value)
    return content[:place] + packed + content[place + width :]


def digits(content: bytes, draws: random.Random) -> bytes:
    """Returns `content` with a decimal number replaced by one that matters."""
    starts = [i for i, byte in enumerate(content[:100_000]) if 48 <= byte <= 57]
    if not starts:
        return integer(content, draws)
    start = end = draws.choice(starts)
    while end < len(content) and 48 <= content[end] <= 57:
        end += 1
    number = draws.choice((*map(str, INTEGERS), "-1", "1e400", "9" * 40))
    return content[:start] + number.encode() + content[end:]


BYTES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    bit_flip, truncate, delete, duplicate, overwrite, noise, integer, digits,
)  # fmt: skip


def mutated(content: bytes, draws: random.Random) -> bytes:
    """Returns `content` after one to four mutations of its bytes."""
    for _ in range(draws.choice((1, 1, 1, 2, 4))):
        content = draws.choice(BYTES)(content, draws) if content else draws.randbytes(16)
    return content


def mutated_tree(tree: Any, draws: random.Random) -> Any:
    """Returns a copy of a JSON tree after one to four changes of its nodes.

    A node is replaced by another value or another node, deleted, repeated, renamed, or nested.
    """
    tree = json.loads(json.dumps(tree))
    for _ in range(draws.choice((1, 1, 1, 2, 4))):
        nodes = list(_nodes(tree))
        if not nodes:
            return draws.choice(VALUES)
        parent, key = draws.choice(nodes)
        change = draws.randrange(6)
        if change <= 1:
            parent[key] = draws.choice(VALUES)
        elif change == 2:
            other, place = draws.choice(nodes)
            parent[key] = json.loads(json.dumps(other[place]))
        elif change == 3:
            del parent[key]
        elif change == 4 and isinstance(parent, dict):
            parent[draws.choice(("", "x", f"{key}_", str(key).upper()))] = parent.pop(key)
        else:
            parent[key] = [parent[key]] if draws.random() < 0.5 else {"x": parent[key]}
    return tree


def _nodes(tree: Any) -> list[tuple[Any, Any]]:
    """Returns parent and key of every node but the root."""
    results: list[tuple[Any, Any]] = []
    waiting = [tree]
    while waiting:
        item = waiting.pop()
        keys: list[Any] = []
        if isinstance(item, dict):
            keys = list(item)
        elif isinstance(item, list):
            keys = list(range(len(item)))
        for key in keys:
            results.append((item, key))
            waiting.append(item[key])
    return results


def _piece(content: bytes, draws: random.Random) -> tuple[int, int]:
    start = draws.randrange(len(content))
    return start, min(draws.choice((1, 2, 4, 8, 32, 256)), len(content) - start)
