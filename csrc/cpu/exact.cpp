#include "exact.hpp"

#include <algorithm>
#include <cmath>

#include "parallel.hpp"

namespace tuiprobe::cpu {
namespace {

struct Pass {
  double sum = 0;
  int64_t count = 0;
  int64_t nonfinite = 0;
  double min = INFINITY;
  double max = -INFINITY;
  PowerSums powers;
};

template <class T, class Visit>
void visit_rows(const View& x, int64_t first, int64_t last, Visit&& visit) {
  for (int64_t i = first; i < last; ++i) {
    for (int64_t p = 0; p < positions(x); ++p) {
      visit(static_cast<const T*>(row_address(x, i, p)));
    }
  }
}

template <class T>
void first_pass(const View& x, const std::vector<int32_t>& channels, int64_t first, int64_t last,
                Pass* out) {
  visit_rows<T>(x, first, last, [&](const T* row) {
    for (size_t i = 0; i < channels.size(); ++i) {
      const float value = to_float(row[channels[i] * x.channel_stride]);
      Pass& p = out[i];
      if (!is_finite(value)) {
        ++p.nonfinite;
        continue;
      }
      const double v = value;
      ++p.count;
      p.sum += v;
      p.min = v < p.min ? v : p.min;
      p.max = v > p.max ? v : p.max;
    }
  });
}

template <class T>
void second_pass(const View& x, const std::vector<int32_t>& channels, const double* mean,
                 int64_t first, int64_t last, Pass* out) {
  visit_rows<T>(x, first, last, [&](const T* row) {
    for (size_t i = 0; i < channels.size(); ++i) {
      const float value = to_float(row[channels[i] * x.channel_stride]);
      if (!is_finite(value)) continue;
      const double d = static_cast<double>(value) - mean[i];
      PowerSums& s = out[i].powers;
      s.s1 += d;
      s.s2 += d * d;
      s.s3 += d * d * d;
      s.s4 += d * d * d * d;
    }
  });
}

template <class Run>
void by_type(DType dtype, Run&& run) {
  if (dtype == DType::f32) return run(float{});
  if (dtype == DType::f16) return run(Half{});
  run(BFloat16{});
}

}  // namespace

std::vector<Moments> exact_moments(const View& x, const std::vector<int32_t>& channels,
                                   int64_t images_per_block, int threads) {
  const int64_t blocks = (x.images + images_per_block - 1) / images_per_block;
  const size_t n = channels.size();
  std::vector<Pass> passes(blocks * n);
  std::vector<double> mean(n);
  std::vector<Moments> out(n);
  const auto range_end = [&](int64_t b) { return std::min((b + 1) * images_per_block, x.images); };
  parallel_for(threads, blocks, [&](int64_t b, int) {
    by_type(x.dtype, [&](auto t) {
      first_pass<decltype(t)>(x, channels, b * images_per_block, range_end(b), &passes[b * n]);
    });
  });
  std::vector<Pass> total(n);
  for (int64_t b = 0; b < blocks; ++b) {
    for (size_t i = 0; i < n; ++i) {
      const Pass& p = passes[b * n + i];
      total[i].sum += p.sum;
      total[i].count += p.count;
      total[i].nonfinite += p.nonfinite;
      total[i].min = std::min(total[i].min, p.min);
      total[i].max = std::max(total[i].max, p.max);
    }
  }
  for (size_t i = 0; i < n; ++i) {
    mean[i] = total[i].count ? total[i].sum / static_cast<double>(total[i].count) : 0;
  }
  parallel_for(threads, blocks, [&](int64_t b, int) {
    by_type(x.dtype, [&](auto t) {
      second_pass<decltype(t)>(x, channels, mean.data(), b * images_per_block, range_end(b),
                               &passes[b * n]);
    });
  });
  for (int64_t b = 0; b < blocks; ++b) {
    for (size_t i = 0; i < n; ++i) {
      total[i].powers = merge(total[i].powers, passes[b * n + i].powers);
    }
  }
  for (size_t i = 0; i < n; ++i) {
    const Pass& p = total[i];
    out[i] = central(p.powers, p.count, mean[i], 1, p.min, p.max);
    out[i].nonfinite = p.nonfinite;
  }
  return out;
}

namespace {

// Sums of distances from a value of each channel, in one pass.
struct ChannelSums {
  std::vector<float> row;
  std::vector<double> shift, sum, square, count;

  explicit ChannelSums(int64_t channels)
      : row(channels), shift(channels), sum(channels), square(channels), count(channels) {}

  template <class T>
  void read(const T* from, int64_t stride) {
    const int64_t n = static_cast<int64_t>(row.size());
    for (int64_t c = 0; c < n; ++c) row[c] = to_float(from[c * stride]);
  }
  void begin() {
    for (size_t c = 0; c < row.size(); ++c) {
      shift[c] = is_finite(row[c]) ? static_cast<double>(row[c]) : 0;
    }
  }
};

}  // namespace

std::vector<Location> sample_locations(const View& x, int64_t limit, const Kernels& kernels) {
  const int64_t rows = x.images * positions(x), taken = std::min(rows, limit);
  ChannelSums sums(x.channels);
  for (int64_t i = 0; i < taken; ++i) {
    const int64_t r = i * rows / taken;
    const void* row = row_address(x, r / positions(x), r % positions(x));
    by_type(x.dtype, [&](auto t) {
      const auto* const from = static_cast<const decltype(t)*>(row);
      x.channel_stride == 1 ? sums.read(from, 1) : sums.read(from, x.channel_stride);
    });
    if (i == 0) sums.begin();
    kernels.add_distances(sums.row.data(), x.channels, sums.shift.data(), sums.sum.data(),
                          sums.square.data(), sums.count.data());
  }
  std::vector<Location> out;
  out.reserve(sums.row.size());
  for (size_t c = 0; c < sums.row.size(); ++c) {
    const double n = std::max(sums.count[c], 1.0), mean = sums.sum[c] / n;
    out.push_back({sums.shift[c] + mean, sums.square[c] / n - mean * mean});
  }
  return out;
}

namespace {

// Over the finite channels, or every few of many, to a few digits: one pass about the first of
// them, in four chains that do not wait for each other.
template <class T>
double row_variance(const T* row, int64_t channels, int64_t stride) {
  constexpr int64_t kEnough = 128;
  if (channels >= 2 * kEnough) {
    const int64_t step = channels / kEnough | 1;  // odd: patterns of channels have even periods
    return row_variance(row, channels / step, stride * step);
  }
  constexpr int kChains = 4;
  double sum[kChains] = {}, square[kChains] = {}, count[kChains] = {};
  const float first = to_float(row[0]);
  const double shift = is_finite(first) ? static_cast<double>(first) : 0;
  const auto add = [&](int64_t c, int chain) {
    const float value = to_float(row[c * stride]);
    const bool finite = is_finite(value);
    const double d = finite ? static_cast<double>(value) - shift : 0;
    sum[chain] += d;
    square[chain] += d * d;
    count[chain] += finite ? 1 : 0;
  };
  int64_t c = 0;
  for (; c + kChains <= channels; c += kChains) {
    for (int k = 0; k < kChains; ++k) add(c + k, k);
  }
  for (; c < channels; ++c) add(c, 0);
  const auto total = [](const double (&v)[kChains]) { return (v[0] + v[1]) + (v[2] + v[3]); };
  const double n = total(count), mean = total(sum) / n;
  return total(square) / n - mean * mean;
}

}  // namespace

double sample_row_variance(const View& x) {
  constexpr int64_t kRows = 7;
  const int64_t rows = x.images * positions(x);
  std::vector<double> variances;
  for (int64_t i = 0; i < std::min(rows, kRows); ++i) {
    const int64_t r = i * rows / std::min(rows, kRows);
    const void* row = row_address(x, r / positions(x), r % positions(x));
    by_type(x.dtype, [&](auto t) {
      const double v =
          row_variance(static_cast<const decltype(t)*>(row), x.channels, x.channel_stride);
      if (v > 0) variances.push_back(v);
    });
  }
  if (variances.empty()) return 1;
  std::sort(variances.begin(), variances.end());
  return variances[variances.size() / 2];
}

bool exact_row(const void* row, int64_t channels, int64_t stride, DType dtype, double* shares,
               ExactRow* out) {
  const double n = static_cast<double>(channels);
  double sum = 0, square = 0;
  float low = INFINITY, high = -INFINITY;
  for (int64_t c = 0; c < channels; ++c) {
    const float value = load(row, c * stride, dtype);
    const double v = static_cast<double>(value);
    sum += v;
    square += v * v;
    low = value < low ? value : low;
    high = value > high ? value : high;
  }
  out->square_norm = square;
  if (!std::isfinite(square) || low == high) return false;
  const double mean = sum / n;
  double m2 = 0, m4 = 0;
  for (int64_t c = 0; c < channels; ++c) {
    const double d = static_cast<double>(load(row, c * stride, dtype)) - mean;
    m2 += d * d;
    m4 += d * d * d * d;
    shares[c] = d * d * d * d;
  }
  for (int64_t c = 0; c < channels; ++c) shares[c] /= m4;
  out->kurtosis = n * m4 / (m2 * m2);
  return true;
}

}  // namespace tuiprobe::cpu
