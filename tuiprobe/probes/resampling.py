"""Bootstrap draws that several figures of the same rows share."""

from functools import lru_cache

import numpy as np

from tuiprobe.probes.inputs import Float32

RESAMPLES = 1000


@lru_cache(maxsize=4)
def draws(rows: int, seed: int) -> Float32:
    """Returns how often each row is in each bootstrap draw, float32 [RESAMPLES, rows].

    >>> draws(3, 0).shape, set(draws(3, 0).sum(axis=1).tolist())
    ((1000, 3), {3.0})
    """
    found = np.zeros((RESAMPLES, rows), dtype=np.float32)
    rng = np.random.default_rng(seed)
    for number in range(RESAMPLES if rows else 0):
        found[number] = np.bincount(rng.integers(0, rows, rows), minlength=rows)
    found.setflags(write=False)
    return found
