// A warp a row: mean, kurtosis, norm and shares of the fourth moment.
//
// A row is read twice, the second time from the cache: its powers about the mean of the row before,
// then its shares about its own mean. Both are float32, scaled by the spread of the row before; a
// row for which that does not serve is tried again about its own mean, then summed in float64.
#pragma once

#include "../rows.hpp"
#include "plan.hpp"

namespace tuiprobe::cuda {

// Calls visit(c, raw) for the vectors of a row that belong to the lane; the loads of several come
// before the first use.
template <class T, int kVector, class Ctx, class Visit>
TP_HD void each_vector(Ctx& ctx, const T* row, int channels, Visit visit) {
  constexpr int kVectors = 4, kApart = kLanes * kVector;
  const T* at = row + ctx.lane() * kVector;
  for (int c = ctx.lane() * kVector; c < channels; c += kVectors * kApart) {
    T raw[kVectors][kVector];
    TP_UNROLL
    for (int i = 0; i < kVectors; ++i) {
      if (c + i * kApart < channels) ctx.template load<T, kVector>(at + i * kApart, raw[i]);
    }
    TP_UNROLL
    for (int i = 0; i < kVectors; ++i) {
      if (c + i * kApart < channels) visit(c + i * kApart, raw[i]);
    }
    at += kVectors * kApart;
  }
}

struct RowPowers {
  float s1 = 0, s2 = 0, s3 = 0, s4 = 0;
};

TP_HD static inline RowPowers add_powers(const RowPowers& a, const RowPowers& b) {
  return {a.s1 + b.s1, a.s2 + b.s2, a.s3 + b.s3, a.s4 + b.s4};
}

// What is known of a row.
struct RowFigures {
  double mean;
  double variance;
  double fourth;  // mean fourth power of the distances from the mean
  int norm;       // bin of the L2 norm; -1: not all values are finite
  bool valid;     // they are, and not all equal
};

// The figures by float32 powers; whether they serve.
template <class T, int kVector, class Ctx>
TP_HD bool quick_figures(Ctx& ctx, const T* row, int channels, const Centre& centre,
                         RowFigures& out) {
  RowPowers all;
  each_vector<T, kVector>(ctx, row, channels, [&](int, const T* raw) {
    RowPowers some;
    TP_UNROLL
    for (int v = 0; v < kVector; ++v) {
      const float d = fmaf(to_float(raw[v]), centre.scale, centre.bias), d2 = d * d;
      some.s1 += d;
      some.s2 += d2;
      some.s3 = fmaf(d2, d, some.s3);
      some.s4 = fmaf(d2, d2, some.s4);
    }
    all = add_powers(all, some);
  });
  all = reduce_warp(ctx, all, add_powers);
  const double s1 = static_cast<double>(all.s1), n = channels, each = 1 / n, m = s1 * each;
  const double s2 = static_cast<double>(all.s2) * each, s3 = static_cast<double>(all.s3) * each;
  const double s4 = static_cast<double>(all.s4) * each, m2 = m * m, variance = s2 - m2;
  const double fourth = s4 - 4 * m * s3 + 6 * m2 * s2 - 3 * m2 * m2;
  const double bias = static_cast<double>(centre.bias), unit = centre.unit(), area = unit * unit;
  const double square = (static_cast<double>(all.s2) - 2 * bias * s1 + n * bias * bias) * area;
  out = {(m - bias) * unit, variance * area, fourth * area * area,
         norm_bin(square * static_cast<double>(kNormSlack)), true};
  constexpr double kRange = 16777216.0;  // 2^24
  return is_finite(all.s4) && variance > 1 / kRange && variance < kRange && m2 <= variance;
}

template <class T, class Ctx>
TP_HD TP_RARE RowFigures exact_figures(Ctx& ctx, const T* row, int channels) {
  const auto add = [](const PowerSums& a, const PowerSums& b) { return merge(a, b); };
  const double n = channels, first = static_cast<double>(to_float(row[0]));
  PowerSums sums, powers;  // of the values, with the number of those unlike the first; centred
  for (int c = ctx.lane(); c < channels; c += kLanes) {
    const double x = static_cast<double>(to_float(row[c]));
    sums = merge(sums, {x, x * x, x != first ? 1.0 : 0.0, 0});
  }
  sums = reduce_warp(ctx, sums, add);
  const double mean = sums.s1 / n;
  for (int c = ctx.lane(); c < channels; c += kLanes) {
    const double d = static_cast<double>(to_float(row[c])) - mean, d2 = d * d;
    powers = merge(powers, {0, d2, 0, d2 * d2});
  }
  powers = reduce_warp(ctx, powers, add);
  const bool finite = fabs(sums.s2) <= 1.7976931348623157e308;
  return {mean, powers.s2 / n, powers.s4 / n, finite ? norm_bin(sums.s2) : -1,
          finite && sums.s3 > 0};
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

// Fourth power of a scaled distance from the mean, less `residual`, which the bias rounds away.
TP_HD static inline float fourth_power(float x, const Centre& centre, float residual) {
  const float d = fmaf(x, centre.scale, centre.bias) - residual, d2 = d * d;
  return d2 * d2;
}

// A vector of floats, read and written at once.
template <int kCount>
struct alignas(kCount % 4 == 0 ? 16 : 4) Floats {
  float at[kCount];
};

// Adds a row's shares to those of its warp. Where an image is one row, all lanes get its lead.
template <class T, int kVector, bool kLead, class Ctx>
TP_HD Lead row_shares(Ctx& ctx, const T* row, int channels, const Centre& centre, float residual,
                      float weight, float* shares) {
  Lead lead{0, -1, INT32_MAX};
  each_vector<T, kVector>(ctx, row, channels, [&](int c, const T* raw) {
    auto& to = *reinterpret_cast<Floats<kVector>*>(shares + c);
    Floats<kVector> sums = to;
    float best = 0;
    TP_UNROLL
    for (int v = 0; v < kVector; ++v) {
      const float d4 = fourth_power(to_float(raw[v]), centre, residual);
      sums.at[v] = fmaf(d4, weight, sums.at[v]);
      if (!kLead) continue;
      lead.self = fmaf(d4, d4, lead.self);
      best = fmaxf(best, d4);
    }
    to = sums;
    if (!kLead) return;
    if (best > lead.best) lead.channel = c;
    lead.best = fmaxf(lead.best, best);
  });
  if (kLead) {
    // The channel within the vector that leads; a lane may have none.
    for (int v = 0; v < kVector && lead.channel < channels; ++v) {
      if (fourth_power(to_float(row[lead.channel]), centre, residual) == lead.best) break;
      ++lead.channel;
    }
    lead = reduce_warp(ctx, lead, combine_leads);
    lead.self *= weight * weight;
  }
  return lead;
}

// The figures of one image, once they are known.
template <class Ctx>
TP_HD void leave_image(Ctx& ctx, const Job& job, int64_t image, double kurtosis, const Lead& lead) {
  const bool valid = kurtosis == kurtosis;
  const double self = valid ? static_cast<double>(lead.self) : NAN;
  const Progress& progress = *job.state.progress;
  const int64_t at = progress.recorded + image;
  if (at < progress.capacity) {
    progress.records[at] = {job.id_of(image), kurtosis, self, valid ? lead.channel : -1};
  }
  job.scratch.self[image] = valid ? self : 0;
  const SampleSums& sums = job.state.samples;
  ctx.add(valid ? &sums.leading_count[lead.channel] : sums.degenerate, int64_t{1});
}

// A block's shared memory, followed by the warps' sums of shares, [warps, channels].
struct RowMemory {
  double kurtosis[kMaxRowWarps];  // sum of the rows; NaN: one of them is degenerate
  int norms[kNormBins];

  TP_HD float* shares() { return reinterpret_cast<float*>(this + 1); }
};
static_assert(sizeof(RowMemory) % 16 == 0, "shares are read by 16 bytes");

static inline int64_t row_shared_bytes(const Job& job) {
  return static_cast<int64_t>(sizeof(RowMemory)) + 4 * job.row_warps * job.x.channels;
}

// One row of `image`; returns its kurtosis, NaN if the row is degenerate. The centre is that of the
// row before, then its own.
template <class T, int kVector, class Ctx>
TP_HD double take_row(Ctx& ctx, const Job& job, const T* row, int64_t image, Centre& centre,
                      RowMemory& memory) {
  const int channels = static_cast<int>(job.x.channels);
  RowFigures figures;
  bool serves = false;
  TP_NO_UNROLL
  for (int tries = 0; tries < 2 && !serves; ++tries) {
    serves = quick_figures<T, kVector>(ctx, row, channels, centre, figures);
    centre = make_centre(figures.mean, figures.variance);
  }
  if (!serves) {
    figures = exact_figures(ctx, row, channels);
    centre = make_centre(figures.mean, figures.variance);
  }
  if (figures.norm >= 0 && ctx.lane() == 0) ctx.add(&memory.norms[figures.norm], 1);
  Lead lead{0, 0, 0};
  double kurtosis = NAN;
  if (figures.valid) {
    kurtosis = figures.fourth / (figures.variance * figures.variance);
    const double scale = static_cast<double>(centre.scale), area = scale * scale;
    const double values = static_cast<double>(job.positions() * channels);
    const float weight = 1 / static_cast<float>(figures.fourth * area * area * values);
    const float residual =
        static_cast<float>(figures.mean * scale + static_cast<double>(centre.bias));
    float* shares = memory.shares() + ctx.warp() * channels;
    lead = job.many_rows
               ? row_shares<T, kVector, false>(ctx, row, channels, centre, residual, weight, shares)
               : row_shares<T, kVector, true>(ctx, row, channels, centre, residual, weight, shares);
  }
  if (!job.many_rows && ctx.lane() == 0) leave_image(ctx, job, image, kurtosis, lead);
  return kurtosis;
}

// Adds the warps' shares in order, leaves them as those of run `at` and clears them.
template <class Ctx>
TP_HD void leave_shares(Ctx& ctx, const Job& job, int64_t at, RowMemory& memory) {
  const int64_t channels = job.x.channels;
  for (int64_t c = thread_of(ctx); c < channels; c += threads_of(ctx)) {
    float all = 0;
    for (int w = 0; w < ctx.warps(); ++w) {
      float& share = memory.shares()[w * channels + c];
      all += share;
      share = 0;
    }
    job.scratch.shares[at * channels + c] = all;
  }
  if (thread_of(ctx) != 0) return;
  double all = 0;
  for (int w = 0; w < ctx.warps(); ++w) all += memory.kurtosis[w];
  job.scratch.kurtosis[at] = all;
}

// Grid: units of job.rows, a block each.
template <class T, int kVector>
struct RowsKernel : Kernel<kMaxRowWarps, 2> {
  template <class Ctx>
  TP_HD static void run(Ctx& ctx, const Job& job) {
    auto& memory = *ctx.template shared<RowMemory>();
    const int64_t all = ctx.warps() * job.x.channels;
    for (int bin = thread_of(ctx); bin < kNormBins; bin += threads_of(ctx)) memory.norms[bin] = 0;
    for (int64_t i = thread_of(ctx); i < all; i += threads_of(ctx)) memory.shares()[i] = 0;
    ctx.barrier();
    Centre centre;
    const int end = job.rows.end(ctx.block_x());
    for (int i = job.rows.begin(ctx.block_x()); i < end; ++i) {
      const Run run = job.rows.run(i);
      double kurtosis = 0;
      for (int r = run.first + ctx.warp(); r < run.first + run.rows; r += ctx.warps()) {
        kurtosis += take_row<T, kVector>(ctx, job, job.row<T>(run.line, r), r, centre, memory);
      }
      if (ctx.lane() == 0) memory.kurtosis[ctx.warp()] = kurtosis;
      ctx.barrier();
      leave_shares(ctx, job, i, memory);
      ctx.barrier();
    }
    for (int bin = thread_of(ctx); bin < kNormBins; bin += threads_of(ctx)) {
      if (memory.norms[bin] > 0) {
        ctx.add(&job.state.samples.norm_histogram[bin], static_cast<int64_t>(memory.norms[bin]));
      }
    }
  }
};

// Grid: images / warps of a block, for images of many rows: adds their runs in order, and leaves
// the shares of the image as those of its first run.
struct ImagesKernel : Kernel<8, 1> {
  template <class Ctx>
  TP_HD static void run(Ctx& ctx, const Job& job) {
    const int64_t image = ctx.block_x() * ctx.warps() + ctx.warp(), channels = job.x.channels;
    if (image >= job.images()) return;  // the whole warp
    const int64_t runs = job.rows.per_line;
    double kurtosis = 0;
    for (int64_t r = 0; r < runs; ++r) kurtosis += job.scratch.kurtosis[image * runs + r];
    kurtosis /= static_cast<double>(job.positions());
    const bool valid = kurtosis == kurtosis;
    float* shares = job.scratch.shares + image * runs * channels;
    Lead lead{0, -1, INT32_MAX};
    for (int64_t c = ctx.lane(); c < channels; c += kLanes) {
      float share = 0;
      for (int64_t r = 0; r < runs; ++r) share += shares[r * channels + c];
      shares[c] = valid ? share : 0;
      lead = combine_leads(lead, {share * share, share, static_cast<int32_t>(c)});
    }
    lead = reduce_warp(ctx, lead, combine_leads);
    if (ctx.lane() == 0) leave_image(ctx, job, image, kurtosis, lead);
  }
};

}  // namespace tuiprobe::cuda
