// A warp a row: mean, kurtosis, norm, and for images of one row their record.
//
// The mean is summed in float64; distances from it are float32, scaled by the row's own spread so
// that no power leaves its range, and their powers go to float64 every few channels.
#pragma once

#include "groups.hpp"

namespace tuiprobe::cuda {

struct RowExtent {
  double sum;
  float min;
  float max;
  int nonfinite;
};

TP_HD static inline RowExtent combine_extents(const RowExtent& a, const RowExtent& b) {
  return {a.sum + b.sum, a.min < b.min ? a.min : b.min, a.max > b.max ? a.max : b.max,
          a.nonfinite + b.nonfinite};
}

struct RowPowers {
  double square;
  double fourth;
  double eighth;
  float peak;  // largest fourth power
  int32_t channel;
};

TP_HD static inline RowPowers combine_powers(const RowPowers& a, const RowPowers& b) {
  const bool second = b.peak > a.peak || (b.peak == a.peak && b.channel < a.channel);
  return {a.square + b.square, a.fourth + b.fourth, a.eighth + b.eighth, second ? b.peak : a.peak,
          second ? b.channel : a.channel};
}

// Calls take(c, values[n], n) for runs of neighbouring channels of a row, spread over the lanes.
template <class T, bool kStaged, class Ctx, class Take>
TP_HD void each_run(Ctx& ctx, const Values<T, kStaged>& values, int r, Take take) {
  constexpr int kVector = 16 / sizeof(T);
  const int64_t channels = values.job.x.channels;
  const T* row = values.row(r);
  float run[kVector];
  if (kStaged) {
    for (int64_t c = ctx.lane() * kVector; c < channels; c += kLanes * kVector) {
      T raw[kVector];
      ctx.template load_shared<T, kVector>(row + c, raw);
      const int n = channels - c < kVector ? static_cast<int>(channels - c) : kVector;
      for (int v = 0; v < kVector; ++v) run[v] = to_float(raw[v]);
      take(c, run, n);
    }
  } else {
    for (int64_t c = ctx.lane(); c < channels; c += kLanes) {
      run[0] = to_float(row[c * values.stride()]);
      take(c, run, 1);
    }
  }
}

// A power of two that brings the spread near one, however small or large it is.
TP_HD static inline float scale_for_range(double range) {
  int exponent;
  frexp(range, &exponent);
  exponent = exponent < -126 ? -126 : exponent > 126 ? 126 : exponent;
  return static_cast<float>(ldexp(1.0, -exponent));
}

TP_HD static inline float distance(const RowFigures& row, float x) {
  return (x * row.scale - row.shift) - row.offset;
}

template <class T, bool kStaged, class Ctx>
TP_HD RowExtent row_extent(Ctx& ctx, const Values<T, kStaged>& values, int r) {
  constexpr int kVector = 16 / sizeof(T);
  RowExtent mine{0, INFINITY, -INFINITY, 0};
  each_run(ctx, values, r, [&](int64_t, const float* run, int n) {
    for (int v = 0; v < kVector; ++v) {
      if (v >= n) break;
      mine.sum += static_cast<double>(run[v]);
      mine.min = run[v] < mine.min ? run[v] : mine.min;
      mine.max = run[v] > mine.max ? run[v] : mine.max;
      mine.nonfinite += !is_finite(run[v]);
    }
  });
  return reduce_warp(ctx, mine, combine_extents);
}

template <class T, bool kStaged, class Ctx>
TP_HD RowPowers row_powers(Ctx& ctx, const Values<T, kStaged>& values, int r, const RowFigures& row,
                           bool eighth) {
  constexpr int kVector = 16 / sizeof(T);
  RowPowers mine{0, 0, 0, -1, INT32_MAX};
  each_run(ctx, values, r, [&](int64_t c, const float* run, int n) {
    float square = 0, fourth = 0;
    for (int v = 0; v < kVector; ++v) {
      if (v >= n) break;
      const float d = distance(row, run[v]), d2 = d * d, d4 = d2 * d2;
      square += d2;
      fourth += d4;
      if (!eighth) continue;
      mine.eighth += static_cast<double>(d4) * static_cast<double>(d4);
      if (d4 > mine.peak) {
        mine.peak = d4;
        mine.channel = static_cast<int32_t>(c + v);
      }
    }
    mine.square += static_cast<double>(square);
    mine.fourth += static_cast<double>(fourth);
  });
  return reduce_warp(ctx, mine, combine_powers);
}

TP_HD static inline void write_record(const Job& job, int64_t image, double kurtosis,
                                      double self_share, int64_t leading) {
  const Progress& progress = *job.state.progress;
  const int64_t at = progress.images + image;
  if (at < progress.capacity) {
    progress.records[at] = {id_of(job, image), kurtosis, self_share, leading};
  }
}

// All lanes of a warp call; lane 0 leaves the figures of row r in rows[r].
template <class T, bool kStaged, class Ctx>
TP_HD void take_row(Ctx& ctx, const Job& job, const Values<T, kStaged>& values, int r,
                    const BlockMemory& block) {
  const bool alone = positions(job.x) == 1;
  const double n = static_cast<double>(job.x.channels);
  const RowExtent extent = row_extent(ctx, values, r);
  const double mean = extent.sum / n;
  RowFigures row{0, 0, 0, 0, NAN};
  double square_norm = n * mean * mean;
  int64_t leading = -1;
  double self_share = NAN;
  if (extent.nonfinite == 0 && extent.min < extent.max) {
    row.scale = scale_for_range(static_cast<double>(extent.max) - static_cast<double>(extent.min));
    const double scaled = mean * static_cast<double>(row.scale);
    row.shift = static_cast<float>(scaled);
    row.offset = static_cast<float>(scaled - static_cast<double>(row.shift));
    const RowPowers powers = row_powers(ctx, values, r, row, alone);
    const double per_image = static_cast<double>(positions(job.x));
    row.weight = static_cast<float>(1 / (powers.fourth * per_image));
    row.kurtosis = n * powers.fourth / (powers.square * powers.square);
    square_norm += powers.square / static_cast<double>(row.scale) / static_cast<double>(row.scale);
    leading = powers.channel;
    self_share = powers.eighth / (powers.fourth * powers.fourth);
  }
  if (ctx.lane() != 0) return;
  block.rows[r] = row;
  if (extent.nonfinite == 0) ctx.add(&block.norms[norm_bin(square_norm)], 1);
  if (alone) write_record(job, values.group.image_of(job, r), row.kurtosis, self_share, leading);
}

}  // namespace tuiprobe::cuda
