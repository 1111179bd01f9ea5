// The loops declared in kernels.hpp. Included once by each kernels_<set>.cpp, which is compiled
// with the flags of that instruction set.
//
// Nothing here may have external linkage but the table: an inline function or a std template
// compiled with AVX-512 could be the copy the linker keeps for everyone.
#pragma once

#include "kernels.hpp"
#include "simd.hpp"

namespace tuiprobe::cpu {
namespace {

// Last channels that do not fill a vector, as floats, padded with `fill`.
template <class T>
inline void load_tail(const T* row, int64_t from, int64_t channels, float fill, float* out) {
  for (int i = 0; i < kWidth; ++i) out[i] = from + i < channels ? to_float(row[from + i]) : fill;
}

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

template <class T, bool kPrefetch>
inline void moments_of(const Group& g, const MomentArrays& to) {
  const int64_t whole = g.channels / kWidth * kWidth;
  const bool full = g.size == kGroup;
  for (int64_t c = 0; c < whole; c += kWidth) {
    MomentVecs sums;
    const Vec scale = load(to.scale + c), bias = load(to.bias + c);
    if (full) {
#pragma GCC unroll 16
      for (int r = 0; r < kGroup; ++r) {
        if (kPrefetch) {
          __builtin_prefetch(static_cast<const T*>(g.next[r]) + c);
        } else if (r % 2 == 1) {
          __builtin_prefetch(static_cast<const T*>(g.next[r]) + c, 0, 2);
        }
        sums.take(load(static_cast<const T*>(g.rows[r]) + c), scale, bias, r % 2);
      }
    } else {
      for (int r = 0; r < g.size; ++r) {
        sums.take(load(static_cast<const T*>(g.rows[r]) + c), scale, bias, 0);
      }
    }
    sums.flush(to, c);
  }
  if (whole < g.channels) {
    MomentVecs sums;
    float tail[kWidth];
    for (int r = 0; r < g.size; ++r) {
      load_tail(static_cast<const T*>(g.rows[r]), whole, g.channels, 0, tail);
      sums.take(load(tail), load(to.scale + whole), load(to.bias + whole), 0);
    }
    sums.flush(to, whole);
  }
}

template <class T>
inline float mean_of(const T* row, int64_t channels) {
  const int64_t whole = channels / kWidth * kWidth;
  const int64_t quads = whole / (4 * kWidth) * (4 * kWidth);
  Vec sum[4] = {broadcast(0), broadcast(0), broadcast(0), broadcast(0)};
  for (int64_t c = 0; c < quads; c += 4 * kWidth) {
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) sum[k] = add(sum[k], load(row + c + k * kWidth));
  }
  for (int64_t c = quads; c < whole; c += kWidth) sum[0] = add(sum[0], load(row + c));
  double all = total(add(sum[0], sum[1])) + total(add(sum[2], sum[3]));
  for (int64_t c = whole; c < channels; ++c) all += static_cast<double>(to_float(row[c]));
  return static_cast<float>(all / static_cast<double>(channels));
}

struct RowVecs {
  Vec s1 = broadcast(0), s2 = broadcast(0), s3 = broadcast(0), s4 = broadcast(0);

  inline void take(Vec x, Vec scale, Vec bias) {
    const Vec d = fma(x, scale, bias);
    const Vec d2 = mul(d, d);
    s1 = add(s1, d);
    s2 = add(s2, d2);
    s3 = fma(d2, d, s3);
    s4 = fma(d2, d2, s4);
  }

  inline void flush(RowSums& to) const {
    float sums[4];
    totals(s1, s2, s3, s4, sums);
    to.s1 += static_cast<double>(sums[0]);
    to.s2 += static_cast<double>(sums[1]);
    to.s3 += static_cast<double>(sums[2]);
    to.s4 += static_cast<double>(sums[3]);
  }
};

constexpr int kRowsAtOnce = kWidth == 16 ? 4 : 2;  // as many as the registers hold
constexpr int64_t kRowChain = 64;                  // vectors whose sums are added in float32

template <class T, int kRows>
inline void row_sums_of(Quad& g, int from, int64_t channels, float shift, float scale) {
  const Vec s = broadcast(scale), bias = broadcast(-shift * scale);
  const int64_t whole = channels / kWidth * kWidth;
  const T *rows[kRows], *next[kRows];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    rows[r] = static_cast<const T*>(g.rows[from + r]);
    next[r] = static_cast<const T*>(g.next[from + r]);
    g.sums[from + r] = RowSums{0, 0, 0, 0};
  }
  for (int64_t c = 0; c < channels;) {
    RowVecs sums[kRows];
    const int64_t end = c + kRowChain * kWidth < whole ? c + kRowChain * kWidth : whole;
    for (; c < end; c += kWidth) {
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        if (r % 4 == 0) __builtin_prefetch(next[r] + c, 0, 2);
        sums[r].take(load(rows[r] + c), s, bias);
      }
    }
    if (c == whole) {
      float tail[kWidth];
#pragma GCC unroll 4
      for (int r = 0; r < kRows && whole < channels; ++r) {
        load_tail(rows[r], whole, channels, shift, tail);
        sums[r].take(load(tail), s, bias);
      }
      c = channels;
    }
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) sums[r].flush(g.sums[from + r]);
  }
}

template <class T>
inline void all_row_sums(Quad& g, int64_t channels, float shift, float scale) {
  int r = 0;
  for (; r + kRowsAtOnce <= g.size; r += kRowsAtOnce) {
    row_sums_of<T, kRowsAtOnce>(g, r, channels, shift, scale);
  }
  for (; r < g.size; ++r) row_sums_of<T, 1>(g, r, channels, shift, scale);
}

template <class T, int kRows, bool kFigures>
inline void row_shares_of(Quad& g, int from, int64_t channels, float scale, float* acc) {
  const Vec s = broadcast(scale);
  Vec bias[kRows], inverse[kRows], square[kRows], peak[kRows];
  const T *rows[kRows], *next[kRows];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    rows[r] = static_cast<const T*>(g.rows[from + r]);
    next[r] = static_cast<const T*>(g.next[from + r]);
    bias[r] = broadcast(-g.shift[from + r] * scale);
    inverse[r] = broadcast(g.inverse[from + r]);
    square[r] = peak[r] = broadcast(0);
  }
  const auto take = [&](int r, Vec x, Vec& sum) {
    const Vec d = fma(x, s, bias[r]);
    const Vec d2 = mul(d, d);
    const Vec d4 = mul(d2, d2);
    sum = fma(d4, inverse[r], sum);
    if (kFigures) {
      square[r] = fma(d4, d4, square[r]);
      peak[r] = max(d2, peak[r]);
    }
  };
  const int64_t whole = channels / kWidth * kWidth;
  for (int64_t c = 0; c < whole; c += kWidth) {
    Vec sum = load(acc + c);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      if (r % 4 == 2) __builtin_prefetch(next[r] + c, 0, 2);
      take(r, load(rows[r] + c), sum);
    }
    store(acc + c, sum);
  }
  if (whole < channels) {
    Vec sum = load(acc + whole);
    float tail[kWidth];
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      load_tail(rows[r], whole, channels, g.shift[from + r], tail);
      take(r, load(tail), sum);
    }
    store(acc + whole, sum);
  }
  for (int r = 0; r < kRows && kFigures; ++r) {
    g.square_sum[from + r] = total(square[r]);
    g.peak[from + r] = largest(peak[r]);
  }
}

template <class T, bool kFigures>
inline void all_row_shares(Quad& g, int64_t channels, float scale, float* acc) {
  int r = 0;
  for (; r + kRowsAtOnce <= g.size; r += kRowsAtOnce) {
    row_shares_of<T, kRowsAtOnce, kFigures>(g, r, channels, scale, acc);
  }
  for (; r < g.size; ++r) row_shares_of<T, 1, kFigures>(g, r, channels, scale, acc);
}

template <class T>
inline void keep_best_of(const T* row, int64_t channels, bool smallest, int depth, float* best,
                         int64_t stride) {
  const int64_t whole = channels / kWidth * kWidth;
  float tail[kWidth];
  for (int64_t c = 0; c < channels; c += kWidth) {
    if (c == whole) load_tail(row, whole, channels, 0, tail);
    Vec x = c < whole ? load(row + c) : load(tail);
    const Vec worst = load(best + (depth - 1) * stride + c);
    if (smallest ? !at_least(worst, x) : !at_least(x, worst)) continue;
    for (int i = 0; i < depth; ++i) {  // x sinks to its place; NaN never enters
      const Vec here = load(best + i * stride + c);
      store(best + i * stride + c, smallest ? min(x, here) : max(x, here));
      x = smallest ? max(x, here) : min(x, here);
    }
  }
}

template <class T>
inline void pack_of(const T* first, int64_t stride, int64_t channels, int count, float* rows,
                    int64_t width) {
  int64_t c = 0;
  for (int p = 0; p + kWidth <= count; p += kWidth) {
    for (c = 0; c + kWidth <= channels; c += kWidth) {
      Vec block[kWidth];
#pragma GCC unroll 16
      for (int k = 0; k < kWidth; ++k) block[k] = load(first + p + (c + k) * stride);
      transpose(block);
#pragma GCC unroll 16
      for (int k = 0; k < kWidth; ++k) store(rows + (p + k) * width + c, block[k]);
    }
  }
  const int done = count / kWidth * kWidth;
  for (int64_t k = 0; k < channels; ++k) {
    for (int p = k < c ? done : 0; p < count; ++p) {
      rows[p * width + k] = to_float(first[p + k * stride]);
    }
  }
}

template <class T>
inline int64_t find_peak_of(const T* row, int64_t channels, float shift, float scale, float peak) {
  const Vec s = broadcast(scale), bias = broadcast(-shift * scale), p = broadcast(peak);
  const auto is_peak = [&](Vec x) {
    const Vec d = fma(x, s, bias);
    return equal(mul(d, d), p);
  };
  const int64_t whole = channels / kWidth * kWidth;
  constexpr int64_t kStep = 4 * kWidth;
  int64_t c = 0;
  for (; c + kStep <= whole; c += kStep) {
    unsigned hit[4];
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) hit[k] = is_peak(load(row + c + k * kWidth));
    if (!(hit[0] | hit[1] | hit[2] | hit[3])) continue;
    for (int k = 0; k < 4; ++k) {
      if (hit[k]) return c + k * kWidth + __builtin_ctz(hit[k]);
    }
  }
  for (; c < channels; c += kWidth) {
    float tail[kWidth];
    if (c == whole) load_tail(row, whole, channels, shift, tail);
    const unsigned hit = is_peak(c < whole ? load(row + c) : load(tail));
    if (hit) return c + __builtin_ctz(hit);
  }
  return -1;
}

// Channels of [first, first + count) whose extreme passes its limit. `least_id` bounds the ids of
// the group from below. Free of branches, because which channels pass cannot be predicted.
inline int reaches(const float* extreme, const Limits& limits, float least_id, int64_t first,
                   int64_t count, int32_t* out) {
  const Vec least = broadcast(least_id);
  int found = 0;
  for (int64_t c = 0; c < count; c += kWidth) {
    const Vec x = load(extreme + first + c), limit = load(limits.value + first + c);
    const unsigned reached = limits.smallest ? at_least(limit, x) : at_least(x, limit);
    const unsigned ties = at_least(load(limits.tie + first + c), least);
    const unsigned mask = count - c < kWidth ? (1u << (count - c)) - 1 : ~0u;
    found += append_bits(reached & (~equal(x, limit) | ties) & mask, static_cast<int32_t>(c),
                         out + found);
  }
  return found;
}

template <class T>
inline int64_t filter_of(const Group& g, const float* extreme, const Limits& limits,
                         const float* ids, int64_t first, int64_t count, Hit* out) {
  float least_id = ids[0];
  for (int r = 1; r < g.size; ++r) least_id = ids[r] < least_id ? ids[r] : least_id;
  int32_t channels[kFilterWidth + kWidth];
  const int n = reaches(extreme, limits, least_id, first, count, channels);
  const float sign = limits.smallest ? -1.0f : 1.0f;
  const T* rows[kGroup];
  for (int r = 0; r < kGroup; ++r) rows[r] = static_cast<const T*>(g.rows[r < g.size ? r : 0]);
  const unsigned present = (2u << (g.size - 1)) - 1;
  int64_t found = 0;
  for (int i = 0; i < n; ++i) {
    const int64_t c = first + channels[i];
    const float limit = sign * limits.value[c];
    const unsigned ties = limits.tie[c] >= least_id ? 1u : 0u;
    unsigned hits = 0;
#pragma GCC unroll 16
    for (int r = 0; r < kGroup; ++r) {
      const float x = sign * to_float(rows[r][c]);
      const unsigned above = x > limit, equal = x == limit;
      hits |= (above | (equal & ties)) << r;
    }
    for (hits &= present; hits; hits &= hits - 1) {
      const int r = __builtin_ctz(hits);
      out[found++] = {to_float(rows[r][c]), r, c};
    }
  }
  return found;
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

// ---- table: run-time type to template -------------------------------------------------------

template <class T>
void moments_as(const Group& g, const MomentArrays& to) {
  g.prefetch ? moments_of<T, true>(g, to) : moments_of<T, false>(g, to);
}

void moments(const Group& g, DType dtype, const MomentArrays& to) {
  if (dtype == DType::f32) return moments_as<float>(g, to);
  if (dtype == DType::f16) return moments_as<Half>(g, to);
  moments_as<BFloat16>(g, to);
}

float row_mean(const void* row, int64_t channels, DType dtype) {
  if (dtype == DType::f32) return mean_of(static_cast<const float*>(row), channels);
  if (dtype == DType::f16) return mean_of(static_cast<const Half*>(row), channels);
  return mean_of(static_cast<const BFloat16*>(row), channels);
}

void row_sums(Quad& g, int64_t channels, DType dtype, float shift, float scale) {
  if (dtype == DType::f32) return all_row_sums<float>(g, channels, shift, scale);
  if (dtype == DType::f16) return all_row_sums<Half>(g, channels, shift, scale);
  all_row_sums<BFloat16>(g, channels, shift, scale);
}

template <class T>
void row_shares_as(Quad& g, int64_t channels, float scale, bool figures, float* acc) {
  figures ? all_row_shares<T, true>(g, channels, scale, acc)
          : all_row_shares<T, false>(g, channels, scale, acc);
}

void row_shares(Quad& g, int64_t channels, DType dtype, float scale, bool figures, float* acc) {
  if (dtype == DType::f32) return row_shares_as<float>(g, channels, scale, figures, acc);
  if (dtype == DType::f16) return row_shares_as<Half>(g, channels, scale, figures, acc);
  row_shares_as<BFloat16>(g, channels, scale, figures, acc);
}

void keep_best(const void* row, int64_t channels, DType dtype, bool smallest, int depth,
               float* best, int64_t stride) {
  if (dtype == DType::f32) {
    keep_best_of(static_cast<const float*>(row), channels, smallest, depth, best, stride);
  } else if (dtype == DType::f16) {
    keep_best_of(static_cast<const Half*>(row), channels, smallest, depth, best, stride);
  } else {
    keep_best_of(static_cast<const BFloat16*>(row), channels, smallest, depth, best, stride);
  }
}

void pack(const void* first, int64_t stride, int64_t channels, DType dtype, int count, float* rows,
          int64_t width) {
  if (dtype == DType::f32) {
    pack_of(static_cast<const float*>(first), stride, channels, count, rows, width);
  } else if (dtype == DType::f16) {
    pack_of(static_cast<const Half*>(first), stride, channels, count, rows, width);
  } else {
    pack_of(static_cast<const BFloat16*>(first), stride, channels, count, rows, width);
  }
}

int64_t find_peak(const void* row, int64_t channels, DType dtype, float shift, float scale,
                  float peak) {
  if (dtype == DType::f32) {
    return find_peak_of(static_cast<const float*>(row), channels, shift, scale, peak);
  }
  if (dtype == DType::f16) {
    return find_peak_of(static_cast<const Half*>(row), channels, shift, scale, peak);
  }
  return find_peak_of(static_cast<const BFloat16*>(row), channels, shift, scale, peak);
}

void flush(float* part, double* sum, int64_t channels) {
  for (int64_t c = 0; c < channels; c += kWidth) {
    add_to(sum + c, load(part + c));
    store(part + c, broadcast(0));
  }
}

int64_t filter(const Group& g, DType dtype, const float* extreme, const Limits& limits,
               const float* ids, int64_t first, int64_t count, Hit* out) {
  if (dtype == DType::f32) return filter_of<float>(g, extreme, limits, ids, first, count, out);
  if (dtype == DType::f16) return filter_of<Half>(g, extreme, limits, ids, first, count, out);
  return filter_of<BFloat16>(g, extreme, limits, ids, first, count, out);
}

int select(const float* keys, int count, int k, int32_t* out) {
  float above[kMaxSelect];
  for (int i = 0; i < count; i += kWidth) {
    const Vec key = load(keys + i);
    Vec counted[2] = {broadcast(0), broadcast(0)};
    int j = 0;
    for (; j + 2 <= count; j += 2) {
      counted[0] = count_greater(counted[0], broadcast(keys[j]), key);
      counted[1] = count_greater(counted[1], broadcast(keys[j + 1]), key);
    }
    if (j < count) counted[0] = count_greater(counted[0], broadcast(keys[j]), key);
    store(above + i, add(counted[0], counted[1]));
  }
  const float most = static_cast<float>(k);
  int kept = 0;
  for (int i = 0; i < count; ++i) {
    out[kept] = i;
    kept += above[i] < most;
  }
  return kept;
}

void extremes(const float* group_min, const float* group_max, int64_t channels, bool begin,
              float* image_min, float* image_max) {
  for (int64_t c = 0; c < channels; c += kWidth) {
    const Vec low = load(group_min + c), high = load(group_max + c);
    store(image_min + c, begin ? low : min(low, load(image_min + c)));
    store(image_max + c, begin ? high : max(high, load(image_max + c)));
  }
}

void exceed(const Group& g, DType dtype, const float* low, const float* high, float limit,
            int32_t* counts) {
  if (dtype == DType::f32) return exceed_of<float>(g, low, high, limit, counts);
  if (dtype == DType::f16) return exceed_of<Half>(g, low, high, limit, counts);
  exceed_of<BFloat16>(g, low, high, limit, counts);
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
  double sum = 0;
  for (const Vec& a : acc) sum += total(a);
  return static_cast<float>(sum);
}

}  // namespace
}  // namespace tuiprobe::cpu

#define TUIPROBE_KERNEL_TABLE(symbol, label)                                                  \
  namespace tuiprobe::cpu {                                                                   \
  const Kernels symbol = {label,  moments, row_mean, row_sums,  row_shares, find_peak, flush, \
                          filter, select,  extremes, keep_best, pack,       exceed,    read}; \
  }
