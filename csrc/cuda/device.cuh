// The context of a kernel on the device.
#pragma once

#include <cuda_runtime.h>

#include <type_traits>

#include "context.hpp"

namespace tuiprobe::cuda {

struct DeviceContext {
  __device__ int lane() const { return static_cast<int>(threadIdx.x); }
  __device__ int warp() const { return static_cast<int>(threadIdx.y); }
  __device__ int warps() const { return static_cast<int>(blockDim.y); }
  __device__ int64_t block_x() const { return blockIdx.x; }
  __device__ int64_t block_y() const { return blockIdx.y; }
  __device__ void barrier() const { __syncthreads(); }
  __device__ void warp_barrier() const { __syncwarp(); }

  template <class T>
  __device__ T* shared() const {
    extern __shared__ __align__(16) char memory[];
    return reinterpret_cast<T*>(memory);
  }

  template <class T, int kVector>
  __device__ void load(const T* from, T* to) const {
    constexpr int kBytes = sizeof(T) * kVector;
    using Small = std::conditional_t<kBytes == 4, uint32_t, uint16_t>;
    using Bits =
        std::conditional_t<kBytes == 16, uint4, std::conditional_t<kBytes == 8, uint2, Small>>;
    const Bits bits = __ldg(reinterpret_cast<const Bits*>(from));
    static_assert(sizeof bits == kBytes, "2, 4, 8 or 16 bytes");
    memcpy(to, &bits, sizeof bits);
  }

  template <class V>
  __device__ V exchange(const V& mine, int mask) const {
    static_assert(sizeof(V) % 4 == 0, "whole words");
    uint32_t words[sizeof(V) / 4];
    memcpy(words, &mine, sizeof mine);
    for (uint32_t& word : words) word = __shfl_xor_sync(0xffffffffu, word, mask);
    V other;
    memcpy(&other, words, sizeof other);
    return other;
  }

  __device__ uint32_t ballot(bool condition) const { return __ballot_sync(0xffffffffu, condition); }

  __device__ void add(int* to, int value) const { atomicAdd(to, value); }
  __device__ void add(int64_t* to, int64_t value) const {
    atomicAdd(reinterpret_cast<unsigned long long*>(to), static_cast<unsigned long long>(value));
  }
};

}  // namespace tuiprobe::cuda
