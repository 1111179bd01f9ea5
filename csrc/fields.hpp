// The fields of every state, each named once. Merging, reading, writing, the layout in device
// memory and the bindings visit these lists, so that a new statistic is one line here and its
// loops.
//
// A visitor gets the name and the field of each state passed, for instance `visit(name, a.field,
// b.field)`. The states may be of different types with fields of the same names: vectors on the
// CPU, pointers into device memory, scalars of one image.
#pragma once

#include <vector>

#include "heights.hpp"
#include "moments.hpp"
#include "rows.hpp"
#include "topk.hpp"

namespace tuiprobe {

// What an accumulator keeps.
struct Options {
  int64_t channels = 0;
  bool moments = false;
  int largest = 0;   // entries a channel; 0: not wanted
  int smallest = 0;  // likewise
  bool samples = false;
};

// The first entry of a field, whatever holds it.
template <class T>
T* data_of(std::vector<T>& field) {
  return field.data();
}
template <class T>
const T* data_of(const std::vector<T>& field) {
  return field.data();
}
template <class T>
T* data_of(T* field) {
  return field;
}
static inline double* data_of(double& field) { return &field; }
static inline int64_t* data_of(int64_t& field) { return &field; }
static inline const double* data_of(const double& field) { return &field; }
static inline const int64_t* data_of(const int64_t& field) { return &field; }

template <class T>
void resize(std::vector<T>& field, int64_t size) {
  field.resize(static_cast<size_t>(size));
}
static inline void resize(double&, int64_t) {}
static inline void resize(int64_t&, int64_t) {}

template <class T>
void add(T* sums, const T* more, int64_t size) {
  for (int64_t i = 0; i < size; ++i) sums[i] += more[i];
}

// How many entries a field has.
enum class Extent { scalar, channels, norms, heights, groups, grouped_channels };

TP_HD static inline int64_t entries(Extent extent, int64_t channels) {
  switch (extent) {
    case Extent::channels:
      return channels;
    case Extent::norms:
      return kNormBins;
    case Extent::heights:
      return channels * kHeightBins;
    case Extent::groups:
      return kIdGroups;
    case Extent::grouped_channels:
      return kIdGroups * channels;
    default:
      return 1;
  }
}

// One entry an image, in order of arrival.
template <class Visit, class... S>
void visit_image_fields(Visit&& visit, S&... s) {
  visit("sample_ids", s.id...);
  visit("kurtosis", s.kurtosis...);      // NaN: degenerate image
  visit("self_share", s.self_share...);  // NaN likewise
  visit("leading", s.leading...);        // -1 likewise
}

// Sums over all images; two states merge by addition.
template <class Visit, class... S>
void visit_sum_fields(Visit&& visit, S&... s) {
  visit("share_sum", Extent::channels, s.share_sum...);
  visit("share_square_sum", Extent::scalar, s.share_square_sum...);
  visit("leading_count", Extent::channels, s.leading_count...);
  visit("norm_histogram", Extent::norms, s.norm_histogram...);
  visit("rows", Extent::scalar, s.rows...);
  visit("degenerate", Extent::scalar, s.degenerate...);
}

// Sums over rows, one an image; two states merge by addition.
template <class Visit, class... S>
void visit_row_fields(Visit&& visit, S&... s) {
  visit("height_histogram", Extent::heights, s.height_histogram...);  // [C, bins], counts
  visit("energy_sum", Extent::channels, s.energy_sum...);             // of x_c^2 / |x|^2
  visit("energy_square_sum", Extent::channels, s.energy_square_sum...);
  visit("z_sum", Extent::grouped_channels, s.z_sum...);  // of rows with mean 0 and variance 1
  visit("group_rows", Extent::groups, s.group_rows...);
  visit("without_heights", Extent::scalar, s.without_heights...);  // rows
  visit("with_negative", Extent::scalar, s.with_negative...);      // likewise
}

// Of a channel; two states merge by `merge`.
template <class Visit>
void visit_moment_fields(Visit&& visit) {
  visit("count", &Moments::count);
  visit("nonfinite", &Moments::nonfinite);
  visit("mean", &Moments::mean);
  visit("m2", &Moments::m2);
  visit("m3", &Moments::m3);
  visit("m4", &Moments::m4);
  visit("min", &Moments::min);
  visit("max", &Moments::max);
}

// Of an entry of a list, with what stands for no entry.
template <class Visit>
void visit_entry_fields(Visit&& visit) {
  visit("values", &Entry::key, NAN);
  visit("sample_ids", &Entry::id, int64_t{-1});
  visit("positions", &Entry::position, int32_t{-1});
}

// The optional parts, with the states' own: moments, both lists, per-image figures.
template <class Visit, class... S>
void visit_parts(Visit&& visit, S&... s) {
  visit("moments", s.moments...);
  visit("largest", s.largest...);
  visit("smallest", s.smallest...);
  visit("samples", s.samples...);
}

}  // namespace tuiprobe
