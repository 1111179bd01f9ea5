// How an update is cut into blocks, and the memory each block and each worker writes.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "../layout.hpp"
#include "aligned.hpp"
#include "candidates.hpp"
#include "kernels.hpp"
#include "stats.hpp"

namespace tuiprobe::cpu {

// An image of a batch, and a position in it.
struct Place {
  int64_t image;
  int64_t position;
};

// Blocks are images, or pieces of a few long ones where no figures of whole images are wanted. They
// depend on that and the shape alone, never on the number of threads: merged in block order they
// give the same bits on any number of threads.
struct Plan {
  int64_t images_per_block;
  int64_t rows_per_piece;  // positions, where an image is several blocks
  int64_t pieces;          // blocks an image; 1 where blocks are whole images
  int64_t blocks;

  Plan(const View& x, bool whole_images) {
    constexpr int64_t kMaxBlocks = 32, kMinRows = 128;
    const int64_t each = positions(x), rows = x.images * each;
    const int64_t wanted = std::max(kMinRows, (rows + kMaxBlocks - 1) / kMaxBlocks);
    images_per_block = std::max<int64_t>(1, (wanted + each - 1) / each);
    if (each == 1) images_per_block = (images_per_block + kGroup - 1) / kGroup * kGroup;
    rows_per_piece = each;
    const bool even = x.height == 1 || x.row_stride == x.width * x.column_stride;
    if (!whole_images && even && 2 * x.images <= kMaxBlocks) {
      const int64_t most = kMaxBlocks / x.images, share = (each + most - 1) / most;
      rows_per_piece = std::min(each, std::max(kMinRows, (share + kGroup - 1) / kGroup * kGroup));
    }
    pieces = images_per_block > 1 ? 1 : (each + rows_per_piece - 1) / rows_per_piece;
    blocks = (x.images + images_per_block - 1) / images_per_block * pieces;
  }

  // Where a block begins.
  Place first(int64_t block) const {
    return {block / pieces * images_per_block, block % pieces * rows_per_piece};
  }

  // The rows of a block alone.
  View rows(const View& x, int64_t block) const {
    const Place at = first(block);
    View part = x;
    part.data = row_address(x, at.image, at.position);
    part.images = std::min(images_per_block, x.images - at.image);
    if (pieces > 1) {
      part.height = 1;
      part.width = std::min(rows_per_piece, positions(x) - at.position);
    }
    return part;
  }
};

// What one block hands over, by channel.
struct BlockSums {
  Doubles power[4];
  Floats min;
  Floats max;
  Doubles shares;
  std::vector<int32_t> leading;
  double share_squares;
  int64_t degenerate;
  int64_t norms[kNormBins];

  // Clears what the block will add to; memory is kept from update to update.
  void reset(int64_t width, bool samples) {
    for (auto& p : power) p.assign(width, 0.0);
    min.assign(width, INFINITY);
    max.assign(width, -INFINITY);
    if (!samples) return;
    shares.assign(width, 0.0);
    leading.assign(width, 0);
    share_squares = 0;
    degenerate = 0;
    std::fill_n(norms, kNormBins, 0);
  }

  // So that reset() cannot run out of memory.
  void reserve(int64_t width, bool samples) {
    for (auto& p : power) p.reserve(width);
    min.reserve(width);
    max.reserve(width);
    if (!samples) return;
    shares.reserve(width);
    leading.reserve(width);
  }
};

// Floats between rows of our own: a line more than they need, or rows of 1,024 channels would all
// fall into one set of the L1 cache.
static inline int64_t row_stride(int64_t channels) { return padded(channels) + kLane; }

struct Worker {
  Floats tiles[2];  // packed rows, where channels are not contiguous
  Floats power[4];  // float32 sums of the groups since the last flush
  Floats group_min, group_max;
  float row_means[kGroup], mean_residuals[kGroup];
  Floats shares;         // of the rows since the last flush
  Floats fourths;        // [rows_at_once, row_stride]
  Doubles image_shares;  // of the current image, or of one exact row
  Doubles row_shares;
  std::vector<Hit> hits;
  Candidates largest, smallest;

  bool ready = false;  // whether reset() has run in this update

  // Allocates, so that reset() does not.
  void reserve(const View& x, const State& state, bool distinct, const Kernels& kernels) {
    const int64_t width = padded(x.channels);
    ready = false;
    for (auto& p : power) grow(p, width);
    grow(group_min, width);
    grow(group_max, width);
    if (x.channel_stride != 1) {
      for (auto& tile : tiles) grow(tile, tile_rows(x) * row_stride(x.channels));
    }
    if (state.options.samples) {
      grow(shares, width);
      grow(fourths, rows_at_once(x.channels) * row_stride(x.channels) + kBeyond);
      grow(image_shares, width);
      grow(row_shares, width);
    }
    if (state.options.largest || state.options.smallest) grow(hits, kHits);
    const bool single = positions(x) == 1;
    if (state.options.largest) largest.reserve(state.largest, distinct, single, kernels);
    if (state.options.smallest) smallest.reserve(state.smallest, distinct, single, kernels);
  }

  // Before the worker's first block; by its own thread.
  void reset(const State& state, const Floats (&least)[2]) {
    const int64_t width = padded(state.options.channels);
    ready = true;
    for (auto& p : power) std::fill_n(p.begin(), width, 0.0f);
    if (state.options.samples) {
      std::fill_n(shares.begin(), width, 0.0f);
      std::fill_n(image_shares.begin(), width, 0.0);
    }
    if (state.options.largest) largest.reset(state.largest, least[0].data());
    if (state.options.smallest) smallest.reset(state.smallest, least[1].data());
  }

  // Rows whose own figures are taken together: few enough for the L1 cache.
  static int rows_at_once(int64_t channels) { return channels <= 256 ? kGroup : 4; }

  // Rows packed together: all positions of an image (all images of one position), as far as the L2
  // cache holds them.
  static int64_t tile_rows(const View& x) {
    constexpr int64_t kFloats = 1 << 17;
    const int64_t fit = kFloats / row_stride(x.channels) / kLane * kLane;
    return std::min(positions(x) == 1 ? x.images : positions(x), std::max<int64_t>(fit, kLane));
  }
};

// Where the figures of an update's images go, by index: behind the end of those that a state has.
struct Images {
  int64_t* id;
  double* kurtosis;
  double* self_share;
  int32_t* leading;

  // Makes room; the state is longer only once `grown` has been called.
  static Images behind(Samples& s, int64_t images) {
    const size_t known = s.id.size();
    visit_image_fields(
        [&](const char*, auto& field) { field.reserve(known + static_cast<size_t>(images)); }, s);
    Images to;
    visit_image_fields(
        [&](const char*, auto& pointer, auto& field) { pointer = field.data() + known; }, to, s);
    return to;
  }
  static void grown(Samples& s, int64_t images) {
    const size_t total = s.id.size() + static_cast<size_t>(images);
    visit_image_fields([&](const char*, auto& field) { field.resize(total); }, s);
  }
};

// Memory of updates, kept by each calling thread: fresh pages would cost more than the statistics.
struct Workspace {
  std::vector<BlockSums> blocks;
  std::vector<Worker> workers;
  std::vector<Joiner> joiners;
  Floats extremes[2];  // maxima and negated minima of parts of a sample, [parts, padded channels]
  Floats least[2];     // for the same ends: keys that candidates for empty lists must reach

  // Before an update of about so many bytes. Lets go of everything after many updates that needed
  // much less than is held.
  void begin(int64_t bytes) {
    constexpr int kPatience = 64, kMuchLess = 8;
    idle = bytes * kMuchLess < most ? idle + 1 : 0;
    if (idle > kPatience) *this = Workspace();
    most = std::max(most, bytes);
  }

 private:
  int64_t most = 0;
  int idle = 0;
};

}  // namespace tuiprobe::cpu
