"""Damage to files of a run that bytes alone would not do: checksums that fit, odd JSON."""

import json
import random
from pathlib import Path

import numpy as np

from tests.fuzz.mutate import mutated, mutated_tree
from tests.measure.engine.fake_run import vouch
from tuiprobe.measure.run.arrays import read_arrays, write_arrays
from tuiprobe.measure.run.directory import RunDir

DTYPES = ("f4", "f8", "i8", "i4", "u1", "i2", "f2", "?", "u8", "u2", "i1", "u4")


def damaged_json(draw: random.Random, content: bytes) -> bytes:
    """Returns a JSON text that is damaged as a tree, nested deeply, or holds a key twice."""
    kind = draw.randrange(12)
    if kind == 0:
        return b'{"a":' * 100_000
    if kind == 1:
        return content.replace(b":", b": " + b"9" * draw.choice((400, 5000)) + b', "x":', 1)
    text = json.dumps(mutated_tree(json.loads(content), draw))
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
    some = [draw.randrange(flat.size) for _ in range(draw.randint(1, 3))]
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


def damage(draw: random.Random, run: Path, name: str) -> None:
    """Damages one file of a run, mostly with checksums that fit."""
    path = run / name
    content = path.read_bytes()
    if name.endswith(".safetensors") and not name.startswith("status") and draw.random() < 0.85:
        entry = RunDir(run).at(name)
        arrays, metadata = damaged_arrays(draw, *read_arrays(entry))
        write_arrays(entry, arrays, metadata)
    elif name.endswith(".json") and draw.random() < 0.85:
        path.write_bytes(damaged_json(draw, content))
    elif name.endswith(".jsonl") and draw.random() < 0.7:
        lines = content.splitlines()
        at = draw.randrange(len(lines))
        lines[at] = damaged_json(draw, lines[at])
        path.write_bytes(b"\n".join(lines) + b"\n")
    else:
        path.write_bytes(mutated(content, draw))
    if draw.random() < 0.85:
        vouch(RunDir(run))
