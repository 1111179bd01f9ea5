// The context of a kernel on the device.
#pragma once

#include <cuda_pipeline_primitives.h>
#include <cuda_runtime.h>

#include "context.hpp"

namespace tuiprobe::cuda {

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

  template <class T, int kVector>
  __device__ void load_shared(const T* from, T* to) const {
    using Word = typename Bits<sizeof(T) * kVector>::type;
    const Word word = *reinterpret_cast<const Word*>(from);
    memcpy(to, &word, sizeof word);
  }

  __device__ void copy_async(void* to, const void* from) const {
    __pipeline_memcpy_async(to, from, 16);
  }
  __device__ void commit() const { __pipeline_commit(); }
  template <int kLast>
  __device__ void wait_but() const {
    __pipeline_wait_prior(kLast);
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

  __device__ int add(int* to, int value) const { return atomicAdd(to, value); }
  __device__ int64_t add(int64_t* to, int64_t value) const {
    return static_cast<int64_t>(atomicAdd(reinterpret_cast<unsigned long long*>(to),
                                          static_cast<unsigned long long>(value)));
  }
};

}  // namespace tuiprobe::cuda
