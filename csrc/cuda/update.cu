#include "device.cuh"
#include "steps.hpp"
#include "update.hpp"

namespace tuiprobe::cuda {
namespace {

template <class K>
__global__ void __launch_bounds__(K::kWarps* kLanes, K::kBlocks)
    kernel(const __grid_constant__ typename K::Argument argument) {
  DeviceContext ctx;
  K::run(ctx, argument);
}

struct StreamLauncher {
  cudaStream_t stream;

  template <class K>
  int run(const Grid& grid, const typename K::Argument& argument) {
    // More than 48 KiB must be asked for. An attribute of the kernel that all threads of the
    // process share: always the same, the most that any plan takes.
    if (grid.shared_bytes > 48 << 10) {
      const cudaError_t error = cudaFuncSetAttribute(
          kernel<K>, cudaFuncAttributeMaxDynamicSharedMemorySize, kSharedBytes);
      if (error != cudaSuccess) return error;
    }
    const dim3 blocks(static_cast<unsigned>(grid.x), static_cast<unsigned>(grid.y));
    kernel<K><<<blocks, dim3(kLanes, static_cast<unsigned>(grid.warps)),
                static_cast<size_t>(grid.shared_bytes), stream>>>(argument);
    return cudaGetLastError();
  }
};

// Makes a device current for a while.
class DeviceGuard {
 public:
  explicit DeviceGuard(int device) {
    error_ = cudaGetDevice(&before_);
    if (error_ != cudaSuccess || device == before_) return;
    error_ = cudaSetDevice(device);
    changed_ = error_ == cudaSuccess;
  }
  ~DeviceGuard() {
    if (changed_) cudaSetDevice(before_);
  }
  DeviceGuard(const DeviceGuard&) = delete;
  DeviceGuard& operator=(const DeviceGuard&) = delete;
  cudaError_t error() const { return error_; }

 private:
  int before_ = 0;
  bool changed_ = false;
  cudaError_t error_;
};

}  // namespace

const char* update(const Wanted& wanted, const View& x, const int64_t* ids, void* state,
                   void* scratch, void* stream, int device) {
  if (x.images == 0 || positions(x) == 0) return nullptr;
  const DeviceGuard guard(device);
  int error = guard.error();
  if (error == 0) {
    cudaGetLastError();  // an earlier error of someone else is not ours
    StreamLauncher launcher{static_cast<cudaStream_t>(stream)};
    error = run_update(launcher, wanted, x, ids, state, scratch);
  }
  return error == 0 ? nullptr : cudaGetErrorString(static_cast<cudaError_t>(error));
}

const char* unavailable(int device) {
  int count = 0;
  cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess && count == 0) return "no CUDA device";
  if (error == cudaSuccess && device >= 0) {
    const DeviceGuard guard(device);
    error = guard.error();
    cudaFuncAttributes unused;
    if (error == cudaSuccess) error = cudaFuncGetAttributes(&unused, kernel<FinishKernel>);
  }
  if (error == cudaSuccess) return nullptr;
  cudaGetLastError();
  return cudaGetErrorString(error);
}

}  // namespace tuiprobe::cuda
