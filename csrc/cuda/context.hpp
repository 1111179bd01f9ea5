// What every kernel here is written against.
//
// Kernels are templates over their context: on the device that is intrinsics (device.cuh), in the
// tests one host thread a CUDA thread with real barriers (tests/csrc/host_context.hpp), so that the
// same source runs under AddressSanitizer and ThreadSanitizer without a GPU. That is also why the
// few collective operations are written here and not taken from CUB. A context offers
//   lane() warp() warps()        indices; kLanes neighbouring threads are one warp
//   block_x() block_y()          the block's place in the grid
//   barrier() warp_barrier()     for all threads of the block, of the warp
//   shared<T>()                  the block's shared memory, 16-byte aligned
//   load<T, n>(from, to)         one aligned load of n entries from device memory
//   exchange(value, mask)        the value of lane() ^ mask; all lanes of a warp call
//   ballot(condition)            one bit a lane; likewise
//   add(int*, int) add(int64_t*, int64_t)   atomic
#pragma once

#include <math.h>

#include "../layout.hpp"

#if defined(__CUDA_ARCH__)
#define TP_UNROLL _Pragma("unroll")
#define TP_NO_UNROLL _Pragma("unroll 1")
#define TP_RARE __noinline__  // so that a rare path takes no registers of the usual one
#else
#define TP_RARE
#define TP_NO_UNROLL
#define TP_UNROLL
#endif

namespace tuiprobe::cuda {

constexpr int kLanes = 32;

template <class Ctx>
TP_HD int thread_of(const Ctx& ctx) {
  return ctx.warp() * kLanes + ctx.lane();
}

template <class Ctx>
TP_HD int threads_of(const Ctx& ctx) {
  return ctx.warps() * kLanes;
}

// A kernel is a struct with `template <class Ctx> static void run(Ctx&, const Job&)` on top of
// this: the most warps of a block, the blocks a multiprocessor shall hold at least.
template <int kMostWarps, int kLeastBlocks>
struct Kernel {
  static constexpr int kWarps = kMostWarps, kBlocks = kLeastBlocks;
};

// Combines the values of a warp; every lane gets the same result, in an order that never changes.
template <class V, class Ctx, class Combine>
TP_HD V reduce_warp(Ctx& ctx, V mine, Combine combine) {
  TP_UNROLL
  for (int mask = kLanes / 2; mask > 0; mask /= 2) {
    const V other = ctx.exchange(mine, mask);
    // The lower lane's value comes first, so that both sides round alike.
    mine = ctx.lane() & mask ? combine(other, mine) : combine(mine, other);
  }
  return mine;
}

}  // namespace tuiprobe::cuda
