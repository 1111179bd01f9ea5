// A warp a row: mean, kurtosis, norm and shares of the fourth moment.
//
// A row is read twice, the second time from the cache: its powers about the mean of the row before,
// then its shares about its own mean. Both are float32, scaled by the spread of the row before; a
// row for which that does not serve is summed in float64.
#pragma once

#include "plan.hpp"

namespace tuiprobe::cuda {

// d = x scale - high - low are the scaled distances of a row from its mean.
struct RowCentre {
  float scale = 1;
  float high = 0;
  float low = 0;
};

struct RowPowers {
  float s1, s2, s3, s4;
  float square;  // sum of x^2
};

TP_HD static inline RowPowers combine_powers(const RowPowers& a, const RowPowers& b) {
  return {a.s1 + b.s1, a.s2 + b.s2, a.s3 + b.s3, a.s4 + b.s4, a.square + b.square};
}

// What is known of a row.
struct RowFigures {
  bool finite;
  bool valid;  // finite, and not all values are equal
  double mean;
  double second;  // sum of the squared distances from the mean
  double fourth;
  double square_norm;
};

// Vectors of a row whose loads a lane issues together, and the channels between two of them.
constexpr int kVectors = 4;
template <int kVector>
constexpr int kStep = kLanes * kVector;

// Calls take(c, raw) for the vectors of a row that belong to the lane, and next(c) after every
// kVectors of them, the first of which is at c.
template <class T, int kVector, class Ctx, class Take, class Next>
TP_HD void each_vector(Ctx& ctx, const T* row, int channels, Take take, Next next) {
  constexpr int kApart = kStep<kVector>;
  const T* at = row + ctx.lane() * kVector;
  for (int c = ctx.lane() * kVector; c < channels; c += kVectors * kApart) {
    T raw[kVectors][kVector];
    TP_UNROLL
    for (int i = 0; i < kVectors; ++i) {
      if (c + i * kApart < channels) ctx.template load<T, kVector>(at + i * kApart, raw[i]);
    }
    TP_UNROLL
    for (int i = 0; i < kVectors; ++i) {
      if (c + i * kApart < channels) take(c + i * kApart, raw[i]);
    }
    next(c);
    at += kVectors * kApart;
  }
}

template <class T, int kVector, class Ctx>
TP_HD RowPowers row_powers(Ctx& ctx, const T* row, int channels, const RowCentre& centre) {
  RowPowers all{0, 0, 0, 0, 0}, run = all;
  const float scale = centre.scale, bias = -centre.high;
  each_vector<T, kVector>(
      ctx, row, channels,
      [&](int, const T* raw) {
        TP_UNROLL
        for (int v = 0; v < kVector; ++v) {
          const float x = to_float(raw[v]);
          const float d = fmaf(x, scale, bias), d2 = d * d;
          run.s1 += d;
          run.s2 += d2;
          run.s3 = fmaf(d2, d, run.s3);
          run.s4 = fmaf(d2, d2, run.s4);
          run.square = fmaf(x, x, run.square);
        }
      },
      [&](int) {
        all = combine_powers(all, run);
        run = {0, 0, 0, 0, 0};
      });
  return reduce_warp(ctx, all, combine_powers);
}

// Figures from float32 powers; whether they serve.
TP_HD static inline bool summarize(const RowPowers& p, double n, const RowCentre& centre,
                                   RowFigures& out) {
  const double s1 = static_cast<double>(p.s1), s2 = static_cast<double>(p.s2);
  const double s3 = static_cast<double>(p.s3), s4 = static_cast<double>(p.s4);
  const double m = s1 / n, m2 = m * m;
  const double second = s2 - n * m2, unit = 1 / static_cast<double>(centre.scale);
  const double fourth = s4 - 4 * m * s3 + 6 * m2 * s2 - 3 * n * m2 * m2;
  out = {true,
         true,
         (static_cast<double>(centre.high) + m) * unit,
         second * unit * unit,
         fourth * unit * unit * unit * unit,
         static_cast<double>(p.square)};
  constexpr double kRange = 16777216.0;  // 2^24
  return is_finite(p.s4) && is_finite(p.square) && second > n / kRange && second < n * kRange &&
         n * m2 <= second;
}

struct ExactExtent {
  double sum;
  double square;
  float low;
  float high;
  int64_t nonfinite;
};

TP_HD static inline ExactExtent combine_extents(const ExactExtent& a, const ExactExtent& b) {
  return {a.sum + b.sum, a.square + b.square, fminf(a.low, b.low), fmaxf(a.high, b.high),
          a.nonfinite + b.nonfinite};
}

struct ExactPowers {
  double second;
  double fourth;
};

TP_HD static inline ExactPowers combine_exact(const ExactPowers& a, const ExactPowers& b) {
  return {a.second + b.second, a.fourth + b.fourth};
}

template <class T, class Ctx>
TP_HD TP_RARE RowFigures exact_figures(Ctx& ctx, const T* row, int channels) {
  ExactExtent extent{0, 0, INFINITY, -INFINITY, 0};
  for (int c = ctx.lane(); c < channels; c += kLanes) {
    const float x = to_float(row[c]);
    const double wide = static_cast<double>(x);
    extent = combine_extents(extent, {wide, wide * wide, x, x, is_finite(x) ? 0 : 1});
  }
  extent = reduce_warp(ctx, extent, combine_extents);
  if (extent.nonfinite > 0) return {false, false, 0, 0, 0, 0};
  const double mean = extent.sum / static_cast<double>(channels);
  ExactPowers powers{0, 0};
  for (int c = ctx.lane(); c < channels; c += kLanes) {
    const double d = static_cast<double>(to_float(row[c])) - mean, d2 = d * d;
    powers = combine_exact(powers, {d2, d2 * d2});
  }
  powers = reduce_warp(ctx, powers, combine_exact);
  return {true, extent.low < extent.high, mean, powers.second, powers.fourth, extent.square};
}

// Puts a row's own mean and spread into `centre`; returns the weight of its scaled fourth powers.
TP_HD static inline float centre_on(const RowFigures& row, double n, double per_image,
                                    RowCentre& centre) {
  const float scale = scale_for(row.second / n);
  const double unit = static_cast<double>(scale), mean = row.mean * unit;
  centre.scale = scale;
  centre.high = static_cast<float>(mean);
  centre.low = static_cast<float>(mean - static_cast<double>(centre.high));
  return static_cast<float>(1 / (row.fourth * unit * unit * unit * unit * per_image));
}

struct Lead {
  float self;  // sum of the squared shares
  float best;  // largest share, or what is proportional to it
  int32_t channel;
};

TP_HD static inline Lead combine_leads(const Lead& a, const Lead& b) {
  const bool second = b.best > a.best || (b.best == a.best && b.channel < a.channel);
  return {a.self + b.self, second ? b.best : a.best, second ? b.channel : a.channel};
}

// Counts what exceeds in `vectors` vectors of the lane from channel c on; rare enough to read them
// again.
template <class T, int kVector, class Ctx>
TP_HD TP_RARE void count_exceeding(Ctx& ctx, const T* row, int c, int channels, int vectors,
                                   int* counts) {
  TP_NO_UNROLL
  for (int i = 0; i < vectors && c < channels; ++i, c += kStep<kVector>) {
    TP_NO_UNROLL
    for (int v = 0; v < kVector; ++v) {
      const float x = to_float(row[c + v]);
      if (is_finite(x) && fabsf(x) >= kExceedance) ctx.add(&counts[c + v], 1);
    }
  }
}

// Fourth power of a scaled distance from the mean.
TP_HD static inline float fourth_power(float x, const RowCentre& centre) {
  const float d = fmaf(x, centre.scale, -centre.high) - centre.low, d2 = d * d;
  return d2 * d2;
}

// Adds a row's shares to those of its warp, and what exceeds. Where an image is one row, all lanes
// get its lead.
template <class T, int kVector, bool kLead, class Ctx>
TP_HD Lead row_shares(Ctx& ctx, const T* row, int channels, const RowCentre& centre, float weight,
                      float* shares, int* exceeding) {
  Lead lead{0, -1, INT32_MAX};
  float most = 0;
  each_vector<T, kVector>(
      ctx, row, channels,
      [&](int c, const T* raw) {
        float sums[kVector], best = 0;
        ctx.template load_shared<kVector>(shares + c, sums);
        TP_UNROLL
        for (int v = 0; v < kVector; ++v) {
          const float x = to_float(raw[v]), d4 = fourth_power(x, centre);
          sums[v] = fmaf(d4, weight, sums[v]);
          most = fmaxf(most, fabsf(x));
          if (!kLead) continue;
          lead.self = fmaf(d4, d4, lead.self);
          best = fmaxf(best, d4);
        }
        ctx.template store_shared<kVector>(shares + c, sums);
        if (!kLead) return;
        if (best > lead.best) lead.channel = c;
        lead.best = fmaxf(lead.best, best);
      },
      [&](int c) {
        if (most < kExceedance) return;
        count_exceeding<T, kVector>(ctx, row, c, channels, kVectors, exceeding);
        most = 0;
      });
  if (kLead) {
    // The channel within the vector that leads; a lane may have none.
    for (int v = 0; v < kVector && lead.channel < channels; ++v) {
      if (fourth_power(to_float(row[lead.channel]), centre) == lead.best) break;
      ++lead.channel;
    }
    lead = reduce_warp(ctx, lead, combine_leads);
  }
  lead.self *= weight * weight;
  return lead;
}

// The figures of one image, once they are known.
template <class Ctx>
TP_HD void leave_image(Ctx& ctx, const Job& job, int64_t image, double kurtosis, const Lead& lead) {
  const bool valid = kurtosis == kurtosis;
  const double self = valid ? static_cast<double>(lead.self) : NAN;
  const int64_t id = job.id_of(image);
  const Progress& progress = *job.state.progress;
  const int64_t at = progress.recorded + image;
  if (at < progress.capacity)
    progress.records[at] = {id, kurtosis, self, valid ? lead.channel : -1};
  job.scratch.self[image] = valid ? self : 0;
  if (valid) {
    ctx.add(&job.state.samples.leading_count[lead.channel], int64_t{1});
  } else {
    ctx.add(job.state.samples.degenerate, int64_t{1});
  }
}

// A block's shared memory.
struct RowMemory {
  double* kurtosis;  // [warps] sum of the rows; NaN: one of them is degenerate
  int* norms;
  float* shares;   // [warps, channels]
  int* exceeding;  // [channels]

  template <class Ctx>
  TP_HD RowMemory(Ctx& ctx, int64_t channels) {
    kurtosis = ctx.template shared<double>();
    norms = ctx.template shared<int>() + 2 * kMaxRowWarps;
    shares = ctx.template shared<float>() + 2 * kMaxRowWarps + kNormBins;
    exceeding = ctx.template shared<int>() + 2 * kMaxRowWarps + kNormBins + ctx.warps() * channels;
  }
};

TP_HD static inline int64_t row_shared_bytes(const Job& job) {
  return 4 * (2 * kMaxRowWarps + kNormBins + (job.row_warps + 1) * job.x.channels);
}

// One row of `image`; returns its kurtosis, NaN if the row is degenerate.
template <class T, int kVector, class Ctx>
TP_HD double take_row(Ctx& ctx, const Job& job, const T* row, int64_t image, RowCentre& centre,
                      const RowMemory& memory) {
  const int channels = static_cast<int>(job.x.channels);
  const double n = static_cast<double>(channels);
  RowFigures figures;
  if (!summarize(row_powers<T, kVector>(ctx, row, channels, centre), n, centre, figures)) {
    figures = exact_figures(ctx, row, channels);
  }
  if (figures.finite && ctx.lane() == 0) ctx.add(&memory.norms[norm_bin(figures.square_norm)], 1);
  Lead lead{0, 0, 0};
  double kurtosis = NAN;
  if (figures.valid) {
    const double per_image = static_cast<double>(positions(job.x));
    const float weight = centre_on(figures, n, per_image, centre);
    float* shares = memory.shares + ctx.warp() * channels;
    lead = job.many_rows() ? row_shares<T, kVector, false>(ctx, row, channels, centre, weight,
                                                           shares, memory.exceeding)
                           : row_shares<T, kVector, true>(ctx, row, channels, centre, weight,
                                                          shares, memory.exceeding);
    kurtosis = n * figures.fourth / (figures.second * figures.second);
  } else {
    count_exceeding<T, 1>(ctx, row, ctx.lane(), channels, channels, memory.exceeding);
  }
  if (!job.many_rows() && ctx.lane() == 0) leave_image(ctx, job, image, kurtosis, lead);
  return kurtosis;
}

// Adds the warps' shares in order, leaves them as vector `at` and clears them.
template <class Ctx>
TP_HD void leave_shares(Ctx& ctx, const Job& job, int64_t at, const RowMemory& memory) {
  const int64_t channels = job.x.channels;
  for (int64_t c = thread_of(ctx); c < channels; c += threads_of(ctx)) {
    float all = 0;
    for (int w = 0; w < ctx.warps(); ++w) {
      all += memory.shares[w * channels + c];
      memory.shares[w * channels + c] = 0;
    }
    job.scratch.shares[at * channels + c] = all;
  }
  if (!job.many_rows() || thread_of(ctx) != 0) return;
  double all = 0;
  for (int w = 0; w < ctx.warps(); ++w) all += memory.kurtosis[w];
  job.scratch.kurtosis[at] = all;
}

// Grid: units of job.rows, a block each.
template <class T, int kVector>
struct RowsKernel : Kernel<Job, kMaxRowWarps, 2> {
  template <class Ctx>
  TP_HD static void run(Ctx& ctx, const Job& job) {
    const int64_t channels = job.x.channels, stride = job.run_stride();
    const RowMemory memory(ctx, channels);
    for (int bin = thread_of(ctx); bin < kNormBins; bin += threads_of(ctx)) memory.norms[bin] = 0;
    for (int64_t c = thread_of(ctx); c < channels; c += threads_of(ctx)) {
      memory.exceeding[c] = 0;
      for (int w = 0; w < ctx.warps(); ++w) memory.shares[w * channels + c] = 0;
    }
    ctx.barrier();
    const Unit unit = Unit::at(job.x, job.rows, static_cast<int>(ctx.block_x()));
    const bool many = job.many_rows();
    RowCentre centre;
    for (int image = unit.first_image; image < unit.last_image;
         image = many ? image + 1 : unit.last_image) {
      const int rows = many ? unit.rows : unit.last_image - image;
      const T* at = job.row<T>(image, unit.position);
      double kurtosis = 0;
      for (int r = ctx.warp(); r < rows; r += ctx.warps()) {
        kurtosis += take_row<T, kVector>(ctx, job, at + r * stride, image + r, centre, memory);
      }
      if (ctx.lane() == 0) memory.kurtosis[ctx.warp()] = kurtosis;
      ctx.barrier();
      const int64_t piece = unit.position / job.rows.rows;
      leave_shares(ctx, job, many ? int64_t{image} * job.rows.pieces + piece : ctx.block_x(),
                   memory);
      ctx.barrier();
    }
    for (int64_t c = thread_of(ctx); c < channels; c += threads_of(ctx)) {
      if (memory.exceeding[c] > 0) {
        ctx.add(&job.state.samples.exceed_count[c], static_cast<int64_t>(memory.exceeding[c]));
      }
    }
    for (int bin = thread_of(ctx); bin < kNormBins; bin += threads_of(ctx)) {
      if (memory.norms[bin] > 0) {
        ctx.add(&job.state.samples.norm_histogram[bin], static_cast<int64_t>(memory.norms[bin]));
      }
    }
  }
};

// Grid: images / warps of a block, for images of many rows: adds their pieces in order, and leaves
// the shares of the image as the vector of its first piece.
struct ImagesKernel : Kernel<Job, 8, 1> {
  template <class Ctx>
  TP_HD static void run(Ctx& ctx, const Job& job) {
    const int64_t image = ctx.block_x() * ctx.warps() + ctx.warp(), channels = job.x.channels;
    if (image >= job.x.images) return;  // the whole warp
    const int64_t pieces = job.rows.pieces;
    double kurtosis = 0;
    for (int64_t p = 0; p < pieces; ++p) kurtosis += job.scratch.kurtosis[image * pieces + p];
    kurtosis /= static_cast<double>(positions(job.x));
    const bool valid = kurtosis == kurtosis;
    float* shares = job.scratch.shares + image * pieces * channels;
    Lead lead{0, -1, INT32_MAX};
    for (int64_t c = ctx.lane(); c < channels; c += kLanes) {
      float share = 0;
      for (int64_t p = 0; p < pieces; ++p) share += shares[p * channels + c];
      shares[c] = valid ? share : 0;
      lead = combine_leads(lead, {share * share, share, static_cast<int32_t>(c)});
    }
    lead = reduce_warp(ctx, lead, combine_leads);
    if (ctx.lane() == 0) leave_image(ctx, job, image, kurtosis, lead);
  }
};

}  // namespace tuiprobe::cuda
