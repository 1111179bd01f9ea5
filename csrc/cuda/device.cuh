// The context of a kernel on the device.
#pragma once

#include <cuda_runtime.h>

#include "context.hpp"

namespace tuiprobe::cuda {

// One load of up to 16 bytes.
template <int kBytes>
struct Word;
template <>
struct Word<16> {
  using type = uint4;
};
template <>
struct Word<8> {
  using type = uint2;
};
template <>
struct Word<4> {
  using type = uint32_t;
};
template <>
struct Word<2> {
  using type = uint16_t;
};

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
    using Bits = typename Word<sizeof(T) * kVector>::type;
    const Bits bits = __ldg(reinterpret_cast<const Bits*>(from));
    memcpy(to, &bits, sizeof bits);
  }

  template <int kCount>
  __device__ void load_shared(const float* from, float* to) const {
    if constexpr (kCount % 4 == 0) {
      for (int i = 0; i < kCount / 4; ++i) {
        const float4 four = reinterpret_cast<const float4*>(from)[i];
        memcpy(to + 4 * i, &four, sizeof four);
      }
    } else {
      for (int i = 0; i < kCount; ++i) to[i] = from[i];
    }
  }

  template <int kCount>
  __device__ void store_shared(float* to, const float* from) const {
    if constexpr (kCount % 4 == 0) {
      for (int i = 0; i < kCount / 4; ++i) {
        float4 four;
        memcpy(&four, from + 4 * i, sizeof four);
        reinterpret_cast<float4*>(to)[i] = four;
      }
    } else {
      for (int i = 0; i < kCount; ++i) to[i] = from[i];
    }
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
