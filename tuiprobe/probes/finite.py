"""Which images have a representation that can be computed with."""

import numpy as np

from tuiprobe.probes.inputs import Bool, Float32

ROWS = 4096


def finite_images(features: Float32) -> Bool:
    """Returns whether each representation is finite: every value, and its norm in float32.

    An image that fails this counts in no figure of the final representation. A representation of
    zeros is finite.

    Args:
        features: [n, C].

    Returns:
        [n].

    >>> h = np.array([[3, 4], [np.nan, 1], [np.inf, 0], [2e38, 2e38], [0, 0]], dtype=np.float32)
    >>> finite_images(h).tolist()
    [True, False, False, False, True]
    """
    found = np.empty(features.shape[0], dtype=np.bool_)
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, features.shape[0], ROWS):
            place = slice(start, start + ROWS)
            found[place] = np.isfinite(np.linalg.norm(features[place], axis=1))
    return found
