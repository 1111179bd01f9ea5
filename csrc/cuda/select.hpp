// The best k of every channel: a warp a channel and end goes over the extremes of the segments,
// looks into those that can hold a better entry than the last of its list, and joins what it finds.
//
// The order of entries is total, so the list does not depend on the order in which they are found.
#pragma once

#include "plan.hpp"

namespace tuiprobe::cuda {

// A list in shared memory and the entries that wait to join it; one a warp.
struct Search {
  Entry* list;    // [k], best first
  Entry* next;    // [k]
  Entry* buffer;  // [room]
  char* dead;     // [k + room]
  int k;
  int room;
  int size;     // of the list; every lane keeps its own copy of this
  int waiting;  // and of this

  TP_HD static int room_for(int k) { return k < 64 ? 64 : k > 256 ? 256 : (k + 31) / 32 * 32; }

  TP_HD static Search at(Carver& carver, int k) {
    const int room = room_for(k);
    Search s{};
    s.list = carver.take<Entry>(k);
    s.next = carver.take<Entry>(k);
    s.buffer = carver.take<Entry>(room);
    s.dead = carver.take<char>(k + room);
    s.k = k;
    s.room = room;
    return s;
  }

  TP_HD static int64_t bytes(int k) {
    Carver carver(nullptr);
    at(carver, k);
    return carver.used();
  }

  TP_HD const Entry& item(int i) const { return i < size ? list[i] : buffer[i - size]; }
  TP_HD bool wants(const Entry& e) const { return size < k || better(e, list[k - 1]); }
  TP_HD bool may_want(float key) const { return size < k || key >= list[k - 1].key; }
};

// Whether another entry of the same image takes the place of entry i.
TP_HD static inline bool beaten_by_its_own(const Search& s, int n, int i) {
  for (int k = 0; k < n; ++k) {
    if (k == i || s.item(k).id != s.item(i).id) continue;
    if (better(s.item(k), s.item(i)) || (k < i && !better(s.item(i), s.item(k)))) return true;
  }
  return false;
}

// Joins the waiting entries to the list, each at the place that counting gives it.
template <class Ctx>
TP_HD void join(Ctx& ctx, Search& s) {
  const int n = s.size + s.waiting;
  ctx.warp_barrier();  // the last entry that waits is there
  for (int i = ctx.lane(); i < n; i += kLanes) s.dead[i] = beaten_by_its_own(s, n, i);
  ctx.warp_barrier();
  int alive = 0;
  for (int i = ctx.lane(); i < n; i += kLanes) {
    if (s.dead[i]) continue;
    int rank = 0;
    for (int k = 0; k < n; ++k) rank += !s.dead[k] && better(s.item(k), s.item(i));
    if (rank < s.k) s.next[rank] = s.item(i);
    ++alive;
  }
  alive = reduce_warp(ctx, alive, [](int a, int b) { return a + b; });
  ctx.warp_barrier();
  s.size = alive < s.k ? alive : s.k;
  s.waiting = 0;
  for (int i = ctx.lane(); i < s.size; i += kLanes) s.list[i] = s.next[i];
  ctx.warp_barrier();
}

// Lets the entries of the lanes that have one wait; all lanes call.
template <class Ctx>
TP_HD void append(Ctx& ctx, Search& s, bool mine, const Entry& e) {
  const uint32_t lanes = ctx.ballot(mine);
  if (lanes == 0) return;
  if (mine) s.buffer[s.waiting + count_bits(lanes & ((1u << ctx.lane()) - 1))] = e;
  s.waiting += count_bits(lanes);
  if (s.waiting > s.room - kLanes) join(ctx, s);
}

// The rows of a segment that may hold its extreme.
TP_HD static inline Run rows_to_search(const Job& job, int64_t segment, int64_t at, int end) {
  Run run = segment_run(job.x, job.columns, segment);
  if (!job.many_rows() || run.rows == 0) return run;
  const int32_t where = job.scratch.extremes.where[end][at];
  const int left = static_cast<int>(run.position) + run.rows - where;
  return {run.image, where, left < kBatch ? left : kBatch};
}

// Grid: (tiles of channels, 2 ends), a warp a channel.
struct SelectKernel : Kernel<Job, 8, 1> {
  template <class Ctx>
  TP_HD static void run(Ctx& ctx, const Job& job) {
    const int64_t c = ctx.block_x() * ctx.warps() + ctx.warp(), channels = job.x.channels;
    const int end = static_cast<int>(ctx.block_y());
    const TopState& top = job.state.top[end];
    if (top.k == 0 || c >= channels) return;  // the whole warp
    Carver carver(ctx.template shared<char>() + ctx.warp() * Search::bytes(top.k));
    Search s = Search::at(carver, top.k);
    s.size = top.sizes[c];
    for (int i = ctx.lane(); i < s.size; i += kLanes) s.list[i] = top.list(c)[i];
    ctx.warp_barrier();
    const int64_t segments = job.segments(), stride = job.run_stride();
    const int most = job.many_rows() ? kBatch : kSegment;
    for (int64_t base = 0; base < segments; base += kLanes) {
      const int64_t segment = base + ctx.lane(), at = segment * channels + c;
      const float extreme = segment < segments ? job.scratch.extremes.value[end][at] : NAN;
      const float key = end ? -extreme : extreme;
      // Nothing finite leaves an infinite extreme of the wrong sign.
      const bool open = is_finite(key) && s.may_want(key);
      if (ctx.ballot(open) == 0) continue;
      const Run run = open ? rows_to_search(job, segment, at, end) : Run{0, 0, 0};
      const int64_t first = job.many_rows() ? run.position : run.image;
      Entry best{-INFINITY, 0, 0};
      for (int r = 0; r < most; ++r) {
        Entry e{-INFINITY, 0, 0};
        if (r < run.rows) {
          const int64_t offset = (r * stride) + c;
          const float x = load(row_address(job.x, run.image, run.position), offset, job.x.dtype);
          const int64_t image = job.many_rows() ? run.image : first + r;
          const int64_t position = job.many_rows() ? first + r : 0;
          if (is_finite(x)) {
            e = {(end ? -x : x) + 0.0f, static_cast<int32_t>(position), job.id_of(image)};
          }
        }
        if (!job.many_rows()) {
          append(ctx, s, e.key > -INFINITY && s.wants(e), e);
        } else if (e.key > best.key) {
          best = e;
        }
      }
      if (job.many_rows()) append(ctx, s, best.key > -INFINITY && s.wants(best), best);
    }
    if (s.waiting > 0) join(ctx, s);
    for (int i = ctx.lane(); i < s.size; i += kLanes) top.list(c)[i] = s.list[i];
    if (ctx.lane() == 0) top.sizes[c] = s.size;
  }
};

// Neighbouring channels lie in one sector of memory, so a block takes as many as it has room for.
static inline int select_warps(const Job& job) {
  const int k = job.state.top[0].k > job.state.top[1].k ? job.state.top[0].k : job.state.top[1].k;
  const int64_t fit = (48 << 10) / Search::bytes(k);
  return static_cast<int>(fit < 1 ? 1 : fit < 8 ? fit : 8);
}

static inline int64_t select_shared_bytes(const Job& job) {
  const int k = job.state.top[0].k > job.state.top[1].k ? job.state.top[0].k : job.state.top[1].k;
  return select_warps(job) * Search::bytes(k);
}

}  // namespace tuiprobe::cuda
