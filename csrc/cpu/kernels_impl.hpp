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

constexpr float kHuge = 3.402823466e38f;  // the largest that is finite
constexpr unsigned kAllLanes = (1u << kWidth) - 1;

// The vector at channel c, 0 beyond the channels.
template <class T>
inline Vec load_padded(const T* row, int64_t c, int64_t channels) {
  if (c + kWidth <= channels) return load(row + c);
  return load_part(row + c, static_cast<int>(channels - c));
}

}  // namespace
}  // namespace tuiprobe::cpu

#include "loops_maps.hpp"
#include "loops_moments.hpp"
#include "loops_rows.hpp"
#include "loops_topk.hpp"

namespace tuiprobe::cpu {
namespace {

// ---- table: run-time type to template -------------------------------------------------------

// run(a null pointer to the element type).
template <class Run>
inline auto by_type(DType dtype, Run run) {
  if (dtype == DType::f32) return run(static_cast<const float*>(nullptr));
  if (dtype == DType::f16) return run(static_cast<const Half*>(nullptr));
  return run(static_cast<const BFloat16*>(nullptr));
}

template <class T>
const T* typed(const void* p, const T*) {
  return static_cast<const T*>(p);
}

template <class T>
void moments_as(const Group& g, const MomentArrays& to, const T*) {
  if (to.row_means == nullptr) return moments_of<T, false, false>(g, to);
  to.centre != 0 ? moments_of<T, true, true>(g, to) : moments_of<T, true, false>(g, to);
}

template <class T>
void figures_as(const RowBatch& b, bool leaders, RowFigures& to, const T*) {
  if (b.off_centre) {
    leaders ? row_figures_of<T, true, true>(b, to) : row_figures_of<T, false, true>(b, to);
  } else {
    leaders ? row_figures_of<T, true, false>(b, to) : row_figures_of<T, false, false>(b, to);
  }
}

template <class T>
int64_t passing_as(const Group& g, const float* extreme, const Limits& limits, int64_t* from,
                   Hit* out, const T*) {
  return passing_of<T>(g, extreme, limits, from, out);
}

void moments(const Group& g, DType dtype, const MomentArrays& to) {
  by_type(dtype, [&](auto* t) { moments_as(g, to, t); });
}

void row_figures(const RowBatch& rows, DType dtype, bool leaders, RowFigures& to) {
  by_type(dtype, [&](auto* t) { figures_as(rows, leaders, to, t); });
}

int64_t passing(const Group& g, DType dtype, const float* extreme, const Limits& limits,
                int64_t* from, Hit* out) {
  return by_type(dtype, [&](auto* t) { return passing_as(g, extreme, limits, from, out, t); });
}

void extremes(const void* row, DType dtype, int64_t channels, float* high, float* low) {
  by_type(dtype, [&](auto* t) { extremes_of(typed(row, t), channels, high, low); });
}

void pack(const void* first, int64_t stride, int64_t channels, DType dtype, int64_t count,
          float* rows, int64_t width) {
  by_type(dtype, [&](auto* t) { pack_of(typed(first, t), stride, channels, count, rows, width); });
}

}  // namespace
}  // namespace tuiprobe::cpu

#define TUIPROBE_KERNEL_TABLE(symbol, label) \
  namespace tuiprobe::cpu {                  \
  const Kernels symbol = {                   \
      .name = label,                         \
      .moments = moments,                    \
      .row_figures = row_figures,            \
      .row_shares = row_shares,              \
      .flush = flush,                        \
      .add_distances = add_distances,        \
      .combine = combine,                    \
      .passing = passing,                    \
      .extremes = extremes,                  \
      .reached = reached,                    \
      .rank = rank,                          \
      .pack = pack,                          \
      .read = read,                          \
  };                                         \
  }
