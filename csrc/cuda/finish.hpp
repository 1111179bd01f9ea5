// The end of an update: partial results into the state, along a tree that follows from the shape.
#pragma once

#include "plan.hpp"

namespace tuiprobe::cuda {

TP_HD static inline double merge(double a, double b) { return a + b; }

// Merges from[0], from[step] ... from[(n - 1) * step] in order: each warp a run of them, then the
// first warp the runs. Warp 0 gets the result; all threads call.
template <class V, class Ctx, class From>
TP_HD V merge_in_order(Ctx& ctx, const From* from, int64_t step, int64_t n) {
  const int64_t each = tiles(n, ctx.warps()), begin = ctx.warp() * each;
  const int64_t end = begin + each < n ? begin + each : n;
  V* shared = ctx.template shared<V>();
  V run{};
  for (int64_t i = begin; i < end; ++i) run = merge(run, static_cast<V>(from[i * step]));
  shared[thread_of(ctx)] = run;
  ctx.barrier();
  V all = shared[ctx.lane()];
  for (int w = 1; w < ctx.warps() && ctx.warp() == 0; ++w) {
    all = merge(all, shared[w * kLanes + ctx.lane()]);
  }
  ctx.barrier();  // the next merge may use `shared`
  return all;
}

// The images' own sums and counters; one block.
template <class Ctx>
TP_HD void finish_images(Ctx& ctx, const Job& job) {
  const int64_t images = job.images();
  Progress& progress = *job.state.progress;
  int64_t negative = 0;
  for (int64_t i = thread_of(ctx); job.ids != nullptr && i < images; i += threads_of(ctx)) {
    negative += job.ids[i] < 0;
  }
  if (negative > 0) ctx.add(&progress.negative_ids, negative);
  if (job.options.samples) {
    const int64_t here = tiles(images - ctx.lane(), kLanes);
    double self = merge_in_order<double>(ctx, job.scratch.self + ctx.lane(), kLanes, here);
    self = reduce_warp(ctx, self, [](double a, double b) { return a + b; });
    if (thread_of(ctx) == 0) {
      *job.state.samples.share_square_sum += self;
      *job.state.samples.rows += images * job.positions();
    }
  }
  if (thread_of(ctx) != 0) return;
  progress.images += images;
  progress.recorded += images;
}

// Grid: channels / kLanes, after all other kernels of an update.
struct FinishKernel : Kernel<8, 1> {
  static constexpr int kSharedBytes = kWarps * kLanes * static_cast<int>(sizeof(Moments));

  template <class Ctx>
  TP_HD static void run(Ctx& ctx, const Job& job) {
    if (ctx.block_x() == 0) finish_images(ctx, job);
    const int64_t channels = job.x.channels, c = ctx.block_x() * kLanes + ctx.lane();
    const int64_t here = c < channels ? c : channels - 1;  // the last tile's idle lanes only read
    const bool leaves = ctx.warp() == 0 && c < channels;
    if (job.options.moments) {
      const Moments all =
          merge_in_order<Moments>(ctx, job.scratch.parts + here, channels, job.columns.units);
      if (leaves) job.state.moments[c] = merge(job.state.moments[c], all);
    }
    if (job.options.samples) {
      const int64_t step = job.many_rows ? job.rows.per_line : 1;
      const double all = merge_in_order<double>(ctx, job.scratch.shares + here, step * channels,
                                                job.rows.runs / step);
      if (leaves) job.state.samples.share_sum[c] += all;
    }
  }
};

}  // namespace tuiprobe::cuda
