"""Streaming statistics of activations, in one pass over memory and in bounded space.

Five accumulators with the same verbs (`update`, `merge`, `compute`, `state_dict`,
`load_state_dict`): `ChannelMoments`, `ChannelTopK`, `SampleMoments`, `ActivationStats`, which is
all of them in one pass, and `ChannelStats`, which leaves out the per-image figures.

Guarantee, against a float64 two-pass computation on the same (upcast) input, under any split into
batches and any merge order, where batches are centred within sigma / 4 of the mean; proof and the
bound for any other order of rows in docs/statistics.md:

- mean within 9e-7 sigma, variance within 1.7e-6 relative, skewness within 9.8e-6 of the mean of
  `|z|^3`, kurtosis within 1.3e-5 relative;
- the top k are exact, under the order value descending, sample id ascending, position ascending;
- values that are not finite are counted and left out; they never spread to other figures.

Results do not depend on the number of threads, to the last bit. Accumulators may be shared between
threads (one mutex each), but not with a forked child, which is refused.
"""

from tuiprobe.stats._accumulators import (
    ActivationStats,
    ActivationSummary,
    ChannelMoments,
    ChannelStats,
    ChannelTopK,
    Moments,
    SampleMoments,
    SampleSummary,
    TopK,
)
from tuiprobe.stats._average_precision import average_precision
from tuiprobe.stats._native import (
    cuda_reason,
    instruction_set,
    native_build,
    openmp_runtime,
    statistics_path,
    supported_instruction_sets,
)

__all__ = [
    "ActivationStats",
    "ActivationSummary",
    "ChannelMoments",
    "ChannelStats",
    "ChannelTopK",
    "Moments",
    "SampleMoments",
    "SampleSummary",
    "TopK",
    "average_precision",
    "cuda_reason",
    "instruction_set",
    "native_build",
    "openmp_runtime",
    "statistics_path",
    "supported_instruction_sets",
]
