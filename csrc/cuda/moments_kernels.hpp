// Channel moments on a GPU: block partials in float64, then one ordered merge into the state.
//
// Float64 throughout: the sums then hold the guarantee at any scale without a second pass, and on
// data-centre GPUs (half the float32 rate) it stays below the cost of reading the memory.
#pragma once

#include "../moments.hpp"
#include "context.hpp"

namespace tuiprobe::cuda {

// The cut of a batch into chunks of rows. It depends on the shape alone.
struct ChunkPlan {
  int64_t rows;
  int64_t rows_per_chunk;
  int64_t chunks;
};

TP_HD static inline ChunkPlan plan_chunks(const View& x) {
  constexpr int64_t kBlocks = 528, kMinRows = 64;
  const int64_t rows = x.images * positions(x);
  const int64_t tiles = (x.channels + 4 * kLanes - 1) / (4 * kLanes);
  const int64_t wanted = kBlocks / tiles > 0 ? kBlocks / tiles : 1;
  int64_t each = (rows + wanted - 1) / wanted;
  if (each < kMinRows) each = kMinRows;
  return {rows, each, (rows + each - 1) / each};
}

// Power sums of the finite values of one channel about its shift, and what else a chunk knows.
struct ChannelSums {
  double s1 = 0, s2 = 0, s3 = 0, s4 = 0;
  float min = INFINITY, max = -INFINITY;
  int count = 0;

  TP_HD void take(float x, double shift) {
    if (!is_finite(x)) return;
    const double d = static_cast<double>(x) - shift;
    const double d2 = d * d;
    s1 += d;
    s2 += d2;
    s3 += d2 * d;
    s4 += d2 * d2;
    min = x < min ? x : min;
    max = x > max ? x : max;
    ++count;
  }
};

// Where a channel is centred: its running mean, or the first finite one of rows spread over the
// batch. The same for every block, and 0 only where none of them is finite.
TP_HD static inline double shift_of(const View& x, const Moments* state, int64_t c) {
  if (state[c].count > 0) return state[c].mean;
  constexpr int64_t kTries = 64;
  const int64_t rows = x.images * positions(x), tries = rows < kTries ? rows : kTries;
  for (int64_t i = 0; i < tries; ++i) {
    const int64_t r = i * rows / tries;
    const void* row = row_address(x, r / positions(x), r % positions(x));
    const float value = load(row, c * x.channel_stride, x.dtype);
    if (is_finite(value)) return static_cast<double>(value);
  }
  return 0.0;
}

TP_HD static inline Moments to_moments(const ChannelSums& s, int64_t taken, double shift) {
  Moments m = central({s.s1, s.s2, s.s3, s.s4}, s.count, shift, 1, static_cast<double>(s.min),
                      static_cast<double>(s.max));
  m.nonfinite = taken - s.count;
  return m;
}

// Adds the sums of the kDepth threads of each lane, in order. Thread (lane, 0) gets the result.
// `shared` holds kThreads entries; all threads must call.
template <class Ctx>
TP_HD ChannelSums reduce_depth(Ctx& ctx, const ChannelSums& mine, ChannelSums* shared) {
  ctx.barrier();  // the last round's readers are done
  shared[ctx.depth() * kLanes + ctx.lane()] = mine;
  ctx.barrier();
  ChannelSums all = mine;
  if (ctx.depth() != 0) return all;
  for (int k = 1; k < kDepth; ++k) {
    const ChannelSums& s = shared[k * kLanes + ctx.lane()];
    all.s1 += s.s1;
    all.s2 += s.s2;
    all.s3 += s.s3;
    all.s4 += s.s4;
    all.min = s.min < all.min ? s.min : all.min;
    all.max = s.max > all.max ? s.max : all.max;
    all.count += s.count;
  }
  return all;
}

// Grid: (tiles of channels, chunks). Each lane takes kVector neighbouring channels of a row: with
// contiguous, 16-byte aligned rows as one load, else one by one. parts[chunk * channels + c].
template <class T, int kVector, class Ctx>
TP_HD void moments_kernel(Ctx& ctx, const View& x, const ChunkPlan& plan, const Moments* state,
                          Moments* parts) {
  ChannelSums* shared = ctx.template shared<ChannelSums>();
  const int64_t first = (ctx.block_x() * kLanes + ctx.lane()) * kVector;
  const int64_t chunk = ctx.block_y();
  const int64_t begin = chunk * plan.rows_per_chunk;
  const int64_t end =
      begin + plan.rows_per_chunk < plan.rows ? begin + plan.rows_per_chunk : plan.rows;
  ChannelSums sums[kVector];
  double shift[kVector] = {};
  for (int v = 0; v < kVector; ++v) {
    if (first + v < x.channels) shift[v] = shift_of(x, state, first + v);
  }
  if (first < x.channels) {
    const int64_t per_image = positions(x);
#if defined(__CUDA_ARCH__)
#pragma unroll 4
#endif
    for (int64_t r = begin + ctx.depth(); r < end; r += kDepth) {
      const T* row = static_cast<const T*>(row_address(x, r / per_image, r % per_image));
      T values[kVector];
      ctx.template load<T, kVector>(row + first * x.channel_stride, values);
      for (int v = 0; v < kVector; ++v) sums[v].take(to_float(values[v]), shift[v]);
    }
  }
  for (int v = 0; v < kVector; ++v) {
    const ChannelSums all = reduce_depth(ctx, sums[v], shared);
    if (ctx.depth() == 0 && first + v < x.channels) {
      parts[chunk * x.channels + first + v] = to_moments(all, end - begin, shift[v]);
    }
  }
}

// Grid: (channels, chunks), for channels that are apart in memory: the threads of a block run over
// the positions, which then lie next to each other.
template <class T, class Ctx>
TP_HD void strided_moments_kernel(Ctx& ctx, const View& x, const ChunkPlan& plan,
                                  const Moments* state, Moments* parts) {
  ChannelSums* shared = ctx.template shared<ChannelSums>();
  const int64_t c = ctx.block_x(), chunk = ctx.block_y(), per_image = positions(x);
  const int64_t begin = chunk * plan.rows_per_chunk;
  const int64_t end =
      begin + plan.rows_per_chunk < plan.rows ? begin + plan.rows_per_chunk : plan.rows;
  const double shift = shift_of(x, state, c);
  ChannelSums mine;
  for (int64_t r = begin + ctx.depth() * kLanes + ctx.lane(); r < end; r += kThreads) {
    const T* row = static_cast<const T*>(row_address(x, r / per_image, r % per_image));
    mine.take(to_float(row[c * x.channel_stride]), shift);
  }
  const ChannelSums lane = reduce_depth(ctx, mine, shared);
  ctx.barrier();
  if (ctx.depth() == 0) shared[ctx.lane()] = lane;
  ctx.barrier();
  if (ctx.depth() != 0 || ctx.lane() != 0) return;
  ChannelSums all = lane;
  for (int k = 1; k < kLanes; ++k) {
    const ChannelSums& s = shared[k];
    all.s1 += s.s1;
    all.s2 += s.s2;
    all.s3 += s.s3;
    all.s4 += s.s4;
    all.min = s.min < all.min ? s.min : all.min;
    all.max = s.max > all.max ? s.max : all.max;
    all.count += s.count;
  }
  parts[chunk * x.channels + c] = to_moments(all, end - begin, shift);
}

// Grid: (channels / kDepth). Merges the chunks of a channel in order: each lane a run of
// neighbouring chunks, then lane 0 the runs; the result into the state.
template <class Ctx>
TP_HD void merge_moments_kernel(Ctx& ctx, const Moments* parts, int64_t channels, int64_t chunks,
                                Moments* state) {
  Moments* shared = ctx.template shared<Moments>();
  const int64_t c = ctx.block_x() * kDepth + ctx.depth();
  const int64_t each = (chunks + kLanes - 1) / kLanes;
  Moments run;
  if (c < channels) {
    const int64_t begin = ctx.lane() * each;
    const int64_t end = begin + each < chunks ? begin + each : chunks;
    for (int64_t k = begin; k < end; ++k) run = merge(run, parts[k * channels + c]);
  }
  shared[ctx.depth() * kLanes + ctx.lane()] = run;
  ctx.barrier();
  if (ctx.lane() != 0 || c >= channels) return;
  Moments all = state[c];
  for (int k = 0; k < kLanes; ++k) all = merge(all, shared[ctx.depth() * kLanes + k]);
  state[c] = all;
}

// Bytes of shared memory every kernel here needs.
constexpr int kMomentsSharedBytes = kThreads * static_cast<int>(sizeof(Moments));

}  // namespace tuiprobe::cuda
