// The best k of every channel: limits before the pass, then candidates into the lists.
//
// Candidates arrive in any order; the order of entries is total, so the lists come out the same.
#pragma once

#include "plan.hpp"

namespace tuiprobe::cuda {

constexpr int kBuffer = 2 * kThreads;  // entries that wait to be merged

TP_HD static inline float key_of(const Job& job, int64_t image, int64_t position, int64_t c,
                                 bool smallest) {
  const float x = load(row_address(job.x, image, position), c * job.x.channel_stride, job.x.dtype);
  return is_finite(x) ? (smallest ? -x : x) + 0.0f : -INFINITY;
}

// Best values of images spread over the batch into keys[samples].
template <class Ctx>
TP_HD void sample_images(Ctx& ctx, const Job& job, const TopPlan& plan, int64_t c, bool smallest,
                         float* keys) {
  for (int i = thread_of(ctx); i < plan.samples; i += kThreads) {
    const int64_t image = i * job.x.images / plan.samples;
    float best = -INFINITY;
    for (int64_t p = 0; p < positions(job.x); ++p) {
      const float key = key_of(job, image, p, c, smallest);
      best = key > best ? key : best;
    }
    keys[i] = best;
  }
}

// Grid: (channels, 2 ends). What a candidate must be better than: the last entry of a full list,
// the guessed floor of another, or nothing. Also empties the candidates.
template <class Ctx>
TP_HD void limits_kernel(Ctx& ctx, const Job& job) {
  const int64_t c = ctx.block_x();
  const int end = static_cast<int>(ctx.block_y());
  const TopState& top = job.state.top[end];
  if (top.k == 0) return;
  const TopPlan& plan = job.top[end];
  const TopScratch& to = job.scratch.top[end];
  const bool full = top.sizes[c] == top.k;
  if (thread_of(ctx) == 0) {
    to.counts[c] = 0;
    to.limits[c] = full ? top.list(c)[top.k - 1] : Entry{-INFINITY, INT32_MAX, INT64_MAX};
  }
  if (full || plan.depth == 0) return;
  float* keys = ctx.template shared<float>();
  sample_images(ctx, job, plan, c, top.smallest, keys);
  ctx.barrier();
  for (int i = thread_of(ctx); i < plan.samples; i += kThreads) {
    int above = 0, equal = 0, before = 0;
    for (int k = 0; k < plan.samples; ++k) {
      above += keys[k] > keys[i];
      equal += keys[k] == keys[i];
      before += k < i && keys[k] == keys[i];
    }
    const bool chosen = above < plan.depth && plan.depth <= above + equal && before == 0;
    if (chosen && keys[i] > -INFINITY) to.limits[c] = {keys[i], INT32_MAX, INT64_MAX};
  }
}

// A list in shared memory and the entries that wait to join it.
struct Search {
  Entry* list;    // [k], best first
  Entry* next;    // [k]
  Entry* buffer;  // [kBuffer]
  char* dead;     // [k + kBuffer]
  int* waiting;
  int* alive;
  int k;
  int size;  // of the list; every thread keeps its own copy

  TP_HD static Search at(Carver& carver, int k) {
    Search s;
    s.list = carver.take<Entry>(k);
    s.next = carver.take<Entry>(k);
    s.buffer = carver.take<Entry>(kBuffer);
    s.dead = carver.take<char>(k + kBuffer);
    s.waiting = carver.take<int>(1);
    s.alive = carver.take<int>(1);
    s.k = k;
    s.size = 0;
    return s;
  }

  TP_HD const Entry& item(int i) const { return i < size ? list[i] : buffer[i - size]; }
};

// Whether an entry of the same image takes the place of entry i.
TP_HD static inline bool beaten_by_its_own(const Search& s, int n, int i) {
  for (int k = 0; k < n; ++k) {
    if (k == i || s.item(k).id != s.item(i).id) continue;
    if (better(s.item(k), s.item(i)) || (k < i && !better(s.item(i), s.item(k)))) return true;
  }
  return false;
}

// Joins the waiting entries to the list, each to the place that counting gives it. All threads
// call, after a barrier; ends with one.
template <class Ctx>
TP_HD void join(Ctx& ctx, Search& s) {
  const int n = s.size + *s.waiting;
  for (int i = thread_of(ctx); i < n; i += kThreads) s.dead[i] = beaten_by_its_own(s, n, i);
  if (thread_of(ctx) == 0) *s.alive = 0;
  ctx.barrier();
  for (int i = thread_of(ctx); i < n; i += kThreads) {
    if (s.dead[i]) continue;
    int rank = 0;
    for (int k = 0; k < n; ++k) rank += !s.dead[k] && better(s.item(k), s.item(i));
    if (rank < s.k) s.next[rank] = s.item(i);
    ctx.add(s.alive, 1);
  }
  ctx.barrier();
  s.size = *s.alive < s.k ? *s.alive : s.k;
  for (int i = thread_of(ctx); i < s.size; i += kThreads) s.list[i] = s.next[i];
  if (thread_of(ctx) == 0) *s.waiting = 0;
  ctx.barrier();
}

// Searches entries [0, n) that get(i) returns; a key of -infinity is none.
template <class Ctx, class Get>
TP_HD void search(Ctx& ctx, Search& s, int64_t n, Get get) {
  for (int64_t base = 0; base < n; base += kThreads) {
    const int64_t i = base + thread_of(ctx);
    if (i < n) {
      const Entry e = get(i);
      const bool wanted = s.size < s.k || better(e, s.list[s.k - 1]);
      if (e.key > -INFINITY && wanted) s.buffer[ctx.add(s.waiting, 1)] = e;
    }
    ctx.barrier();
    const int waiting = *s.waiting;
    ctx.barrier();  // all have read it
    if (waiting > kBuffer - kThreads || (waiting > 0 && base + kThreads >= n)) join(ctx, s);
  }
}

template <class Ctx>
TP_HD void search_batch(Ctx& ctx, const Job& job, int64_t c, bool smallest, Search& s) {
  const int64_t per_image = positions(job.x);
  search(ctx, s, job.x.images * per_image, [&](int64_t i) {
    const int64_t image = i / per_image, p = i % per_image;
    return Entry{key_of(job, image, p, c, smallest), static_cast<int32_t>(p), id_of(job, image)};
  });
}

// Grid: (channels, 2 ends). Joins a channel's candidates to its list. Where there was no room for
// all of them, or too few lay above the floor, the channel is searched again whole.
template <class Ctx>
TP_HD void select_kernel(Ctx& ctx, const Job& job) {
  const int64_t c = ctx.block_x();
  const int end = static_cast<int>(ctx.block_y());
  const TopState& top = job.state.top[end];
  if (top.k == 0) return;
  const TopScratch& from = job.scratch.top[end];
  const int64_t room = job.top[end].room;
  const int offered = from.counts[c];
  const Entry limit = from.limits[c];
  const bool floored = limit.id == INT64_MAX && limit.key > -INFINITY;
  if (offered == 0 && !floored) return;
  Carver carver(ctx.template shared<char>());
  Search s = Search::at(carver, top.k);
  s.size = top.sizes[c];
  for (int i = thread_of(ctx); i < s.size; i += kThreads) s.list[i] = top.list(c)[i];
  if (thread_of(ctx) == 0) *s.waiting = 0;
  ctx.barrier();
  const bool all_there = offered <= room;
  if (all_there) {
    search(ctx, s, offered, [&](int64_t i) { return from.candidates[c * room + i]; });
  }
  const bool filled = s.size == top.k && s.list[top.k - 1].key >= limit.key;
  if (!all_there || (floored && !filled)) search_batch(ctx, job, c, top.smallest, s);
  for (int i = thread_of(ctx); i < s.size; i += kThreads) top.list(c)[i] = s.list[i];
  if (thread_of(ctx) == 0) top.sizes[c] = s.size;
}

static inline int limits_shared_bytes(const Job& job) {
  const int most =
      job.top[0].samples > job.top[1].samples ? job.top[0].samples : job.top[1].samples;
  return most * static_cast<int>(sizeof(float));
}

static inline int select_shared_bytes(const Job& job) {
  const int k = job.state.top[0].k > job.state.top[1].k ? job.state.top[0].k : job.state.top[1].k;
  Carver carver(nullptr);
  Search::at(carver, k);
  return static_cast<int>(carver.used());
}

}  // namespace tuiprobe::cuda
