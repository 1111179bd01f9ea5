// Runs a CUDA kernel template on the host: one thread a CUDA thread, a real barrier, shared memory
// filled with garbage, vector loads that check their alignment.
//
// What it cannot show: the weaker memory order of a GPU (every barrier here orders everything),
// contraction of multiplications and additions, register and occupancy limits, streams.
#pragma once

#include <barrier>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "../../csrc/cuda/moments_kernels.hpp"

namespace tuiprobe::cuda {

struct HostBlock {
  std::barrier<> barrier{kThreads};
  alignas(64) char memory[kSharedBytes];
};

class HostContext {
 public:
  // Leaves out each thread's `skip`-th barrier (from 1): a seeded bug, as if it were not written.
  HostContext(HostBlock& block, int thread, int64_t x, int64_t y, int skip)
      : block_(block), thread_(thread), x_(x), y_(y), skip_(skip) {}

  int lane() const { return thread_ % kLanes; }
  int depth() const { return thread_ / kLanes; }
  int64_t block_x() const { return x_; }
  int64_t block_y() const { return y_; }

  void barrier() {
    if (++passed_ != skip_) block_.barrier.arrive_and_wait();
  }

  template <class T>
  T* shared() const {
    return reinterpret_cast<T*>(block_.memory);
  }

  template <class T, int kVector>
  void load(const T* from, T* to) const {
    if (reinterpret_cast<uintptr_t>(from) % (sizeof(T) * kVector) != 0) {
      std::printf("unaligned load of %d bytes\n", static_cast<int>(sizeof(T) * kVector));
      std::abort();
    }
    std::memcpy(to, from, sizeof(T) * kVector);
  }

 private:
  HostBlock& block_;
  int thread_;
  int64_t x_, y_;
  int skip_;
  int passed_ = 0;
};

// Every block of the grid, one after the other. A thread that returns early must not be waited for,
// as on the device.
template <class Kernel>
void run_grid(int64_t grid_x, int64_t grid_y, int skip, Kernel kernel) {
  for (int64_t y = 0; y < grid_y; ++y) {
    for (int64_t x = 0; x < grid_x; ++x) {
      HostBlock block;
      std::memset(block.memory, 0xab, sizeof block.memory);
      std::vector<std::thread> threads;
      for (int t = 0; t < kThreads; ++t) {
        threads.emplace_back([&block, t, x, y, skip, &kernel] {
          HostContext ctx(block, t, x, y, skip);
          kernel(ctx);
          block.barrier.arrive_and_drop();
        });
      }
      for (std::thread& t : threads) t.join();
    }
  }
}

}  // namespace tuiprobe::cuda
