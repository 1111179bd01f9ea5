// One row (all channels at one position): Pearson kurtosis over the channels and the L2 norm.
#pragma once

#include <math.h>

#include "moments.hpp"

namespace tuiprobe {

struct RowSummary {
  double mean;         // over the channels
  double kurtosis;     // m4 / m2^2
  double fourth;       // sum over the channels of (x - mean)^4
  double square_norm;  // sum over the channels of x^2
};

// From power sums about `shift`; exact arithmetic assumed, the caller judges the conditioning.
TP_HD static inline RowSummary summarize_row(const PowerSums& s, int64_t channels, double shift,
                                             double scale) {
  const Moments m = central(s, channels, shift, scale, 0, 1);
  const double n = static_cast<double>(channels);
  const double u = 1 / scale;
  return {m.mean, m.m4 * n / (m.m2 * m.m2), m.m4,
          s.s2 * u * u + 2 * shift * s.s1 * u + n * shift * shift};
}

constexpr int kNormBins = 96;

// Four bins an octave, norm 1 in bin 32.
TP_HD static inline int norm_bin(double square_norm) {
  const double bin = floor(2 * log2(square_norm)) + 32;
  if (!(bin > 0)) return 0;
  return bin < kNormBins - 1 ? static_cast<int>(bin) : kNormBins - 1;
}

constexpr float kExceedance = 6.0f;  // LLM.int8's magnitude criterion

}  // namespace tuiprobe
