// One row (all channels at one position): bins of its L2 norm.
#pragma once

#include <string.h>

#include "dtype.hpp"

namespace tuiprobe {

constexpr int kNormBins = 96;

// Four bins an octave of the norm, norm 1 in bin 32: floor(4 log2(norm)) + 32, from the bits of its
// square: exponent, and whether the mantissa reaches the root of two.
TP_HD static inline int norm_bin(double square_norm) {
  if (!(square_norm > 0)) return 0;
  uint64_t bits;
  memcpy(&bits, &square_norm, sizeof bits);
  const int exponent = static_cast<int>(bits >> 52) - 1023;
  const uint64_t mantissa = bits & 0xfffffffffffffu;
  const int bin = 2 * exponent + (mantissa >= 0x6a09e667f3bcdu ? 1 : 0) + 32;
  return bin < 0 ? 0 : bin < kNormBins ? bin : kNormBins - 1;
}

// Float32 sums may put the square norm a little below an edge that it reaches exactly, as rows of
// small integers do: what is this close to an edge counts as reaching it.
constexpr float kNormSlack = 1 + 3e-6f;

// The same without a branch, for loops over rows; at the edges of bins it is as exact as float32.
TP_HD static inline int norm_bin_f32(float square_norm) {
  int32_t bits;
  memcpy(&bits, &square_norm, sizeof bits);
  const int bin = 2 * ((bits >> 23) - 127) + ((bits & 0x7fffff) >= 0x3504f4 ? 1 : 0) + 32;
  return bin < 0 ? 0 : bin < kNormBins ? bin : kNormBins - 1;
}

}  // namespace tuiprobe
