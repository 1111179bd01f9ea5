"""The arrays of one set at one tap that figures of channels are computed from."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tuiprobe.channels.array_types import Float32, Float64, Int64


@dataclass(frozen=True, eq=False)
class ShardSums:
    """Per-shard sums for the delete-one-shard jackknife; J shards, only images that count.

    Degenerate images (see `ActivationSummary`) are left out of all.

    Attributes:
        share_sum: float64 [J, C], sum over the shard's images of s_nc.
        share_square_sum: float64 [J], sum over the shard's images of sum_c s_nc^2.
        images: int64 [J], number of images in these sums.
    """

    share_sum: Float64
    share_square_sum: Float64
    images: Int64


@dataclass(frozen=True, eq=False)
class TapArrays:
    """Everything the outlier probe reads for one set at one tap.

    Per-image arrays (`labels` and the `sample_*` ones of `statistics`; `rows` of the final
    representation) are in one and the same order, that of `statistics["sample_ids"]`.

    Attributes:
        set: Name of the data set.
        tap: Name of the layer; `embedding` (`FINAL_TAP`) for the final representation.
        kind: `vector` (one row an image), `token` or `map` (many rows an image).
        tokens: Which token rows were counted.
        channels: Width C.
        statistics: The fields of `ActivationSummary` as `flatten_summary` names them.
        final: Whether this is the final representation.
        rows: float32, [n, C] all final representations, or at inner taps [m, C], a seeded sample
            of one position per image, at most 4,096 images.
        shards: Per-shard sums, where they are stored.
        labels: int64 [n], class of each image.
    """

    set: str
    tap: str
    kind: Literal["vector", "token", "map"]
    channels: int
    statistics: Mapping[str, npt.NDArray[Any]]
    final: bool
    rows: Float32
    tokens: Literal["class", "all", "mean"] | None = None
    shards: ShardSums | None = None
    labels: Int64 | None = None


def flatten_summary(summary: Any) -> dict[str, npt.NDArray[Any]]:
    """Returns the fields of an `ActivationSummary` under one flat set of names.

    Args:
        summary: What `ActivationStats.compute()` returns.

    Returns:
        `count`, `mean`, `var`, `skewness`, `kurtosis`, `min`, `max`, `nonfinite` [C] of the
        channels; `largest_values`, `largest_sample_ids`, `largest_positions` and the same with
        `smallest_` [C, k]; per image `sample_ids`, `sample_kurtosis`, `sample_self_share`,
        `sample_leading` [n] (prefixed, for `kurtosis` is already the channels'); and the sums
        `share_sum`, `leading_count` [C], `share_square_sum`, `rows`, `degenerate` [],
        `norm_histogram` [96].
    """
    per_image = {"kurtosis", "self_share", "leading"}
    flat: dict[str, npt.NDArray[Any]] = {}
    for group, prefix in (("moments", ""), ("largest", "largest_"), ("smallest", "smallest_")):
        part = getattr(summary, group)
        flat |= {prefix + f.name: np.asarray(getattr(part, f.name)) for f in fields(part)}
    for f in fields(summary.samples):
        name = f"sample_{f.name}" if f.name in per_image else f.name
        flat[name] = np.asarray(getattr(summary.samples, f.name))
    return flat
