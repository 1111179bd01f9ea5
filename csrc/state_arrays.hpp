// States as dictionaries of NumPy arrays, and back.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <functional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "cpu/heights.hpp"
#include "cpu/stats.hpp"

namespace tuiprobe {

namespace py = pybind11;

template <class T>
using Array = py::array_t<T, py::array::c_style>;

inline void require(bool condition, const char* message) {
  if (!condition) throw py::value_error(message);
}

template <class Vector>
auto to_array(const Vector& v) {
  return Array<typename Vector::value_type>(static_cast<py::ssize_t>(v.size()), v.data());
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

// Arrays of a state that were checked, and what copies them, which needs no GIL.
class Reading {
 public:
  template <class T, class Copy>
  void add(Array<T> a, Copy&& copy) {
    const T* from = a.data();
    held_.push_back(std::move(a));
    steps_.emplace_back([from, copy] { copy(from); });
  }
  void then(std::function<void()> step) { steps_.push_back(std::move(step)); }
  void run() const {
    for (const auto& step : steps_) step();
  }

 private:
  std::vector<py::object> held_;
  std::vector<std::function<void()>> steps_;
};

inline void read(const py::dict& d, std::vector<Moments>& moments, Reading& reading) {
  visit_moment_fields([&](const char* name, auto member) {
    using T = std::decay_t<decltype(moments[0].*member)>;
    reading.add(field<T>(d, name, static_cast<py::ssize_t>(moments.size())),
                [&moments, member](const T* from) {
                  for (size_t c = 0; c < moments.size(); ++c) moments[c].*member = from[c];
                });
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

inline void read(const py::dict& d, cpu::TopK& top, Reading& reading) {
  visit_entry_fields([&](const char* name, auto member, auto) {
    using T = std::decay_t<decltype(Entry{}.*member)>;
    reading.add(field<T>(d, name, static_cast<py::ssize_t>(top.entries.size())),
                [&top, member](const T* from) {
                  for (size_t i = 0; i < top.entries.size(); ++i) top.entries[i].*member = from[i];
                });
  });
  reading.then([&top] {
    require(top.settle(), "state field 'values' holds a filled entry that is not finite");
  });
}

// Visitors that write and read sums of a state.
inline auto writing(py::dict& d, int64_t channels) {
  return [&d, channels](const char* name, Extent extent, const auto& from) {
    using T = std::remove_const_t<std::remove_reference_t<decltype(*data_of(from))>>;
    d[name] = Array<T>(static_cast<py::ssize_t>(entries(extent, channels)), data_of(from));
  };
}
inline auto reading_of(const py::dict& d, int64_t channels, Reading& reading) {
  return [&d, channels, &reading](const char* name, Extent extent, auto& to) {
    using T = std::remove_reference_t<decltype(*data_of(to))>;
    const py::ssize_t length = static_cast<py::ssize_t>(entries(extent, channels));
    reading.add(field<T>(d, name, length),
                [&to, length](const T* from) { std::copy(from, from + length, data_of(to)); });
  };
}

inline py::dict write(const cpu::RowSums& s) {
  py::dict d;
  visit_row_fields(writing(d, s.channels), s);
  return d;
}

inline cpu::RowSums read_rows(const py::dict& d, int64_t channels) {
  cpu::RowSums s(channels);
  Reading reading;
  visit_row_fields(reading_of(d, channels, reading), s);
  reading.run();
  return s;
}

inline py::dict write(const cpu::Samples& s) {
  py::dict d;
  visit_image_fields([&](const char* name, const auto& from) { d[name] = to_array(from); }, s);
  visit_sum_fields(writing(d, static_cast<int64_t>(s.share_sum.size())), s);
  return d;
}

inline void read(const py::dict& d, cpu::Samples& s, Reading& reading) {
  const auto images = field<int64_t>(d, "sample_ids", -1).size();
  visit_image_fields(
      [&](const char* name, auto& to) {
        using T = typename std::remove_reference_t<decltype(to)>::value_type;
        reading.add(field<T>(d, name, images),
                    [&to, images](const T* from) { to.assign(from, from + images); });
      },
      s);
  visit_sum_fields(reading_of(d, static_cast<int64_t>(s.share_sum.size()), reading), s);
}

// Whether an optional part is there.
inline bool wanted(const std::vector<Moments>&, const Options& o, const char*) { return o.moments; }
inline bool wanted(const cpu::TopK&, const Options& o, const std::string& name) {
  return (name == "largest" ? o.largest : o.smallest) > 0;
}
inline bool wanted(const cpu::Samples&, const Options& o, const char*) { return o.samples; }

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

// The state of an accumulator with these options from what `write` returned. Releases the GIL
// while it copies.
inline cpu::State read(const py::dict& d, const Options& options) {
  cpu::State s(options);
  Reading reading;
  s.images = field<int64_t>(d, "images", 1).data()[0];
  visit_parts(
      [&](const char* name, auto& part) {
        if (!wanted(part, options, name)) return;
        if (!d.contains(name)) throw py::key_error(std::string("state is missing '") + name + "'");
        read(py::cast<py::dict>(d[name]), part, reading);
      },
      s);
  py::gil_scoped_release release;
  reading.run();
  return s;
}

}  // namespace tuiprobe
