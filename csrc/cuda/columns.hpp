// Channel moments and the extremes of every segment: threads run along the channels, warps take
// units of rows.
//
// Rows are read in batches, all loads before the first use. Powers about a shift, scaled by a power
// of two, are added in float32 over a batch, then in float64. A block whose float32 sums do not
// serve (they left their range, values are not finite, the shift was too far from the mean) adds
// that channel again in float64.
#pragma once

#include "plan.hpp"

namespace tuiprobe::cuda {

// Where a channel is centred and how it is scaled.
struct Centre {
  float shift = 0;
  float scale = 1;
  float bias = 0;  // -shift * scale
};

TP_HD static inline Centre make_centre(double mean, double variance) {
  Centre out;
  out.shift = static_cast<float>(mean);
  out.scale = scale_for(variance);
  out.bias = -out.shift * out.scale;
  return is_finite(out.bias) && is_finite(out.shift) ? out : Centre();
}

// From the running figures, or from rows spread over the batch: the same for every block.
template <class T>
TP_HD TP_RARE Centre centre_of(const Job& job, int64_t c) {
  constexpr int64_t kTries = 32;
  if (job.state.moments != nullptr && job.state.moments[c].count >= kTries) {
    const Moments& m = job.state.moments[c];
    return make_centre(m.mean, m.m2 / static_cast<double>(m.count));
  }
  const int64_t per_image = positions(job.x), rows = job.x.images * per_image;
  const int64_t tries = rows < kTries ? rows : kTries;
  double first = 0, sum = 0, square = 0, count = 0;
  for (int64_t i = 0; i < tries; ++i) {
    const int64_t r = i * rows / tries, image = r / per_image;
    const T* row = job.row<T>(static_cast<int>(image), static_cast<int>(r - image * per_image));
    const float x = to_float(row[c]);
    if (!is_finite(x)) continue;
    if (count == 0) first = static_cast<double>(x);
    const double d = static_cast<double>(x) - first;
    sum += d;
    square += d * d;
    count += 1;
  }
  if (count == 0) return Centre();
  const double mean = sum / count;
  return make_centre(first + mean, square / count - mean * mean);
}

// What the threads of a block add up, in shared memory: each its own entries, a bank apart from
// those of its neighbours, so that registers are left for loads in flight.
struct ColumnSums {
  static constexpr int kThreads = kColumnWarps * kLanes, kEntries = kColumnVector * kThreads;
  double power[4][kEntries];
  float low[kEntries];
  float high[kEntries];
  int count[kEntries];

  TP_HD static int entry(int thread, int v) { return v * kThreads + thread; }

  TP_HD void clear(int thread, int v) {
    const int i = entry(thread, v);
    for (auto& p : power) p[i] = 0;
    low[i] = INFINITY;
    high[i] = -INFINITY;
    count[i] = 0;
  }
};

// Extremes of a segment, and the row at which the batch with them begins.
template <int kVector>
struct Segment {
  float low[kVector];
  float high[kVector];
  int low_at[kVector];
  int high_at[kVector];

  TP_HD Segment() {
    TP_UNROLL
    for (int v = 0; v < kVector; ++v) {
      low[v] = INFINITY;
      high[v] = -INFINITY;
      low_at[v] = high_at[v] = 0;
    }
  }
};

// Adds rows [0, n) from `at`; all kRows of them where kFull.
template <class T, int kVector, int kRows, bool kFull, class Ctx>
TP_HD void take_batch(Ctx& ctx, const T* at, int64_t stride, int n, int row,
                      const Centre (&centre)[kVector], ColumnSums& sums,
                      Segment<kVector>& segment) {
  const int thread = thread_of(ctx);
  T raw[kRows][kVector];
  TP_UNROLL
  for (int r = 0; r < kRows; ++r) {
    ctx.template load<T, kVector>(at, raw[r]);
    if (kFull || r + 1 < n) at += stride;
  }
  TP_UNROLL
  for (int v = 0; v < kVector; ++v) {
    float s1 = 0, s2 = 0, s3 = 0, s4 = 0, low = INFINITY, high = -INFINITY;
    TP_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const float x = to_float(raw[r][v]);
      // The last row stands in for those that are not there.
      const float d = kFull || r < n ? fmaf(x, centre[v].scale, centre[v].bias) : 0.0f, d2 = d * d;
      s1 += d;
      s2 += d2;
      s3 = fmaf(d2, d, s3);
      s4 = fmaf(d2, d2, s4);
      low = fminf(low, x);
      high = fmaxf(high, x);
    }
    const int i = ColumnSums::entry(thread, v);
    sums.power[0][i] += static_cast<double>(s1);
    sums.power[1][i] += static_cast<double>(s2);
    sums.power[2][i] += static_cast<double>(s3);
    sums.power[3][i] += static_cast<double>(s4);
    if (low < segment.low[v]) segment.low_at[v] = row;
    if (high > segment.high[v]) segment.high_at[v] = row;
    segment.low[v] = fminf(segment.low[v], low);
    segment.high[v] = fmaxf(segment.high[v], high);
  }
}

// Keeps the extremes of one segment of channel c.
TP_HD static inline void leave_extremes(const Job& job, int64_t segment, int64_t c,
                                        int64_t position, float low, float high, int low_at,
                                        int high_at) {
  if (!job.wants_top()) return;
  const Extremes& to = job.scratch.extremes;
  const int64_t at = segment * job.x.channels + c;
  to.value[0][at] = high;
  to.value[1][at] = low;
  if (!job.many_rows()) return;
  to.where[0][at] = static_cast<int32_t>(position + high_at);
  to.where[1][at] = static_cast<int32_t>(position + low_at);
}

template <class T, int kVector, class Ctx>
TP_HD void add_unit(Ctx& ctx, const Job& job, int number, int64_t c,
                    const Centre (&centre)[kVector], ColumnSums& sums) {
  constexpr int kRows = kBatch / (sizeof(T) / 2);
  const Unit unit = Unit::at(job.x, job.columns, number);
  const int64_t stride = job.run_stride();
  for (int i = 0; i < job.columns.segments; ++i) {
    const Run run = segment_run(job.x, unit, i);
    const T* at = job.row<T>(run.image, run.position) + c;
    Segment<kVector> segment;
    int r = 0;
    for (; r + kRows <= run.rows; r += kRows, at += kRows * stride) {
      take_batch<T, kVector, kRows, true>(ctx, at, stride, kRows, r, centre, sums, segment);
    }
    if (r < run.rows) {
      take_batch<T, kVector, kRows, false>(ctx, at, stride, run.rows - r, r, centre, sums, segment);
    }
    const int64_t s = int64_t{number} * job.columns.segments + i;
    TP_UNROLL
    for (int v = 0; v < kVector; ++v) {
      const int entry = ColumnSums::entry(thread_of(ctx), v);
      sums.low[entry] = fminf(sums.low[entry], segment.low[v]);
      sums.high[entry] = fmaxf(sums.high[entry], segment.high[v]);
      sums.count[entry] += run.rows;
      leave_extremes(job, s, c + v, run.position, segment.low[v], segment.high[v],
                     segment.low_at[v], segment.high_at[v]);
    }
  }
}

// Adds channel v of a unit again, in float64; values that are not finite are left out.
template <class T>
TP_HD TP_RARE void add_exactly(const Job& job, int number, int64_t c, int i, double shift,
                               ColumnSums& sums) {
  const Unit unit = Unit::at(job.x, job.columns, number);
  const int64_t stride = job.run_stride();
  PowerSums powers;
  int count = 0;
  for (int k = 0; k < job.columns.segments; ++k) {
    const Run run = segment_run(job.x, unit, k);
    const T* at = job.row<T>(run.image, run.position) + c;
    float low = INFINITY, high = -INFINITY;
    int low_at = 0, high_at = 0;
    for (int r = 0; r < run.rows; ++r, at += stride) {
      const float x = to_float(*at);
      if (!is_finite(x)) continue;
      const double d = static_cast<double>(x) - shift, d2 = d * d;
      powers = merge(powers, {d, d2, d2 * d, d2 * d2});
      ++count;
      if (x < low) low_at = r;
      if (x > high) high_at = r;
      low = fminf(low, x);
      high = fmaxf(high, x);
    }
    sums.low[i] = fminf(sums.low[i], low);
    sums.high[i] = fmaxf(sums.high[i], high);
    leave_extremes(job, int64_t{number} * job.columns.segments + k, c, run.position, low, high,
                   low_at, high_at);
  }
  sums.power[0][i] = powers.s1;
  sums.power[1][i] = powers.s2;
  sums.power[2][i] = powers.s3;
  sums.power[3][i] = powers.s4;
  sums.count[i] = count;
}

// Adds the warps' sums of one channel in order and leaves its moments; whether float32 served.
TP_HD static inline TP_RARE bool leave_sums(const Job& job, const ColumnSums& sums, int lane, int v,
                                            double shift, double scale, int64_t c, int block) {
  PowerSums all;
  float low = INFINITY, high = -INFINITY;
  int64_t rows = 0, count = 0;
  for (int w = 0; w < kColumnWarps; ++w) {
    const int i = ColumnSums::entry(w * kLanes + lane, v), number = block * kColumnWarps + w;
    all = merge(all, {sums.power[0][i], sums.power[1][i], sums.power[2][i], sums.power[3][i]});
    low = fminf(low, sums.low[i]);
    high = fmaxf(high, sums.high[i]);
    count += sums.count[i];
    if (number < job.columns.units) rows += Unit::at(job.x, job.columns, number).all_rows();
  }
  if (job.scratch.parts == nullptr) return fabs(all.s4) <= 1.7976931348623157e308;
  Moments part =
      central(all, count, shift, scale, static_cast<double>(low), static_cast<double>(high));
  part.nonfinite = rows - count;
  job.scratch.parts[block * job.x.channels + c] = part;
  return trustworthy(all, count, part, merge(job.state.moments[c], part), scale);
}

// The centres and the channels to add again follow the sums in shared memory.
constexpr int kTileChannels = kLanes * kColumnVector;
constexpr int kColumnsSharedBytes =
    static_cast<int>(sizeof(ColumnSums) + kTileChannels * (sizeof(Centre) + sizeof(int)));

// Grid: (tiles of channels, blocks of kColumnWarps units).
template <class T, int kVector>
struct ColumnsKernel : Kernel<Job, kColumnWarps, 6> {
  template <class Ctx>
  TP_HD static void run(Ctx& ctx, const Job& job) {
    const int lane = ctx.lane(), thread = thread_of(ctx), block = static_cast<int>(ctx.block_y());
    const int unit = block * kColumnWarps + ctx.warp();
    const int64_t c = (ctx.block_x() * kLanes + lane) * kVector, channels = job.x.channels;
    auto& sums = *ctx.template shared<ColumnSums>();
    auto* centres = reinterpret_cast<Centre*>(ctx.template shared<char>() + sizeof sums);
    int* redo = reinterpret_cast<int*>(centres + kTileChannels);
    const bool there = c < channels && unit < job.columns.units;
    {
      Centre centre[kVector];
      TP_UNROLL
      for (int v = 0; v < kVector; ++v) {
        if (c < channels) centre[v] = centre_of<T>(job, c + v);
        if (ctx.warp() == 0) centres[lane * kVector + v] = centre[v];
        sums.clear(thread, v);
      }
      if (there) add_unit<T, kVector>(ctx, job, unit, c, centre, sums);
    }
    ctx.barrier();
    // Neighbouring channels one by one from here on: this runs once a block.
    TP_NO_UNROLL
    for (int v = 0; v < kVector && ctx.warp() == 0; ++v) {
      const Centre& centre = centres[lane * kVector + v];
      redo[lane * kVector + v] =
          c < channels && !leave_sums(job, sums, lane, v, static_cast<double>(centre.shift),
                                      static_cast<double>(centre.scale), c + v, block);
    }
    ctx.barrier();
    TP_NO_UNROLL
    for (int v = 0; v < kVector; ++v) {
      if (!redo[lane * kVector + v]) continue;
      sums.clear(thread, v);
      const double shift = static_cast<double>(centres[lane * kVector + v].shift);
      const int i = ColumnSums::entry(thread, v);
      if (there) add_exactly<T>(job, unit, c + v, i, shift, sums);
    }
    ctx.barrier();
    TP_NO_UNROLL
    for (int v = 0; v < kVector && ctx.warp() == 0; ++v) {
      if (!redo[lane * kVector + v]) continue;
      const double shift = static_cast<double>(centres[lane * kVector + v].shift);
      leave_sums(job, sums, lane, v, shift, 1, c + v, block);
    }
  }
};

}  // namespace tuiprobe::cuda
