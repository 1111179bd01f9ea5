// The end of an update: partial results into the state, along a tree that follows from the shape.
#pragma once

#include "plan.hpp"

namespace tuiprobe::cuda {

// Merges get(0) ... get(n - 1) in order: each warp a run of them, then the first warp the runs.
// Warp 0 gets the result; all threads call. `shared` has room for one V a thread.
template <class V, class Ctx, class Get, class Combine>
TP_HD V merge_in_order(Ctx& ctx, V* shared, int64_t n, Get get, Combine combine) {
  const int64_t each = (n + ctx.warps() - 1) / ctx.warps(), begin = ctx.warp() * each;
  const int64_t end = begin + each < n ? begin + each : n;
  V run{};
  for (int64_t i = begin; i < end; ++i) run = combine(run, get(i));
  shared[thread_of(ctx)] = run;
  ctx.barrier();
  V all = shared[ctx.lane()];
  for (int w = 1; w < ctx.warps() && ctx.warp() == 0; ++w) {
    all = combine(all, shared[w * kLanes + ctx.lane()]);
  }
  ctx.barrier();  // the next merge may use `shared`
  return all;
}

TP_HD static inline double add(double a, double b) { return a + b; }
TP_HD static inline Moments merge_moments(const Moments& a, const Moments& b) {
  return merge(a, b);
}

constexpr int kFinishSharedBytes = kFinishWarps * kLanes * static_cast<int>(sizeof(Moments));

// The images' own sums and counters; one block.
template <class Ctx>
TP_HD void finish_images(Ctx& ctx, const Job& job) {
  const int64_t images = job.x.images;
  double self = 0;
  int64_t negative = 0;
  for (int64_t i = thread_of(ctx); i < images; i += threads_of(ctx)) {
    if (job.scratch.self != nullptr) self += job.scratch.self[i];
    negative += job.ids != nullptr && job.ids[i] < 0;
  }
  if (negative > 0) ctx.add(&job.state.progress->negative_ids, negative);
  double* shared = ctx.template shared<double>();
  self = reduce_warp(ctx, self, add);
  if (ctx.lane() == 0) shared[ctx.warp()] = self;
  ctx.barrier();
  if (thread_of(ctx) == 0) {
    job.state.progress->images += images;
    job.state.progress->recorded += images;
    if (job.scratch.self != nullptr) {
      for (int w = 1; w < ctx.warps(); ++w) self += shared[w];
      *job.state.samples.share_square_sum += self;
      *job.state.samples.rows += images * positions(job.x);
    }
  }
  ctx.barrier();
}

// Grid: channels / kLanes, after all other kernels of an update.
struct FinishKernel : Kernel<Job, kFinishWarps, 1> {
  template <class Ctx>
  TP_HD static void run(Ctx& ctx, const Job& job) {
    if (ctx.block_x() == 0) finish_images(ctx, job);
    const int64_t channels = job.x.channels, c = ctx.block_x() * kLanes + ctx.lane();
    const int64_t here = c < channels ? c : channels - 1;  // the last tile's idle lanes only read
    if (job.scratch.parts != nullptr) {
      const Moments all = merge_in_order(
          ctx, ctx.template shared<Moments>(), job.column_blocks(),
          [&](int64_t i) { return job.scratch.parts[i * channels + here]; }, merge_moments);
      if (ctx.warp() == 0 && c < channels) job.state.moments[c] = merge(job.state.moments[c], all);
    }
    if (job.scratch.shares != nullptr) {
      const int64_t step = job.many_rows() ? job.rows.pieces : 1;
      const double all = merge_in_order(
          ctx, ctx.template shared<double>(), job.share_vectors() / step,
          [&](int64_t i) {
            return static_cast<double>(job.scratch.shares[i * step * channels + here]);
          },
          add);
      if (ctx.warp() == 0 && c < channels) job.state.samples.share_sum[c] += all;
    }
  }
};

// Grid: (tiles of positions and channels, images). Copies a view of any strides to rows of
// neighbouring channels, `kPackTile` by `kPackTile` values through shared memory, so that both
// sides are read and written along their neighbours.
constexpr int kPackTile = 32;
constexpr int kPackSharedBytes = kPackTile * (kPackTile + 1) * 4;

template <class T>
struct Packing {
  View x;
  T* to;
};

template <class T>
struct PackKernel : Kernel<Packing<T>, 8, 1> {
  template <class Ctx>
  TP_HD static void run(Ctx& ctx, const Packing<T>& packing) {
    const View& x = packing.x;
    T* tile = ctx.template shared<T>();
    const int64_t places = positions(x), across = (places + kPackTile - 1) / kPackTile;
    const int64_t first_p = ctx.block_x() % across * kPackTile, image = ctx.block_y();
    const int64_t first_c = ctx.block_x() / across * kPackTile;
    const bool along_channels = x.channel_stride == 1;
    for (int i = ctx.warp(); i < kPackTile; i += ctx.warps()) {
      const int dp = along_channels ? i : ctx.lane(), dc = along_channels ? ctx.lane() : i;
      const int64_t p = first_p + dp, c = first_c + dc;
      if (p >= places || c >= x.channels) continue;
      const T* row = static_cast<const T*>(row_address(x, image, p));
      tile[dp * (kPackTile + 1) + dc] = row[c * x.channel_stride];
    }
    ctx.barrier();
    for (int i = ctx.warp(); i < kPackTile; i += ctx.warps()) {
      const int64_t p = first_p + i, c = first_c + ctx.lane();
      if (p >= places || c >= x.channels) continue;
      packing.to[(image * places + p) * x.channels + c] = tile[i * (kPackTile + 1) + ctx.lane()];
    }
  }
};

}  // namespace tuiprobe::cuda
