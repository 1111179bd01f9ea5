// A thread a channel: what a group of rows adds to the channel's moments, shares and candidates.
#pragma once

#include "moments_kernels.hpp"
#include "rows_kernels.hpp"

namespace tuiprobe::cuda {

// Counts a candidate of channel c and keeps it where there is room; returns its place, room or not.
template <class Ctx>
TP_HD int append(Ctx& ctx, const TopScratch& to, int64_t room, int64_t c, const Entry& e) {
  const int at = ctx.add(&to.counts[c], 1);
  if (at < room) to.candidates[c * room + at] = e;
  return at;
}

// Offers what one end of channel c may want of a group. At most one candidate an image, but where
// a chunk's images share an id.
template <class T, bool kStaged, class Ctx>
TP_HD void offer_group(Ctx& ctx, const Job& job, const Values<T, kStaged>& values, int end,
                       int64_t c, const Columns& columns) {
  const Group& g = values.group;
  const TopScratch& to = job.scratch.top[end];
  const int64_t room = job.top[end].room;
  const Entry limit = to.limits[c];
  Entry best{-INFINITY, 0, 0};
  for (int r = 0; r < g.rows; ++r) {
    const float x = values.at(r, c);
    const Entry e{(end ? -x : x) + 0.0f, g.position_of(job, r), id_of(job, g.image_of(job, r))};
    if (!is_finite(x) || !better(e, limit)) continue;
    if (positions(job.x) == 1) {
      append(ctx, to, room, c, e);
    } else if (best.key == -INFINITY || better(e, best)) {
      best = e;
    }
  }
  if (best.key == -INFINITY) return;
  int& slot = columns.slot[end][c];
  if (slot < 0) {
    slot = append(ctx, to, room, c, best);
  } else if (slot < room && better(best, to.candidates[c * room + slot])) {
    to.candidates[c * room + slot] = best;
  }
}

// What a group adds to one channel, in registers.
struct GroupSums {
  double power[4];
  float min = INFINITY;
  float max = -INFINITY;
  float share = 0;
  int count = 0;
};

template <class T, bool kStaged, bool kMoments, bool kSamples>
TP_HD void sum_group(const Values<T, kStaged>& values, const RowFigures* rows, int64_t c,
                     double shift, GroupSums& to) {
#if defined(__CUDA_ARCH__)
#pragma unroll 4
#endif
  for (int r = 0; r < values.group.rows; ++r) {
    const float x = values.at(r, c);
    if (is_finite(x)) {
      if (kMoments) {
        const double d = static_cast<double>(x) - shift, d2 = d * d;
        to.power[0] += d;
        to.power[1] += d2;
        to.power[2] += d2 * d;
        to.power[3] += d2 * d2;
      }
      to.min = x < to.min ? x : to.min;
      to.max = x > to.max ? x : to.max;
      ++to.count;
    }
    if (kSamples && rows[r].weight > 0) {
      const float d = distance(rows[r], x), d2 = d * d;
      to.share += d2 * d2 * rows[r].weight;
    }
  }
}

template <class T, bool kStaged>
TP_HD int count_exceeding(const Values<T, kStaged>& values, int64_t c) {
  int count = 0;
  for (int r = 0; r < values.group.rows; ++r) {
    const float x = values.at(r, c);
    count += is_finite(x) && fabsf(x) >= kExceedance;
  }
  return count;
}

template <class T, bool kStaged, class Ctx>
TP_HD void take_column(Ctx& ctx, const Job& job, const Values<T, kStaged>& values, int64_t c,
                       const RowFigures* rows, const Columns& to) {
  const bool moments = job.state.moments != nullptr, samples = job.state.share_sum != nullptr;
  GroupSums sums;
  for (int k = 0; k < 4; ++k) sums.power[k] = moments ? to.power[k][c] : 0;
  const double shift = moments ? to.shift[c] : 0;
  if (moments && samples) {
    sum_group<T, kStaged, true, true>(values, rows, c, shift, sums);
  } else if (samples) {
    sum_group<T, kStaged, false, true>(values, rows, c, shift, sums);
  } else if (moments) {
    sum_group<T, kStaged, true, false>(values, rows, c, shift, sums);
  } else {
    sum_group<T, kStaged, false, false>(values, rows, c, shift, sums);
  }
  if (moments) {
    for (int k = 0; k < 4; ++k) to.power[k][c] = sums.power[k];
    to.min[c] = sums.min < to.min[c] ? sums.min : to.min[c];
    to.max[c] = sums.max > to.max[c] ? sums.max : to.max[c];
    to.count[c] += sums.count;
  }
  if (samples) {
    to.share[c] += static_cast<double>(sums.share);
    if (sums.max >= kExceedance || sums.min <= -kExceedance) {
      to.exceed[c] += count_exceeding(values, c);
    }
  }
  for (int end = 0; end < 2; ++end) {
    if (job.state.top[end].k == 0 || sums.count == 0) continue;
    const float best = (end ? -sums.min : sums.max) + 0.0f;
    if (best >= job.scratch.top[end].limits[c].key) offer_group(ctx, job, values, end, c, to);
  }
}

TP_HD static inline void clear_column(const Job& job, int64_t c, const Columns& to) {
  for (double* power : to.power) power[c] = 0;
  to.shift[c] = job.state.moments != nullptr ? shift_of(job.x, job.state.moments, c) : 0;
  to.share[c] = 0;
  to.min[c] = INFINITY;
  to.max[c] = -INFINITY;
  to.count[c] = 0;
  to.exceed[c] = 0;
  for (int* slot : to.slot) slot[c] = -1;
}

// Leaves what a chunk has found of channel c: moments and shares for the ordered merge, counts in
// the state.
template <class Ctx>
TP_HD void leave_column(Ctx& ctx, const Job& job, int64_t c, int64_t rows, const Columns& from) {
  const int64_t at = ctx.block_x() * job.x.channels + c;
  if (job.state.moments != nullptr) {
    ChannelSums sums;
    sums.s1 = from.power[0][c];
    sums.s2 = from.power[1][c];
    sums.s3 = from.power[2][c];
    sums.s4 = from.power[3][c];
    sums.min = from.min[c];
    sums.max = from.max[c];
    sums.count = from.count[c];
    job.scratch.parts[at] = to_moments(sums, rows, from.shift[c]);
  }
  if (job.state.share_sum == nullptr) return;
  if (positions(job.x) == 1) job.scratch.shares[at] = from.share[c];
  if (from.exceed[c] > 0) ctx.add(&job.state.exceed[c], static_cast<int64_t>(from.exceed[c]));
}

}  // namespace tuiprobe::cuda
