// moments.hpp, topk.hpp and dtype.hpp on their own: laws of the monoids, special values.
#include <algorithm>
#include <random>
#include <vector>

#include "../../csrc/moments.hpp"
#include "../../csrc/rows.hpp"
#include "../../csrc/topk.hpp"
#include "check.hpp"

using namespace tuiprobe;

static Moments of(const std::vector<double>& values) {
  Moments all;
  for (const double v : values) all = merge(all, lift(v));
  return all;
}

static Moments two_pass(const std::vector<double>& values) {
  double mean = 0;
  for (const double v : values) mean += v / static_cast<double>(values.size());
  PowerSums s;
  double low = INFINITY, high = -INFINITY;
  for (const double v : values) {
    const double d = v - mean;
    s = merge(s, {d, d * d, d * d * d, d * d * d * d});
    low = std::min(low, v);
    high = std::max(high, v);
  }
  return central(s, static_cast<int64_t>(values.size()), mean, 1, low, high);
}

static void close(const Moments& a, const Moments& b) {
  CHECK(a.count == b.count);
  CHECK(near(a.mean, b.mean, 1e-12 * std::sqrt(b.m2)));
  CHECK(near(a.m2, b.m2, 1e-11 * b.m2));
  CHECK(near(a.m3, b.m3, 1e-10 * b.m4));
  CHECK(near(a.m4, b.m4, 1e-11 * b.m4));
  CHECK(a.min == b.min);
  CHECK(a.max == b.max);
}

static void moments_merge_in_any_grouping() {
  std::mt19937_64 random(1);
  std::normal_distribution<double> normal(3, 2);
  for (int round = 0; round < 50; ++round) {
    std::vector<double> values(2 + random() % 300);
    for (double& v : values) v = normal(random);
    const size_t cut = random() % values.size();
    const std::vector<double> a(values.begin(), values.begin() + static_cast<long>(cut));
    const std::vector<double> b(values.begin() + static_cast<long>(cut), values.end());
    close(of(values), two_pass(values));
    close(merge(of(a), of(b)), two_pass(values));
    close(merge(of(b), of(a)), two_pass(values));
  }
}

static void moments_of_nothing_one_and_specials() {
  const MomentSummary nothing = finalize(Moments{});
  CHECK(std::isnan(nothing.mean) && std::isnan(nothing.var) && std::isnan(nothing.min));
  const MomentSummary one = finalize(lift(4));
  CHECK(one.mean == 4 && one.var == 0 && std::isnan(one.kurtosis) && one.max == 4);
  const Moments mixed = of({1, NAN, INFINITY, -INFINITY, 3});
  CHECK(mixed.count == 2 && mixed.nonfinite == 3 && mixed.mean == 2 && mixed.m2 == 2);
  CHECK(merge(Moments{}, Moments{}).count == 0);
  const Moments constant = central({5, 5, 5, 5}, 5, 1, 1, 2, 2);
  CHECK(constant.mean == 2 && constant.m2 == 0);
}

static void topk_equals_sorting() {
  std::mt19937 random(2);
  for (int round = 0; round < 300; ++round) {
    const int k = 1 + static_cast<int>(random() % 9);
    std::vector<Entry> list(static_cast<size_t>(k)), all;
    int size = 0;
    for (int i = 0; i < 60; ++i) {
      const Entry e{static_cast<float>(random() % 5), static_cast<int32_t>(random() % 3),
                    static_cast<int64_t>(random() % 20)};
      size = insert(list.data(), size, k, e);
      all.push_back(e);
    }
    std::sort(all.begin(), all.end(), better);
    std::vector<Entry> wanted;
    for (const Entry& e : all) {
      const auto same = [&](const Entry& w) { return w.id == e.id; };
      if (std::none_of(wanted.begin(), wanted.end(), same)) wanted.push_back(e);
    }
    CHECK(size == std::min<int>(k, static_cast<int>(wanted.size())));
    for (int i = 0; i < size; ++i) {
      const Entry &a = list[static_cast<size_t>(i)], &b = wanted[static_cast<size_t>(i)];
      CHECK(a.key == b.key && a.id == b.id && a.position == b.position);
    }
  }
}

static void half_precision_values() {
  CHECK(to_float(Half{0x3c00}) == 1.0f);
  CHECK(to_float(Half{0xc000}) == -2.0f);
  CHECK(to_float(Half{0x7bff}) == 65504.0f);
  CHECK(to_float(Half{0x0001}) == 5.9604644775390625e-8f);
  CHECK(std::isinf(to_float(Half{0xfc00})) && to_float(Half{0xfc00}) < 0);
  CHECK(std::isnan(to_float(Half{0x7e00})));
  CHECK(std::signbit(to_float(Half{0x8000})));
  CHECK(to_float(BFloat16{0x3f80}) == 1.0f);
  CHECK(!is_finite(to_float(BFloat16{0x7f80})));
}

static void norm_bins() {
  CHECK(norm_bin(1) == 32);
  CHECK(norm_bin(4) == 36);
  CHECK(norm_bin(0) == 0);
  CHECK(norm_bin(1e300) == kNormBins - 1);
  for (float x = 1e-30f; x < 1e30f; x *= 1.1f) {
    CHECK(norm_bin_f32(x) == norm_bin(static_cast<double>(x)));
  }
  CHECK(norm_bin_f32(0) == 0 && norm_bin_f32(INFINITY) == kNormBins - 1);
  CHECK(norm_bin(1e-300) == 0);
}

int main() {
  moments_merge_in_any_grouping();
  moments_of_nothing_one_and_specials();
  topk_equals_sorting();
  half_precision_values();
  norm_bins();
  return report();
}
