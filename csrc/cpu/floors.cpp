#include "floors.hpp"

#include "parallel.hpp"

namespace tuiprobe::cpu {
namespace {

constexpr int64_t kRows = 1024;  // sampled
constexpr int kMaxDepth = 12;

// The floor is the depth-th best of the sample. About depth / kRows of all values lie above it, and
// that they are fewer than k is less likely than one in ten thousand.
int depth_for(int k, int64_t rows) {
  const double expected = static_cast<double>(k) * kRows / static_cast<double>(rows);
  const double depth = std::ceil(expected + 3 * std::sqrt(expected) + 3);
  return depth <= kMaxDepth ? static_cast<int>(depth) : 0;
}

bool wanted(const TopK& top) {
  if (top.k == 0) return false;
  int64_t open = 0;
  for (const int32_t size : top.sizes) open += size < top.k;
  return open * 4 > static_cast<int64_t>(top.sizes.size());
}

void guess(const View& x, const TopK& top, const Kernels& kernels, int threads,
           std::vector<float>& floors) {
  const int depth = depth_for(top.k, x.images);
  if (depth == 0 || !wanted(top)) return;
  constexpr int64_t kChunk = 256;
  parallel_for(threads, (x.channels + kChunk - 1) / kChunk, [&](int64_t chunk, int) {
    const int64_t first = chunk * kChunk, count = std::min(kChunk, x.channels - first);
    float best[kMaxDepth * kChunk];
    std::fill(best, best + depth * kChunk, top.smallest ? INFINITY : -INFINITY);
    for (int64_t i = 0; i < kRows; ++i) {
      const char* row = static_cast<const char*>(row_address(x, i * x.images / kRows, 0));
      kernels.keep_best(row + first * item_size(x.dtype), count, x.dtype, top.smallest, depth, best,
                        kChunk);
    }
    for (int64_t c = 0; c < count; ++c) {
      const float last = best[(depth - 1) * kChunk + c];
      if (is_finite(last)) floors[first + c] = Candidates::key(last, top.smallest);
    }
  });
}

}  // namespace

Floors guess_floors(const View& x, const State& state, const Kernels& kernels, int threads) {
  Floors floors;
  floors.largest.assign(x.channels, -INFINITY);
  floors.smallest.assign(x.channels, -INFINITY);
  // One position an image and contiguous channels: what final representations look like.
  if (positions(x) != 1 || x.channel_stride != 1 || x.images < 4 * kRows) return floors;
  guess(x, state.largest, kernels, threads, floors.largest);
  guess(x, state.smallest, kernels, threads, floors.smallest);
  return floors;
}

void repair(const View& x, const std::vector<float>& floors, const int64_t* ids, int64_t first_id,
            int threads, TopK& top) {
  std::vector<int64_t> open;
  for (int64_t c = 0; c < x.channels; ++c) {
    const bool filled = top.sizes[c] == top.k && top.list(c)[top.k - 1].key >= floors[c];
    if (!filled && floors[c] > -INFINITY) open.push_back(c);
  }
  parallel_for(threads, static_cast<int64_t>(open.size()), [&](int64_t i, int) {
    const int64_t c = open[i];
    for (int64_t image = 0; image < x.images; ++image) {
      const float value = load(row_address(x, image, 0), c * x.channel_stride, x.dtype);
      if (!is_finite(value)) continue;
      top.offer(c, {Candidates::key(value, top.smallest), 0, ids ? ids[image] : first_id + image});
    }
  });
}

}  // namespace tuiprobe::cpu
