// States as dictionaries of NumPy arrays, and back.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <string>
#include <type_traits>
#include <vector>

#include "cpu/stats.hpp"

namespace tuiprobe {

namespace py = pybind11;

template <class T>
using Array = py::array_t<T, py::array::c_style>;

inline void require(bool condition, const char* message) {
  if (!condition) throw py::value_error(message);
}

template <class T>
Array<T> to_array(const std::vector<T>& v) {
  return Array<T>(static_cast<py::ssize_t>(v.size()), v.data());
}

// A one-dimensional array field of the given length, or of any if it is negative, checked.
template <class T>
Array<T> field(const py::dict& d, const char* name, py::ssize_t length) {
  if (!d.contains(name)) throw py::key_error(std::string("state is missing '") + name + "'");
  const py::object value = d[name];
  if (!py::isinstance<Array<T>>(value)) {
    throw py::type_error(std::string("state field '") + name + "' must be a contiguous array of " +
                         std::string(py::str(static_cast<py::object>(py::dtype::of<T>()))) +
                         ", got " + std::string(py::str(py::type::of(value))));
  }
  Array<T> a = py::reinterpret_borrow<Array<T>>(value);
  if (length >= 0 && a.size() != length) {
    throw py::value_error(std::string("state field '") + name + "' has " +
                          std::to_string(a.size()) + " entries, expected " +
                          std::to_string(length));
  }
  return a;
}

inline py::dict write(const std::vector<Moments>& moments) {
  py::dict d;
  visit_moment_fields([&](const char* name, auto member) {
    using T = std::decay_t<decltype(moments[0].*member)>;
    Array<T> a(static_cast<py::ssize_t>(moments.size()));
    for (size_t c = 0; c < moments.size(); ++c) a.mutable_data()[c] = moments[c].*member;
    d[name] = a;
  });
  return d;
}

inline void read(const py::dict& d, std::vector<Moments>& moments) {
  visit_moment_fields([&](const char* name, auto member) {
    using T = std::decay_t<decltype(moments[0].*member)>;
    const Array<T> a = field<T>(d, name, static_cast<py::ssize_t>(moments.size()));
    for (size_t c = 0; c < moments.size(); ++c) moments[c].*member = a.data()[c];
  });
}

inline py::dict write(const cpu::TopK& top) {
  const auto channels = static_cast<py::ssize_t>(top.sizes.size());
  py::dict d;
  visit_entry_fields([&](const char* name, auto member, auto absent) {
    using T = std::decay_t<decltype(Entry{}.*member)>;
    Array<T> a(std::vector<py::ssize_t>{channels, top.k});
    for (py::ssize_t c = 0; c < channels; ++c) {
      for (int i = 0; i < top.k; ++i) {
        T value = static_cast<T>(absent);
        if (i < top.sizes[c]) value = top.list(c)[i].*member;
        if constexpr (std::is_same_v<T, float>) {
          if (top.smallest) value = 0.0f - value;
        }
        a.mutable_data()[c * top.k + i] = value;
      }
    }
    d[name] = a;
  });
  return d;
}

inline void read(const py::dict& d, cpu::TopK& top) {
  std::vector<Entry> entries(top.sizes.size() * static_cast<size_t>(top.k));
  visit_entry_fields([&](const char* name, auto member, auto) {
    using T = std::decay_t<decltype(Entry{}.*member)>;
    const Array<T> a = field<T>(d, name, static_cast<py::ssize_t>(entries.size()));
    for (size_t i = 0; i < entries.size(); ++i) entries[i].*member = a.data()[i];
  });
  for (size_t i = 0; i < entries.size(); ++i) {
    Entry& e = entries[i];
    if (e.id < 0) continue;
    require(is_finite(e.key), "state field 'values' holds a filled entry that is not finite");
    e.key = (top.smallest ? -e.key : e.key) + 0.0f;
    top.offer(static_cast<int64_t>(i) / top.k, e);
  }
}

inline py::dict write(const cpu::Samples& s) {
  py::dict d;
  visit_image_fields([&](const char* name, const auto& from) { d[name] = to_array(from); }, s);
  visit_sum_fields(
      [&](const char* name, Extent extent, const auto& from) {
        using T = std::remove_const_t<std::remove_reference_t<decltype(*data_of(from))>>;
        const auto channels = static_cast<int64_t>(s.share_sum.size());
        d[name] = Array<T>(static_cast<py::ssize_t>(entries(extent, channels)), data_of(from));
      },
      s);
  return d;
}

inline void read(const py::dict& d, cpu::Samples& s) {
  const auto images = field<int64_t>(d, "sample_ids", -1).size();
  visit_image_fields(
      [&](const char* name, auto& to) {
        using T = typename std::remove_reference_t<decltype(to)>::value_type;
        const Array<T> a = field<T>(d, name, images);
        to.assign(a.data(), a.data() + images);
      },
      s);
  const auto channels = static_cast<int64_t>(s.share_sum.size());
  visit_sum_fields(
      [&](const char* name, Extent extent, auto& to) {
        using T = std::remove_reference_t<decltype(*data_of(to))>;
        const py::ssize_t length = static_cast<py::ssize_t>(entries(extent, channels));
        const Array<T> a = field<T>(d, name, length);
        std::copy(a.data(), a.data() + length, data_of(to));
      },
      s);
}

// Whether an optional part is there.
inline bool wanted(const std::vector<Moments>&, const cpu::Options& o, const char*) {
  return o.moments;
}
inline bool wanted(const cpu::TopK&, const cpu::Options& o, const std::string& name) {
  return (name == "largest" ? o.largest : o.smallest) > 0;
}
inline bool wanted(const cpu::Samples&, const cpu::Options& o, const char*) { return o.samples; }

inline py::dict write(const cpu::State& s) {
  py::dict d;
  d["images"] = to_array(std::vector<int64_t>{s.images});
  visit_parts(
      [&](const char* name, const auto& part) {
        if (wanted(part, s.options, name)) d[name] = write(part);
      },
      s);
  return d;
}

// The state of an accumulator with these options from what `write` returned.
inline cpu::State read(const py::dict& d, const cpu::Options& options) {
  cpu::State s(options);
  s.images = field<int64_t>(d, "images", 1).data()[0];
  visit_parts(
      [&](const char* name, auto& part) {
        if (!wanted(part, options, name)) return;
        if (!d.contains(name)) throw py::key_error(std::string("state is missing '") + name + "'");
        read(py::cast<py::dict>(d[name]), part);
      },
      s);
  return s;
}

}  // namespace tuiprobe
