// Figures of single rows over their channels.
// Included by kernels_impl.hpp alone, once for each instruction set.
#pragma once

#include "kernels.hpp"
#include "simd.hpp"

namespace tuiprobe::cpu {
namespace {

constexpr int kRowsAtOnce = kWidth == 16 ? 4 : 2;  // as many as the registers hold
constexpr int64_t kRowChain = 64;                  // vectors whose sums are added in float32

constexpr int64_t kSegment = 16 * kWidth;  // channels between two looks at which leads
static_assert(kSegment <= kBeyond, "`find` reads whole segments");

// First of the floats of a segment that equals `value`, which is there. Without branches: where it
// lies is random, and a wrong guess costs more than looking at all of them.
inline int64_t find(const float* segment, float value) {
  constexpr int kVecs = kSegment / kWidth, kParts = 4, kEach = kVecs / kParts;
  const Vec v = broadcast(value);
  uint64_t hits[kParts] = {};
#pragma GCC unroll 16
  for (int k = 0; k < kVecs; ++k) {
    const uint64_t hit = equal(load(segment + k * kWidth), v);
    hits[k / kEach] |= hit << k % kEach * kWidth;
  }
  int part = kParts - 1;
  uint64_t first = hits[part];
  for (int k = kParts - 2; k >= 0; --k) {
    part = hits[k] ? k : part;
    first = hits[k] ? hits[k] : first;
  }
  // A row of NaN has no such value: its figures are not used.
  return part * kEach * kWidth + __builtin_ctzll(first | uint64_t{1} << 63);
}

// The segment of the largest value of each row, so that little is searched for it afterwards.
struct Leaders {
  float value[4] = {0, 0, 0, 0};
  int64_t segment[4] = {0, 0, 0, 0};

  inline void update(const Vec (&peak)[4], int64_t segment_start) {
    float peaks[4];
    fold<Largest>(peak[0], peak[1], peak[2], peak[3], peaks);
    for (int r = 0; r < 4; ++r) {
      segment[r] = peaks[r] > value[r] ? segment_start : segment[r];
      value[r] = peaks[r] > value[r] ? peaks[r] : value[r];
    }
  }
};

// Sums over the channels of powers of d, by row.
enum Power { kFirst, kSecond, kFourth, kEighth, kPowers };
using RowSums = float[kPowers][kGroup];

// to[i] += more[i] as a vector, which the compiler does not make of it.
inline void add_four(float* to, const float* more) {
  typedef float Four __attribute__((vector_size(16)));
  Four a, b;
  memcpy(&a, to, sizeof a);
  memcpy(&b, more, sizeof b);
  a += b;
  memcpy(to, &a, sizeof a);
}

template <int kRows>
struct RowVecs {
  Vec sum[kPowers * kRows];  // by power, then row

  RowVecs() {
    for (Vec& v : sum) v = broadcast(0);
  }

  template <bool kLeaders>
  inline void add_values(int r, Vec d, float* fourth, Vec& peak) {
    const Vec d2 = mul(d, d);
    const Vec d4 = mul(d2, d2);
    sum[kFirst * kRows + r] = add(sum[kFirst * kRows + r], d);
    sum[kSecond * kRows + r] = add(sum[kSecond * kRows + r], d2);
    sum[kFourth * kRows + r] = add(sum[kFourth * kRows + r], d4);
    store(fourth, d4);
    if (kLeaders) {
      sum[kEighth * kRows + r] = fma(d4, d4, sum[kEighth * kRows + r]);
      peak = max(d4, peak);
    }
  }

  inline void flush(int row, RowSums& to) const {
#pragma GCC unroll 4
    for (int i = 0; i < kPowers * kRows; i += 4) {
      float folded[4];
      fold<Sum>(sum[i], sum[i + 1], sum[i + 2], sum[i + 3], folded);
      if (kRows == 4) {
        add_four(to[i / 4] + row, folded);
      } else {
        for (int k = 0; k < 4; ++k) to[(i + k) / kRows][row + (i + k) % kRows] += folded[k];
      }
    }
  }
};

// Rows [from, from + kRows).
template <class T, int kRows, bool kLeaders, bool kOffCentre>
inline void sum_rows(const RowBatch& b, int from, RowSums& sums_of, RowFigures& to) {
  const Vec scale = broadcast(b.scale);
  Vec bias[kRows], residual[kRows], peak[4];
  const T* rows[kRows];
  float* fourths[kRows];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    rows[r] = static_cast<const T*>(b.rows[from + r]);
    fourths[r] = b.fourths + (from + r) * b.width;
    bias[r] = broadcast(-b.shift[from + r] * b.scale);
    residual[r] = broadcast(b.residual[from + r]);
  }
  const auto distance = [&](Vec x, Vec bias, Vec residual) {
    const Vec d = fma(x, scale, bias);
    return kOffCentre ? sub(d, residual) : d;
  };
  Leaders leaders;
  const T* const next = static_cast<const T*>(b.next) + from * b.channels / 2;
  const int64_t whole = b.channels / kWidth * kWidth;
  for (int64_t c = 0; c < b.channels;) {
    RowVecs<kRows> sums;
    const int64_t chain_end = c + kRowChain * kWidth < whole ? c + kRowChain * kWidth : whole;
    while (c < chain_end) {
      const int64_t start = c, end = c + kSegment < chain_end ? c + kSegment : chain_end;
      for (Vec& p : peak) p = broadcast(0);
      for (; c < end; c += kWidth) {
#pragma GCC unroll 4
        for (int k = 0; k < kRows * kWidth / 2; k += 64 / sizeof(T)) {
          __builtin_prefetch(next + c * kRows / 2 + k, 0, 2);
        }
#pragma GCC unroll 4
        for (int r = 0; r < kRows; ++r) {
          sums.template add_values<kLeaders>(r, distance(load(rows[r] + c), bias[r], residual[r]),
                                             fourths[r] + c, peak[r]);
        }
      }
      if (kLeaders) leaders.update(peak, start);
    }
    if (c == whole && c < b.channels) {
      const int last = static_cast<int>(b.channels - c);
      for (Vec& p : peak) p = broadcast(0);
      for (int r = 0; r < kRows; ++r) {
        const Vec d = distance(load_part(rows[r] + c, last), bias[r], residual[r]);
        sums.template add_values<kLeaders>(r, first_lanes(d, last), fourths[r] + c, peak[r]);
      }
      if (kLeaders) leaders.update(peak, whole);
      c = b.channels;
    }
    sums.flush(from, sums_of);
  }
  for (int r = 0; r < kRows && kLeaders; ++r) {
    const int64_t at = leaders.segment[r];
    to.leading[from + r] = at + find(fourths[r] + at, leaders.value[r]);
  }
}

// Figures of all rows a batch can have, so that rows are lanes of vectors.
inline void finish_rows(const RowBatch& b, const RowSums& sums, bool leaders, RowFigures& to) {
  const float channels = static_cast<float>(b.channels), each = 1 / channels, unit = 1 / b.scale;
  const auto& highest = sums[leaders ? kEighth : kFourth];
  for (int r = 0; r < kGroup; ++r) {
    const float s1 = sums[kFirst][r], s2 = sums[kSecond][r], s4 = sums[kFourth][r];
    const float m = s1 * each, variance = s2 * each - m * m;
    const float shift = b.shift[r] + b.residual[r] * unit;
    const float square_norm = (s2 * unit + 2 * s1 * shift) * unit + channels * shift * shift;
    to.kurtosis[r] = channels * s4 / (s2 * s2);
    to.inverse[r] = 1 / s4;
    to.self_share[r] = sums[kEighth][r] / s4 / s4;
    const int32_t in_range = (highest[r] <= kHuge) & (variance > 0x1p-24f) & (variance < 0x1p24f);
    to.accurate[r] = in_range & (m * m <= 1e-12f * variance);
    to.residual[r] = in_range & ~to.accurate[r] ? b.residual[r] + m : 0;
    to.norm[r] = norm_bin_f32(square_norm * kNormSlack);
  }
}

template <class T, bool kLeaders, bool kOffCentre>
inline void row_figures_of(const RowBatch& b, RowFigures& to) {
  RowSums sums;
  for (auto& power : sums) {
    for (int r = 0; r < kGroup; r += kWidth) store(power + r, broadcast(0));
  }
  int r = 0;
  for (; r + kRowsAtOnce <= b.size; r += kRowsAtOnce) {
    sum_rows<T, kRowsAtOnce, kLeaders, kOffCentre>(b, r, sums, to);
  }
  for (; r < b.size; ++r) sum_rows<T, 1, kLeaders, kOffCentre>(b, r, sums, to);
  finish_rows(b, sums, kLeaders, to);
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
  int r = 0;
  for (; r + 4 <= g.size; r += 4) row_shares_of<4>(g, r, channels, acc);
  for (; r < g.size; ++r) row_shares_of<1>(g, r, channels, acc);
}

}  // namespace
}  // namespace tuiprobe::cpu
