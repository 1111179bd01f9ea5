// One pass over a batch: walks blocks of rows, merges the blocks in order, redoes in float64 what
// float32 could not hold, and only then touches the state.
#include <cmath>
#include <stdexcept>

#include "exact.hpp"
#include "floors.hpp"
#include "parallel.hpp"
#include "plan.hpp"
#include "walk.hpp"

namespace tuiprobe::cpu {
namespace {

// The part of a workspace that an update uses.
template <class T>
struct Span {
  T* data;
  int64_t size;
  T* begin() const { return data; }
  T* end() const { return data + size; }
};

// Whether no id comes twice, seen at a glance: running numbers, or each above the one before.
bool ascending(const int64_t* ids, int64_t n) {
  for (int64_t i = 1; ids != nullptr && i < n; ++i) {
    if (ids[i] <= ids[i - 1]) return false;
  }
  return true;
}

// A power of two near 1/sigma, so that fourth powers stay within float32 at any scale.
float scale_for(double sigma) {
  if (!(sigma > 0) || !std::isfinite(sigma)) return 1.0f;
  return std::ldexp(1.0f, std::clamp(-std::ilogb(sigma), -126, 126));
}

constexpr int64_t kSampleRows = 128;

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
  return s.s2 <= 1.25 * square * all.m2 && s.s4 <= 2 * square * square * all.m4;
}

void combine_moments(Span<BlockSums> blocks, const Scaling& at, const State& state, const View& x,
                     const Plan& plan, int threads, std::vector<Moments>& parts) {
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

template <class T>
void make_room(std::vector<T>& v, size_t more) {
  if (v.capacity() - v.size() < more) v.reserve(std::max(v.size() + more, 2 * v.capacity()));
}

// Adds per-image figures and sums of one update; on an exception nothing has changed.
void add_samples(Span<BlockSums> blocks, const Images& images, int64_t first_id, const View& x,
                 const int64_t* ids, Samples& to) {
  const size_t n = static_cast<size_t>(x.images);
  make_room(to.ids, n);
  make_room(to.kurtosis, n);
  make_room(to.self_share, n);
  make_room(to.leading, n);
  to.rows += x.images * positions(x);
  for (const BlockSums& b : blocks) {
    for (int64_t c = 0; c < x.channels; ++c) {
      to.share_sum[c] += b.shares[c];
      to.exceed_count[c] += b.exceed[c];
    }
    for (int i = 0; i < kNormBins; ++i) to.norm_histogram[i] += b.norms[i];
  }
  for (size_t i = 0; i < n; ++i) {
    to.ids.push_back(ids ? ids[i] : first_id + static_cast<int64_t>(i));
    if (images.leading[i] < 0) {
      ++to.degenerate;
    } else {
      ++to.leading_count[images.leading[i]];
      to.share_square_sum += images.self_share[i];
    }
  }
  to.kurtosis.insert(to.kurtosis.end(), images.kurtosis.begin(), images.kurtosis.end());
  to.self_share.insert(to.self_share.end(), images.self_share.begin(), images.self_share.end());
  to.leading.insert(to.leading.end(), images.leading.begin(), images.leading.end());
}

void merge_candidates(Span<Worker> workers, int threads, State& state) {
  constexpr int64_t kChunk = 64;
  const int64_t channels = state.options.channels;
  parallel_for(threads, (channels + kChunk - 1) / kChunk, [&](int64_t chunk, int) {
    const int64_t first = chunk * kChunk, last = std::min(first + kChunk, channels);
    for (const Worker& w : workers) {
      if (state.options.largest) state.largest.merge(w.largest.best, first, last);
      if (state.options.smallest) state.smallest.merge(w.smallest.best, first, last);
    }
  });
}

}  // namespace

void update(State& state, const View& x, const int64_t* ids, int threads) {
  if (x.images == 0 || positions(x) == 0) return;
  const char* error = nullptr;
  const Kernels* set = kernels(&error);
  if (set == nullptr) throw std::runtime_error(error);
  const Plan plan(x);
  const Scaling scaling = choose_scaling(state, x);
  const Floors floors = guess_floors(x, state, *set, threads);
  static thread_local Workspace space;
  const int64_t width = padded(x.channels);
  if (static_cast<int64_t>(space.blocks.size()) < plan.blocks) space.blocks.resize(plan.blocks);
  const Span<BlockSums> blocks{space.blocks.data(), plan.blocks};
  for (BlockSums& b : blocks) b.reserve(width, state.options.samples);
  const int64_t count = std::min<int64_t>(std::max(threads, 1), plan.blocks);
  if (static_cast<int64_t>(space.workers.size()) < count) space.workers.resize(count);
  const Span<Worker> workers{space.workers.data(), count};
  const bool unique = positions(x) == 1 && ascending(ids, x.images);
  for (Worker& w : workers) w.reset(x, state, floors, unique);
  static thread_local Images images;
  images.reset(state.options.samples ? x.images : 0);
  const Walk walk{x, state, *set, scaling, ids, images};
  parallel_for(static_cast<int>(count), plan.blocks, [&](int64_t b, int worker) {
    BlockSums& sums = blocks.begin()[b];
    sums.reset(width, state.options.samples);
    const int64_t first = b * plan.images_per_block;
    walk.block(first, std::min(first + plan.images_per_block, x.images), workers.begin()[worker],
               sums);
  });
  std::vector<Moments> moments(state.options.moments ? x.channels : 0);
  if (state.options.moments) {
    combine_moments(blocks, scaling, state, x, plan, threads, moments);
  }
  if (state.options.samples) {
    // The last that may throw.
    add_samples(blocks, images, state.images, x, ids, state.samples);
  }
  for (size_t c = 0; c < moments.size(); ++c) {
    state.moments[c] = merge(state.moments[c], moments[c]);
  }
  merge_candidates(workers, threads, state);
  if (state.options.largest) repair(x, floors.largest, ids, state.images, threads, state.largest);
  if (state.options.smallest) {
    repair(x, floors.smallest, ids, state.images, threads, state.smallest);
  }
  state.images += x.images;
}

}  // namespace tuiprobe::cpu
