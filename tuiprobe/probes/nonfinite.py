"""Images whose final representation is not finite: taken out of all that probes are given."""

from __future__ import annotations

import numpy as np

from tuiprobe.probes.finite import finite_images
from tuiprobe.probes.inputs import flatten_summary
from tuiprobe.run.arrays import Arrays


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
