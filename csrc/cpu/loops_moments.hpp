// Power sums and extremes of each channel.
// Included by kernels_impl.hpp alone, once for each instruction set.
#pragma once

#include "kernels.hpp"
#include "simd.hpp"

namespace tuiprobe::cpu {
namespace {

// Two chains of rows, so that a chain of additions is short and does not wait for itself.
struct MomentVecs {
  Vec s1[2], s2[2], s3[2], s4[2], low, high;

  MomentVecs() : low(broadcast(__builtin_inff())), high(broadcast(-__builtin_inff())) {
    for (int k = 0; k < 2; ++k) s1[k] = s2[k] = s3[k] = s4[k] = broadcast(0);
  }

  inline void take(Vec x, Vec scale, Vec bias, int chain) {
    const Vec d = fma(x, scale, bias);
    const Vec d2 = mul(d, d);
    s1[chain] = add(s1[chain], d);
    s2[chain] = add(s2[chain], d2);
    s3[chain] = fma(d2, d, s3[chain]);
    s4[chain] = fma(d2, d2, s4[chain]);
    low = min(x, low);
    high = max(x, high);
  }

  static inline void collect(float* to, Vec a, Vec b) { store(to, add(load(to), add(a, b))); }

  inline void flush(const MomentArrays& to, int64_t c) const {
    collect(to.s1 + c, s1[0], s1[1]);
    collect(to.s2 + c, s2[0], s2[1]);
    collect(to.s3 + c, s3[0], s3[1]);
    collect(to.s4 + c, s4[0], s4[1]);
    store(to.group_min + c, low);
    store(to.group_max + c, high);
    store(to.min + c, min(low, load(to.min + c)));
    store(to.max + c, max(high, load(to.max + c)));
  }
};

// One vector of channels of all rows, as `load_row` reads it. Meanwhile fetches as much of the next
// group to the L2 cache, in the order of its addresses: memory serves one stream of them twice as
// fast as 16 rows side by side.
template <class T, bool kMeans, class LoadRow>
inline void add_moments(const Group& g, int64_t c, const MomentArrays& to,
                        float (*row_sums)[kWidth], LoadRow load_row) {
  constexpr int kStep = 4;  // rows at once, which the registers hold
  constexpr int kRowsALine = 64 / sizeof(T) / kWidth;
  MomentVecs sums;
  const Vec scale = load(to.scale + c), bias = load(to.bias + c);
  const T* const next = static_cast<const T*>(g.next) + c * kGroup;
  const auto take = [&](int r, int chain) {
    if (r % kRowsALine == 0) __builtin_prefetch(next + r * kWidth, 0, 2);
    const Vec x = load_row(static_cast<const T*>(g.rows[r]) + c);
    if constexpr (kMeans) store(row_sums[r], c == 0 ? x : add(load(row_sums[r]), x));
    sums.take(x, scale, bias, chain);
  };
  int r = 0;
#pragma GCC unroll 1
  for (; r + kStep <= g.size; r += kStep) {
#pragma GCC unroll 4
    for (int k = 0; k < kStep; ++k) take(r + k, k % 2);
  }
  for (; r < g.size; ++r) take(r, r % 2);
  sums.flush(to, c);
}

template <class T, bool kMeans>
inline void moments_of(const Group& g, const MomentArrays& to) {
  alignas(64) float row_sums[kMeans ? kGroup : 1][kWidth];
  int64_t c = 0;
  for (; c + kWidth <= g.channels; c += kWidth) {
    add_moments<T, kMeans>(g, c, to, row_sums, [](const T* p) { return load(p); });
  }
  if (c < g.channels) {
    const int rest = static_cast<int>(g.channels - c);
    add_moments<T, kMeans>(g, c, to, row_sums, [=](const T* p) { return load_part(p, rest); });
  }
  if constexpr (kMeans) {
    for (int r = g.size; r < kGroup; ++r) store(row_sums[r], broadcast(0));
    for (int r = 0; r < kGroup; r += 4) {
      float folded[4];
      fold<Sum>(load(row_sums[r]), load(row_sums[r + 1]), load(row_sums[r + 2]),
                load(row_sums[r + 3]), folded);
      for (int k = 0; k < 4; ++k) {
        to.row_means[r + k] = folded[k] / static_cast<float>(g.channels);
      }
    }
  }
}

void flush(float* part, double* sum, int64_t channels) {
  for (int64_t c = 0; c < channels; c += kWidth) {
    add_to(sum + c, load(part + c));
    store(part + c, broadcast(0));
  }
}

template <class T>
inline void exceed_of(const Group& g, const float* low, const float* high, float limit,
                      int32_t* counts) {
  const Vec up = broadcast(limit), down = broadcast(-limit);
  for (int64_t c = 0; c < g.channels; c += kWidth) {
    if (!at_least(load(high + c), up) && !at_least(down, load(low + c))) continue;
    const Vec huge = broadcast(3.402823466e38f);
    for (int r = 0; r < g.size; ++r) {
      const Vec x = absolute(load_padded(static_cast<const T*>(g.rows[r]), c, g.channels));
      unsigned hit = at_least(x, up) & at_least(huge, x);
      for (; hit; hit &= hit - 1) ++counts[c + __builtin_ctz(hit)];
    }
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
