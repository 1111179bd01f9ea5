// The CUDA part of the Python face. How a state lies in device memory is known in every build.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>

#include "cuda/state.hpp"
#include "state_arrays.hpp"
#if defined(TUIPROBE_WITH_CUDA)
#include "cuda/update.hpp"
#endif

namespace tuiprobe {

void bind_cuda(py::module_& m);

namespace {

// Why tensors on a device do not take the kernels (any device if negative); empty where they do.
std::string cuda_reason(int device) {
#if defined(TUIPROBE_WITH_CUDA)
  const char* reason = cuda::unavailable(device);
  return reason == nullptr ? "" : reason;
#else
  static_cast<void>(device);
  return "built without CUDA: " TUIPROBE_CUDA_REASON;
#endif
}

cpu::TopK read_list(const cuda::TopState& top, int64_t channels) {
  cpu::TopK out(channels, top.k, top.smallest);
  for (int64_t c = 0; c < channels; ++c) {
    require(top.sizes[c] >= 0 && top.sizes[c] <= top.k, "not the bytes of a state");
    for (int32_t i = 0; i < top.sizes[c]; ++i) out.offer(c, top.list(c)[i]);
  }
  return out;
}

cpu::Samples read_images(const cuda::State& state, const std::string& bytes, int64_t images) {
  const auto n = static_cast<size_t>(images);
  require(bytes.size() == n * sizeof(cuda::ImageRecord), "records of another number");
  std::vector<cuda::ImageRecord> records(n);
  if (n > 0) std::memcpy(records.data(), bytes.data(), bytes.size());
  cpu::Samples out(state.channels);
  for (const cuda::ImageRecord& r : records) {
    out.ids.push_back(r.id);
    out.kurtosis.push_back(r.kurtosis);
    out.self_share.push_back(r.self_share);
    out.leading.push_back(static_cast<int32_t>(r.leading));
    if (r.leading < 0) {
      ++out.degenerate;
    } else {
      require(r.leading < state.channels, "not the bytes of a state");
      ++out.leading_count[static_cast<size_t>(r.leading)];
      out.share_square_sum += r.self_share;
    }
  }
  out.share_sum.assign(state.share_sum, state.share_sum + state.channels);
  out.exceed_count.assign(state.exceed, state.exceed + state.channels);
  out.norm_histogram.assign(state.norms, state.norms + kNormBins);
  out.rows = state.progress->rows;
  return out;
}

// The layout of a state in device memory, and what can be done with it.
class DeviceState {
 public:
  DeviceState(int64_t channels, bool moments, int largest, int smallest, bool samples)
      : wanted_{channels, moments, largest, smallest, samples} {
    require(channels >= 1 && channels <= (int64_t{1} << 24), "channels out of range");
    require(largest >= 0 && smallest >= 0 && largest <= cuda::kMaxK && smallest <= cuda::kMaxK,
            "k is more than the kernels keep");
    bytes_ = cuda::place(wanted_, nullptr, &state_);
  }

  int64_t bytes() const { return bytes_; }

  // A state without images, whose running numbers start at `base` and whose records go to the
  // device memory at `records`.
  py::bytes empty(int64_t base, uintptr_t records, int64_t capacity) {
    std::vector<Unit> memory = place_in_memory(nullptr);
    *state_.progress = {base, 0, 0, reinterpret_cast<cuda::ImageRecord*>(records), capacity};
    for (int64_t c = 0; wanted_.moments && c < wanted_.channels; ++c) {
      state_.moments[c] = Moments();
    }
    return py::bytes(reinterpret_cast<const char*>(memory.data()), static_cast<size_t>(bytes_));
  }

  // Images in a state, and for how many of them there was room for a record.
  py::tuple images(const std::string& bytes) {
    const std::vector<Unit> memory = place_in_memory(&bytes);
    const cuda::Progress& p = *state_.progress;
    return py::make_tuple(p.images, p.images < p.capacity ? p.images : p.capacity);
  }

  // What Accumulator.load takes. `records` are those of all images.
  py::dict read(const std::string& bytes, const std::string& records) {
    const std::vector<Unit> memory = place_in_memory(&bytes);
    const int64_t images = state_.progress->images, channels = wanted_.channels;
    py::dict d;
    d["images"] = to_array(std::vector<int64_t>{images});
    if (wanted_.moments) {
      d["moments"] = write_moments(std::vector<Moments>(state_.moments, state_.moments + channels));
    }
    if (wanted_.largest) d["largest"] = write_topk(read_list(state_.top[0], channels));
    if (wanted_.smallest) d["smallest"] = write_topk(read_list(state_.top[1], channels));
    if (wanted_.samples) d["samples"] = write_samples(read_images(state_, records, images));
    return d;
  }

#if defined(TUIPROBE_WITH_CUDA)
  int64_t scratch_bytes(int dtype, std::array<int64_t, 4> shape,
                        std::array<int64_t, 4> strides) const {
    return cuda::scratch_bytes(wanted_, view(16, dtype, shape, strides));
  }

  // All addresses are memory of `device`; enqueues and returns.
  void update(uintptr_t data, int dtype, std::array<int64_t, 4> shape,
              std::array<int64_t, 4> strides, uintptr_t ids, uintptr_t state, int64_t state_bytes,
              uintptr_t scratch, int64_t scratch_size, uintptr_t stream, int device) const {
    const View x = view(data, dtype, shape, strides);
    require(state != 0 && state_bytes == bytes_, "state of another size");
    require(scratch_size >= cuda::scratch_bytes(wanted_, x), "scratch too small");
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

  std::vector<Unit> place_in_memory(const std::string* bytes) {
    std::vector<Unit> memory(static_cast<size_t>(bytes_) / sizeof(Unit));
    if (bytes != nullptr) {
      require(static_cast<int64_t>(bytes->size()) == bytes_, "state of another size");
      std::memcpy(memory.data(), bytes->data(), bytes->size());
    }
    cuda::place(wanted_, memory.data(), &state_);
    return memory;
  }

#if defined(TUIPROBE_WITH_CUDA)
  View view(uintptr_t data, int dtype, std::array<int64_t, 4> shape,
            std::array<int64_t, 4> strides) const {
    require(dtype >= 0 && dtype <= 2, "unknown dtype code");
    for (const int64_t size : shape) require(size >= 0 && size < INT32_MAX, "sizes out of range");
    require(shape[1] * shape[2] < INT32_MAX, "more than 2**31 positions");
    require(shape[3] == wanted_.channels, "another number of channels");
    require(data != 0 || shape[0] * shape[1] * shape[2] == 0, "null data pointer");
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
#endif

  cuda::Wanted wanted_;
  cuda::State state_;  // its pointers hold during one call
  int64_t bytes_;
};

}  // namespace

void bind_cuda(py::module_& m) {
  py::class_<DeviceState>(m, "DeviceState")
      .def(py::init<int64_t, bool, int, int, bool>(), py::kw_only(), py::arg("channels"),
           py::arg("moments"), py::arg("largest"), py::arg("smallest"), py::arg("samples"))
      .def("empty", &DeviceState::empty, py::arg("base"), py::arg("records"), py::arg("capacity"))
      .def("images", [](DeviceState& d, const py::bytes& state) { return d.images(state); })
      .def("read", [](DeviceState& d, const py::bytes& state,
                      const py::bytes& records) { return d.read(state, records); })
#if defined(TUIPROBE_WITH_CUDA)
      .def("scratch_bytes", &DeviceState::scratch_bytes, py::arg("dtype"), py::arg("shape"),
           py::arg("strides"))
      .def("update", &DeviceState::update, py::arg("data"), py::arg("dtype"), py::arg("shape"),
           py::arg("strides"), py::arg("ids"), py::arg("state"), py::arg("state_bytes"),
           py::arg("scratch"), py::arg("scratch_size"), py::arg("stream"), py::arg("device"))
#endif
      .def("bytes", &DeviceState::bytes);
  m.attr("CUDA_MAX_K") = cuda::kMaxK;
  m.attr("CUDA_RECORD_BYTES") = sizeof(cuda::ImageRecord);
  m.def("cuda_reason", &cuda_reason, py::arg("device"));
}

}  // namespace tuiprobe
