// Runs a CUDA kernel template on the host: one thread a CUDA thread, a real barrier, shared memory
// filled with garbage, vector loads that check their alignment. With TUIPROBE_FIBERS the threads
// take turns at barriers, which is many times faster and hides every race.
//
// What it cannot show: the weaker memory order of a GPU (every barrier here orders everything),
// contraction of multiplications and additions, register and occupancy limits, streams.
#pragma once

#include <array>
#include <atomic>
#include <climits>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#ifdef TUIPROBE_FIBERS
#include <ucontext.h>

#include <memory>
#endif
#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "../../csrc/cuda/context.hpp"

namespace tuiprobe::cuda {

constexpr int kMostWarps = 8;

// Bugs to sow, each as if something had not been written.
struct Seed {
  int barrier = 0;        // each thread's k-th barrier (from 1) is left out
  int warp_barrier = 0;   // likewise
  bool exchange = false;  // lanes see their own value, and vote alone
  bool atomic = false;    // additions are not atomic
};

constexpr int kMostThreads = kMostWarps * kLanes;

#ifdef TUIPROBE_FIBERS
// The threads of a block, one after the other on one stack each, from barrier to barrier.
class HostThreads {
 public:
  static HostThreads& all() {
    static HostThreads threads;
    return threads;
  }

  void run(std::function<void(int)> work) {
    work_ = std::move(work);
    for (int t = 0; t < kMostThreads; ++t) start(t);
    for (int running = kMostThreads; running > 0;) {
      for (current_ = 0; current_ < kMostThreads; ++current_) {
        Fiber& fiber = fibers_[static_cast<size_t>(current_)];
        if (fiber.ended) continue;
        swapcontext(&main_, &fiber.context);
        running -= fiber.ended;
      }
    }
  }

  // Lets the others go on.
  void yield() { swapcontext(&fibers_[static_cast<size_t>(current_)].context, &main_); }

 private:
  static constexpr size_t kStack = 1 << 18;
  struct Fiber {
    ucontext_t context;
    bool ended = false;
  };

  static void main() {
    HostThreads& threads = all();
    threads.work_(threads.current_);
    threads.fibers_[static_cast<size_t>(threads.current_)].ended = true;
  }

  void start(int t) {
    Fiber& fiber = fibers_[static_cast<size_t>(t)];
    fiber.ended = false;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = stacks_.get() + static_cast<size_t>(t) * kStack;
    fiber.context.uc_stack.ss_size = kStack;
    fiber.context.uc_link = &main_;
    makecontext(&fiber.context, &HostThreads::main, 0);
  }

  std::function<void(int)> work_;
  int current_ = 0;
  ucontext_t main_;
  std::array<Fiber, kMostThreads> fibers_;
  std::unique_ptr<char[]> stacks_{new char[kStack * kMostThreads]};
};

class Barrier {
 public:
  explicit Barrier(int expected) : expected_(expected), left_(expected) {}

  void arrive_and_wait() {
    const int phase = phase_;
    arrive();
    while (phase_ == phase) HostThreads::all().yield();
  }
  void arrive_and_drop() {
    --expected_;
    arrive();
  }

 private:
  void arrive() {
    if (--left_ > 0) return;
    left_ = expected_;
    ++phase_;
  }

  int expected_, left_, phase_ = 0;
};
#else
// A std::barrier that sleeps at once. That of libstdc++ yields several times before it sleeps,
// which takes most of the time where many threads share few cores.
class Barrier {
 public:
  explicit Barrier(int expected) : expected_(expected), left_(expected) {}

  void arrive_and_wait() {
    const int phase = phase_.load(std::memory_order_relaxed);
    arrive();
    while (phase_.load(std::memory_order_acquire) == phase) sleep(phase);
  }
  void arrive_and_drop() {
    expected_.fetch_sub(1, std::memory_order_relaxed);
    arrive();
  }

 private:
  void arrive() {
    if (left_.fetch_sub(1, std::memory_order_acq_rel) > 1) return;
    left_.store(expected_.load(std::memory_order_relaxed), std::memory_order_relaxed);
    phase_.fetch_add(1, std::memory_order_release);
    wake();
  }
#ifdef __linux__
  void sleep(int phase) {
    syscall(SYS_futex, &phase_, FUTEX_WAIT_PRIVATE, phase, nullptr, nullptr, 0);
  }
  void wake() { syscall(SYS_futex, &phase_, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0); }
#else
  void sleep(int phase) { phase_.wait(phase); }
  void wake() { phase_.notify_all(); }
#endif

  std::atomic<int> expected_, left_, phase_{0};
};

// The threads of a block, started once.
class HostThreads {
 public:
  static HostThreads& all() {
    static HostThreads threads;
    return threads;
  }

  HostThreads() {
    for (int t = 0; t < kMostThreads; ++t) {
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
  Barrier start_{kMostThreads + 1}, end_{kMostThreads + 1};
  std::function<void(int)> work_;
  std::vector<std::thread> threads_;
};
#endif

struct HostWarp {
  Barrier barrier{kLanes};
  alignas(16) char slots[2][kLanes][64];  // taken in turn, so that one barrier an exchange will do
};

struct HostBlock {
  HostBlock(int warps, int64_t bytes)
      : barrier(warps * kLanes), memory(static_cast<size_t>(bytes / 16 + 1)) {
    std::memset(memory.data(), 0xab, memory.size() * 16);
  }
  struct alignas(16) Unit {
    char bytes[16];
  };
  Barrier barrier;
  std::array<HostWarp, kMostWarps> warp;
  std::vector<Unit> memory;
};

inline void check_aligned(const void* at, size_t bytes) {
  if (reinterpret_cast<uintptr_t>(at) % bytes == 0) return;
  std::printf("unaligned access of %d bytes\n", static_cast<int>(bytes));
  std::abort();
}

class HostContext {
 public:
  HostContext(HostBlock& block, int warps, int thread, int64_t x, int64_t y, const Seed& seed)
      : block_(block), warps_(warps), thread_(thread), x_(x), y_(y), seed_(seed) {}

  int lane() const { return thread_ % kLanes; }
  int warp() const { return thread_ / kLanes; }
  int warps() const { return warps_; }
  int64_t block_x() const { return x_; }
  int64_t block_y() const { return y_; }

  void barrier() {
    if (++passed_ != seed_.barrier) block_.barrier.arrive_and_wait();
  }
  void warp_barrier() {
    if (++passed_in_warp_ != seed_.warp_barrier) mine().barrier.arrive_and_wait();
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

  template <class V>
  V exchange(const V& value, int mask) {
    static_assert(sizeof(V) <= 64 && sizeof(V) % 4 == 0);
    if (seed_.exchange) return value;
    auto& slots = mine().slots[turn_ ^= 1];
    std::memcpy(slots[lane()], &value, sizeof value);
    mine().barrier.arrive_and_wait();
    V other;
    std::memcpy(&other, slots[lane() ^ mask], sizeof other);
    return other;
  }

  uint32_t ballot(bool condition) {
    if (seed_.exchange) return condition ? 1u << lane() : 0;
    auto& slots = mine().slots[turn_ ^= 1];
    slots[lane()][0] = condition;
    mine().barrier.arrive_and_wait();
    uint32_t bits = 0;
    for (int i = 0; i < kLanes; ++i) bits |= uint32_t{slots[i][0] != 0} << i;
    return bits;
  }

  template <class V>
  void add(V* to, V value) const {
    if (seed_.atomic) {
      *to = *to + value;
    } else {
      std::atomic_ref<V>(*to).fetch_add(value, std::memory_order_relaxed);
    }
  }

 private:
  HostWarp& mine() const { return block_.warp[static_cast<size_t>(warp())]; }

  HostBlock& block_;
  int warps_, thread_;
  int64_t x_, y_;
  const Seed& seed_;
  int passed_ = 0, passed_in_warp_ = 0, turn_ = 0;
};

// Every block of the grid. The threads go from block to block without waiting for each other, as
// blocks do not on the device; one that returns early must not be waited for.
template <class Kernel>
void run_grid(int warps, int64_t grid_x, int64_t grid_y, int64_t shared_bytes, const Seed& seed,
              Kernel kernel) {
  std::deque<HostBlock> blocks;
  for (int64_t b = 0; b < grid_x * grid_y; ++b) blocks.emplace_back(warps, shared_bytes);
  HostThreads::all().run([&](int t) {
    if (t >= warps * kLanes) return;
    for (int64_t b = 0; b < grid_x * grid_y; ++b) {
      HostBlock& block = blocks[static_cast<size_t>(b)];
      HostContext ctx(block, warps, t, b % grid_x, b / grid_x, seed);
      kernel(ctx);
      block.barrier.arrive_and_drop();
      block.warp[static_cast<size_t>(ctx.warp())].barrier.arrive_and_drop();
    }
  });
}

}  // namespace tuiprobe::cuda
