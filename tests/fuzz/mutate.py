"""Seeded damage: to bytes, to JSON trees, and to arrays whose checksum is made to fit."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

import numpy as np

INTERESTING = (0, 1, -1, 7, 255, 2**31, -(2**31), 2**53 + 1, 2**63, 2**64 - 1, 10**12, 10**400)
FIGURES = (0.0, -0.0, -1.0, 1e-320, 1e-300, 1e30, 1e99, 1e308, -1e308, 0.5)
TEXTS = ("", "x", "\x00", "\u202e", "../../x", "val", "/", "a" * 5000, "1e999", "NaN", "\ud800")
DTYPES = ("f4", "f8", "i8", "i4", "u1", "i2", "f2", "?", "u8", "u2", "i1", "u4")


def damaged_bytes(draw: random.Random, content: bytes) -> bytes:
    """Returns the content with one to three pieces of damage."""
    data = bytearray(content)
    for _ in range(draw.randint(1, 3)):
        at = draw.randrange(len(data) + 1)
        size = min(draw.choice((1, 2, 8, 64, 1000)), len(data) - at)
        kind = draw.randrange(7)
        if kind == 0 and size:
            data[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            del data[at:]
        elif kind == 2:
            del data[at : at + size]
        elif kind == 3:
            data[at:at] = data[at : at + size] * draw.choice((1, 2, 50))
        elif kind == 4:
            data[at:at] = str(draw.choice(INTERESTING)).encode()
        elif kind == 5:
            number = draw.choice(INTERESTING) % 2**64
            data[at : at + 8] = number.to_bytes(8, "little")
        else:
            data[at : at + size] = draw.randbytes(size)
    return bytes(data)


def damaged_value(draw: random.Random, value: Any) -> Any:
    """Returns something else than a value of a JSON tree."""
    kind = draw.randrange(9)
    if kind == 0:
        return None
    if kind == 1:
        return draw.choice(INTERESTING[:-1])
    if kind == 2:
        return draw.choice(FIGURES)
    if kind == 3:
        return draw.choice(TEXTS)
    if kind == 4:
        return [value] * draw.choice((0, 1, 2, 300))
    if kind == 5:
        return {"x": value}
    if kind == 6:
        return draw.choice((True, False))
    if kind == 7 and isinstance(value, list):
        return value[: draw.randrange(len(value) + 1)]
    if kind == 8 and isinstance(value, int | float):
        return -value if draw.random() < 0.5 else value + draw.choice((1, -1, 1000))
    return json.loads("[" * 60 + "]" * 60)


def damaged_tree(draw: random.Random, tree: Any) -> Any:
    """Returns a copy of a JSON tree with one to three values changed, removed or repeated."""
    tree = copy.deepcopy(tree)
    for _ in range(draw.randint(1, 3)):
        parent, key = _place(draw, tree)
        if parent is None:
            return damaged_value(draw, tree)
        kind = draw.randrange(6)
        if kind == 0:
            del parent[key]
        elif kind == 1 and isinstance(parent, list):
            parent.insert(key, copy.deepcopy(parent[key]))
        elif kind == 1:
            parent[draw.choice(TEXTS[:-1])] = parent[key]
        else:
            parent[key] = damaged_value(draw, parent[key])
    return tree


def _place(draw: random.Random, tree: Any) -> tuple[Any, Any]:
    parent, key, here = None, None, tree
    while isinstance(here, dict | list) and here and (parent is None or draw.random() < 0.8):
        key = draw.choice(list(here)) if isinstance(here, dict) else draw.randrange(len(here))
        parent, here = here, here[key]
    return parent, key


def damaged_json(draw: random.Random, content: bytes) -> bytes:
    """Returns a JSON text that is damaged as a tree, nested deeply, or holds a key twice."""
    kind = draw.randrange(12)
    if kind == 0:
        return b'{"a":' * 100_000
    if kind == 1:
        return content.replace(b":", b": " + b"9" * draw.choice((400, 5000)) + b', "x":', 1)
    text = json.dumps(damaged_tree(draw, json.loads(content)))
    if kind == 2 and text.startswith("{") and len(text) > 2:
        text = "{" + text[1:-1] + ", " + text[1:]  # every key twice
    return text.encode()


def damaged_array(draw: random.Random, array: np.ndarray) -> np.ndarray:
    """Returns an array of another shape or type, or with values that no engine writes."""
    array = array.copy()
    kind = draw.randrange(10)
    if kind == 0:
        return array.astype(draw.choice(DTYPES))
    if kind == 1:
        return array[:0] if array.ndim else array.reshape(1)
    if kind == 2:
        return array[..., :-1] if array.ndim else np.stack([array, array])
    if kind == 3:
        return np.concatenate([array, array]) if array.ndim else array.reshape(1, 1)
    if kind == 4:
        return array[None]
    if kind == 5:
        return array.reshape(-1)
    if kind == 6 and array.ndim:
        return array[::-1]
    if not array.size:
        return array.reshape(*array.shape, 1)
    flat = array.reshape(-1)
    some = draw.sample(range(flat.size), draw.randint(1, min(3, flat.size)))
    if kind == 7:
        some = list(range(flat.size))
    if array.dtype.kind == "f":
        flat[some] = draw.choice((np.nan, np.inf, -np.inf, 0.0, 1e38, -1e38, 1e-38))
        if array.dtype.itemsize == 8 and draw.random() < 0.3:
            flat[some] = draw.choice((1e308, -1e308, 1e-320))
    elif array.dtype.kind == "i":
        info = np.iinfo(array.dtype)
        flat[some] = draw.choice((-1, 0, 1, int(info.min), int(info.max), 1000))
    return array


def damaged_arrays(
    draw: random.Random, arrays: dict[str, np.ndarray], metadata: dict[str, str]
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Returns arrays and metadata with one to two of them changed, missing or renamed."""
    arrays, metadata = dict(arrays), dict(metadata)
    for _ in range(draw.randint(1, 2)):
        if metadata and draw.random() < 0.2:
            name = draw.choice(sorted(metadata))
            if draw.random() < 0.3:
                del metadata[name]
            else:
                other = draw.choice(("", "null", "[]", "[[1]]", "{}", "3", "x", '"y"', "[" * 2000))
                metadata[name] = other
        elif arrays:
            name = draw.choice(sorted(arrays))
            kind = draw.randrange(8)
            if kind == 0:
                del arrays[name]
            elif kind == 1:
                arrays[name + "x"] = arrays.pop(name)
            else:
                arrays[name] = damaged_array(draw, arrays[name])
    return arrays, metadata
