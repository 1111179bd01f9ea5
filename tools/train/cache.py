"""Training inputs: pixels and tokens of whole sets, cached in files outside the package."""

import os
import zlib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tools.train.recipes import Recipe
from tuiprobe.miniature import world
from tuiprobe.miniature.captions import WordTokenizer
from tuiprobe.miniature.palette import SIZE
from tuiprobe.miniature.scene import PROFILES

CORES = os.cpu_count() or 1
_CHUNK = 500


def pixels(folder: Path, name: str, count: int) -> NDArray[np.uint8]:
    """Returns the first `count` images of a set, uint8 `[count, 64, 64, 3]`, memory-mapped.

    Labelled sets are taken in even strides, so that a part holds every class equally often.
    The file is renamed into place when complete.
    """
    # The name includes the profile, so pixels of an older world are never reused.
    world_of = zlib.crc32(repr(PROFILES[name]).encode())
    target = folder / f"{name}-{count}-{world_of:08x}.npy"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        part = target.with_suffix(f".part{os.getpid()}")
        shape = (count, SIZE, SIZE, 3)
        store = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=shape)
        numbers = indices(name, count)
        chunks = [numbers[i : i + _CHUNK] for i in range(0, count, _CHUNK)]
        for i, rendered in enumerate(_render_all(name, chunks)):
            store[i * _CHUNK : i * _CHUNK + len(rendered)] = rendered
        store.flush()
        part.rename(target)
    cached: NDArray[np.uint8] = np.load(target, mmap_mode="r")
    return cached


def token_table(folder: Path, recipe: Recipe) -> NDArray[np.int16]:
    """Returns the tokens of all captions of the training set, int16 `[images, 16]`."""
    tokenizer = WordTokenizer()
    target = folder / f"tokens-{recipe.data}-{recipe.images}-{tokenizer.digest[:8]}.npy"
    if not target.exists():
        numbers = indices(recipe.data, recipe.images)
        texts = [tokenizer.encode(world.caption(recipe.data, i)) for i in numbers]
        part = target.with_suffix(f".part{os.getpid()}")
        with part.open("wb") as out:
            np.save(out, np.array(texts, dtype=np.int16))
        part.replace(target)
    table: NDArray[np.int16] = np.load(target)
    return table


def training_set(folder: Path, recipe: Recipe) -> tuple[NDArray[np.uint8], Tensor]:
    """Returns pixels and their targets: tokens `[images, 16]` or labels `[images]`.

    Missing ones are rendered into `folder`.
    """
    images = pixels(folder, recipe.data, recipe.images)
    if recipe.contrastive:
        return images, torch.from_numpy(token_table(folder, recipe).astype(np.int64))
    numbers = indices(recipe.data, recipe.images)
    return images, torch.tensor([world.label(recipe.data, i) for i in numbers])


def indices(name: str, count: int) -> list[int]:
    """Returns `count` evenly spread image numbers of a set."""
    total = world.size(name)
    return [i * total // count for i in range(count)]


def _render_all(name: str, chunks: list[list[int]]) -> Iterator[NDArray[np.uint8]]:
    if len(chunks) == 1:
        yield _render(name, chunks[0])
        return
    # Spawned, not forked: forking a process with torch threads may hang.
    with ProcessPoolExecutor(CORES, mp_context=get_context("spawn")) as pool:
        yield from pool.map(partial(_render, name), chunks)


def _render(name: str, numbers: list[int]) -> NDArray[np.uint8]:
    return np.stack([world.render(name, i) for i in numbers])
