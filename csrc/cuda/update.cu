#include "device.cuh"
#include "steps.hpp"
#include "update.hpp"

namespace tuiprobe::cuda {
namespace {

template <class K>
__global__ void __launch_bounds__(K::kWarps* kLanes, K::kBlocks)
    kernel(const __grid_constant__ Job job) {
  DeviceContext ctx;
  K::run(ctx, job);
}

struct StreamLauncher {
  cudaStream_t stream;

  template <class K>
  int run(const Grid& grid, const Job& job) {
    // More than 48 KiB must be asked for. An attribute of the kernel that all threads of the
    // process share: always the same, the most that any plan takes.
    if (grid.shared_bytes > 48 << 10) {
      const cudaError_t error = cudaFuncSetAttribute(
          kernel<K>, cudaFuncAttributeMaxDynamicSharedMemorySize, kSharedBytes);
      if (error != cudaSuccess) return error;
    }
    const dim3 blocks(static_cast<unsigned>(grid.x), static_cast<unsigned>(grid.y));
    kernel<K><<<blocks, dim3(kLanes, static_cast<unsigned>(grid.warps)),
                static_cast<size_t>(grid.shared_bytes), stream>>>(job);
    return cudaGetLastError();
  }
};

// Makes a device current for a while.
struct DeviceGuard {
  int before = 0;
  bool changed = false;
  cudaError_t error;

  explicit DeviceGuard(int device) : error(cudaGetDevice(&before)) {
    if (error != cudaSuccess || device == before) return;
    error = cudaSetDevice(device);
    changed = error == cudaSuccess;
  }
  DeviceGuard(const DeviceGuard&) = delete;
  ~DeviceGuard() {
    if (changed) cudaSetDevice(before);
  }
};

}  // namespace

const char* update(const Options& options, const View& x, const int64_t* ids, void* state,
                   void* scratch, void* stream, int device) {
  const DeviceGuard guard(device);
  int error = guard.error;
  if (error == 0) {
    cudaGetLastError();  // an earlier error of someone else is not ours
    StreamLauncher launcher{static_cast<cudaStream_t>(stream)};
    error = run_update(launcher, options, x, ids, state, scratch);
  }
  return error == 0 ? nullptr : cudaGetErrorString(static_cast<cudaError_t>(error));
}

const char* unavailable(int device) {
  int count = 0;
  cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess && device >= 0) {
    const DeviceGuard guard(device);
    error = guard.error;
    cudaFuncAttributes unused;
    if (error == cudaSuccess) error = cudaFuncGetAttributes(&unused, kernel<FinishKernel>);
  }
  if (error == cudaSuccess) return nullptr;
  cudaGetLastError();
  return cudaGetErrorString(error);
}

}  // namespace tuiprobe::cuda
