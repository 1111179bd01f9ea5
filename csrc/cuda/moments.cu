#include "device.cuh"
#include "groups.hpp"
#include "launch.hpp"

namespace tuiprobe::cuda {
namespace {

template <class T, int kVector>
__global__ void __launch_bounds__(kThreads, 2)
    moments(View x, ChunkPlan plan, const Moments* state, Moments* parts) {
  DeviceContext ctx;
  moments_kernel<T, kVector>(ctx, x, plan, state, parts);
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    strided_moments(View x, ChunkPlan plan, const Moments* state, Moments* parts) {
  DeviceContext ctx;
  strided_moments_kernel<T>(ctx, x, plan, state, parts);
}

template <class T>
void launch(const Job& job, const ChunkPlan& plan, cudaStream_t stream) {
  constexpr int kVector = 16 / sizeof(T);
  constexpr int kShared = kMomentsSharedBytes;
  const View& x = job.x;
  const Moments* state = job.state.moments;
  const dim3 block(kLanes, kDepth);
  const unsigned chunks = static_cast<unsigned>(plan.chunks);
  if (x.channel_stride != 1) {
    const dim3 grid(static_cast<unsigned>(x.channels), chunks);
    strided_moments<T><<<grid, block, kShared, stream>>>(x, plan, state, job.scratch.parts);
  } else if (vectorised<T>(x)) {
    const dim3 grid(tiles(x.channels, kLanes * kVector), chunks);
    moments<T, kVector><<<grid, block, kShared, stream>>>(x, plan, state, job.scratch.parts);
  } else {
    const dim3 grid(tiles(x.channels, kLanes), chunks);
    moments<T, 1><<<grid, block, kShared, stream>>>(x, plan, state, job.scratch.parts);
  }
}

}  // namespace

void launch_moments(const Job& job, const ChunkPlan& plan, cudaStream_t stream) {
  switch (job.x.dtype) {
    case DType::f32:
      return launch<float>(job, plan, stream);
    case DType::f16:
      return launch<Half>(job, plan, stream);
    default:
      return launch<BFloat16>(job, plan, stream);
  }
}

}  // namespace tuiprobe::cuda
