// One row (all channels at one position): Pearson kurtosis over the channels and the L2 norm.
#pragma once

#include <math.h>

#include "moments.hpp"

namespace tuiprobe {

struct RowSummary {
  double mean;         // over the channels
  double variance;     // of (x - mean) * scale
  double fourth;       // sum over the channels of ((x - mean) * scale)^4
  double kurtosis;     // Pearson's
  double square_norm;  // sum over the channels of x^2
};

// From power sums of (x - shift) * scale; exact arithmetic assumed, the caller judges the
// conditioning.
TP_HD static inline RowSummary summarize_row(const PowerSums& s, double channels, double shift,
                                             double scale) {
  const double m = s.s1 / channels;
  const double variance = s.s2 / channels - m * m;
  const double fourth = s.s4 - 4 * m * s.s3 + 6 * m * m * s.s2 - 3 * channels * m * m * m * m;
  const double u = 1 / scale;
  return {shift + m * u, variance, fourth, fourth / (channels * variance * variance),
          s.s2 * u * u + 2 * shift * s.s1 * u + channels * shift * shift};
}

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

constexpr float kExceedance = 6.0f;  // LLM.int8's magnitude criterion

}  // namespace tuiprobe
