"""The processing order: seeded, interleaved by class, the same on every machine.

Any prefix of the order is a stratified sample of the whole set, so live figures, `--sample` and
interrupted runs are representative.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tuiprobe.datasets.sample import Sample


def processing_order(samples: Sequence[Sample], seed: int) -> NDArray[np.int64]:
    """Returns sample ids in the order they are processed.

    Within each class the samples are shuffled; the j-th of n samples of a class is then placed at
    (j + u) / n of the whole order, where each sample has its own uniform u, so every prefix holds
    every class in proportion, within one image. The shuffle hashes (seed, id) instead of drawing
    from a random generator, whose stream may change between NumPy releases.

    Args:
        samples: Samples with `samples[i].id == i`.
        seed: Any integer.

    Returns:
        Permutation of `range(len(samples))`.

    >>> from tuiprobe.datasets.sample import Sample
    >>> order = processing_order([Sample(i, str(i), i // 50) for i in range(100)], seed=0)
    >>> sum(i < 50 for i in order[:20].tolist()) in (9, 10, 11)
    True
    """
    ids = np.arange(len(samples), dtype=np.int64)
    labels = np.array([-1 if s.label is None else s.label for s in samples], dtype=np.int64)
    shuffle = hash_ids(ids, seed)
    by_class = np.lexsort((shuffle, labels))
    _, starts, counts = np.unique(labels[by_class], return_index=True, return_counts=True)
    rank = np.arange(len(ids)) - np.repeat(starts, counts)
    jitter = hash_ids(by_class, seed + 1) / 2.0**64
    place = (rank + jitter) / np.repeat(counts, counts)
    return by_class[np.lexsort((by_class, place))].astype(np.int64)


def hash_ids(values: NDArray[np.int64], seed: int) -> NDArray[np.uint64]:
    """Hashes each value under a seed by SplitMix64 (Steele, Lea, Flood 2014)."""
    state = np.uint64((seed * 0xD1342543DE82EF95 + 1) % 2**64)
    with np.errstate(over="ignore"):
        z = values.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + state
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            z = (z ^ (z >> np.uint64(shift))) * np.uint64(factor)
        return z ^ (z >> np.uint64(31))
