#include <cuda_runtime.h>

#include "moments.hpp"
#include "moments_kernels.hpp"

namespace tuiprobe::cuda {
namespace {

// One load of up to 16 bytes.
template <int kBytes>
struct Bits;
template <>
struct Bits<16> {
  using type = uint4;
};
template <>
struct Bits<4> {
  using type = uint32_t;
};
template <>
struct Bits<2> {
  using type = uint16_t;
};

struct DeviceContext {
  __device__ int lane() const { return static_cast<int>(threadIdx.x); }
  __device__ int depth() const { return static_cast<int>(threadIdx.y); }
  __device__ int64_t block_x() const { return blockIdx.x; }
  __device__ int64_t block_y() const { return blockIdx.y; }
  __device__ void barrier() const { __syncthreads(); }

  template <class T>
  __device__ T* shared() const {
    extern __shared__ __align__(16) char memory[];
    return reinterpret_cast<T*>(memory);
  }

  template <class T, int kVector>
  __device__ void load(const T* from, T* to) const {
    using Word = typename Bits<sizeof(T) * kVector>::type;
    const Word word = __ldg(reinterpret_cast<const Word*>(from));
    memcpy(to, &word, sizeof word);
  }
};

template <class T, int kVector>
__global__ void __launch_bounds__(kThreads)
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

__global__ void __launch_bounds__(kThreads)
    merge_moments(const Moments* parts, int64_t channels, int64_t chunks, Moments* state) {
  DeviceContext ctx;
  merge_moments_kernel(ctx, parts, channels, chunks, state);
}

// Whether every row starts on 16 bytes and is a whole number of vectors.
template <class T>
bool vectorised(const View& x) {
  constexpr int64_t kVector = 16 / sizeof(T);
  return x.channels % kVector == 0 && reinterpret_cast<uintptr_t>(x.data) % 16 == 0 &&
         x.image_stride % kVector == 0 && x.row_stride % kVector == 0 &&
         x.column_stride % kVector == 0;
}

unsigned tiles(int64_t channels, int64_t each) {
  return static_cast<unsigned>((channels + each - 1) / each);
}

template <class T>
void launch(const View& x, const ChunkPlan& plan, const Moments* state, Moments* parts,
            cudaStream_t stream) {
  constexpr int kVector = 16 / sizeof(T);
  const dim3 block(kLanes, kDepth);
  const unsigned chunks = static_cast<unsigned>(plan.chunks);
  if (x.channel_stride != 1) {
    const dim3 grid(static_cast<unsigned>(x.channels), chunks);
    strided_moments<T><<<grid, block, kSharedBytes, stream>>>(x, plan, state, parts);
  } else if (vectorised<T>(x)) {
    const dim3 grid(tiles(x.channels, kLanes * kVector), chunks);
    moments<T, kVector><<<grid, block, kSharedBytes, stream>>>(x, plan, state, parts);
  } else {
    const dim3 grid(tiles(x.channels, kLanes), chunks);
    moments<T, 1><<<grid, block, kSharedBytes, stream>>>(x, plan, state, parts);
  }
}

}  // namespace

int64_t scratch_bytes(const View& x) {
  return plan_chunks(x).chunks * x.channels * static_cast<int64_t>(sizeof(Moments));
}

const char* update_moments(const View& x, Moments* state, void* scratch, void* stream) {
  const ChunkPlan plan = plan_chunks(x);
  if (plan.rows == 0) return nullptr;
  const cudaStream_t on = static_cast<cudaStream_t>(stream);
  Moments* parts = static_cast<Moments*>(scratch);
  cudaGetLastError();  // an earlier error of someone else is not ours
  switch (x.dtype) {
    case DType::f32:
      launch<float>(x, plan, state, parts, on);
      break;
    case DType::f16:
      launch<Half>(x, plan, state, parts, on);
      break;
    default:
      launch<BFloat16>(x, plan, state, parts, on);
  }
  merge_moments<<<tiles(x.channels, kDepth), dim3(kLanes, kDepth), kSharedBytes, on>>>(
      parts, x.channels, plan.chunks, state);
  const cudaError_t error = cudaGetLastError();
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

const char* unavailable() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess) {
    cudaGetLastError();
    return cudaGetErrorString(error);
  }
  return count > 0 ? nullptr : "no CUDA device";
}

}  // namespace tuiprobe::cuda
