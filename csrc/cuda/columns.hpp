// Channel moments and the extremes of every run of rows: threads run along the channels, the warps
// of a block share its runs.
//
// Rows are read in batches, all loads before the first use. Powers about a shift, scaled by a power
// of two, are added in float32 over a batch, then in float64. A block whose float32 sums do not
// serve (they left their range, values are not finite, the shift was too far from the mean) adds
// that channel again in float64.
#pragma once

#include "plan.hpp"

namespace tuiprobe::cuda {

// From the running figures, or from rows spread over the batch: the same for every block.
template <class T>
TP_HD TP_RARE Centre centre_of(const Job& job, int64_t c) {
  constexpr int64_t kTries = 64;
  const Moments& seen = job.state.moments[c];
  if (seen.count >= kTries)
    return make_centre(seen.mean, seen.m2 / static_cast<double>(seen.count));
  double sum = 0, square = 0, count = 0;
  for (int64_t i = 0; i < kTries; ++i) {
    const int64_t row = i * job.x.images * job.x.width / kTries, line = row / job.x.width;
    const double x = static_cast<double>(to_float(job.row<T>(line, row - line * job.x.width)[c]));
    if (!is_finite(static_cast<float>(x))) continue;
    sum += x;
    square += x * x;
    count += 1;
  }
  const double mean = sum / count;  // NaN if there is none
  return make_centre(mean, square / count - mean * mean);
}

// What the threads of a block add up, in shared memory: each its own entries, a bank apart from
// those of its neighbours, so that registers are left for loads in flight.
struct ColumnSums {
  static constexpr int kThreads = kColumnWarps * kLanes, kEntries = kColumnVector * kThreads;
  double power[4][kEntries];
  float low[kEntries];
  float high[kEntries];
  int count[kEntries];
  int nonfinite[kEntries];
  bool redo[kColumnVector][kLanes];  // channels of the block's tile

  TP_HD static int entry(int thread, int v) { return v * kThreads + thread; }

  TP_HD void clear(int i) {
    for (auto& p : power) p[i] = 0;
    low[i] = INFINITY;
    high[i] = -INFINITY;
    count[i] = nonfinite[i] = 0;
  }
};

// Adds rows [0, n) from `at`; all kRows of them where kFull.
template <class T, int kVector, int kRows, bool kFull, class Ctx>
TP_HD void take_batch(Ctx& ctx, const T* at, int64_t stride, int n, const Centre (&centre)[kVector],
                      ColumnSums& sums, float (&lows)[kVector], float (&highs)[kVector]) {
  T raw[kRows][kVector];
  TP_UNROLL
  for (int r = 0; r < kRows; ++r) {
    ctx.template load<T, kVector>(at, raw[r]);
    if (kFull || r + 1 < n) at += stride;
  }
  TP_UNROLL
  for (int v = 0; v < kVector; ++v) {
    float s1 = 0, s2 = 0, s3 = 0, s4 = 0, low = INFINITY, high = -INFINITY;
    float step1 = 0, step2 = 0;  // over four rows: fewer roundings for each
    TP_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const float x = to_float(raw[r][v]);
      // The last row stands in for those that are not there.
      const float d = kFull || r < n ? fmaf(x, centre[v].scale, centre[v].bias) : 0.0f, d2 = d * d;
      step1 = r % 4 ? step1 + d : d;
      step2 = r % 4 ? step2 + d2 : d2;
      if (r % 4 == 3) s1 += step1, s2 += step2;
      s3 = fmaf(d2, d, s3);
      s4 = fmaf(d2, d2, s4);
      low = fminf(low, x);
      high = fmaxf(high, x);
    }
    const int i = ColumnSums::entry(thread_of(ctx), v);
    sums.power[0][i] += static_cast<double>(s1);
    sums.power[1][i] += static_cast<double>(s2);
    sums.power[2][i] += static_cast<double>(s3);
    sums.power[3][i] += static_cast<double>(s4);
    lows[v] = fminf(lows[v], low);
    highs[v] = fmaxf(highs[v], high);
  }
}

template <class T, int kVector, class Ctx>
TP_HD void add_run(Ctx& ctx, const Job& job, int number, int64_t c, const Centre (&centre)[kVector],
                   ColumnSums& sums) {
  constexpr int kRows = kBatch / (sizeof(T) / 2);
  const Run run = job.columns.run(number);
  const int64_t stride = job.x.column_stride;
  const T* at = job.row<T>(run.line, run.first) + c;
  float low[kVector], high[kVector];
  TP_UNROLL
  for (int v = 0; v < kVector; ++v) {
    low[v] = INFINITY;
    high[v] = -INFINITY;
  }
  int r = 0;
  for (; r + kRows <= run.rows; r += kRows, at += kRows * stride) {
    take_batch<T, kVector, kRows, true>(ctx, at, stride, kRows, centre, sums, low, high);
  }
  if (r < run.rows) {
    take_batch<T, kVector, kRows, false>(ctx, at, stride, run.rows - r, centre, sums, low, high);
  }
  TP_UNROLL
  for (int v = 0; v < kVector; ++v) {
    const int i = ColumnSums::entry(thread_of(ctx), v);
    sums.low[i] = fminf(sums.low[i], low[v]);
    sums.high[i] = fmaxf(sums.high[i], high[v]);
    sums.count[i] += run.rows;
    if (job.wants_top()) {
      job.scratch.extremes[0][number * job.x.channels + c + v] = high[v];
      job.scratch.extremes[1][number * job.x.channels + c + v] = low[v];
    }
  }
}

// Adds a run of channel c in float64; values that are not finite are only counted.
template <class T>
TP_HD TP_RARE void add_exactly(const Job& job, int number, int64_t c, int i, double shift,
                               ColumnSums& sums) {
  const Run run = job.columns.run(number);
  const T* at = job.row<T>(run.line, run.first) + c;
  for (int r = 0; r < run.rows; ++r, at += job.x.column_stride) {
    const float x = to_float(*at);
    if (!is_finite(x)) {
      ++sums.nonfinite[i];
      continue;
    }
    const double d = static_cast<double>(x) - shift, d2 = d * d;
    sums.power[0][i] += d;
    sums.power[1][i] += d2;
    sums.power[2][i] += d2 * d;
    sums.power[3][i] += d2 * d2;
    sums.low[i] = fminf(sums.low[i], x);
    sums.high[i] = fmaxf(sums.high[i], x);
    ++sums.count[i];
  }
}

// Adds the warps' sums of one channel in order and leaves its moments; whether float32 served.
TP_HD static inline TP_RARE bool leave_moments(const Job& job, const ColumnSums& sums, int lane,
                                               int v, const Centre& centre, int64_t c,
                                               int64_t unit) {
  PowerSums all;
  float low = INFINITY, high = -INFINITY;
  int64_t count = 0, nonfinite = 0;
  for (int w = 0; w < kColumnWarps; ++w) {
    const int i = ColumnSums::entry(w * kLanes + lane, v);
    all = merge(all, {sums.power[0][i], sums.power[1][i], sums.power[2][i], sums.power[3][i]});
    low = fminf(low, sums.low[i]);
    high = fmaxf(high, sums.high[i]);
    count += sums.count[i];
    nonfinite += sums.nonfinite[i];
  }
  const double scale = static_cast<double>(centre.scale);
  Moments part = central(all, count, centre.shift(), scale, static_cast<double>(low),
                         static_cast<double>(high));
  part.nonfinite = nonfinite;
  job.scratch.parts[unit * job.x.channels + c] = part;
  return trustworthy(all, count, part, merge(job.state.moments[c], part), centre.shift());
}

// Grid: (tiles of channels, units of job.columns).
template <class T, int kVector>
struct ColumnsKernel : Kernel<kColumnWarps, 6> {
  template <class Ctx>
  TP_HD static void run(Ctx& ctx, const Job& job) {
    const int lane = ctx.lane(), warp = ctx.warp();
    const int64_t unit = ctx.block_y(), c = (ctx.block_x() * kLanes + lane) * kVector;
    const int begin = job.columns.begin(unit) + warp, end = job.columns.end(unit);
    const bool there = c < job.x.channels;
    auto& sums = *ctx.template shared<ColumnSums>();
    Centre centre[kVector];
    TP_UNROLL
    for (int v = 0; v < kVector; ++v) {
      if (there && job.options.moments) centre[v] = centre_of<T>(job, c + v);
      sums.clear(ColumnSums::entry(thread_of(ctx), v));
    }
    for (int i = begin; there && i < end; i += kColumnWarps) {
      add_run<T, kVector>(ctx, job, i, c, centre, sums);
    }
    if (!job.options.moments) return;
    ctx.barrier();
    // The first warps leave the moments, each one of the neighbouring channels of every lane.
    const bool leaves = there && warp < kVector;
    const Centre own = leaves ? centre_of<T>(job, c + warp) : Centre();
    if (leaves) sums.redo[warp][lane] = !leave_moments(job, sums, lane, warp, own, c + warp, unit);
    ctx.barrier();
    TP_NO_UNROLL
    for (int v = 0; v < kVector; ++v) {
      if (!there || !sums.redo[v][lane]) continue;
      const int entry = ColumnSums::entry(thread_of(ctx), v);
      const double shift = centre_of<T>(job, c + v).unscaled().shift();
      sums.clear(entry);
      for (int i = begin; i < end; i += kColumnWarps) {
        add_exactly<T>(job, i, c + v, entry, shift, sums);
      }
    }
    ctx.barrier();
    if (!leaves || !sums.redo[warp][lane]) return;
    leave_moments(job, sums, lane, warp, own.unscaled(), c + warp, unit);
  }
};

}  // namespace tuiprobe::cuda
