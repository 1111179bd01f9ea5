// The slow, float64 twins of the hot loops, for what float32 sums cannot hold: values that are not
// finite, sums that overflow or underflow, a shift far from the mean.
#pragma once

#include <cstdint>
#include <vector>

#include "../layout.hpp"
#include "../moments.hpp"
#include "kernels.hpp"

namespace tuiprobe::cpu {

// Two-pass moments of the given channels of `x`, non-finite values counted and left out. Blocks of
// `images_per_block` images are summed apart and merged in order. out[i] belongs to channels[i].
std::vector<Moments> exact_moments(const View& x, const std::vector<int32_t>& channels,
                                   int64_t images_per_block, int threads);

// Where to centre a channel and how to scale it, from at most `limit` rows spread over `x`.
struct Location {
  double mean;
  double variance;
};
std::vector<Location> sample_locations(const View& x, int64_t limit, const Kernels& kernels);

// Median over a few rows of the variance over the channels; 1 where there is none.
double sample_row_variance(const View& x);

// One row in float64. Shares go to shares[c]. False where the row has no variance or holds a
// non-finite value; square_norm is then still set (not finite in the second case).
struct ExactRow {
  double kurtosis;
  double square_norm;
};
bool exact_row(const void* row, int64_t channels, int64_t stride, DType dtype, double* shares,
               ExactRow* out);

}  // namespace tuiprobe::cpu
