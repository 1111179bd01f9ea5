// Parts of a state as dictionaries of NumPy arrays.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <type_traits>
#include <vector>

#include "cpu/stats.hpp"

namespace tuiprobe {

namespace py = pybind11;

template <class T>
using Array = py::array_t<T, py::array::c_style>;

template <class T>
Array<T> to_array(const std::vector<T>& v) {
  return Array<T>(static_cast<py::ssize_t>(v.size()), v.data());
}

inline py::dict write_moments(const std::vector<Moments>& moments) {
  py::dict d;
  const auto column = [&](const char* name, auto member) {
    using T = std::decay_t<decltype(moments[0].*member)>;
    Array<T> a(static_cast<py::ssize_t>(moments.size()));
    for (size_t c = 0; c < moments.size(); ++c) a.mutable_data()[c] = moments[c].*member;
    d[name] = a;
  };
  column("count", &Moments::count);
  column("nonfinite", &Moments::nonfinite);
  column("mean", &Moments::mean);
  column("m2", &Moments::m2);
  column("m3", &Moments::m3);
  column("m4", &Moments::m4);
  column("min", &Moments::min);
  column("max", &Moments::max);
  return d;
}

inline py::dict write_topk(const cpu::TopK& top) {
  const auto channels = static_cast<py::ssize_t>(top.sizes.size());
  const std::vector<py::ssize_t> shape{channels, top.k};
  Array<float> values(shape);
  Array<int64_t> ids(shape);
  Array<int32_t> positions(shape);
  for (py::ssize_t c = 0; c < channels; ++c) {
    for (int i = 0; i < top.k; ++i) {
      const bool there = i < top.sizes[c];
      const Entry e = there ? top.list(c)[i] : Entry{NAN, -1, -1};
      const py::ssize_t at = c * top.k + i;
      values.mutable_data()[at] = top.smallest ? 0.0f - e.key : e.key;
      ids.mutable_data()[at] = e.id;
      positions.mutable_data()[at] = e.position;
    }
  }
  py::dict d;
  d["values"] = values;
  d["sample_ids"] = ids;
  d["positions"] = positions;
  return d;
}

inline py::dict write_samples(const cpu::Samples& s) {
  py::dict d;
  d["sample_ids"] = to_array(s.ids);
  d["kurtosis"] = to_array(s.kurtosis);
  d["self_share"] = to_array(s.self_share);
  d["leading"] = to_array(s.leading);
  d["share_sum"] = to_array(s.share_sum);
  d["share_square_sum"] = to_array(std::vector<double>{s.share_square_sum});
  d["leading_count"] = to_array(s.leading_count);
  d["exceed_count"] = to_array(s.exceed_count);
  d["norm_histogram"] = to_array(s.norm_histogram);
  d["rows"] = to_array(std::vector<int64_t>{s.rows});
  d["degenerate"] = to_array(std::vector<int64_t>{s.degenerate});
  return d;
}

inline void require(bool condition, const char* message) {
  if (!condition) throw py::value_error(message);
}

}  // namespace tuiprobe
