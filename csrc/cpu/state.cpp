#include <algorithm>
#include <cmath>

#include "stats.hpp"

namespace tuiprobe::cpu {

namespace {

bool holds(const Entry* entries, int size, int64_t id) {
  bool found = false;
  for (int i = 0; i < size; ++i) found |= entries[i].id == id;
  return found;
}

// Whether entries are what a list holds: best first, at most one an image.
bool in_order(const Entry* entries, int size) {
  for (int i = 1; i < size; ++i) {
    if (!better(entries[i - 1], entries[i]) || holds(entries, i, entries[i].id)) return false;
  }
  return true;
}

}  // namespace

void TopK::merge(const TopK& other) {
  std::vector<Entry> merged(k);
  for (int64_t c = 0; c < static_cast<int64_t>(sizes.size()); ++c) {
    const Entry *a = list(c), *b = other.list(c);
    const Entry *end_a = a + sizes[c], *end_b = b + other.sizes[c];
    if (b == end_b || (sizes[c] == k && !better(*b, end_a[-1]))) continue;
    int size = 0;
    while (size < k && (a < end_a || b < end_b)) {
      const bool from_a = b == end_b || (a < end_a && better(*a, *b));
      const Entry& e = from_a ? *a++ : *b++;
      if (!holds(merged.data(), size, e.id)) merged[size++] = e;
    }
    std::copy(merged.begin(), merged.begin() + size, list(c));
    resize(c, size);
  }
}

bool TopK::settle() {
  bool finite = true;
  std::vector<Entry> filled(k);
  for (int64_t c = 0; c < static_cast<int64_t>(sizes.size()); ++c) {
    int size = 0;
    for (int i = 0; i < k; ++i) {
      Entry e = list(c)[i];
      if (e.id < 0) continue;
      finite &= is_finite(e.key);
      e.key = (smallest ? -e.key : e.key) + 0.0f;
      filled[size++] = e;
    }
    if (in_order(filled.data(), size)) {
      std::copy(filled.begin(), filled.begin() + size, list(c));
      resize(c, size);
    } else {
      for (int i = 0; i < size; ++i) offer(c, filled[i]);
    }
  }
  return finite;
}

Samples::Samples(int64_t channels) {
  visit_sum_fields(
      [&](const char*, Extent extent, auto& field) { resize(field, entries(extent, channels)); },
      *this);
}

void Samples::merge(const Samples& other) {
  const size_t total = id.size() + other.id.size();
  visit_image_fields([&](const char*, auto& field) { field.reserve(total); }, *this);
  visit_image_fields(
      [](const char*, auto& to, const auto& from) { to.append(from.begin(), from.end()); }, *this,
      other);
  const int64_t channels = static_cast<int64_t>(share_sum.size());
  visit_sum_fields(
      [&](const char*, Extent extent, auto& to, const auto& from) {
        add(data_of(to), data_of(from), entries(extent, channels));
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
