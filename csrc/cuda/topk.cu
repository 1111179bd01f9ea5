#include "device.cuh"
#include "launch.hpp"
#include "topk_kernels.hpp"

namespace tuiprobe::cuda {
namespace {

__global__ void __launch_bounds__(kThreads) limits(const __grid_constant__ Job job) {
  DeviceContext ctx;
  limits_kernel(ctx, job);
}

__global__ void __launch_bounds__(kThreads) select(const __grid_constant__ Job job) {
  DeviceContext ctx;
  select_kernel(ctx, job);
}

dim3 channels_and_ends(const Job& job) { return {static_cast<unsigned>(job.x.channels), 2, 1}; }

}  // namespace

void launch_limits(const Job& job, cudaStream_t stream) {
  limits<<<channels_and_ends(job), dim3(kLanes, kDepth),
           static_cast<size_t>(limits_shared_bytes(job)), stream>>>(job);
}

void launch_select(const Job& job, cudaStream_t stream) {
  select<<<channels_and_ends(job), dim3(kLanes, kDepth),
           static_cast<size_t>(select_shared_bytes(job)), stream>>>(job);
}

}  // namespace tuiprobe::cuda
