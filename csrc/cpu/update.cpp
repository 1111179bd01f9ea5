// One pass over a batch: sums blocks of rows, merges the blocks in order, redoes in float64 what
// float32 could not hold, and only then touches the state.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "block_pass.hpp"
#include "exact.hpp"
#include "parallel.hpp"
#include "plan.hpp"

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

// Whether no id comes twice: running numbers, each above the one before, or looked up in a table.
bool all_different(const int64_t* ids, int64_t n) {
  int64_t rising = 1;
  while (ids != nullptr && rising < n && ids[rising] > ids[rising - 1]) ++rising;
  if (ids == nullptr || rising >= n) return true;
  static thread_local std::vector<int64_t> table;  // open addressing; kept between updates
  int bits = 1;
  while ((int64_t{1} << bits) < 2 * n) ++bits;
  const uint64_t size = uint64_t{1} << bits;
  table.assign(size, -1);  // ids are not negative
  for (int64_t i = 0; i < n; ++i) {
    uint64_t at = (static_cast<uint64_t>(ids[i]) * 0x9e3779b97f4a7c15u) >> (64 - bits);
    for (; table[at] != -1; at = (at + 1) & (size - 1)) {
      if (table[at] == ids[i]) return false;
    }
    table[at] = ids[i];
  }
  return true;
}

constexpr int64_t kSampleRows = 128, kMostSampleRows = 256;  // the latter where a row is one piece

Scaling choose_scaling(const State& state, const View& x, const Kernels& kernels) {
  Scaling s(padded(x.channels));
  const bool known =
      !state.moments.empty() && state.moments[0].count + state.moments[0].nonfinite >= kSampleRows;
  std::vector<Location> sampled;
  if (!known && state.options.moments) {
    sampled = sample_locations(x, x.channel_stride == 1 ? kMostSampleRows : kSampleRows, kernels);
  }
  for (int64_t c = 0; c < x.channels && state.options.moments; ++c) {
    Location at{};
    if (known) {
      const Moments& m = state.moments[c];
      at = {m.mean, m.m2 / static_cast<double>(std::max<int64_t>(m.count, 1))};
    } else {
      at = sampled[c];
    }
    s.shift[c] = static_cast<float>(at.mean);
    s.scale[c] = scale_for(at.variance);
    s.bias[c] = -s.shift[c] * s.scale[c];
    if (!is_finite(s.bias[c])) s.scale[c] = 1, s.shift[c] = s.bias[c] = 0;
  }
  s.row_scale = state.options.samples ? scale_for(sample_row_variance(x)) : 1.0f;
  return s;
}

// Leaves in `space.least` keys that k images of the batch reach, by channel, where lists are empty:
// most values are then no candidates. From a sample of rows in parts, of which there are more than
// k, so that the best values seldom share one.
void find_first_limits(const State& state, const View& x, bool distinct, const Kernels& kernels,
                       int threads, Workspace& space) {
  constexpr int64_t kParts = 4, kRows = 32, kChunk = 64;  // parts for each of k, rows a part
  const int64_t width = padded(x.channels);
  for (Floats& least : space.least) {
    grow(least, width);
    std::fill_n(least.begin(), width, -INFINITY);
  }
  const int k[] = {state.options.largest, state.options.smallest};
  const int64_t most = std::max(k[0], k[1]), parts = kParts * most;
  const bool serves = distinct && positions(x) == 1 && x.channel_stride == 1;
  if (!serves || state.images >= most || x.images < parts) return;
  for (Floats& extremes : space.extremes) grow(extremes, parts * width);
  parallel_for(threads, parts, [&](int64_t part, int) {
    float* const high = space.extremes[0].data() + part * width;
    float* const low = space.extremes[1].data() + part * width;
    std::fill_n(high, width, -INFINITY);
    std::fill_n(low, width, -INFINITY);
    const int64_t first = part * x.images / parts, rows = std::min(x.images / parts, kRows);
    for (int64_t row = first; row < first + rows; ++row) {
      kernels.extremes(row_address(x, row, 0), x.dtype, x.channels, high, low);
    }
  });
  parallel_for(threads, (x.channels + kChunk - 1) / kChunk, [&](int64_t chunk, int) {
    const int64_t c = chunk * kChunk, channels = std::min(kChunk, x.channels - c);
    for (int end = 0; end < 2; ++end) {
      if (k[end] == 0) continue;
      kernels.reached(space.extremes[end].data() + c, width, channels, static_cast<int>(parts),
                      k[end], space.least[end].data() + c);
    }
  });
}

template <class From, class To>
void add(const From* more, int64_t n, To* sums) {
  for (int64_t i = 0; i < n; ++i) sums[i] += more[i];
}

// An update whose blocks are summed.
struct Job {
  const State& state;  // before it
  const View& x;
  const Kernels& kernels;
  const Plan& plan;
  const Scaling& scaling;
  Span<BlockSums> blocks;
  int threads;
};

// What float32 made of a channel.
struct Quick {
  PowerSums sums;
  int64_t count = 0;
  float min = INFINITY;
  float max = -INFINITY;

  Moments moments(const Scaling& at, int64_t c) const {
    return central(sums, count, at.shift[c], at.scale[c], min, max);
  }
  // Adds a block, unless its sums are not finite.
  bool add(const BlockSums& b, int64_t c, int64_t rows) {
    const PowerSums more{b.power[0][c], b.power[1][c], b.power[2][c], b.power[3][c]};
    if (!std::isfinite(more.s1) || !std::isfinite(more.s4)) return false;
    sums = tuiprobe::merge(sums, more);
    count += rows;
    min = std::min(min, b.min[c]);
    max = std::max(max, b.max[c]);
    return true;
  }
};

// Redoes in float64 the blocks whose sums of a doubtful channel are not finite, as one row of NaN
// leaves them; returns the channels for which that does not serve.
std::vector<int32_t> redo_blocks(const Job& job, const std::vector<char>& doubtful,
                                 std::vector<Moments>& merged) {
  const View& x = job.x;
  std::vector<int32_t> untrusted;
  std::vector<Quick> quick(x.channels);
  std::vector<Moments> exact(x.channels);
  for (int64_t b = 0; b < job.blocks.size; ++b) {
    const View part = job.plan.rows(x, b);
    std::vector<int32_t> broken;
    for (int64_t c = 0; c < x.channels; ++c) {
      if (doubtful[c] && !quick[c].add(job.blocks.data[b], c, part.images * positions(part))) {
        broken.push_back(static_cast<int32_t>(c));
      }
    }
    if (broken.empty()) continue;
    const int64_t share = std::max<int64_t>(1, part.images / 16);
    const std::vector<Moments> redone = exact_moments(part, broken, share, job.threads);
    for (size_t i = 0; i < broken.size(); ++i) {
      exact[broken[i]] = merge(exact[broken[i]], redone[i]);
    }
  }
  for (int64_t c = 0; c < x.channels; ++c) {
    if (!doubtful[c]) continue;
    const Quick& q = quick[c];
    const Moments part = q.moments(job.scaling, c);
    merged[c] = merge(merge(job.state.moments[c], part), exact[c]);
    if (q.count > 0 && !trustworthy(q.sums, q.count, part, merged[c], job.scaling.shift[c])) {
      untrusted.push_back(static_cast<int32_t>(c));
    }
  }
  return untrusted;
}

// The state's moments with those of the batch.
std::vector<Moments> combine_moments(const Job& job) {
  const View& x = job.x;
  std::vector<Moments> merged(x.channels);
  const int64_t rows = x.images * positions(x);
  constexpr int64_t kChunk = kCombined, kFew = 8192;  // sums before another thread wakes up
  std::vector<char> doubtful(x.channels);
  const int helpers = x.channels * job.blocks.size < kFew ? 1 : job.threads;
  parallel_for(helpers, (x.channels + kChunk - 1) / kChunk, [&](int64_t chunk, int) {
    const int64_t first = chunk * kChunk, n = std::min(kChunk, x.channels - first);
    double power[4][kChunk] = {};
    float low[kChunk], high[kChunk];
    std::fill_n(low, kChunk, INFINITY);
    std::fill_n(high, kChunk, -INFINITY);
    for (const BlockSums& b : job.blocks) {
      for (int p = 0; p < 4; ++p) add(b.power[p].data() + first, n, power[p]);
      for (int64_t i = 0; i < n; ++i) low[i] = std::min(low[i], b.min[first + i]);
      for (int64_t i = 0; i < n; ++i) high[i] = std::max(high[i], b.max[first + i]);
    }
    job.kernels.combine({.power = {power[0], power[1], power[2], power[3]},
                         .low = low,
                         .high = high,
                         .shift = job.scaling.shift.data() + first,
                         .scale = job.scaling.scale.data() + first,
                         .rows = rows},
                        n, job.state.moments.data() + first, merged.data() + first,
                        doubtful.data() + first);
  });
  if (std::none_of(doubtful.begin(), doubtful.end(), [](char d) { return d; })) return merged;
  const std::vector<int32_t> redo = redo_blocks(job, doubtful, merged);
  if (redo.empty()) return merged;
  const std::vector<Moments> exact = exact_moments(x, redo, job.plan.images_per_block, job.threads);
  for (size_t i = 0; i < redo.size(); ++i) {
    merged[redo[i]] = merge(job.state.moments[redo[i]], exact[i]);
  }
  return merged;
}

// Adds the sums of one update, whose images have been written already.
void add_samples(Span<BlockSums> blocks, const View& x, Samples& to) {
  Images::grown(to, x.images);
  to.rows += x.images * positions(x);
  for (const BlockSums& b : blocks) {
    add(b.shares.data(), x.channels, to.share_sum.data());
    add(b.exceed.data(), x.channels, to.exceed_count.data());
    add(b.leading.data(), x.channels, to.leading_count.data());
    add(b.norms, kNormBins, to.norm_histogram.data());
    to.share_square_sum += b.share_squares;
    to.degenerate += b.degenerate;
  }
}

// One joiner a thread, with room for what the state and all workers may hold of a channel.
Span<Joiner> make_joiners(Span<Worker> workers, const Options& options,
                          std::vector<Joiner>& joiners) {
  int64_t largest = options.largest, smallest = options.smallest;
  for (const Worker& w : workers) {
    largest += options.largest ? w.largest.room() : 0;
    smallest += options.smallest ? w.smallest.room() : 0;
  }
  if (static_cast<int64_t>(joiners.size()) < workers.size) joiners.resize(workers.size);
  for (Joiner& j : joiners) j.reserve(std::max(largest, smallest));
  return {joiners.data(), workers.size};
}

void join_candidates(Span<Worker> workers, Span<Joiner> joiners, const Kernels& kernels,
                     Candidates Worker::* end, TopK& to) {
  constexpr int64_t kChunk = 64, kFew = 1024;  // candidates, likewise
  constexpr int kInserted = 4;                 // one by one: the ranks of a whole list cost more
  const int64_t channels = static_cast<int64_t>(to.sizes.size());
  int64_t all = 0;
  for (const Worker& w : workers) all += w.ready ? (w.*end).total() : 0;
  if (all == 0) return;
  const int threads = all < kFew ? 1 : static_cast<int>(joiners.size);
  parallel_for(threads, (channels + kChunk - 1) / kChunk, [&](int64_t chunk, int number) {
    Joiner& joiner = joiners.begin()[number];
    for (int64_t c = chunk * kChunk; c < std::min((chunk + 1) * kChunk, channels); ++c) {
      int candidates = 0;
      for (const Worker& w : workers) candidates += w.ready ? (w.*end).size(c) : 0;
      if (candidates == 0) continue;  // mostly, once lists are full
      if (candidates <= kInserted) {
        for (const Worker& w : workers) {
          for (int i = 0; w.ready && i < (w.*end).size(c); ++i) to.offer(c, (w.*end).list(c)[i]);
        }
        continue;
      }
      joiner.begin(to, c);
      for (const Worker& w : workers) {
        if (w.ready) joiner.add(w.*end, c);
      }
      joiner.finish(kernels, to, c);
    }
  });
}

}  // namespace

void update(State& state, const View& x, const int64_t* ids, int threads) {
  if (x.images == 0 || positions(x) == 0) return;
  const char* error = nullptr;
  const Kernels* set = kernels(&error);
  if (set == nullptr) throw std::runtime_error(error);
  const Plan plan(x, state.options.samples);
  const Scaling scaling = choose_scaling(state, x, *set);
  static thread_local Workspace space;
  const int64_t width = padded(x.channels);
  const int64_t entries = state.options.largest + state.options.smallest;
  const int64_t count = std::min<int64_t>(std::max(threads, 1), plan.blocks);
  space.begin(width * (64 * plan.blocks + 16 * entries + (128 + 32 * entries) * count) +
              20 * x.images);
  if (static_cast<int64_t>(space.blocks.size()) < plan.blocks) space.blocks.resize(plan.blocks);
  const Span<BlockSums> blocks{space.blocks.data(), plan.blocks};
  for (BlockSums& b : blocks) b.reserve(width, state.options.samples);
  if (static_cast<int64_t>(space.workers.size()) < count) space.workers.resize(count);
  const Span<Worker> workers{space.workers.data(), count};
  const bool distinct = plan.pieces == 1 && all_different(ids, x.images);
  for (Worker& w : workers) w.reserve(x, state, distinct, *set);
  find_first_limits(state, x, distinct, *set, static_cast<int>(count), space);
  const Floats(&least)[2] = space.least;  // of this thread
  Images images{};
  if (state.options.samples) images = Images::behind(state.samples, x.images);
  parallel_for(static_cast<int>(count), plan.blocks, [&](int64_t b, int worker) {
    Worker& w = workers.begin()[worker];
    if (!w.ready) w.reset(state, least);
    BlockSums& sums = blocks.begin()[b];
    sums.reset(width, state.options.samples);
    const View rows = plan.rows(x, b);
    const BlockPass pass{.x = rows,
                         .first = plan.first(b),
                         .state = state,
                         .kernels = *set,
                         .scaling = scaling,
                         .ids = ids,
                         .images = images};
    pass.run(w, sums);
  });
  std::vector<Moments> moments;
  if (state.options.moments) {
    moments = combine_moments({.state = state,
                               .x = x,
                               .kernels = *set,
                               .plan = plan,
                               .scaling = scaling,
                               .blocks = blocks,
                               .threads = threads});
  }
  // The last that may throw.
  const Span<Joiner> joiners = make_joiners(workers, state.options, space.joiners);
  if (state.options.samples) add_samples(blocks, x, state.samples);
  state.moments.swap(moments);
  if (state.options.largest) {
    join_candidates(workers, joiners, *set, &Worker::largest, state.largest);
  }
  if (state.options.smallest) {
    join_candidates(workers, joiners, *set, &Worker::smallest, state.smallest);
  }
  state.images += x.images;
}

}  // namespace tuiprobe::cpu
