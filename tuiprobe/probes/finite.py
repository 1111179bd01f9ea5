"""Images whose final representation is not finite: which they are, and the rest without them."""

import numpy as np

from tuiprobe.probes.inputs import Bool, Float32, flatten_summary
from tuiprobe.run.arrays import Arrays

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
    finite = np.empty(features.shape[0], dtype=np.bool_)
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, features.shape[0], ROWS):
            place = slice(start, start + ROWS)
            finite[place] = np.isfinite(np.linalg.norm(features[place], axis=1))
    return finite


def without_nonfinite(measured: Arrays) -> Arrays:
    """Returns `features` and `ids` of the images with a finite representation.

    Args:
        measured: `features` and `ids` of one set.
    """
    finite = finite_images(measured["features"])
    return measured if finite.all() else {name: a[finite] for name, a in measured.items()}


def nonfinite_ids(measured: Arrays) -> list[int]:
    """Returns the sample ids of the images that `without_nonfinite` removes."""
    return [int(i) for i in measured["ids"][~finite_images(measured["features"])]]


def final_statistics(merged: Arrays, finite: Arrays) -> Arrays:
    """Returns the statistics of the final representation without the removed images.

    Merged statistics leave out values that are not finite one by one; an image with such a value
    is left out whole here. `nonfinite` keeps the count of the values.

    Args:
        merged: Fields of the final tap.
        finite: What `without_nonfinite` gave.
    """
    if len(finite["ids"]) == len(merged["sample_ids"]):
        return merged
    import torch  # readers that need no statistics load no torch

    from tuiprobe.stats import ActivationStats

    channels, k = merged["largest_values"].shape
    stats = ActivationStats(channels, k=k)
    features = np.ascontiguousarray(finite["features"])
    stats.update(torch.from_numpy(features), torch.from_numpy(finite["ids"]))
    return {**merged, **flatten_summary(stats.compute()), "nonfinite": merged["nonfinite"]}
