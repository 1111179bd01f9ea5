// One pass over a batch: walks blocks of rows, merges the blocks in order, redoes in float64 what
// float32 could not hold, and only then touches the state.
#include <cmath>
#include <stdexcept>

#include "exact.hpp"
#include "parallel.hpp"
#include "plan.hpp"
#include "walk.hpp"

namespace tuiprobe::cpu {
namespace {

// A power of two near 1/sigma, so that fourth powers stay within float32 at any scale.
float scale_for(double sigma) {
  if (!(sigma > 0) || !std::isfinite(sigma)) return 1.0f;
  return std::ldexp(1.0f, std::clamp(-std::ilogb(sigma), -126, 126));
}

constexpr int64_t kSampleRows = 64;

Scaling choose_scaling(const State& state, const View& x) {
  Scaling s(padded(x.channels));
  const bool known = !state.moments.empty() && state.images * positions(x) >= kSampleRows;
  std::vector<Location> sampled;
  if (!known && state.options.moments) sampled = sample_locations(x, kSampleRows);
  for (int64_t c = 0; c < x.channels && state.options.moments; ++c) {
    Location at{};
    if (known) {
      const Moments& m = state.moments[c];
      at = {m.mean, std::sqrt(m.m2 / static_cast<double>(std::max<int64_t>(m.count, 1)))};
    } else {
      at = sampled[c];
    }
    s.shift[c] = static_cast<float>(at.mean);
    s.scale[c] = scale_for(at.sigma);
    s.bias[c] = -s.shift[c] * s.scale[c];
    if (!is_finite(s.bias[c])) s.scale[c] = 1, s.shift[c] = s.bias[c] = 0;
  }
  s.row_scale = state.options.samples ? scale_for(sample_row_sigma(x)) : 1.0f;
  return s;
}

// Whether float32 sums about `shift` are good enough for the guarantee, given what all values seen
// so far amount to: rounding errors are relative to the raw sums, results to the central ones.
bool trustworthy(const PowerSums& s, int64_t n, const Moments& part, const Moments& all,
                 double scale) {
  if (!std::isfinite(s.s1) || !std::isfinite(s.s4)) return false;
  if (part.min == part.max) return std::isfinite(part.min);
  const double spread = s.s2 / static_cast<double>(n);
  if (!(spread > 0x1p-40 && spread < 0x1p40)) return false;
  const double square = scale * scale;
  return s.s2 <= 1.1 * square * all.m2 && s.s4 <= 1.5 * square * square * all.m4;
}

void combine_moments(const std::vector<BlockSums>& blocks, const Scaling& at, const State& state,
                     const View& x, const Plan& plan, int threads, std::vector<Moments>& parts) {
  const int64_t rows = x.images * positions(x);
  constexpr int64_t kChunk = 64;
  std::vector<char> doubtful(x.channels);
  parallel_for(threads, (x.channels + kChunk - 1) / kChunk, [&](int64_t chunk, int) {
    for (int64_t c = chunk * kChunk; c < std::min((chunk + 1) * kChunk, x.channels); ++c) {
      PowerSums sums;
      float low = INFINITY, high = -INFINITY;
      for (const BlockSums& b : blocks) {
        sums = merge(sums, {b.power[0][c], b.power[1][c], b.power[2][c], b.power[3][c]});
        low = std::min(low, b.min[c]);
        high = std::max(high, b.max[c]);
      }
      parts[c] = central(sums, rows, at.shift[c], at.scale[c], low, high);
      const Moments all = merge(state.moments[c], parts[c]);
      doubtful[c] = !trustworthy(sums, rows, parts[c], all, at.scale[c]);
    }
  });
  std::vector<int32_t> redo;
  for (int64_t c = 0; c < x.channels; ++c) {
    if (doubtful[c]) redo.push_back(static_cast<int32_t>(c));
  }
  if (redo.empty()) return;
  const std::vector<Moments> exact = exact_moments(x, redo, plan.images_per_block, threads);
  for (size_t i = 0; i < redo.size(); ++i) parts[redo[i]] = exact[i];
}

// Per-image figures and sums of one update, as a Samples value ready to be merged.
Samples combine_samples(const std::vector<BlockSums>& blocks, const Images& images,
                        const State& state, const View& x, const int64_t* ids) {
  Samples s(x.channels);
  s.rows = x.images * positions(x);
  for (const BlockSums& b : blocks) {
    for (int64_t c = 0; c < x.channels; ++c) {
      s.share_sum[c] += b.shares[c];
      s.exceed_count[c] += b.exceed[c];
    }
    for (int i = 0; i < kNormBins; ++i) s.norm_histogram[i] += b.norms[i];
  }
  s.kurtosis = images.kurtosis;
  s.self_share = images.self_share;
  s.leading = images.leading;
  s.ids.resize(x.images);
  for (int64_t i = 0; i < x.images; ++i) {
    s.ids[i] = ids ? ids[i] : state.images + i;
    if (s.leading[i] < 0) {
      ++s.degenerate;
    } else {
      ++s.leading_count[s.leading[i]];
      s.share_square_sum += s.self_share[i];
    }
  }
  return s;
}

}  // namespace

void update(State& state, const View& x, const int64_t* ids, int threads) {
  if (x.images == 0 || positions(x) == 0) return;
  const char* error = nullptr;
  const Kernels* set = kernels(&error);
  if (set == nullptr) throw std::runtime_error(error);
  const Plan plan(x);
  const Scaling scaling = choose_scaling(state, x);
  std::vector<BlockSums> blocks(plan.blocks, BlockSums(padded(x.channels), state.options.samples));
  const int64_t workers_wanted = std::min<int64_t>(std::max(threads, 1), plan.blocks);
  std::vector<Worker> workers(workers_wanted, Worker(x, state));
  Images images(state.options.samples ? x.images : 0);
  const Walk walk{x, state, *set, scaling, ids, images};
  parallel_for(static_cast<int>(workers_wanted), plan.blocks, [&](int64_t b, int worker) {
    const int64_t first = b * plan.images_per_block;
    walk.block(first, std::min(first + plan.images_per_block, x.images), workers[worker],
               blocks[b]);
  });
  std::vector<Moments> moments(state.options.moments ? x.channels : 0);
  if (state.options.moments) {
    combine_moments(blocks, scaling, state, x, plan, threads, moments);
  }
  if (state.options.samples) {
    state.samples.merge(combine_samples(blocks, images, state, x, ids));  // the last that may throw
  }
  for (size_t c = 0; c < moments.size(); ++c) {
    state.moments[c] = merge(state.moments[c], moments[c]);
  }
  for (Worker& w : workers) {
    if (state.options.largest) state.largest.merge(w.largest.best);
    if (state.options.smallest) state.smallest.merge(w.smallest.best);
  }
  state.images += x.images;
}

}  // namespace tuiprobe::cpu
