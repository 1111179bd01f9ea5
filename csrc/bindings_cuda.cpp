// The CUDA part of the Python face. How a state lies in device memory is known in every build.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>
#include <string>

#include "cuda/steps.hpp"
#include "state_arrays.hpp"
#if defined(TUIPROBE_WITH_CUDA)
#include "cuda/update.hpp"
#endif

namespace tuiprobe {

void bind_cuda(py::module_& m);

namespace {

using Quad = std::array<int64_t, 4>;

// Why tensors on a device do not take the kernels (any device if negative); empty where they do.
std::string cuda_reason(int device) {
#if defined(TUIPROBE_WITH_CUDA)
  const char* reason = cuda::unavailable(device);
  return reason == nullptr ? "" : reason;
#else
  static_cast<void>(device);
  return "built without CUDA kernels, which pip install 'tuiprobe[cuda]' "
         "brings: " TUIPROBE_CUDA_REASON;
#endif
}

// The layout of a state in device memory, and its way to and from the CPU.
class DeviceState {
 public:
  DeviceState(int64_t channels, bool moments, int largest, int smallest, bool samples)
      : wanted_{channels, moments, largest, smallest, samples} {
    require(channels >= 1 && channels <= cuda::kMaxChannels, "channels out of the kernels' range");
    require(largest >= 0 && smallest >= 0 && largest <= cuda::kMaxK && smallest <= cuda::kMaxK,
            "k is more than the kernels keep");
    bytes_ = cuda::place(wanted_, nullptr, &state_);
  }

  int64_t bytes() const { return bytes_; }

  // Images that asked for a record, and how many sample ids were negative.
  py::tuple progress(const std::string& bytes) {
    const std::vector<Unit> memory = placed(&bytes);
    return py::make_tuple(state_.progress->recorded, state_.progress->negative_ids);
  }

  // From device memory to what Accumulator.load takes. Of more images than records, the last ones
  // have none.
  py::dict read(const std::string& bytes, const std::string& records) {
    const std::vector<Unit> memory = placed(&bytes);
    cpu::State s(wanted_);
    s.images = state_.progress->images;
    if (wanted_.moments) s.moments.assign(state_.moments, state_.moments + wanted_.channels);
    if (wanted_.largest) read_list(state_.top[0], s.largest);
    if (wanted_.smallest) read_list(state_.top[1], s.smallest);
    if (wanted_.samples) {
      copy_sums(s.samples,
                [](auto* ours, auto* theirs, int64_t n) { std::copy(theirs, theirs + n, ours); });
      read_records(records, s.samples);
    }
    return write(s);
  }

  // The state of an accumulator as device memory, whose records are at `address` with room for
  // `capacity`: the state, and the bytes of its records.
  py::tuple place(const py::dict& d, uintptr_t address, int64_t capacity) {
    const cpu::State s = tuiprobe::read(d, wanted_);
    std::vector<Unit> memory = placed(nullptr);
    const auto recorded = static_cast<int64_t>(s.samples.id.size());
    *state_.progress = {s.images, recorded, 0, reinterpret_cast<cuda::ImageRecord*>(address),
                        capacity};
    std::copy(s.moments.begin(), s.moments.end(), state_.moments);
    if (wanted_.largest) write_list(s.largest, state_.top[0]);
    if (wanted_.smallest) write_list(s.smallest, state_.top[1]);
    if (wanted_.samples) {
      copy_sums(s.samples, [](const auto* ours, auto* theirs, int64_t n) {
        std::copy(ours, ours + n, theirs);
      });
    }
    std::vector<cuda::ImageRecord> records(s.samples.id.size());
    for (size_t i = 0; i < records.size(); ++i) {
      visit_image_fields([i](const char*, auto& to, const auto& from) { to = from[i]; }, records[i],
                         s.samples);
    }
    return py::make_tuple(
        py::bytes(reinterpret_cast<const char*>(memory.data()), static_cast<size_t>(bytes_)),
        py::bytes(reinterpret_cast<const char*>(records.data()),
                  records.size() * sizeof(cuda::ImageRecord)));
  }

  // Whether the kernels read activations as they lie: channels next to each other, one stride
  // between positions, and where rows consist of vectors of 16 bytes, all on 16 bytes.
  bool reads(uintptr_t data, int dtype, const Quad& shape, const Quad& strides) const {
    require(dtype >= 0 && dtype <= 2, "unknown dtype code");
    const int64_t vector = 16 / item_size(static_cast<DType>(dtype));
    const bool whole = shape[3] % vector == 0;
    if (shape[1] != 1 || (shape[3] > 1 && strides[3] != 1) || (whole && data % 16)) return false;
    return !whole || ((shape[0] == 1 || strides[0] % vector == 0) &&
                      (shape[2] == 1 || strides[2] % vector == 0));
  }

  int64_t scratch_bytes(const Quad& shape) const {
    int64_t bytes;
    cuda::make_job(wanted_, view(0, 0, shape, {}), nullptr, nullptr, nullptr, &bytes);
    return bytes;
  }

#if defined(TUIPROBE_WITH_CUDA)
  // All addresses are memory of `device`; enqueues and returns.
  void update(uintptr_t data, int dtype, const Quad& shape, const Quad& strides, uintptr_t ids,
              uintptr_t state, int64_t state_bytes, uintptr_t scratch, int64_t scratch_size,
              uintptr_t stream, int device) const {
    const View x = view(data, dtype, shape, strides);
    require(data != 0 && reads(data, dtype, shape, strides), "rows that the kernels do not read");
    require(state != 0 && state_bytes == bytes_, "state of another size");
    require(scratch_size >= scratch_bytes(shape), "scratch too small");
    const char* error;
    {
      py::gil_scoped_release release;
      error = cuda::update(wanted_, x, reinterpret_cast<const int64_t*>(ids),
                           reinterpret_cast<void*>(state), reinterpret_cast<void*>(scratch),
                           reinterpret_cast<void*>(stream), device);
    }
    if (error != nullptr) throw std::runtime_error(std::string("CUDA: ") + error);
  }
#endif

 private:
  struct alignas(16) Unit {
    char bytes[16];
  };

  // Memory for a state, with these bytes or zeros, to which state_ then points.
  std::vector<Unit> placed(const std::string* bytes) {
    std::vector<Unit> memory(static_cast<size_t>(bytes_) / sizeof(Unit));
    if (bytes != nullptr) {
      require(static_cast<int64_t>(bytes->size()) == bytes_, "state of another size");
      std::memcpy(memory.data(), bytes->data(), bytes->size());
    }
    cuda::place(wanted_, memory.data(), &state_);
    return memory;
  }

  // Calls copy(ours, theirs, n) for every sum of the CPU's and the device's state.
  template <class Samples, class Copy>
  void copy_sums(Samples& ours, Copy copy) {
    visit_sum_fields(
        [&](const char*, Extent extent, auto& our, auto& their) {
          copy(data_of(our), their, entries(extent, wanted_.channels));
        },
        ours, state_.samples);
  }

  void read_list(const cuda::TopState& top, cpu::TopK& out) const {
    for (int64_t c = 0; c < wanted_.channels; ++c) {
      require(top.sizes[c] >= 0 && top.sizes[c] <= top.k, "not the bytes of a state");
      for (int32_t i = 0; i < top.sizes[c]; ++i) out.offer(c, top.lists[c * top.k + i]);
    }
  }

  void write_list(const cpu::TopK& top, cuda::TopState& out) const {
    std::copy(top.entries.begin(), top.entries.end(), out.lists);
    std::copy(top.sizes.begin(), top.sizes.end(), out.sizes);
  }

  void read_records(const std::string& bytes, cpu::Samples& out) const {
    const int64_t recorded = state_.progress->recorded;
    const size_t n = bytes.size() / sizeof(cuda::ImageRecord);
    require(bytes.size() % sizeof(cuda::ImageRecord) == 0, "not the bytes of records");
    require(recorded >= static_cast<int64_t>(n), "more records than images");
    std::vector<cuda::ImageRecord> records(n);
    if (n > 0) std::memcpy(records.data(), bytes.data(), bytes.size());
    for (const cuda::ImageRecord& r : records) {
      require(r.leading >= -1 && r.leading < wanted_.channels, "not the bytes of a state");
      visit_image_fields(
          [](const char*, auto& to, const auto& from) {
            to.push_back(static_cast<typename std::decay_t<decltype(to)>::value_type>(from));
          },
          out, r);
    }
  }

  View view(uintptr_t data, int dtype, const Quad& shape, const Quad& strides) const {
    for (const int64_t size : shape) require(size >= 1 && size < INT32_MAX, "sizes out of range");
    require(shape[1] * shape[2] < INT32_MAX, "more than 2**31 positions");
    require(shape[3] == wanted_.channels, "another number of channels");
    return {reinterpret_cast<const void*>(data),
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

  Options wanted_;
  cuda::State state_;  // its pointers hold during one call
  int64_t bytes_;
};

}  // namespace

void bind_cuda(py::module_& m) {
  py::class_<DeviceState>(m, "DeviceState")
      .def(py::init<int64_t, bool, int, int, bool>(), py::kw_only(), py::arg("channels"),
           py::arg("moments"), py::arg("largest"), py::arg("smallest"), py::arg("samples"))
      .def("progress", [](DeviceState& d, const py::bytes& state) { return d.progress(state); })
      .def("read", [](DeviceState& d, const py::bytes& state,
                      const py::bytes& records) { return d.read(state, records); })
      .def("place", &DeviceState::place, py::arg("state"), py::arg("records"), py::arg("capacity"))
      .def("reads", &DeviceState::reads, py::arg("data"), py::arg("dtype"), py::arg("shape"),
           py::arg("strides"))
      .def("scratch_bytes", &DeviceState::scratch_bytes, py::arg("shape"))
#if defined(TUIPROBE_WITH_CUDA)
      .def("update", &DeviceState::update, py::arg("data"), py::arg("dtype"), py::arg("shape"),
           py::arg("strides"), py::arg("ids"), py::arg("state"), py::arg("state_bytes"),
           py::arg("scratch"), py::arg("scratch_size"), py::arg("stream"), py::arg("device"))
#endif
      .def("bytes", &DeviceState::bytes);
  m.attr("CUDA_MAX_CHANNELS") = cuda::kMaxChannels;
  m.attr("CUDA_MAX_K") = cuda::kMaxK;
  m.attr("CUDA_RECORD_BYTES") = sizeof(cuda::ImageRecord);
  m.def("cuda_reason", &cuda_reason, py::arg("device"));
}

}  // namespace tuiprobe
