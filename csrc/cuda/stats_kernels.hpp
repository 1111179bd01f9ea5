// All statistics in one pass over memory: a block a chunk of images. Groups of rows are copied to
// shared memory while the one before is at work; warps sum its rows, then threads its channels.
#pragma once

#include "columns_kernels.hpp"

namespace tuiprobe::cuda {

// What all threads of a block know of the image at work, where images have many positions.
struct ImageSums {
  double kurtosis = 0;
  bool degenerate = false;

  TP_HD void take(const RowFigures* rows, int n) {
    for (int r = 0; r < n; ++r) {
      if (!(rows[r].weight > 0)) degenerate = true;
      kurtosis += rows[r].kurtosis;
    }
  }
};

TP_HD static inline Lead combine_leads(const Lead& a, const Lead& b) {
  const bool second = b.best > a.best || (b.best == a.best && b.channel < a.channel);
  return {a.self + b.self, second ? b.best : a.best, second ? b.channel : a.channel};
}

// Ends an image of many positions: its record, its shares into those of the chunk.
template <class Ctx>
TP_HD void finish_image(Ctx& ctx, const Job& job, int64_t image, const ImageSums& sums,
                        const BlockMemory& block, const Columns& columns) {
  const int64_t channels = job.x.channels;
  double* shares = job.scratch.shares + ctx.block_x() * channels;
  Lead lead{0, -1, INT64_MAX};
  for (int64_t c = thread_of(ctx); c < channels; c += kThreads) {
    const double share = columns.share[c];
    columns.share[c] = 0;
    if (sums.degenerate) continue;
    shares[c] += share;
    lead = combine_leads(lead, {share * share, share, c});
  }
  lead = reduce_warp(ctx, lead, combine_leads);
  if (ctx.lane() == 0) block.leads[ctx.depth()] = lead;
  ctx.barrier();
  if (thread_of(ctx) != 0) return;
  for (int k = 1; k < kDepth; ++k) lead = combine_leads(lead, block.leads[k]);
  const double kurtosis = sums.kurtosis / static_cast<double>(positions(job.x));
  if (sums.degenerate) {
    write_record(job, image, NAN, NAN, -1);
  } else {
    write_record(job, image, kurtosis, lead.self, lead.channel);
  }
}

template <class Ctx>
TP_HD void start_chunk(Ctx& ctx, const Job& job, const BlockMemory& block, const Columns& columns) {
  for (int64_t c = thread_of(ctx); c < job.x.channels; c += kThreads) {
    clear_column(job, c, columns);
    if (job.state.share_sum != nullptr) {
      job.scratch.shares[ctx.block_x() * job.x.channels + c] = 0;
    }
  }
  if (thread_of(ctx) < kNormBins) block.norms[thread_of(ctx)] = 0;
}

template <class Ctx>
TP_HD void leave_chunk(Ctx& ctx, const Job& job, int64_t images, const BlockMemory& block,
                       const Columns& columns) {
  for (int64_t c = thread_of(ctx); c < job.x.channels; c += kThreads) {
    leave_column(ctx, job, c, images * positions(job.x), columns);
  }
  const int bin = thread_of(ctx);
  if (job.state.norms != nullptr && bin < kNormBins && block.norms[bin] > 0) {
    ctx.add(&job.state.norms[bin], static_cast<int64_t>(block.norms[bin]));
  }
}

template <class Ctx>
TP_HD Columns columns_of(Ctx& ctx, const Job& job, const BlockMemory& block) {
  const int64_t channels = job.x.channels, cold = cold_bytes(channels);
  const int64_t hot = job.plan.in_shared ? 0 : hot_bytes(channels);
  char* mine = job.scratch.columns + ctx.block_x() * (cold + hot);
  Columns out;
  Carver carver(mine);
  place_cold(carver, channels, out);
  Carver sums(job.plan.in_shared ? block.columns : mine + cold);
  place_hot(sums, channels, out);
  return out;
}

// One group, which lies in `tile` already.
template <class T, bool kStaged, class Ctx>
TP_HD void take_group(Ctx& ctx, const Job& job, const Group& g, const char* tile,
                      const BlockMemory& block, const Columns& columns, ImageSums& image) {
  const Values<T, kStaged> values{job, g, tile};
  const bool samples = job.state.share_sum != nullptr;
  if (samples) {
    for (int r = ctx.depth(); r < g.rows; r += kDepth) take_row(ctx, job, values, r, block);
    ctx.barrier();
  }
  for (int64_t c = thread_of(ctx); c < job.x.channels; c += kThreads) {
    take_column(ctx, job, values, c, block.rows, columns);
  }
  if (positions(job.x) == 1) return;
  if (samples) image.take(block.rows, g.rows);
  if (!g.ends_image(job)) return;
  if (samples) finish_image(ctx, job, g.image, image, block, columns);
  image = ImageSums();
  for (int64_t c = thread_of(ctx); c < job.x.channels; c += kThreads) {
    columns.slot[0][c] = columns.slot[1][c] = -1;
  }
}

// Grid: chunks.
template <class T, bool kStaged, class Ctx>
TP_HD void stats_kernel(Ctx& ctx, const Job& job) {
  Carver carver(ctx.template shared<char>());
  const BlockMemory block = place_block(carver, job.plan, job.x.channels);
  const Columns columns = columns_of(ctx, job, block);
  const int64_t first = ctx.block_x() * job.plan.images_per_chunk;
  int64_t last = first + job.plan.images_per_chunk;
  if (last > job.x.images) last = job.x.images;
  start_chunk(ctx, job, block, columns);
  ImageSums image;
  Group g = Group::at(job, first, 0, last);
  if (kStaged) stage<T>(ctx, job, g, block.tile[0]);
  ctx.commit();
  for (int turn = 0; g.rows > 0; turn ^= 1) {
    const Group ahead = g.next(job, last);
    if (kStaged && ahead.rows > 0) stage<T>(ctx, job, ahead, block.tile[turn ^ 1]);
    ctx.commit();
    ctx.template wait_but<1>();
    ctx.barrier();  // the group is there, for all threads
    take_group<T, kStaged>(ctx, job, g, block.tile[turn], block, columns, image);
    ctx.barrier();  // its readers are done
    g = ahead;
  }
  leave_chunk(ctx, job, last - first, block, columns);
}

// Adds the chunks' shares of a channel to the state, in order: each lane a run of neighbouring
// chunks, then lane 0 the runs.
template <class Ctx>
TP_HD void merge_shares(Ctx& ctx, const Job& job) {
  double* shared = ctx.template shared<double>();
  const int64_t c = ctx.block_x() * kDepth + ctx.depth(), chunks = job.plan.chunks;
  const int64_t each = (chunks + kLanes - 1) / kLanes;
  double run = 0;
  if (c < job.x.channels) {
    const int64_t begin = ctx.lane() * each;
    const int64_t end = begin + each < chunks ? begin + each : chunks;
    for (int64_t k = begin; k < end; ++k) run += job.scratch.shares[k * job.x.channels + c];
  }
  shared[thread_of(ctx)] = run;
  ctx.barrier();
  if (ctx.lane() != 0 || c >= job.x.channels) return;
  double all = job.state.share_sum[c];
  for (int k = 0; k < kLanes; ++k) all += shared[ctx.depth() * kLanes + k];
  job.state.share_sum[c] = all;
}

// Grid: (channels / kDepth), after all other kernels of an update.
template <class Ctx>
TP_HD void finish_kernel(Ctx& ctx, const Job& job, int64_t moment_chunks) {
  if (ctx.block_x() == 0 && thread_of(ctx) == 0) {
    job.state.progress->images += job.x.images;
    job.state.progress->rows += job.x.images * positions(job.x);
  }
  if (job.state.share_sum != nullptr) {
    merge_shares(ctx, job);
    ctx.barrier();
  }
  if (job.state.moments != nullptr) {
    merge_moments_kernel(ctx, job.scratch.parts, job.x.channels, moment_chunks, job.state.moments);
  }
}

}  // namespace tuiprobe::cuda
