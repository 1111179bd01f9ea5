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

inline float scalar_fma(float a, float b, float c) { return a * b + c; }

// Last channels that do not fill a vector, as floats, padded with `fill`.
template <class T>
inline void load_tail(const T* row, int64_t from, int64_t channels, float fill, float* out) {
  for (int i = 0; i < kWidth; ++i) out[i] = from + i < channels ? to_float(row[from + i]) : fill;
}

struct MomentVecs {
  Vec s1 = broadcast(0), s2 = broadcast(0), s3 = broadcast(0), s4 = broadcast(0);
  Vec low = broadcast(__builtin_inff()), high = broadcast(-__builtin_inff());

  inline void take(Vec x, Vec scale, Vec bias) {
    const Vec d = fma(x, scale, bias);
    const Vec d2 = mul(d, d);
    s1 = add(s1, d);
    s2 = add(s2, d2);
    s3 = fma(d2, d, s3);
    s4 = fma(d2, d2, s4);
    low = min(x, low);
    high = max(x, high);
  }

  inline void flush(const MomentArrays& to, int64_t c) const {
    add_to(to.s1 + c, s1);
    add_to(to.s2 + c, s2);
    add_to(to.s3 + c, s3);
    add_to(to.s4 + c, s4);
    store(to.group_min + c, low);
    store(to.group_max + c, high);
    store(to.min + c, min(low, load(to.min + c)));
    store(to.max + c, max(high, load(to.max + c)));
  }
};

template <class T>
inline void moments_of(const Group& g, const MomentArrays& to) {
  const int64_t whole = g.channels / kWidth * kWidth;
  const bool full = g.size == kGroup;
  for (int64_t c = 0; c < whole; c += kWidth) {
    MomentVecs sums;
    const Vec scale = load(to.scale + c), bias = load(to.bias + c);
    if (full) {
#pragma GCC unroll 16
      for (int r = 0; r < kGroup; ++r) {
        __builtin_prefetch(static_cast<const T*>(g.next[r]) + c);
        sums.take(load(static_cast<const T*>(g.rows[r]) + c), scale, bias);
      }
    } else {
      for (int r = 0; r < g.size; ++r) {
        sums.take(load(static_cast<const T*>(g.rows[r]) + c), scale, bias);
      }
    }
    sums.flush(to, c);
  }
  if (whole < g.channels) {
    MomentVecs sums;
    float tail[kWidth];
    for (int r = 0; r < g.size; ++r) {
      load_tail(static_cast<const T*>(g.rows[r]), whole, g.channels, 0, tail);
      sums.take(load(tail), load(to.scale + whole), load(to.bias + whole));
    }
    sums.flush(to, whole);
  }
}

template <class T>
inline float mean_of(const T* row, int64_t channels) {
  const int64_t whole = channels / kWidth * kWidth;
  const int64_t pairs = whole / (2 * kWidth) * (2 * kWidth);
  Vec even = broadcast(0), odd = broadcast(0);
  for (int64_t c = 0; c < pairs; c += 2 * kWidth) {
    even = add(even, load(row + c));
    odd = add(odd, load(row + c + kWidth));
  }
  if (pairs < whole) even = add(even, load(row + pairs));
  double sum = total(even) + total(odd);
  for (int64_t c = whole; c < channels; ++c) sum += static_cast<double>(to_float(row[c]));
  return static_cast<float>(sum / static_cast<double>(channels));
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
inline void row_sums_of(const T* row, int64_t channels, float scale, RowSums* out) {
  const float shift = mean_of(row, channels);
  const Vec s = broadcast(scale), bias = broadcast(-shift * scale);
  const int64_t whole = channels / kWidth * kWidth;
  const int64_t pairs = whole / (2 * kWidth) * (2 * kWidth);
  RowVecs even, odd;
  for (int64_t c = 0; c < pairs; c += 2 * kWidth) {
    even.take(load(row + c), s, bias);
    odd.take(load(row + c + kWidth), s, bias);
  }
  if (pairs < whole) even.take(load(row + pairs), s, bias);
  if (whole < channels) {
    float tail[kWidth];
    load_tail(row, whole, channels, shift, tail);
    odd.take(load(tail), s, bias);
  }
  out->shift = shift;
  out->s1 = total(even.s1) + total(odd.s1);
  out->s2 = total(even.s2) + total(odd.s2);
  out->s3 = total(even.s3) + total(odd.s3);
  out->s4 = total(even.s4) + total(odd.s4);
}

template <class T>
inline void row_share_of(const T* row, int64_t channels, float shift, float scale, float inverse,
                         float* acc, RowShare* out) {
  const Vec s = broadcast(scale), bias = broadcast(-shift * scale), inv = broadcast(inverse);
  Vec square = broadcast(0), peak = broadcast(0);
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
    const Vec d = fma(x, s, bias);
    const Vec d2 = mul(d, d);
    const Vec share = mul(mul(d2, d2), inv);
    store(acc + c, add(load(acc + c), share));
    square = fma(share, share, square);
    peak = max(absolute(d), peak);
  }
  out->square_sum = total(square);
  out->peak = largest(peak);
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

void moments(const Group& g, DType dtype, const MomentArrays& to) {
  if (dtype == DType::f32) return moments_of<float>(g, to);
  if (dtype == DType::f16) return moments_of<Half>(g, to);
  moments_of<BFloat16>(g, to);
}

void row_sums(const void* row, int64_t channels, DType dtype, float scale, RowSums* out) {
  if (dtype == DType::f32) return row_sums_of(static_cast<const float*>(row), channels, scale, out);
  if (dtype == DType::f16) return row_sums_of(static_cast<const Half*>(row), channels, scale, out);
  row_sums_of(static_cast<const BFloat16*>(row), channels, scale, out);
}

void row_share(const void* row, int64_t channels, DType dtype, float shift, float scale,
               float inverse, float* acc, RowShare* out) {
  if (dtype == DType::f32) {
    row_share_of(static_cast<const float*>(row), channels, shift, scale, inverse, acc, out);
  } else if (dtype == DType::f16) {
    row_share_of(static_cast<const Half*>(row), channels, shift, scale, inverse, acc, out);
  } else {
    row_share_of(static_cast<const BFloat16*>(row), channels, shift, scale, inverse, acc, out);
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

int64_t reaches(const float* value, const float* limit, int64_t channels, int32_t* out) {
  int64_t found = 0;
  for (int64_t c = 0; c < channels; c += kWidth) {
    unsigned hit = at_least(load(value + c), load(limit + c));
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

}  // namespace
}  // namespace tuiprobe::cpu

#define TUIPROBE_KERNEL_TABLE(symbol, label)                                                       \
  namespace tuiprobe::cpu {                                                                        \
  const Kernels symbol = {label, moments, row_sums, row_share, find_peak, flush, reaches, exceed}; \
  }
