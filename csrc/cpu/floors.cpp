#include "floors.hpp"

#include "parallel.hpp"

namespace tuiprobe::cpu {
namespace {

constexpr int64_t kRows = 2048;  // sampled
constexpr int kMaxDepth = 12;
constexpr int64_t kChunk = 128;  // channels

// The floor is the depth-th best of the sample. About depth / kRows of all values lie above it, and
// that they are fewer than k is less likely than one in a thousand.
int depth_for(const TopK& top, int64_t rows) {
  const double expected = static_cast<double>(top.k) * kRows / static_cast<double>(rows);
  const double depth = std::ceil(expected + 3 * std::sqrt(expected) + 2);
  return depth <= kMaxDepth ? static_cast<int>(depth) : 0;
}

bool wanted(const TopK& top) {
  if (top.k == 0) return false;
  int64_t open = 0;
  for (const int32_t size : top.sizes) open += size < top.k;
  return open * 4 > static_cast<int64_t>(top.sizes.size());
}

// The best values of one end in the sample, for a chunk of channels.
struct Best {
  const TopK& top;
  int depth;  // 0: not wanted
  float values[kMaxDepth * kChunk];

  Best(const TopK& t, int64_t rows) : top(t), depth(wanted(t) ? depth_for(t, rows) : 0) {
    std::fill_n(values, kMaxDepth * kChunk, top.smallest ? INFINITY : -INFINITY);
  }

  void take(const Kernels& kernels, const void* row, int64_t count, DType dtype) {
    if (depth > 0) {
      kernels.keep_best(row, count, dtype, top.smallest, depth, values, kChunk);
    }
  }

  void write(int64_t first, int64_t count, std::vector<float>& floors) const {
    for (int64_t c = 0; c < count && depth > 0; ++c) {
      const float last = values[(depth - 1) * kChunk + c];
      if (is_finite(last)) floors[first + c] = key_of(last, top.smallest);
    }
  }
};

}  // namespace

Floors guess_floors(const View& x, const State& state, const Kernels& kernels, int threads) {
  Floors floors;
  floors.largest.assign(x.channels, -INFINITY);
  floors.smallest.assign(x.channels, -INFINITY);
  // One position an image and contiguous channels: what final representations look like.
  if (positions(x) != 1 || x.channel_stride != 1 || x.images < 4 * kRows) return floors;
  if (!wanted(state.largest) && !wanted(state.smallest)) return floors;
  parallel_for(threads, (x.channels + kChunk - 1) / kChunk, [&](int64_t chunk, int) {
    const int64_t first = chunk * kChunk, count = std::min(kChunk, x.channels - first);
    const auto row = [&](int64_t i) {
      const void* start = row_address(x, i * x.images / kRows, 0);
      return static_cast<const char*>(start) + first * item_size(x.dtype);
    };
    constexpr int64_t kAhead = 4, kLine = 64;
    Best largest(state.largest, x.images), smallest(state.smallest, x.images);
    for (int64_t i = 0; i < kRows; ++i) {
      for (int64_t at = 0; i + kAhead < kRows && at < count * item_size(x.dtype); at += kLine) {
        __builtin_prefetch(row(i + kAhead) + at);
      }
      largest.take(kernels, row(i), count, x.dtype);
      smallest.take(kernels, row(i), count, x.dtype);
    }
    largest.write(first, count, floors.largest);
    smallest.write(first, count, floors.smallest);
  });
  return floors;
}

void repair(const View& x, const std::vector<float>& floors, const int64_t* ids, int64_t first_id,
            int threads, TopK& top) {
  // Allocates nothing: the state has changed already.
  parallel_for(threads, x.channels, [&](int64_t c, int) {
    const bool filled = top.sizes[c] == top.k && top.list(c)[top.k - 1].key >= floors[c];
    if (filled || !(floors[c] > -INFINITY)) return;
    for (int64_t image = 0; image < x.images; ++image) {
      const float value = load(row_address(x, image, 0), c * x.channel_stride, x.dtype);
      if (!is_finite(value)) continue;
      top.offer(c, {key_of(value, top.smallest), 0, ids ? ids[image] : first_id + image});
    }
  });
}

}  // namespace tuiprobe::cpu
