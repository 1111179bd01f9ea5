#include <cmath>

#include "stats.hpp"

namespace tuiprobe::cpu {

void TopK::merge(const TopK& other) {
  for (int64_t c = 0; c < static_cast<int64_t>(sizes.size()); ++c) {
    for (int i = 0; i < other.sizes[c]; ++i) offer(c, other.list(c)[i]);
  }
}

Samples::Samples(int64_t channels)
    : share_sum(channels),
      leading_count(channels),
      exceed_count(channels),
      norm_histogram(kNormBins) {}

namespace {

template <class T>
void append(std::vector<T>& to, const std::vector<T>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

template <class T>
void add(std::vector<T>& to, const std::vector<T>& from) {
  for (size_t i = 0; i < to.size(); ++i) to[i] += from[i];
}

}  // namespace

void Samples::merge(const Samples& other) {
  const size_t total = ids.size() + other.ids.size();
  ids.reserve(total);
  kurtosis.reserve(total);
  self_share.reserve(total);
  leading.reserve(total);
  append(ids, other.ids);
  append(kurtosis, other.kurtosis);
  append(self_share, other.self_share);
  append(leading, other.leading);
  add(share_sum, other.share_sum);
  add(leading_count, other.leading_count);
  add(exceed_count, other.exceed_count);
  add(norm_histogram, other.norm_histogram);
  share_square_sum += other.share_square_sum;
  rows += other.rows;
  degenerate += other.degenerate;
}

State::State(const Options& o) : options(o) {
  if (o.moments) moments.resize(o.channels);
  if (o.largest) largest = TopK(o.channels, o.largest, false);
  if (o.smallest) smallest = TopK(o.channels, o.smallest, true);
  if (o.samples) samples = Samples(o.channels);
}

void State::merge(const State& other) {
  if (options.samples) samples.merge(other.samples);  // the only part that may run out of memory
  images += other.images;
  for (size_t c = 0; c < moments.size(); ++c) {
    moments[c] = tuiprobe::merge(moments[c], other.moments[c]);
  }
  if (options.largest) largest.merge(other.largest);
  if (options.smallest) smallest.merge(other.smallest);
}

}  // namespace tuiprobe::cpu
