// Runs a CUDA kernel template on the host: one thread a CUDA thread, a real barrier, shared memory
// filled with garbage, vector loads that check their alignment, asynchronous copies that arrive
// only when they are waited for.
//
// What it cannot show: the weaker memory order of a GPU (every barrier here orders everything),
// contraction of multiplications and additions, register and occupancy limits, streams.
#pragma once

#include <array>
#include <atomic>
#include <barrier>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include "../../csrc/cuda/context.hpp"

namespace tuiprobe::cuda {

// Bugs to sow, each as if something had not been written.
struct Seed {
  int barrier = 0;        // each thread's k-th barrier (from 1) is left out
  bool wait = false;      // copies are never waited for
  bool exchange = false;  // lanes see their own value
  bool atomic = false;    // additions are not atomic
};

struct HostWarp {
  std::barrier<> barrier{kLanes};
  alignas(16) char slots[kLanes][64];
};

struct HostBlock {
  explicit HostBlock(int64_t bytes) : memory(static_cast<size_t>(bytes / 16 + 1)) {
    std::memset(memory.data(), 0xab, memory.size() * 16);
  }
  struct alignas(16) Unit {
    char bytes[16];
  };
  std::barrier<> barrier{kThreads};
  std::array<HostWarp, kDepth> warps;
  std::vector<Unit> memory;
};

inline void check_aligned(const void* at, size_t bytes) {
  if (reinterpret_cast<uintptr_t>(at) % bytes == 0) return;
  std::printf("unaligned access of %d bytes\n", static_cast<int>(bytes));
  std::abort();
}

class HostContext {
 public:
  HostContext(HostBlock& block, int thread, int64_t x, int64_t y, const Seed& seed)
      : block_(block), thread_(thread), x_(x), y_(y), seed_(seed) {}

  int lane() const { return thread_ % kLanes; }
  int depth() const { return thread_ / kLanes; }
  int64_t block_x() const { return x_; }
  int64_t block_y() const { return y_; }

  void barrier() {
    if (++passed_ != seed_.barrier) block_.barrier.arrive_and_wait();
  }

  template <class T>
  T* shared() const {
    return reinterpret_cast<T*>(block_.memory.data());
  }

  template <class T, int kVector>
  void load(const T* from, T* to) const {
    check_aligned(from, sizeof(T) * kVector);
    std::memcpy(to, from, sizeof(T) * kVector);
  }

  template <class T, int kVector>
  void load_shared(const T* from, T* to) const {
    load<T, kVector>(from, to);
  }

  void copy_async(void* to, const void* from) {
    check_aligned(to, 16);
    check_aligned(from, 16);
    open_.emplace_back(to, from);
  }

  void commit() { committed_.push_back(std::exchange(open_, {})); }

  template <int kLast>
  void wait_but() {
    for (; !seed_.wait && done_ + kLast < committed_.size(); ++done_) {
      for (const auto& [to, from] : committed_[done_]) std::memcpy(to, from, 16);
    }
  }

  template <class V>
  V exchange(const V& mine, int mask) {
    static_assert(sizeof(V) <= 64 && sizeof(V) % 4 == 0);
    if (seed_.exchange) return mine;
    HostWarp& warp = block_.warps[static_cast<size_t>(depth())];
    std::memcpy(warp.slots[lane()], &mine, sizeof mine);
    warp.barrier.arrive_and_wait();
    V other;
    std::memcpy(&other, warp.slots[lane() ^ mask], sizeof other);
    warp.barrier.arrive_and_wait();
    return other;
  }

  template <class V>
  V add(V* to, V value) const {
    if (seed_.atomic) return std::exchange(*to, *to + value);
    return std::atomic_ref<V>(*to).fetch_add(value, std::memory_order_relaxed);
  }

 private:
  using Copies = std::vector<std::pair<void*, const void*>>;
  HostBlock& block_;
  int thread_;
  int64_t x_, y_;
  const Seed& seed_;
  int passed_ = 0;
  Copies open_;
  std::vector<Copies> committed_;
  size_t done_ = 0;
};

// The threads of a block, started once.
class HostThreads {
 public:
  static HostThreads& all() {
    static HostThreads threads;
    return threads;
  }

  HostThreads() {
    for (int t = 0; t < kThreads; ++t) {
      threads_.emplace_back([this, t] {
        for (;;) {
          start_.arrive_and_wait();
          if (!work_) return;
          work_(t);
          end_.arrive_and_wait();
        }
      });
    }
  }

  ~HostThreads() {
    work_ = nullptr;
    start_.arrive_and_wait();
    for (std::thread& t : threads_) t.join();
  }

  void run(std::function<void(int)> work) {
    work_ = std::move(work);
    start_.arrive_and_wait();
    end_.arrive_and_wait();
  }

 private:
  std::barrier<> start_{kThreads + 1}, end_{kThreads + 1};
  std::function<void(int)> work_;
  std::vector<std::thread> threads_;
};

// Every block of the grid. The threads go from block to block without waiting for each other, as
// blocks do not on the device; one that returns early must not be waited for.
template <class Kernel>
void run_grid(int64_t grid_x, int64_t grid_y, int64_t shared_bytes, const Seed& seed,
              Kernel kernel) {
  std::deque<HostBlock> blocks;
  for (int64_t b = 0; b < grid_x * grid_y; ++b) blocks.emplace_back(shared_bytes);
  HostThreads::all().run([&](int t) {
    for (int64_t b = 0; b < grid_x * grid_y; ++b) {
      HostBlock& block = blocks[static_cast<size_t>(b)];
      HostContext ctx(block, t, b % grid_x, b / grid_x, seed);
      kernel(ctx);
      block.barrier.arrive_and_drop();
    }
  });
}

}  // namespace tuiprobe::cuda
