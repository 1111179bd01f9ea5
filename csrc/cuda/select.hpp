// The best k of every channel: a warp a channel and end goes over the extremes of the runs, looks
// into those that can hold a better entry than the last of its list, and inserts what it finds.
//
// The order of entries is total, so the list does not depend on the order in which they are found.
#pragma once

#include "plan.hpp"

namespace tuiprobe::cuda {

TP_HD static inline Entry better_of(const Entry& a, const Entry& b) { return better(b, a) ? b : a; }

// Inserts what is good enough of a run of channel c. A lane has a row, and the best go first, so
// that the others of an image are then worse than what it has in the list.
template <class Ctx>
TP_HD void search_run(Ctx& ctx, const Job& job, const Run& run, int64_t c, int end) {
  const TopState& top = job.state.top[end];
  Entry* list = top.lists + c * top.k;
  for (int first = 0; first < run.rows; first += kLanes) {
    const int row = run.first + first + ctx.lane();
    Entry mine{-INFINITY, 0, 0};
    if (first + ctx.lane() < run.rows) {
      const float x = load(job.x.data, job.offset(run.line, row) + c, job.x.dtype);
      const int64_t id = job.id_of(job.many_rows ? run.line : row);
      if (is_finite(x)) mine = {(end ? -x : x) + 0.0f, job.many_rows ? row : 0, id};
    }
    for (;;) {
      const int size = top.sizes[c];
      const bool enters = size < top.k || better(mine, list[top.k - 1]);
      if (ctx.ballot(enters && mine.key > -INFINITY) == 0) break;
      const Entry best = reduce_warp(ctx, mine, better_of);
      if (ctx.lane() == 0) top.sizes[c] = insert(list, size, top.k, best);
      if (mine.id == best.id) mine.key = -INFINITY;
      ctx.warp_barrier();
    }
  }
}

// Grid: (tiles of channels, 2 ends), a warp a channel.
struct SelectKernel : Kernel<8, 1> {
  template <class Ctx>
  TP_HD static void run(Ctx& ctx, const Job& job) {
    const int64_t c = ctx.block_x() * ctx.warps() + ctx.warp();
    const int end = static_cast<int>(ctx.block_y());
    const TopState& top = job.state.top[end];
    if (top.k == 0 || c >= job.x.channels) return;  // the whole warp
    const Entry& last = top.lists[c * top.k + top.k - 1];
    for (int first = 0; first < job.columns.runs; first += kLanes) {
      const int run = first + ctx.lane();
      float key = -INFINITY;  // of the best entry of the lane's run
      if (run < job.columns.runs) {
        const float extreme = job.scratch.extremes[end][run * job.x.channels + c];
        key = end ? -extreme : extreme;
      }
      for (;;) {
        const bool enters = top.sizes[c] < top.k || key >= last.key;
        const uint32_t open = ctx.ballot(enters && key > -INFINITY);
        if (open == 0) break;
        int lane = 0;
        while ((open >> lane & 1) == 0) ++lane;
        search_run(ctx, job, job.columns.run(first + lane), c, end);
        if (ctx.lane() == lane) key = -INFINITY;
      }
    }
  }
};

}  // namespace tuiprobe::cuda
