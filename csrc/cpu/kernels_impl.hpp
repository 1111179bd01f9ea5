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
        if (kPrefetch) __builtin_prefetch(static_cast<const T*>(g.next[r]) + c);
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
};

template <class T>
inline void row_sums_of(const T* row, const void* next, int64_t channels, float shift, float scale,
                        RowSums* out) {
  const Vec s = broadcast(scale), bias = broadcast(-shift * scale);
  const int64_t whole = channels / kWidth * kWidth;
  constexpr int kChains = kWidth == 16 ? 4 : 2;  // as many as the registers hold
  const int64_t unrolled = whole / (kChains * kWidth) * (kChains * kWidth);
  RowVecs sums[kChains];
  for (int64_t c = 0; c < unrolled; c += kChains * kWidth) {
#pragma GCC unroll 4
    for (int k = 0; k < kChains; ++k) {
      __builtin_prefetch(static_cast<const T*>(next) + c + k * kWidth, 0, 2);
      sums[k].take(load(row + c + k * kWidth), s, bias);
    }
  }
  for (int64_t c = unrolled; c < whole; c += kWidth) sums[0].take(load(row + c), s, bias);
  if (whole < channels) {
    float tail[kWidth];
    load_tail(row, whole, channels, shift, tail);
    sums[1].take(load(tail), s, bias);
  }
  out->s1 = out->s2 = out->s3 = out->s4 = 0;
#pragma GCC unroll 2
  for (int k = 0; k < kChains; k += 2) {
    out->s1 += total(add(sums[k].s1, sums[k + 1].s1));
    out->s2 += total(add(sums[k].s2, sums[k + 1].s2));
    out->s3 += total(add(sums[k].s3, sums[k + 1].s3));
    out->s4 += total(add(sums[k].s4, sums[k + 1].s4));
  }
}

template <class T, int kRows>
inline void row_shares_of(ShareRows& g, int from, int64_t channels, float scale, float* acc) {
  const Vec s = broadcast(scale);
  Vec bias[kRows], inverse[kRows], square[kRows], peak[kRows];
  const T* rows[kRows];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    rows[r] = static_cast<const T*>(g.rows[from + r]);
    bias[r] = broadcast(-g.shift[from + r] * scale);
    inverse[r] = broadcast(g.inverse[from + r]);
    square[r] = peak[r] = broadcast(0);
  }
  const int64_t whole = channels / kWidth * kWidth;
  float tail[kWidth];
  for (int64_t c = 0; c < channels; c += kWidth) {
    Vec sum = load(acc + c);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      Vec x;
      if (c < whole) {
        x = load(rows[r] + c);
      } else {
        load_tail(rows[r], whole, channels, g.shift[from + r], tail);
        x = load(tail);
      }
      const Vec d = fma(x, s, bias[r]);
      const Vec d2 = mul(d, d);
      const Vec share = mul(mul(d2, inverse[r]), d2);
      sum = add(sum, share);
      square[r] = fma(share, share, square[r]);
      peak[r] = max(absolute(d), peak[r]);
    }
    store(acc + c, sum);
  }
  for (int r = 0; r < kRows; ++r) {
    g.square_sum[from + r] = total(square[r]);
    g.peak[from + r] = largest(peak[r]);
  }
}

template <class T>
inline void all_row_shares(ShareRows& g, int64_t channels, float scale, float* acc) {
  int r = 0;
  for (; r + 4 <= g.size; r += 4) row_shares_of<T, 4>(g, r, channels, scale, acc);
  for (; r < g.size; ++r) row_shares_of<T, 1>(g, r, channels, scale, acc);
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
  const int64_t whole = channels / kWidth * kWidth;
  float tail[kWidth];
  for (int64_t c = 0; c < channels; c += kWidth) {
    Vec x;
    if (c < whole) {
      x = load(row + c);
    } else {
      load_tail(row, whole, channels, shift, tail);
      x = load(tail);
    }
    const unsigned hit = equal(absolute(fma(x, s, bias)), p);
    if (hit) return c + __builtin_ctz(hit);
  }
  return -1;
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

void row_sums(const void* row, const void* next, int64_t channels, DType dtype, float shift,
              float scale, RowSums* out) {
  if (dtype == DType::f32) {
    row_sums_of(static_cast<const float*>(row), next, channels, shift, scale, out);
  } else if (dtype == DType::f16) {
    row_sums_of(static_cast<const Half*>(row), next, channels, shift, scale, out);
  } else {
    row_sums_of(static_cast<const BFloat16*>(row), next, channels, shift, scale, out);
  }
}

void row_shares(ShareRows& g, int64_t channels, DType dtype, float scale, float* acc) {
  if (dtype == DType::f32) return all_row_shares<float>(g, channels, scale, acc);
  if (dtype == DType::f16) return all_row_shares<Half>(g, channels, scale, acc);
  all_row_shares<BFloat16>(g, channels, scale, acc);
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

int64_t reaches(const float* extreme, const Limits& limits, int64_t channels, int32_t* out) {
  int64_t found = 0;
  const Vec id = broadcast(limits.first_id);
  for (int64_t c = 0; c < channels; c += kWidth) {
    const Vec x = load(extreme + c), limit = load(limits.value + c);
    unsigned hit = limits.smallest ? at_least(limit, x) : at_least(x, limit);
    if (!hit) continue;
    hit &= ~equal(x, limit) | at_least(load(limits.tie + c), id);
    for (; hit; hit &= hit - 1) {
      const int64_t at = c + __builtin_ctz(hit);
      if (at < channels) out[found++] = static_cast<int32_t>(at);
    }
  }
  return found;
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

#define TUIPROBE_KERNEL_TABLE(symbol, label)                                          \
  namespace tuiprobe::cpu {                                                           \
  const Kernels symbol = {label, moments, row_mean,  row_sums, row_shares, find_peak, \
                          flush, reaches, keep_best, pack,     exceed,     read};     \
  }
