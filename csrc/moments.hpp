// Moments to order four as a monoid: lift one value, merge two states, finalize.
//
// The same source serves a CPU thread, a CUDA thread, a block and the merge of files from other
// machines. Merging follows Pebay (2008), "Formulas for robust, one-pass parallel computation of
// covariances and arbitrary-order statistical moments", equations 2.1, 3.1.
#pragma once

#include <math.h>

#include "dtype.hpp"

namespace tuiprobe {

// Finite values only; `nonfinite` counts the others. Central sums: m2 = sum (x - mean)^2, ...
struct Moments {
  int64_t count = 0;
  int64_t nonfinite = 0;
  double mean = 0;
  double m2 = 0;
  double m3 = 0;
  double m4 = 0;
  double min = INFINITY;
  double max = -INFINITY;
};

TP_HD static inline Moments lift(double x) {
  Moments state;
  if (!(fabs(x) <= 1.7976931348623157e308)) {
    state.nonfinite = 1;
    return state;
  }
  state.count = 1;
  state.mean = state.min = state.max = x;
  return state;
}

// Mean and central sums of one set of values, or of one in each lane of V.
template <class V>
struct CentralSums {
  V mean, m2, m3, m4;
};

TP_HD static inline CentralSums<double> sums_of(const Moments& a) {
  return {a.mean, a.m2, a.m3, a.m4};
}

// Of na and nb values.
template <class V>
TP_HD static inline CentralSums<V> merge(V na, const CentralSums<V>& a, double nb,
                                         const CentralSums<V>& b) {
  const V n = na + nb;
  const V d = b.mean - a.mean;
  const V r = d / n;  // d/n first: d^4 alone may leave the range where d^4/n^3 does not
  return {
      na >= nb ? a.mean + r * nb : b.mean - r * na,
      a.m2 + b.m2 + d * r * na * nb,
      a.m3 + b.m3 + d * r * r * na * nb * (na - nb) + 3 * r * (na * b.m2 - nb * a.m2),
      a.m4 + b.m4 + d * r * r * r * na * nb * (na * na - na * nb + nb * nb) +
          6 * r * r * (na * na * b.m2 + nb * nb * a.m2) + 4 * r * (na * b.m3 - nb * a.m3),
  };
}

TP_HD static inline Moments merge(const Moments& a, const Moments& b) {
  Moments out = a.count ? a : b;
  out.nonfinite = a.nonfinite + b.nonfinite;
  if (!a.count || !b.count) return out;
  const double na = static_cast<double>(a.count), nb = static_cast<double>(b.count);
  const CentralSums<double> sums = merge(na, sums_of(a), nb, sums_of(b));
  out.count = a.count + b.count;
  out.mean = sums.mean;
  out.m2 = sums.m2;
  out.m3 = sums.m3;
  out.m4 = sums.m4;
  out.min = a.min < b.min ? a.min : b.min;
  out.max = a.max > b.max ? a.max : b.max;
  return out;
}

// What the fast loops add up: powers of d = (x - shift) * scale, scale a power of two.
struct PowerSums {
  double s1 = 0;
  double s2 = 0;
  double s3 = 0;
  double s4 = 0;
};

TP_HD static inline PowerSums merge(const PowerSums& a, const PowerSums& b) {
  return {a.s1 + b.s1, a.s2 + b.s2, a.s3 + b.s3, a.s4 + b.s4};
}

// Central sums of n values from their power sums; unit = 1 / scale.
template <class V>
TP_HD static inline CentralSums<V> central(V s1, V s2, V s3, V s4, double n, V shift, V unit) {
  const V m = s1 / n, zero{};
  const V m2 = s2 - n * m * m;
  const V m3 = s3 - 3 * m * s2 + 2 * n * m * m * m;
  const V m4 = s4 - 4 * m * s3 + 6 * m * m * s2 - 3 * n * m * m * m * m;
  return {shift + m * unit, (m2 > 0 ? m2 : zero) * unit * unit, m3 * unit * unit * unit,
          (m4 > 0 ? m4 : zero) * unit * unit * unit * unit};
}

// Central moments of n finite values from their power sums about `shift`.
TP_HD static inline Moments central(const PowerSums& s, int64_t n, double shift, double scale,
                                    double min, double max) {
  Moments out;
  if (n == 0) return out;
  out.count = n;
  out.min = min;
  out.max = max;
  if (min == max) {  // a constant has no spread, whatever the rounding of the sums says
    out.mean = min;
    return out;
  }
  const CentralSums<double> sums =
      central(s.s1, s.s2, s.s3, s.s4, static_cast<double>(n), shift, 1 / scale);
  out.mean = sums.mean;
  out.m2 = sums.m2;
  out.m3 = sums.m3;
  out.m4 = sums.m4;
  return out;
}

// A power of two near 1/sigma, so that fourth powers stay within float32 at any scale. From the
// exponent of the variance: this runs for every channel of every update.
TP_HD static inline float scale_for(double variance) {
  if (!(variance >= 2.2250738585072014e-308 && variance <= 1.7976931348623157e308)) return 1.0f;
  uint64_t bits;
  memcpy(&bits, &variance, sizeof bits);
  const int exponent = static_cast<int>(bits >> 52) - 1023;
  const int half = exponent >= 0 ? exponent / 2 : (exponent - 1) / 2;
  const int up = -half < -126 ? -126 : -half > 126 ? 126 : -half;
  return float_from_bits(static_cast<uint32_t>(127 + up) << 23);
}

// Whether float32 sums of n values about a shift serve: they did not leave their range, and the
// shift lies near the mean of all `count` values so far. csrc/PROOF.md derives the guarantee
// from this distance. A constant needs neither.
template <class V, class Mask>
TP_HD static inline auto trustworthy(V s1, V s2, V s4, double n, Mask constant, V distance, V count,
                                     V m2) {
  constexpr double kRange = 1099511627776.0;  // 2^40
  constexpr double kNear = 0.25;              // of sigma
  const V zero{};
  const auto finite = (s1 - s1 == zero) & (s4 - s4 == zero);
  const auto in_range = (s2 * kRange > n) & (s2 < kRange * n);
  const auto near = distance * distance * count <= kNear * kNear * m2;
  return finite & (constant | (in_range & near));
}

TP_HD static inline bool trustworthy(const PowerSums& s, int64_t n, const Moments& part,
                                     const Moments& all, double shift) {
  return trustworthy(s.s1, s.s2, s.s4, static_cast<double>(n), part.min == part.max,
                     shift - all.mean, static_cast<double>(all.count), all.m2);
}

struct MomentSummary {
  double mean;
  double var;
  double skewness;
  double kurtosis;
  double min;
  double max;
};

// Names and ddof 0 as in scipy.stats; kurtosis is Pearson's (3 for a Gaussian). A constant has
// variance 0 and undefined (NaN) skewness and kurtosis; nothing at all is NaN throughout.
TP_HD static inline MomentSummary finalize(const Moments& s) {
  if (s.count == 0) return {NAN, NAN, NAN, NAN, NAN, NAN};
  const double n = static_cast<double>(s.count);
  const double var = s.m2 / n;
  if (!(s.m2 > 0)) return {s.mean, 0, NAN, NAN, s.min, s.max};
  const double sigma = sqrt(var);
  return {s.mean, var, s.m3 / n / var / sigma, s.m4 / n / var / var, s.min, s.max};
}

}  // namespace tuiprobe
