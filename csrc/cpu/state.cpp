#include <cmath>

#include "stats.hpp"

namespace tuiprobe::cpu {

void TopK::merge(const TopK& other) {
  for (int64_t c = 0; c < static_cast<int64_t>(sizes.size()); ++c) {
    for (int i = 0; i < other.sizes[c]; ++i) offer(c, other.list(c)[i]);
  }
}

namespace {

template <class T>
void resize(std::vector<T>& field, int64_t size) {
  field.resize(static_cast<size_t>(size));
}
void resize(double&, int64_t) {}
void resize(int64_t&, int64_t) {}

}  // namespace

Samples::Samples(int64_t channels) {
  visit_sum_fields(
      [&](const char*, Extent extent, auto& field) { resize(field, entries(extent, channels)); },
      *this);
}

void Samples::merge(const Samples& other) {
  const size_t total = id.size() + other.id.size();
  visit_image_fields([&](const char*, auto& field) { field.reserve(total); }, *this);
  visit_image_fields([](const char*, auto& to,
                        const auto& from) { to.insert(to.end(), from.begin(), from.end()); },
                     *this, other);
  const int64_t channels = static_cast<int64_t>(share_sum.size());
  visit_sum_fields(
      [&](const char*, Extent extent, auto& to, const auto& from) {
        auto* sums = data_of(to);
        const auto* more = data_of(from);
        for (int64_t i = 0; i < entries(extent, channels); ++i) sums[i] += more[i];
      },
      *this, other);
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
