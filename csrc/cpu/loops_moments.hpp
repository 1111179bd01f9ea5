// Power sums and extremes of each channel.
// Included by kernels_impl.hpp alone, once for each instruction set.
#pragma once

#include "kernels.hpp"
#include "simd.hpp"

namespace tuiprobe::cpu {
namespace {

// One vector of channels over a group. The first two powers are added over kStep rows before they
// join the sums of the group: their roundings weigh most in the figures (csrc/PROOF.md).
struct MomentVecs {
  Vec s1, s2, s3, s4, step1, step2, low, high;

  MomentVecs()
      : s1(broadcast(0)),
        s2(s1),
        s3(s1),
        s4(s1),
        low(broadcast(__builtin_inff())),
        high(broadcast(-__builtin_inff())) {}

  inline void add_row(Vec x, Vec scale, Vec bias, bool first) {
    const Vec d = fma(x, scale, bias);
    const Vec d2 = mul(d, d);
    step1 = first ? d : add(step1, d);
    step2 = first ? d2 : add(step2, d2);
    s3 = fma(d2, d, s3);
    s4 = fma(d2, d2, s4);
    low = min(x, low);
    high = max(x, high);
  }
  inline void end_step() {
    s1 = add(s1, step1);
    s2 = add(s2, step2);
  }

  inline void flush(const MomentArrays& to, int64_t c) const {
    store(to.s1 + c, add(load(to.s1 + c), s1));
    store(to.s2 + c, add(load(to.s2 + c), s2));
    store(to.s3 + c, add(load(to.s3 + c), s3));
    store(to.s4 + c, add(load(to.s4 + c), s4));
    store(to.group_min + c, low);
    store(to.group_max + c, high);
    store(to.min + c, min(low, load(to.min + c)));
    store(to.max + c, max(high, load(to.max + c)));
  }
};

// `kVecs` vectors of channels of all rows, as `load_row` reads them. Meanwhile fetches as much of
// the next group to the L2 cache, or half as much where the figures of its rows do the rest, in the
// order of its addresses: memory serves one stream of them twice as fast as 16 rows side by side.
template <class T, bool kMeans, bool kCentred, int kVecs, class LoadRow>
inline void add_moments(const Group& g, int64_t c, const MomentArrays& to, Vec centre,
                        float (*row_sums)[kWidth], LoadRow load_row) {
  constexpr int kVecsALine = 64 / sizeof(T) / kWidth;
  constexpr int kParts = kMeans ? 2 : 1;
  MomentVecs sums[kVecs];
  Vec scale[kVecs], bias[kVecs];
  for (int v = 0; v < kVecs; ++v) {
    scale[v] = load(to.scale + c + v * kWidth);
    bias[v] = load(to.bias + c + v * kWidth);
  }
  const T* const next = static_cast<const T*>(g.next) + c * kGroup / kParts;
  const auto add_row = [&](int r, bool first) {
    Vec sum = kMeans && c > 0 ? load(row_sums[r]) : broadcast(0);
#pragma GCC unroll 2
    for (int v = 0; v < kVecs; ++v) {
      const int done = r * kVecs + v;  // vectors
      if (done % (kVecsALine * kParts) == 0) {
        __builtin_prefetch(next + done * kWidth / kParts, 0, 2);
      }
      const Vec x = load_row(static_cast<const T*>(g.rows[r]) + c + v * kWidth);
      if (kMeans) sum = add(sum, kCentred ? sub(x, centre) : x);
      sums[v].add_row(x, scale[v], bias[v], first);
    }
    if (kMeans) store(row_sums[r], sum);
  };
  int r = 0;
#pragma GCC unroll 1
  for (; r + kStep <= g.size; r += kStep) {
#pragma GCC unroll 4
    for (int k = 0; k < kStep; ++k) add_row(r + k, k == 0);
#pragma GCC unroll 2
    for (int v = 0; v < kVecs; ++v) sums[v].end_step();
  }
  if (r < g.size) {
    add_row(r, true);
    while (++r < g.size) add_row(r, false);
    for (int v = 0; v < kVecs; ++v) sums[v].end_step();
  }
#pragma GCC unroll 2
  for (int v = 0; v < kVecs; ++v) sums[v].flush(to, c + v * kWidth);
}

// Sums of x - centre as means, in two parts whose sum is closer than a float32.
inline void leave_means(const Group& g, const float (*row_sums)[kWidth], const MomentArrays& to) {
  for (int r = 0; r < kGroup; r += 4) {
    float folded[4];
    fold<Sum>(load(row_sums[r]), load(row_sums[r + 1]), load(row_sums[r + 2]),
              load(row_sums[r + 3]), folded);
    for (int k = 0; k < 4; ++k) {
      const float more = folded[k] / static_cast<float>(g.channels), mean = to.centre + more;
      const float added = mean - to.centre;
      to.row_means[r + k] = mean;
      to.mean_residuals[r + k] = (to.centre - (mean - added)) + (more - added);
    }
  }
}

template <class T, bool kMeans, bool kCentred>
inline void moments_of(const Group& g, const MomentArrays& to) {
  alignas(64) float row_sums[kMeans ? kGroup : 1][kWidth];
  // Two, where registers hold them, halve the work on the rows' sums; without those, memory alone
  // sets the pace, and serves one better.
  constexpr int kVecs = kMeans && kWidth != 8 ? 2 : 1;
  const Vec centre = broadcast(to.centre);
  const auto whole = [](const T* p) { return load(p); };
  int64_t c = 0;
  for (; c + kVecs * kWidth <= g.channels; c += kVecs * kWidth) {
    add_moments<T, kMeans, kCentred, kVecs>(g, c, to, centre, row_sums, whole);
  }
  if (kVecs > 1 && c + kWidth <= g.channels) {
    add_moments<T, kMeans, kCentred, 1>(g, c, to, centre, row_sums, whole);
    c += kWidth;
  }
  if (c < g.channels) {
    const int last = static_cast<int>(g.channels - c);
    add_moments<T, kMeans, kCentred, 1>(g, c, to, first_lanes(centre, last), row_sums,
                                        [=](const T* p) { return load_part(p, last); });
  }
  if constexpr (kMeans) {
    for (int r = g.size; r < kGroup; ++r) store(row_sums[r], broadcast(0));
    leave_means(g, row_sums, to);
  }
}

void flush(float* part, double* sum, int64_t channels) {
  for (int64_t c = 0; c < channels; c += kWidth) {
    add_to(sum + c, load(part + c));
    store(part + c, broadcast(0));
  }
}

// Records are taken apart and put together, so that the arithmetic has channels as lanes.
void combine(const BatchSums& b, int64_t channels, const Moments* known, Moments* merged,
             char* doubtful) {
  double count[kCombined] = {}, mean[kCombined] = {}, m2[kCombined] = {}, m3[kCombined] = {},
         m4[kCombined] = {}, trusted[kCombined];
  for (int64_t c = 0; c < channels; ++c) {
    count[c] = static_cast<double>(known[c].count);
    mean[c] = known[c].mean;
    m2[c] = known[c].m2;
    m3[c] = known[c].m3;
    m4[c] = known[c].m4;
  }
  const double rows = static_cast<double>(b.rows);
  const Wide zero{};
  for (int64_t c = 0; c < channels; c += kWide) {
    const Wide s1 = load_wide(b.power[0] + c), s2 = load_wide(b.power[1] + c);
    const Wide s3 = load_wide(b.power[2] + c), s4 = load_wide(b.power[3] + c);
    const Wide low = load_wide(b.low + c), shift = load_wide(b.shift + c);
    const auto constant = low == load_wide(b.high + c);
    CentralSums<Wide> part = central(s1, s2, s3, s4, rows, shift, 1 / load_wide(b.scale + c));
    part = {constant ? low : part.mean, constant ? zero : part.m2, constant ? zero : part.m3,
            constant ? zero : part.m4};
    const Wide before = load_wide(count + c);
    const CentralSums<Wide> all = merge(
        before, {load_wide(mean + c), load_wide(m2 + c), load_wide(m3 + c), load_wide(m4 + c)},
        rows, part);
    store(mean + c, all.mean);
    store(m2 + c, all.m2);
    store(m3 + c, all.m3);
    store(m4 + c, all.m4);
    const auto serves =
        trustworthy(s1, s2, s4, rows, constant, shift - all.mean, before + rows, all.m2);
    store(trusted + c, serves ? zero + 1 : zero);
  }
  for (int64_t c = 0; c < channels; ++c) {
    const double low = static_cast<double>(b.low[c]), high = static_cast<double>(b.high[c]);
    merged[c] = {.count = known[c].count + b.rows,
                 .nonfinite = known[c].nonfinite,
                 .mean = mean[c],
                 .m2 = m2[c],
                 .m3 = m3[c],
                 .m4 = m4[c],
                 .min = known[c].min < low ? known[c].min : low,
                 .max = known[c].max > high ? known[c].max : high};
    doubtful[c] = trusted[c] == 0;
  }
}

// Arrays and no branch: compilers make vectors of it.
void add_distances(const float* row, int64_t channels, const double* shift, double* sum,
                   double* square, double* count) {
#pragma GCC ivdep
  for (int64_t c = 0; c < channels; ++c) {
    const double away = static_cast<double>(row[c]) - shift[c];
    const bool finite = away - away == 0;
    const double d = finite ? away : 0;
    sum[c] += d;
    square[c] += d * d;
    count[c] += finite ? 1.0 : 0.0;
  }
}

float read(const float* data, int64_t count, int flavour) {
  Vec acc[8];
  for (Vec& a : acc) a = broadcast(0);
  constexpr int kStep = 8 * kWidth;
  const int64_t whole = count / (4 * kStep) * (4 * kStep), quarter = whole / 4;
  if (flavour == 2) {
    for (int64_t i = 0; i < quarter; i += 2 * kWidth) {
#pragma GCC unroll 8
      for (int k = 0; k < 8; ++k) {
        acc[k] = add(acc[k], load(data + k / 2 * quarter + i + k % 2 * kWidth));
      }
    }
  } else {
    for (int64_t i = 0; i < whole; i += kStep) {
#pragma GCC unroll 8
      for (int k = 0; k < 8; ++k) {
        const Vec x = load(data + i + k * kWidth);
        acc[k] = flavour == 1 ? max(acc[k], x) : add(acc[k], x);
      }
    }
  }
  float sums[4];
  fold<Sum>(add(acc[0], acc[1]), add(acc[2], acc[3]), add(acc[4], acc[5]), add(acc[6], acc[7]),
            sums);
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

}  // namespace
}  // namespace tuiprobe::cpu
