#include "device.cuh"
#include "launch.hpp"
#include "stats_kernels.hpp"

namespace tuiprobe::cuda {
namespace {

template <class T, bool kStaged>
__global__ void __launch_bounds__(kThreads, 2) stats(const __grid_constant__ Job job) {
  DeviceContext ctx;
  stats_kernel<T, kStaged>(ctx, job);
}

__global__ void __launch_bounds__(kThreads)
    finish(const __grid_constant__ Job job, int64_t moment_chunks) {
  DeviceContext ctx;
  finish_kernel(ctx, job, moment_chunks);
}

template <class T, bool kStaged>
cudaError_t launch(const Job& job, cudaStream_t stream) {
  const int bytes = job.plan.shared_bytes;
  // More than 48 KiB must be asked for. An attribute of the kernel that all threads of the process
  // share: always the same, the largest that any plan takes.
  const cudaError_t error = cudaFuncSetAttribute(
      stats<T, kStaged>, cudaFuncAttributeMaxDynamicSharedMemorySize, kBlockBytes);
  if (error != cudaSuccess) return error;
  stats<T, kStaged><<<static_cast<unsigned>(job.plan.chunks), dim3(kLanes, kDepth),
                      static_cast<size_t>(bytes), stream>>>(job);
  return cudaSuccess;
}

template <class T>
cudaError_t launch(const Job& job, cudaStream_t stream) {
  return job.plan.staged ? launch<T, true>(job, stream) : launch<T, false>(job, stream);
}

}  // namespace

cudaError_t launch_stats(const Job& job, cudaStream_t stream) {
  switch (job.x.dtype) {
    case DType::f32:
      return launch<float>(job, stream);
    case DType::f16:
      return launch<Half>(job, stream);
    default:
      return launch<BFloat16>(job, stream);
  }
}

cudaError_t find_code() {
  cudaFuncAttributes unused;
  return cudaFuncGetAttributes(&unused, finish);
}

void launch_finish(const Job& job, int64_t moment_chunks, cudaStream_t stream) {
  finish<<<tiles(job.x.channels, kDepth), dim3(kLanes, kDepth), kMomentsSharedBytes, stream>>>(
      job, moment_chunks);
}

}  // namespace tuiprobe::cuda
