// Figures of single rows over their channels.
// Included by kernels_impl.hpp alone, once for each instruction set.
#pragma once

#include "kernels.hpp"
#include "simd.hpp"

namespace tuiprobe::cpu {
namespace {

constexpr int kRowsAtOnce = kWidth == 16 ? 4 : 2;  // as many as the registers hold
constexpr int64_t kRowChain = 64;                  // vectors whose sums are added in float32

// First of `count` floats, readable up to a multiple of kWidth, that equals `value`, which is
// there.
inline int64_t find(const float* row, int64_t count, float value) {
  const Vec v = broadcast(value);
  int64_t i = 0;
  for (; i + 4 * kWidth <= count; i += 4 * kWidth) {
    uint64_t hits = 0;
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
      hits |= static_cast<uint64_t>(equal(load(row + i + k * kWidth), v)) << k * kWidth;
    }
    if (hits) return i + __builtin_ctzll(hits);
  }
  for (; i < count; i += kWidth) {
    const unsigned hit = equal(load(row + i), v);
    if (hit) return i + __builtin_ctz(hit);
  }
  return 0;
}

constexpr int64_t kSegment = 16 * kWidth;  // channels between two looks at which leads

// The segment of the largest value of each row, so that little is searched for it afterwards.
struct Leaders {
  float value[4] = {0, 0, 0, 0};
  int64_t segment[4] = {0, 0, 0, 0};

  inline void look(const Vec (&peak)[4], int64_t segment_start) {
    float peaks[4];
    fold<Largest>(peak[0], peak[1], peak[2], peak[3], peaks);
    for (int r = 0; r < 4; ++r) {
      segment[r] = peaks[r] > value[r] ? segment_start : segment[r];
      value[r] = peaks[r] > value[r] ? peaks[r] : value[r];
    }
  }
};

struct RowVecs {
  Vec s1 = broadcast(0), s2 = broadcast(0), s4 = broadcast(0), s8 = broadcast(0);

  template <bool kLeaders>
  inline void take(Vec x, Vec scale, Vec bias, float* fourth, Vec& peak) {
    const Vec d = fma(x, scale, bias);
    const Vec d2 = mul(d, d);
    const Vec d4 = mul(d2, d2);
    s1 = add(s1, d);
    s2 = add(s2, d2);
    s4 = add(s4, d4);
    store(fourth, d4);
    if (kLeaders) {
      s8 = fma(d4, d4, s8);
      peak = max(d4, peak);
    }
  }

  inline void flush(RowPowers& to) const {
    float sums[4];
    fold<Sum>(s1, s2, s4, s8, sums);
    to.s1 += static_cast<double>(sums[0]);
    to.s2 += static_cast<double>(sums[1]);
    to.s4 += static_cast<double>(sums[2]);
    to.s8 += static_cast<double>(sums[3]);
  }
};

template <class T, int kRows, bool kLeaders>
inline void row_powers_of(Quad& g, int from, int64_t channels, float scale, float* fourth,
                          int64_t width) {
  const Vec s = broadcast(scale);
  Vec bias[kRows], peak[4];
  const T* rows[kRows];
  float* to[kRows];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    rows[r] = static_cast<const T*>(g.rows[from + r]);
    to[r] = fourth + (from + r) * width;
    bias[r] = broadcast(-g.shift[from + r] * scale);
    g.powers[from + r] = RowPowers{0, 0, 0, 0, 0};
  }
  Leaders leaders;
  const int64_t whole = channels / kWidth * kWidth;
  for (int64_t c = 0; c < channels;) {
    RowVecs sums[kRows];
    const int64_t chain_end = c + kRowChain * kWidth < whole ? c + kRowChain * kWidth : whole;
    while (c < chain_end) {
      const int64_t start = c, end = c + kSegment < chain_end ? c + kSegment : chain_end;
      for (Vec& p : peak) p = broadcast(0);
      for (; c < end; c += kWidth) {
#pragma GCC unroll 4
        for (int r = 0; r < kRows; ++r) {
          sums[r].template take<kLeaders>(load(rows[r] + c), s, bias[r], to[r] + c, peak[r]);
        }
      }
      if (kLeaders) leaders.look(peak, start);
    }
    if (c == whole && c < channels) {
      for (Vec& p : peak) p = broadcast(0);
      for (int r = 0; r < kRows; ++r) {
        const Vec x = load_padded(rows[r], whole, channels, g.shift[from + r]);
        sums[r].template take<kLeaders>(x, s, bias[r], to[r] + c, peak[r]);
      }
      if (kLeaders) leaders.look(peak, whole);
      c = channels;
    }
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) sums[r].flush(g.powers[from + r]);
  }
  for (int r = 0; r < kRows && kLeaders; ++r) {
    const int64_t at = leaders.segment[r], rest = channels - at;
    const int64_t count = rest < kSegment ? rest : kSegment;
    g.powers[from + r].leading = at + find(to[r] + at, count, leaders.value[r]);
  }
}

template <class T, bool kLeaders>
inline void all_row_powers(Quad& g, int64_t channels, float scale, float* fourth, int64_t width) {
  int r = 0;
  for (; r + kRowsAtOnce <= g.size; r += kRowsAtOnce) {
    row_powers_of<T, kRowsAtOnce, kLeaders>(g, r, channels, scale, fourth, width);
  }
  for (; r < g.size; ++r) {
    row_powers_of<T, 1, kLeaders>(g, r, channels, scale, fourth, width);
  }
}

template <int kRows>
inline void row_shares_of(const Fourths& g, int from, int64_t channels, float* acc) {
  Vec inverse[kRows];
  for (int r = 0; r < kRows; ++r) inverse[r] = broadcast(g.inverse[from + r]);
  for (int64_t c = 0; c < channels; c += kWidth) {
    Vec sum = load(acc + c);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) sum = fma(load(g.rows[from + r] + c), inverse[r], sum);
    store(acc + c, sum);
  }
}

void row_shares(const Fourths& g, int64_t channels, float* acc) {
  if (g.size == kQuad) return row_shares_of<kQuad>(g, 0, channels, acc);
  for (int r = 0; r < g.size; ++r) row_shares_of<1>(g, r, channels, acc);
}

}  // namespace
}  // namespace tuiprobe::cpu
