// How an update is cut into blocks, and the memory each block and each worker writes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "../layout.hpp"
#include "kernels.hpp"
#include "stats.hpp"

namespace tuiprobe::cpu {

// Blocks depend on the shape alone, never on the number of threads: merged in block order they
// give the same bits on any number of threads.
struct Plan {
  int64_t images_per_block;
  int64_t blocks;

  explicit Plan(const View& x) {
    constexpr int64_t kMaxBlocks = 64, kMinRows = 128;
    const int64_t rows = x.images * positions(x);
    const int64_t wanted = std::max(kMinRows, (rows + kMaxBlocks - 1) / kMaxBlocks);
    images_per_block = std::max<int64_t>(1, (wanted + positions(x) - 1) / positions(x));
    if (positions(x) == 1) images_per_block = (images_per_block + kGroup - 1) / kGroup * kGroup;
    blocks = (x.images + images_per_block - 1) / images_per_block;
  }
};

// What one block hands over, by channel.
struct BlockSums {
  std::vector<double> power[4];
  std::vector<float> min;
  std::vector<float> max;
  std::vector<double> shares;
  std::vector<int32_t> exceed;
  std::vector<int64_t> norms;

  BlockSums(int64_t channels, bool samples) : min(channels, INFINITY), max(channels, -INFINITY) {
    for (auto& p : power) p.resize(channels);
    if (samples) {
      shares.resize(channels);
      exceed.resize(channels);
      norms.resize(kNormBins);
    }
  }
};

// Candidates one worker has found for one end, and the limits a value must reach to matter.
struct Candidates {
  TopK best;
  std::vector<float> limit;     // [padded channels] values, not keys
  const TopK* known = nullptr;  // the state: what it would refuse is no candidate

  Candidates() = default;
  Candidates(const TopK& state, int64_t channels)
      : best(channels, state.k, state.smallest),
        limit(padded(channels), state.smallest ? INFINITY : -INFINITY),
        known(&state) {
    for (int64_t c = 0; c < channels; ++c) tighten(c);
  }

  static float key(float value, bool smallest) { return (smallest ? -value : value) + 0.0f; }

  void tighten(int64_t c) {
    float worst = -INFINITY;
    if (known->sizes[c] == known->k) worst = known->list(c)[known->k - 1].key;
    if (best.sizes[c] == best.k) worst = std::max(worst, best.list(c)[best.k - 1].key);
    limit[c] = best.smallest ? -worst : worst;
  }

  void offer(int64_t c, const Entry& e) {
    if (known->sizes[c] == known->k && !better(e, known->list(c)[known->k - 1])) return;
    best.offer(c, e);
    tighten(c);
  }
};

struct Worker {
  std::vector<float> tile;  // packed rows, where channels are not contiguous
  std::vector<float> group_min, group_max;
  std::vector<float> shares;         // of the current group
  std::vector<double> image_shares;  // of the current image, or of one exact row
  std::vector<double> row_shares;
  std::vector<int32_t> found;
  Candidates largest, smallest;

  Worker(const View& x, const State& state) {
    const int64_t width = padded(x.channels);
    group_min.resize(width);
    group_max.resize(width);
    found.resize(width);
    if (x.channel_stride != 1) tile.resize(2 * kGroup * width);
    if (state.options.samples) {
      shares.resize(width);
      image_shares.resize(width);
      row_shares.resize(width);
    }
    if (state.options.largest) largest = Candidates(state.largest, x.channels);
    if (state.options.smallest) smallest = Candidates(state.smallest, x.channels);
  }
};

}  // namespace tuiprobe::cpu
