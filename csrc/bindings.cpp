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

using cpu::State;

const pid_t kLoadedIn = getpid();

void refuse_forked_child() {
  if (getpid() == kLoadedIn) return;
  throw std::runtime_error(
      "tuiprobe.stats was loaded before this process was forked, and OpenMP's threads do not "
      "survive a fork; start workers with the 'spawn' or 'forkserver' method");
}

py::dict summarize(const std::vector<Moments>& moments) {
  py::dict d = write(moments);
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

int64_t checked_channels(int64_t channels) {
  if (channels < 1 || channels > (int64_t{1} << 24)) {
    throw py::value_error("channels must be between 1 and 2**24, got " + std::to_string(channels));
  }
  return channels;
}

View checked_view(uintptr_t data, int dtype, const std::array<int64_t, 4>& shape,
                  const std::array<int64_t, 4>& strides, int64_t channels) {
  refuse_forked_child();
  if (dtype < 0 || dtype > 2) throw py::value_error("unknown dtype code");
  for (const int64_t size : shape) {
    if (size < 0) throw py::value_error("sizes must not be negative");
  }
  if (shape[3] != channels) {
    throw py::value_error("expected " + std::to_string(channels) + " channels, got " +
                          std::to_string(shape[3]));
  }
  if (shape[1] * shape[2] > INT32_MAX) throw py::value_error("more than 2**31 positions");
  const bool empty = shape[0] == 0 || shape[1] == 0 || shape[2] == 0;
  if (data == 0 && !empty) throw py::value_error("null data pointer");
  return View{reinterpret_cast<const void*>(data),
              static_cast<DType>(dtype),
              shape[0],
              shape[1],
              shape[2],
              shape[3],
              strides[0],
              strides[1],
              strides[2],
              strides[3]};
}

// State and its mutex. No method holds the mutex while it waits for the GIL.
class Accumulator {
 public:
  Accumulator(int64_t channels, bool moments, int largest, int smallest, bool samples) {
    checked_channels(channels);
    if (largest < 0 || smallest < 0 || largest > 65536 || smallest > 65536) {
      throw py::value_error("k must be between 0 and 65536");
    }
    state_ = State(Options{channels, moments, largest, smallest, samples});
  }

  void update(uintptr_t data, int dtype, std::array<int64_t, 4> shape,
              std::array<int64_t, 4> strides, const py::object& ids, int threads) {
    const View view = checked_view(data, dtype, shape, strides, state_.options.channels);
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

  py::dict state() const { return write(copy(state_.options)); }

  // Only the named part ("moments", "largest", "smallest", "samples"), or all for "".
  py::dict summary(const std::string& part) const {
    Options wanted = state_.options;
    if (!part.empty()) {
      wanted.moments = wanted.moments && part == "moments";
      wanted.largest = part == "largest" ? wanted.largest : 0;
      wanted.smallest = part == "smallest" ? wanted.smallest : 0;
      wanted.samples = wanted.samples && part == "samples";
    }
    const State s = copy(wanted);
    py::dict d = write(s);
    if (wanted.moments) d["moments"] = summarize(s.moments);
    return d;
  }

  void load(const py::dict& d) {
    State next = read(d, state_.options);
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
    visit_parts(
        [&](const char* name, auto& to, const auto& from) {
          if (tuiprobe::wanted(from, wanted, name)) to = from;
        },
        out, state_);
    return out;
  }

  State state_;
  mutable std::mutex mutex_;
};

// Sums over rows, one an image, with their mutex.
class RowAccumulator {
 public:
  explicit RowAccumulator(int64_t channels) : sums_(checked_channels(channels)) {}

  // Rows as `Accumulator` takes images of one position each.
  void update(uintptr_t data, int dtype, std::array<int64_t, 4> shape,
              std::array<int64_t, 4> strides, const Array<int64_t>& ids, int threads) {
    const View view = checked_view(data, dtype, shape, strides, sums_.channels);
    require(shape[1] * shape[2] == 1, "one position an image");
    require(ids.size() == shape[0], "one id an image");
    const int64_t* const id_data = ids.data();
    py::gil_scoped_release release;
    const std::lock_guard<std::mutex> lock(mutex_);
    sums_.update(view, id_data, threads);
  }

  void merge(const RowAccumulator& other) {
    require(this != &other, "an accumulator cannot be merged into itself");
    require(sums_.channels == other.sums_.channels, "accumulators differ in channels");
    py::gil_scoped_release release;
    const std::scoped_lock lock(mutex_, other.mutex_);
    sums_.merge(other.sums_);
  }

  py::dict state() const {
    cpu::RowSums copied;
    {
      py::gil_scoped_release release;
      const std::lock_guard<std::mutex> lock(mutex_);
      copied = sums_;
    }
    return write(copied);
  }

  void load(const py::dict& d) {
    cpu::RowSums next = read_rows(d, sums_.channels);
    py::gil_scoped_release release;
    const std::lock_guard<std::mutex> lock(mutex_);
    std::swap(sums_, next);
  }

 private:
  cpu::RowSums sums_;
  mutable std::mutex mutex_;
};

std::vector<float> height_edges() { return {kHeightEdge, kHeightEdge + kHeightEdges}; }

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
  using tuiprobe::RowAccumulator;
  py::class_<RowAccumulator>(m, "RowAccumulator")
      .def(py::init<int64_t>(), py::arg("channels"))
      .def("update", &RowAccumulator::update, py::arg("data"), py::arg("dtype"), py::arg("shape"),
           py::arg("strides"), py::arg("sample_ids"), py::arg("threads"))
      .def("merge", &RowAccumulator::merge, py::arg("other"))
      .def("state", &RowAccumulator::state)
      .def("load", &RowAccumulator::load, py::arg("state"));
  m.def("height_edges", &tuiprobe::height_edges, "Edges of the bins of heights, in sigmas.");
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
  m.attr("VERSION") = TUIPROBE_VERSION;
  m.def("openmp_runtime", &tuiprobe::cpu::parallel_runtime,
        "File of the OpenMP runtime in use; empty: single-threaded.");
}
