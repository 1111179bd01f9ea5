// Maps whose channels are apart in memory, turned into rows.
// Included by kernels_impl.hpp alone, once for each instruction set.
#pragma once

#include "kernels.hpp"
#include "simd.hpp"

namespace tuiprobe::cpu {
namespace {

// By blocks of channels, so that memory is read in its order. What remains of the positions or of
// the channels is taken one by one.
template <class T>
inline void pack_of(const T* first, int64_t stride, int64_t channels, int64_t count, float* rows,
                    int64_t width) {
  const int64_t whole = channels / kWidth * kWidth, squares = count / kWidth * kWidth;
  for (int64_t c = 0; c < whole; c += kWidth) {
    const T* const from = first + c * stride;
    for (int k = 0; k < kWidth; ++k) {  // those two blocks on, to the L2 cache
      const T* const ahead = from + (k + 2 * kWidth) * stride;
      for (int64_t p = 0; p < count; p += 64 / sizeof(T)) __builtin_prefetch(ahead + p, 0, 2);
    }
    for (int64_t p = 0; p < squares; p += kWidth) {
      Vec block[kWidth];
#pragma GCC unroll 16
      for (int k = 0; k < kWidth; ++k) block[k] = load(from + p + k * stride);
      transpose(block);
#pragma GCC unroll 16
      for (int k = 0; k < kWidth; ++k) store(rows + (p + k) * width + c, block[k]);
    }
    for (int64_t p = squares; p < count; ++p) {
      for (int k = 0; k < kWidth; ++k) rows[p * width + c + k] = to_float(from[p + k * stride]);
    }
  }
  for (int64_t c = whole; c < channels; ++c) {
    for (int64_t p = 0; p < count; ++p) rows[p * width + c] = to_float(first[p + c * stride]);
  }
}

}  // namespace
}  // namespace tuiprobe::cpu
