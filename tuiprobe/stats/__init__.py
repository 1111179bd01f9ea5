"""Streaming statistics of activations, in one pass over memory and in bounded space.

Five accumulators with the same verbs (`update`, `merge`, `compute`, `state_dict`,
`load_state_dict`): `ChannelMoments`, `ChannelTopK`, `SampleMoments`, `ActivationStats`, which is
all of them in one pass, and `ChannelStats`, which leaves out the per-image figures.

Guarantee, against a float64 two-pass computation on the same (upcast) input, for `|mean|/sigma`
up to 1e4 and scales from 1e-12 to 1e12, under any split into batches and any merge order:

- mean within 2e-6 sigma; variance and kurtosis within 2e-6 relative; skewness within
  `2e-6 * max(1, |skewness|)`, that of the parts where they cancel in a merge;
- the top k are exact, under the order value descending, sample id ascending, position ascending;
- values that are not finite are counted and left out; they never spread to other figures.

Results do not depend on the number of threads, to the last bit. Accumulators may be shared between
threads (one mutex each), but not with a forked child, which is refused.
"""

from tuiprobe.stats._accumulators import (
    ActivationStats,
    ChannelMoments,
    ChannelStats,
    ChannelTopK,
    SampleMoments,
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
from tuiprobe.stats._summaries import ActivationSummary, Moments, SampleSummary, TopK

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
