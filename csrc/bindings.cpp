// The Python face of the native core: checks arguments, releases the GIL, does no arithmetic.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <string>

#include "cpu/kernels.hpp"
#include "cpu/parallel.hpp"
#include "cpu/precision.hpp"
#include "cpu/stats.hpp"
#include "state_arrays.hpp"

namespace py = pybind11;

namespace tuiprobe {

void bind_cuda(py::module_& m);  // bindings_cuda.cpp

namespace {

using cpu::Options;
using cpu::Samples;
using cpu::State;
using cpu::TopK;

const pid_t kLoadedIn = getpid();

void refuse_forked_child() {
  if (getpid() == kLoadedIn) return;
  throw std::runtime_error(
      "tuiprobe.stats was loaded before this process was forked, and OpenMP's threads do not "
      "survive a fork; start workers with the 'spawn' or 'forkserver' method");
}

// A one-dimensional array field of the given length, checked.
template <class T>
Array<T> field(const py::dict& d, const std::string& name, py::ssize_t length) {
  if (!d.contains(name.c_str())) throw py::key_error("state is missing '" + name + "'");
  const py::object value = d[name.c_str()];
  if (!py::isinstance<Array<T>>(value)) {
    throw py::type_error("state field '" + name + "' must be a contiguous array of " +
                         std::string(py::str(static_cast<py::object>(py::dtype::of<T>()))) +
                         ", got " + std::string(py::str(py::type::of(value))));
  }
  Array<T> a = py::reinterpret_borrow<Array<T>>(value);
  if (length >= 0 && a.size() != length) {
    throw py::value_error("state field '" + name + "' has " + std::to_string(a.size()) +
                          " entries, expected " + std::to_string(length));
  }
  return a;
}

template <class T>
std::vector<T> read(const py::dict& d, const std::string& name, py::ssize_t length) {
  const Array<T> a = field<T>(d, name, length);
  return std::vector<T>(a.data(), a.data() + a.size());
}

void read_moments(const py::dict& d, std::vector<Moments>& moments) {
  const auto n = static_cast<py::ssize_t>(moments.size());
  const auto column = [&](const char* name, auto member) {
    using T = std::decay_t<decltype(moments[0].*member)>;
    const Array<T> a = field<T>(d, name, n);
    for (size_t c = 0; c < moments.size(); ++c) moments[c].*member = a.data()[c];
  };
  column("count", &Moments::count);
  column("nonfinite", &Moments::nonfinite);
  column("mean", &Moments::mean);
  column("m2", &Moments::m2);
  column("m3", &Moments::m3);
  column("m4", &Moments::m4);
  column("min", &Moments::min);
  column("max", &Moments::max);
}

py::dict summarize(const std::vector<Moments>& moments) {
  py::dict d = write_moments(moments);
  const auto n = static_cast<py::ssize_t>(moments.size());
  Array<double> mean(n), var(n), skewness(n), kurtosis(n), min(n), max(n);
  for (py::ssize_t c = 0; c < n; ++c) {
    const MomentSummary s = finalize(moments[c]);
    mean.mutable_data()[c] = s.mean;
    var.mutable_data()[c] = s.var;
    skewness.mutable_data()[c] = s.skewness;
    kurtosis.mutable_data()[c] = s.kurtosis;
    min.mutable_data()[c] = s.min;
    max.mutable_data()[c] = s.max;
  }
  py::dict out;
  out["count"] = d["count"];
  out["mean"] = mean;
  out["var"] = var;
  out["skewness"] = skewness;
  out["kurtosis"] = kurtosis;
  out["min"] = min;
  out["max"] = max;
  out["nonfinite"] = d["nonfinite"];
  return out;
}

void read_topk(const py::dict& d, TopK& top) {
  const auto channels = static_cast<py::ssize_t>(top.sizes.size());
  const auto values = field<float>(d, "values", channels * top.k);
  const auto ids = field<int64_t>(d, "sample_ids", channels * top.k);
  const auto positions = field<int32_t>(d, "positions", channels * top.k);
  for (py::ssize_t at = 0; at < channels * top.k; ++at) {
    const float v = values.data()[at];
    if (ids.data()[at] < 0) continue;
    if (!is_finite(v))
      throw py::value_error("state field 'values' holds a filled entry that is not finite");
    top.offer(at / top.k, {(top.smallest ? -v : v) + 0.0f, positions.data()[at], ids.data()[at]});
  }
}

Samples read_samples(const py::dict& d, int64_t channels) {
  Samples s(channels);
  s.ids = read<int64_t>(d, "sample_ids", -1);
  const auto n = static_cast<py::ssize_t>(s.ids.size());
  s.kurtosis = read<double>(d, "kurtosis", n);
  s.self_share = read<double>(d, "self_share", n);
  s.leading = read<int32_t>(d, "leading", n);
  s.share_sum = read<double>(d, "share_sum", channels);
  s.share_square_sum = field<double>(d, "share_square_sum", 1).data()[0];
  s.leading_count = read<int64_t>(d, "leading_count", channels);
  s.exceed_count = read<int64_t>(d, "exceed_count", channels);
  s.norm_histogram = read<int64_t>(d, "norm_histogram", kNormBins);
  s.rows = field<int64_t>(d, "rows", 1).data()[0];
  s.degenerate = field<int64_t>(d, "degenerate", 1).data()[0];
  return s;
}

py::dict section(const py::dict& d, const char* name) {
  if (!d.contains(name)) throw py::key_error(std::string("state is missing '") + name + "'");
  return py::cast<py::dict>(d[name]);
}

// State and its mutex. No method holds the mutex while it waits for the GIL.
class Accumulator {
 public:
  Accumulator(int64_t channels, bool moments, int largest, int smallest, bool samples) {
    if (channels < 1 || channels > (int64_t{1} << 24)) {
      throw py::value_error("channels must be between 1 and 2**24, got " +
                            std::to_string(channels));
    }
    if (largest < 0 || smallest < 0 || largest > 65536 || smallest > 65536) {
      throw py::value_error("k must be between 1 and 65536");
    }
    state_ = State(Options{channels, moments, largest, smallest, samples});
  }

  void update(uintptr_t data, int dtype, std::array<int64_t, 4> shape,
              std::array<int64_t, 4> strides, const py::object& ids, int threads) {
    refuse_forked_child();
    if (dtype < 0 || dtype > 2) throw py::value_error("unknown dtype code");
    for (const int64_t size : shape) {
      if (size < 0) throw py::value_error("sizes must not be negative");
    }
    if (shape[3] != state_.options.channels) {
      throw py::value_error("expected " + std::to_string(state_.options.channels) +
                            " channels, got " + std::to_string(shape[3]));
    }
    if (shape[1] * shape[2] > INT32_MAX) throw py::value_error("more than 2**31 positions");
    const bool empty = shape[0] == 0 || shape[1] == 0 || shape[2] == 0;
    if (data == 0 && !empty) throw py::value_error("null data pointer");
    const int64_t* id_data = nullptr;
    Array<int64_t> id_array;
    if (!ids.is_none()) {
      if (!py::isinstance<Array<int64_t>>(ids)) throw py::type_error("sample_ids must be int64");
      id_array = py::reinterpret_borrow<Array<int64_t>>(ids);
      if (id_array.size() != shape[0]) {
        throw py::value_error("got " + std::to_string(id_array.size()) + " sample_ids for " +
                              std::to_string(shape[0]) + " images");
      }
      id_data = id_array.data();
    }
    const View view{reinterpret_cast<const void*>(data),
                    static_cast<DType>(dtype),
                    shape[0],
                    shape[1],
                    shape[2],
                    shape[3],
                    strides[0],
                    strides[1],
                    strides[2],
                    strides[3]};
    py::gil_scoped_release release;
    const std::lock_guard<std::mutex> lock(mutex_);
    cpu::update(state_, view, id_data, threads);
  }

  void merge(const Accumulator& other) {
    if (this == &other) throw py::value_error("an accumulator cannot be merged into itself");
    const Options &a = state_.options, &b = other.state_.options;
    if (a.channels != b.channels || a.moments != b.moments || a.largest != b.largest ||
        a.smallest != b.smallest || a.samples != b.samples) {
      throw py::value_error("accumulators differ in channels, k or kind");
    }
    py::gil_scoped_release release;
    const std::scoped_lock lock(mutex_, other.mutex_);
    state_.merge(other.state_);
  }

  int64_t images() const { return copy(Options{}).images; }

  py::dict state() const { return write(copy(state_.options), false); }

  // Only the named part ("moments", "largest", "smallest", "samples"), or all for "".
  py::dict summary(const std::string& part) const {
    Options wanted = state_.options;
    if (!part.empty()) {
      wanted.moments = wanted.moments && part == "moments";
      wanted.largest = part == "largest" ? wanted.largest : 0;
      wanted.smallest = part == "smallest" ? wanted.smallest : 0;
      wanted.samples = wanted.samples && part == "samples";
    }
    return write(copy(wanted), true);
  }

  void load(const py::dict& d) {
    State next(state_.options);
    next.images = field<int64_t>(d, "images", 1).data()[0];
    if (next.options.moments) read_moments(section(d, "moments"), next.moments);
    if (next.options.largest) read_topk(section(d, "largest"), next.largest);
    if (next.options.smallest) read_topk(section(d, "smallest"), next.smallest);
    if (next.options.samples)
      next.samples = read_samples(section(d, "samples"), next.options.channels);
    py::gil_scoped_release release;
    const std::lock_guard<std::mutex> lock(mutex_);
    std::swap(state_, next);
  }

 private:
  State copy(const Options& wanted) const {
    py::gil_scoped_release release;
    State out;
    out.options = wanted;
    const std::lock_guard<std::mutex> lock(mutex_);
    out.images = state_.images;
    if (wanted.moments) out.moments = state_.moments;
    if (wanted.largest) out.largest = state_.largest;
    if (wanted.smallest) out.smallest = state_.smallest;
    if (wanted.samples) out.samples = state_.samples;
    return out;
  }

  static py::dict write(const State& s, bool final) {
    py::dict d;
    d["images"] = to_array(std::vector<int64_t>{s.images});
    if (s.options.moments) d["moments"] = final ? summarize(s.moments) : write_moments(s.moments);
    if (s.options.largest) d["largest"] = write_topk(s.largest);
    if (s.options.smallest) d["smallest"] = write_topk(s.smallest);
    if (s.options.samples) d["samples"] = write_samples(s.samples);
    return d;
  }

  State state_;
  mutable std::mutex mutex_;
};

// Arrays as tuiprobe.stats prepares them; checked again, so that no call can read out of bounds.
py::tuple average_precision(uintptr_t data, int dtype, std::array<int64_t, 2> shape,
                            std::array<int64_t, 2> strides, const Array<int64_t>& starts,
                            const Array<int32_t>& concepts, const Array<double>& positives,
                            const Array<double>& false_weight, const Array<uint64_t>& groups,
                            const Array<int32_t>& concept_group, bool both_signs, int threads) {
  refuse_forked_child();
  require(dtype >= 0 && dtype <= 2, "unknown dtype code");
  require(shape[0] >= 0 && shape[1] >= 0 && shape[0] < INT32_MAX, "sizes out of range");
  require(data != 0 || shape[0] * shape[1] == 0, "null data pointer");
  const int64_t count = positives.size();
  require(starts.size() == shape[0] + 1 && starts.data()[0] == 0, "starts do not fit the images");
  for (int64_t i = 0; i < shape[0]; ++i) {
    require(starts.data()[i] <= starts.data()[i + 1], "starts must not decrease");
  }
  require(starts.data()[shape[0]] == concepts.size(), "starts do not fit the concepts");
  for (int64_t i = 0; i < concepts.size(); ++i) {
    require(concepts.data()[i] >= 0 && concepts.data()[i] < count, "concept out of range");
  }
  require(false_weight.size() == count, "one weight a concept");
  const bool grouped = groups.size() > 0;
  if (grouped) {
    require(groups.size() == shape[0] && concept_group.size() == count, "groups do not fit");
    for (int64_t c = 0; c < count; ++c) {
      const int32_t g = concept_group.data()[c];
      require(g >= 0 && g < kMaxGroups, "group out of range");
    }
  }
  Array<double> out(std::vector<py::ssize_t>{shape[1], count});
  const cpu::Scores scores{reinterpret_cast<const void*>(data),
                           static_cast<DType>(dtype),
                           shape[0],
                           shape[1],
                           strides[0],
                           strides[1]};
  const Labels labels{
      starts.data(),       concepts.data(), shape[0], count, grouped ? groups.data() : nullptr,
      concept_group.data()};
  double* to = out.mutable_data();
  int64_t bad;
  {
    py::gil_scoped_release release;
    bad = cpu::average_precision(scores, labels, positives.data(), false_weight.data(), both_signs,
                                 threads, to);
  }
  return py::make_tuple(out, bad);
}

// Reads `count` floats with the loops and threads of the statistics; for benchmarks.
double read_memory(uintptr_t data, int64_t count, int flavour, int threads) {
  refuse_forked_child();
  const char* error = nullptr;
  const cpu::Kernels* set = cpu::kernels(&error);
  if (set == nullptr) throw std::runtime_error(error);
  require(data != 0 && count >= 0, "nothing to read");
  py::gil_scoped_release release;
  constexpr int64_t kBlocks = 64;
  std::vector<float> sums(kBlocks);
  cpu::parallel_for(threads, kBlocks, [&](int64_t b, int) {
    const int64_t first = count * b / kBlocks;
    sums[b] = set->read(reinterpret_cast<const float*>(data) + first,
                        count * (b + 1) / kBlocks - first, flavour);
  });
  double sum = 0;
  for (const float s : sums) sum += static_cast<double>(s);
  return sum;
}

std::string isa() {
  const char* error = nullptr;
  const cpu::Kernels* set = cpu::kernels(&error);
  if (set == nullptr) throw std::runtime_error(error);
  return set->name;
}

py::list isas() {
  py::list out;
  for (const char* name : {"generic", "avx2", "avx512"}) {
    if (cpu::find_kernels(name) != nullptr) out.append(name);
  }
  return out;
}

}  // namespace
}  // namespace tuiprobe

PYBIND11_MODULE(_native, m) {
  using tuiprobe::Accumulator;
  m.doc() = "tuiprobe's native core; use it through tuiprobe.stats.";
  py::class_<Accumulator>(m, "Accumulator")
      .def(py::init<int64_t, bool, int, int, bool>(), py::kw_only(), py::arg("channels"),
           py::arg("moments"), py::arg("largest"), py::arg("smallest"), py::arg("samples"))
      .def("update", &Accumulator::update, py::arg("data"), py::arg("dtype"), py::arg("shape"),
           py::arg("strides"), py::arg("sample_ids").none(true), py::arg("threads"))
      .def("images", &Accumulator::images, "Images seen so far.")
      .def("merge", &Accumulator::merge, py::arg("other"))
      .def("state", &Accumulator::state)
      .def("summary", &Accumulator::summary, py::arg("part") = "")
      .def("load", &Accumulator::load, py::arg("state"));
  m.def("average_precision", &tuiprobe::average_precision, py::arg("data"), py::arg("dtype"),
        py::arg("shape"), py::arg("strides"), py::arg("starts"), py::arg("concepts"),
        py::arg("positives"), py::arg("false_weight"), py::arg("groups"), py::arg("concept_group"),
        py::arg("both_signs"), py::arg("threads"));
  tuiprobe::bind_cuda(m);
  m.def("read_memory", &tuiprobe::read_memory, py::arg("data"), py::arg("count"),
        py::arg("flavour"), py::arg("threads"));
  m.def("isa", &tuiprobe::isa, "Instruction set in use.");
  m.def("isas", &tuiprobe::isas, "Instruction sets this machine can run.");
  m.def(
      "build", [] { return std::string(TUIPROBE_BUILD); },
      "Compilers of the module and a digest of its source.");
  m.def("openmp_runtime", &tuiprobe::cpu::parallel_runtime,
        "File of the OpenMP runtime in use; empty: single-threaded.");
}
