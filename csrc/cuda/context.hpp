// What every kernel here is written against.
//
// Kernels are templates over their context: on the device that is intrinsics (device.cuh), in the
// tests one host thread a CUDA thread with real barriers (tests/csrc/host_context.hpp), so that the
// same source runs under AddressSanitizer and ThreadSanitizer without a GPU. A context offers
//   lane() depth() block_x() block_y()   indices; kLanes neighbouring threads are one warp
//   barrier()                            for all threads of the block
//   shared<T>()                          the block's shared memory, 16-byte aligned
//   load<T, n>(from, to)                 one aligned load of n entries from device memory
//   load_shared<T, n>(from, to)          the same from shared memory
//   copy_async(to, from)                 16 bytes from device to shared memory, there after
//   commit() wait_but<n>()               all commits but the last n, and a barrier
//   exchange(value, mask)                the value of lane() ^ mask; all lanes of a warp call
//   add(int*, int) add(int64_t*, int64_t)   atomic, returns the value before
#pragma once

#include <math.h>

#include "../layout.hpp"

namespace tuiprobe::cuda {

constexpr int kLanes = 32;  // threads along the channels (or the chunks, when merging); a warp
constexpr int kDepth = 8;   // threads along the rows
constexpr int kThreads = kLanes * kDepth;

template <class Ctx>
TP_HD int thread_of(const Ctx& ctx) {
  return ctx.depth() * kLanes + ctx.lane();
}

// Combines the values of a warp; every lane gets the same result, in an order that never changes.
template <class V, class Ctx, class Combine>
TP_HD V reduce_warp(Ctx& ctx, V mine, Combine combine) {
  for (int mask = kLanes / 2; mask > 0; mask /= 2) {
    const V other = ctx.exchange(mine, mask);
    // The lower lane's value comes first, so that both sides round alike.
    mine = ctx.lane() & mask ? combine(other, mine) : combine(mine, other);
  }
  return mine;
}

}  // namespace tuiprobe::cuda
