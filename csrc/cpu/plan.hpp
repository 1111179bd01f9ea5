// How an update is cut into blocks, and the memory each block and each worker writes.
#pragma once

#include <algorithm>
#include <cmath>
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

  // Clears what the block will add to; memory is kept from update to update.
  void reset(int64_t width, bool samples) {
    for (auto& p : power) p.assign(width, 0.0);
    min.assign(width, INFINITY);
    max.assign(width, -INFINITY);
    if (!samples) return;
    shares.assign(width, 0.0);
    exceed.assign(width, 0);
    norms.assign(kNormBins, 0);
  }

  // So that reset() cannot run out of memory.
  void reserve(int64_t width, bool samples) {
    for (auto& p : power) p.reserve(width);
    min.reserve(width);
    max.reserve(width);
    if (!samples) return;
    shares.reserve(width);
    exceed.reserve(width);
    norms.reserve(kNormBins);
  }
};

// Candidates one worker has found for one end, and the limits a value must reach to matter.
struct Candidates {
  TopK best;
  std::vector<float> limit;      // [padded channels] values, not keys
  std::vector<float> tie;        // [padded channels] largest sample id that may win at the limit
  const TopK* known = nullptr;   // the state: what it would refuse is no candidate
  const float* floor = nullptr;  // [channels] keys below are not looked at
  bool unique = false;           // no image comes twice

  void reset(const TopK& state, const std::vector<float>& floors, int64_t channels, bool once) {
    known = &state;
    floor = floors.data();
    unique = once;
    best.reset(channels, state.k, state.smallest);
    limit.resize(padded(channels));
    tie.resize(padded(channels));
    for (int64_t c = 0; c < channels; ++c) tighten(c);
  }

  static float key(float value, bool smallest) { return (smallest ? -value : value) + 0.0f; }

  // A float no smaller than the id.
  static float above(int64_t id) {
    const float f = static_cast<float>(id);
    return id < (int64_t{1} << 24) ? f : std::nextafter(f, INFINITY);
  }

  static float below(int64_t id) {
    const float f = static_cast<float>(id);
    return id < (int64_t{1} << 24) ? f : std::nextafter(f, -INFINITY);
  }

  void tighten(int64_t c) {
    Entry worst{floor[c], 0, INT64_MAX};
    for (const TopK* lists : {known, static_cast<const TopK*>(&best)}) {
      if (lists->sizes[c] < lists->k) continue;
      const Entry& last = lists->list(c)[lists->k - 1];
      if (better(last, worst)) worst = last;
    }
    limit[c] = best.smallest ? -worst.key : worst.key;
    tie[c] = above(worst.id);
  }

  void offer(int64_t c, const Entry& e) {
    if (known->sizes[c] == known->k && !better(e, known->list(c)[known->k - 1])) return;
    int32_t& size = best.sizes[c];
    size =
        unique ? insert_new(best.list(c), size, best.k, e) : insert(best.list(c), size, best.k, e);
    if (size == best.k) tighten(c);
  }
};

// Floors below which no value can be among the best k, as keys: a guess from a sample of rows,
// checked afterwards; -infinity where there is none.
struct Floors {
  std::vector<float> largest, smallest;
};

struct Worker {
  std::vector<float> tile;      // packed rows, where channels are not contiguous
  std::vector<float> power[4];  // float32 sums of the groups since the last flush
  std::vector<float> group_min, group_max;
  std::vector<float> shares;         // of the current group
  std::vector<double> image_shares;  // of the current image, or of one exact row
  std::vector<double> row_shares;
  std::vector<int32_t> found;
  Candidates largest, smallest;

  void reset(const View& x, const State& state, const Floors& floors, bool unique) {
    const int64_t width = padded(x.channels);
    for (auto& p : power) p.assign(width, 0.0f);
    group_min.resize(width);
    group_max.resize(width);
    found.resize(width);
    if (x.channel_stride != 1) tile.resize(2 * kGroup * width);
    if (state.options.samples) {
      shares.assign(width, 0.0f);
      image_shares.assign(width, 0.0);
      row_shares.resize(width);
    }
    const int64_t c = x.channels;
    if (state.options.largest) largest.reset(state.largest, floors.largest, c, unique);
    if (state.options.smallest) smallest.reset(state.smallest, floors.smallest, c, unique);
  }
};

// Memory of updates, kept by each calling thread and only ever grown: fresh pages would cost more
// than the statistics.
struct Workspace {
  std::vector<BlockSums> blocks;
  std::vector<Worker> workers;
};

}  // namespace tuiprobe::cpu
