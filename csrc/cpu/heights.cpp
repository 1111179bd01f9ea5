// Compiled once, for the oldest instruction set and without fused products, so that all machines
// give the same bits.
#include "heights.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "../heights.hpp"
#include "parallel.hpp"

namespace tuiprobe::cpu {
namespace {

constexpr int64_t kLanes = 16;
constexpr int64_t kBlockValues = 1 << 18;   // of the rows that are read together: 1 MiB
constexpr int64_t kBlockChannels = 32;      // whose histograms stay in the first cache
constexpr int kTableShift = 18;             // five bits of the mantissa
constexpr uint32_t kTableFirst = 124 << 5;  // .125
constexpr uint32_t kTableSize = 10 << 5;    // to 128

// What the second pass needs of a row.
struct Row {
  double centre = 0;   // of heights
  double scale = 0;    // likewise; NaN: the row has none
  double mean = 0;     // over the channels
  double inverse = 0;  // 1 / standard deviation over the channels
  double weight = 0;   // 1 / square norm
  int group = -1;      // -1: the row does not count
  bool negative = false;
};

// Sums `f(0) … f(n - 1)` in an order that depends on n alone.
template <class F>
double lane_sum(int64_t n, F&& f) {
  double sums[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) sums[lane] += f(i + lane);
  }
  for (int64_t lane = 0; i + lane < n; ++lane) sums[lane] += f(i + lane);
  for (int64_t width = kLanes / 2; width > 0; width /= 2) {
    for (int64_t lane = 0; lane < width; ++lane) sums[lane] += sums[lane + width];
  }
  return sums[0];
}

// Sorts finite values by the bytes of integers in the same order. `keys` and `spare` have room
// for n integers each.
void sort(const float* values, int64_t n, uint32_t* keys, uint32_t* spare, float* sorted) {
  uint32_t counts[4][256] = {};
  for (int64_t i = 0; i < n; ++i) {
    uint32_t bits;
    std::memcpy(&bits, values + i, sizeof bits);
    const uint32_t key = bits ^ ((0u - (bits >> 31)) | 0x80000000u);
    keys[i] = key;
    for (int byte = 0; byte < 4; ++byte) ++counts[byte][key >> 8 * byte & 255];
  }
  for (int byte = 0; byte < 4; ++byte) {
    uint32_t* const count = counts[byte];
    if (count[keys[0] >> 8 * byte & 255] == n) continue;  // the same in all
    uint32_t before = 0;
    for (int value = 0; value < 256; ++value) {
      const uint32_t here = count[value];
      count[value] = before;
      before += here;
    }
    for (int64_t i = 0; i < n; ++i) spare[count[keys[i] >> 8 * byte & 255]++] = keys[i];
    std::swap(keys, spare);
  }
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t key = keys[i];
    const uint32_t bits = key ^ (((key >> 31) - 1) | 0x80000000u);
    std::memcpy(sorted + i, &bits, sizeof bits);
  }
}

// Centre and scale of heights from the 95 % of sorted values that are nearest to their median.
void scale_row(const float* sorted, int64_t n, Row& row) {
  const auto at = [&](int64_t i) { return static_cast<double>(sorted[i]); };
  const double middle = (at((n - 1) / 2) + at(n / 2)) / 2;
  const int64_t out = n / 20, inner = n - out;
  int64_t first = 0;  // what is left out below lies farther than its partner above
  while (first < out && middle - at(first) > at(inner + first) - middle) ++first;
  row.centre = (at(first + (inner - 1) / 2) + at(first + inner / 2)) / 2;
  const auto kept = [&](int64_t i) { return at(first + i) - middle; };
  const double size = static_cast<double>(inner);
  const double mean = lane_sum(inner, kept) / size;
  const double square = lane_sum(inner, [&](int64_t i) { return kept(i) * kept(i); }) / size;
  const double variance = square - mean * mean;
  const bool constant = sorted[first] == sorted[first + inner - 1];
  row.scale = !constant && variance > 0 ? std::sqrt(variance) / cut_sigma(n) : NAN;
}

Row read_row(const float* x, int64_t n, int64_t id, uint32_t* keys, float* sorted) {
  Row row;
  const auto value = [&](int64_t c) { return static_cast<double>(x[c]); };
  const double square = lane_sum(n, [&](int64_t c) { return value(c) * value(c); });
  if (!(square <= 1.7976931348623157e308)) return row;  // what is not finite spreads here
  int64_t zeros = 0;
  bool varies = false;
  for (int64_t c = 0; c < n; ++c) {
    zeros += x[c] == 0;
    row.negative |= x[c] < 0;
    varies |= x[c] != x[0];
  }
  if (!varies) return row;
  row.group = group_of(id);
  row.weight = 1 / square;
  row.mean = lane_sum(n, value) / static_cast<double>(n);
  const auto centred = [&](int64_t c) { return (value(c) - row.mean) * (value(c) - row.mean); };
  row.inverse = 1 / std::sqrt(lane_sum(n, centred) / static_cast<double>(n));
  row.scale = NAN;
  if (n < kHeightChannels || 2 * zeros > n) return row;
  sort(x, n, keys, keys + n, sorted);
  scale_row(sorted, n, row);
  return row;
}

// The edges, and how many lie below all heights of a cell of a table of the first bits of a height,
// whatever the rounding. A cell holds at most one edge, and one may be as near as rounding below.
struct Edges {
  double edge[kHeightEdges + 2];
  uint8_t below[kTableSize];

  Edges() {
    for (int e = 0; e < kHeightEdges; ++e) edge[e] = static_cast<double>(kHeightEdge[e]);
    edge[kHeightEdges] = edge[kHeightEdges + 1] = INFINITY;
    for (uint32_t cell = 0; cell < kTableSize; ++cell) {
      const float low = float_from_bits((cell + kTableFirst) << kTableShift);
      const double least = static_cast<double>(low) * (1 - 1e-6);
      below[cell] = static_cast<uint8_t>(std::lower_bound(edge, edge + kHeightEdges, least) - edge);
    }
    below[0] = 0;
  }
};

template <class T>
void read_values(const View& x, int64_t first, int64_t count, float* to) {
  for (int64_t i = 0; i < count; ++i) {
    const T* from = static_cast<const T*>(row_address(x, first + i, 0));
    for (int64_t c = 0; c < x.channels; ++c) *to++ = to_float(from[c * x.channel_stride]);
  }
}

void read_values(const View& x, int64_t first, int64_t count, float* to) {
  if (x.dtype == DType::f32) return read_values<float>(x, first, count, to);
  if (x.dtype == DType::f16) return read_values<Half>(x, first, count, to);
  read_values<BFloat16>(x, first, count, to);
}

// Counts the heights of channels [begin, end) of one row.
void count_heights(const float* x, const Row& row, int64_t begin, int64_t end, int32_t* histogram) {
  static const Edges edges;
  const double unit = 1 / row.scale;
  for (int64_t c = begin; c < end; ++c) {
    const double distance = std::fabs(static_cast<double>(x[c]) - row.centre);
    const float height = static_cast<float>(distance * unit);
    uint32_t bits;
    std::memcpy(&bits, &height, sizeof bits);
    const uint32_t cell = bits >> kTableShift;
    int bin = edges.below[cell <= kTableFirst ? 0 : std::min(cell - kTableFirst, kTableSize - 1)];
    bin += distance > edges.edge[bin] * row.scale;
    bin += distance > edges.edge[bin] * row.scale;
    ++histogram[c * kHeightBins + bin];
  }
}

}  // namespace

RowSums::RowSums(int64_t channels) : channels(channels) {
  visit_row_fields(
      [&](const char*, Extent extent, auto& field) { resize(field, entries(extent, channels)); },
      *this);
}

void RowSums::merge(const RowSums& other) {
  visit_row_fields(
      [&](const char*, Extent extent, auto& to, const auto& from) {
        add(data_of(to), data_of(from), entries(extent, channels));
      },
      *this, other);
}

void RowSums::update(const View& x, const int64_t* ids, int threads) {
  const int64_t step = std::max<int64_t>(1, kBlockValues / channels);
  const int64_t most = std::min(step, x.images);
  std::vector<float> values(static_cast<size_t>(most * channels));
  std::vector<Row> rows(static_cast<size_t>(most));
  const int64_t workers = std::max(1, threads);
  std::vector<uint32_t> keys(static_cast<size_t>(2 * workers * channels));
  std::vector<float> sorted(static_cast<size_t>(workers * channels));
  for (int64_t first = 0; first < x.images; first += step) {
    const int64_t count = std::min(step, x.images - first);
    parallel_for(threads, count, [&](int64_t i, int worker) {
      float* const row = values.data() + i * channels;
      read_values(x, first + i, 1, row);
      rows[i] = read_row(row, channels, ids[first + i], keys.data() + 2 * worker * channels,
                         sorted.data() + worker * channels);
    });
    const int64_t blocks = (channels + kBlockChannels - 1) / kBlockChannels;
    parallel_for(threads, blocks, [&](int64_t block, int) {
      const int64_t begin = block * kBlockChannels;
      const int64_t end = std::min(begin + kBlockChannels, channels);
      for (int64_t i = 0; i < count; ++i) {
        const Row& row = rows[i];
        if (row.group < 0) continue;
        const float* const value = values.data() + i * channels;
        double* const z = z_sum.data() + row.group * channels;
        for (int64_t c = begin; c < end; ++c) {
          const double v = static_cast<double>(value[c]), energy = v * v * row.weight;
          energy_sum[c] += energy;
          energy_square_sum[c] += energy * energy;
          z[c] += (v - row.mean) * row.inverse;
        }
        if (!std::isnan(row.scale)) count_heights(value, row, begin, end, height_histogram.data());
      }
    });
    for (int64_t i = 0; i < count; ++i) {
      if (rows[i].group < 0) continue;
      ++group_rows[rows[i].group];
      without_heights += std::isnan(rows[i].scale);
      with_negative += rows[i].negative;
    }
  }
}

}  // namespace tuiprobe::cpu
