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

// Fetches what a full group reads some lines from channel c on: of its own rows, then of the next
// group's. Far enough to hide the memory's latency, near enough to stay in the L1 cache; whole rows
// ahead would be dropped by the processor.
template <class T>
inline void prefetch(const Group& g, int64_t c) {
  constexpr int64_t kLine = 64 / sizeof(T), kAhead = 8 * kLine;
  if (c % kLine != 0) return;
  const bool own = c + kAhead < g.channels;
  const int64_t at = own ? c + kAhead : c + kAhead - g.channels;
  if (at >= g.channels) return;
  const void* const* rows = own ? g.rows : g.next;
#pragma GCC unroll 16
  for (int r = 0; r < kGroup; ++r) __builtin_prefetch(static_cast<const T*>(rows[r]) + at);
}

// The channels before `whole`, which fill vectors. Leaves the sums of the rows in row_means.
template <class T, bool kMeans, bool kFull>
inline void whole_moments(const Group& g, int64_t whole, const MomentArrays& to) {
  const int size = kFull ? kGroup : g.size;
  Vec row_sums[kMeans ? kGroup : 1];
  for (Vec& sum : row_sums) sum = broadcast(0);
  for (int64_t c = 0; c < whole; c += kWidth) {
    MomentVecs sums;
    const Vec scale = load(to.scale + c), bias = load(to.bias + c);
    if (kFull) prefetch<T>(g, c);
#pragma GCC unroll 16
    for (int r = 0; r < size; ++r) {
      const Vec x = load(static_cast<const T*>(g.rows[r]) + c);
      if constexpr (kMeans) row_sums[r] = add(row_sums[r], x);
      sums.take(x, scale, bias, r % 2);
    }
    sums.flush(to, c);
  }
  if constexpr (kMeans) {
    for (int r = 0; r < kGroup; r += 4) {
      float folded[4];
      fold<Sum>(row_sums[r], row_sums[r + 1], row_sums[r + 2], row_sums[r + 3], folded);
      for (int k = 0; k < 4; ++k) to.row_means[r + k] = folded[k];
    }
  }
}

template <class T, bool kMeans>
inline void moments_of(const Group& g, const MomentArrays& to) {
  const int64_t whole = g.channels / kWidth * kWidth;
  g.size == kGroup ? whole_moments<T, kMeans, true>(g, whole, to)
                   : whole_moments<T, kMeans, false>(g, whole, to);
  if (whole < g.channels) {
    MomentVecs sums;
    for (int r = 0; r < g.size; ++r) {
      float tail[kWidth];
      load_tail(static_cast<const T*>(g.rows[r]), whole, g.channels, 0, tail);
      sums.take(load(tail), load(to.scale + whole), load(to.bias + whole), r % 2);
      for (int i = 0; kMeans && i < kWidth; ++i) to.row_means[r] += tail[i];
    }
    sums.flush(to, whole);
  }
  for (int r = 0; kMeans && r < g.size; ++r) to.row_means[r] /= static_cast<float>(g.channels);
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
  const int64_t whole = g.channels / kWidth * kWidth;
  for (int64_t c = 0; c < g.channels; c += kWidth) {
    if (!at_least(load(high + c), up) && !at_least(down, load(low + c))) continue;
    const Vec huge = broadcast(3.402823466e38f);
    float tail[kWidth];
    for (int r = 0; r < g.size; ++r) {
      const T* row = static_cast<const T*>(g.rows[r]);
      if (c == whole) load_tail(row, whole, g.channels, 0, tail);
      const Vec x = absolute(c < whole ? load(row + c) : load(tail));
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
