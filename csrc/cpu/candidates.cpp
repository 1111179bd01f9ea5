#include "candidates.hpp"

#include <algorithm>

namespace tuiprobe::cpu {
namespace {

bool before(const Entry& a, const Entry& b) { return better(a, b); }

constexpr int kMaxRanked = 512;  // ranking compares all with all

}  // namespace

void Candidates::reserve(const TopK& state, bool distinct, bool single, const Kernels& kernels) {
  const int64_t channels = channels_ = static_cast<int64_t>(state.sizes.size());
  k_ = state.k;
  room_ = k_ + std::max(16, k_ / 4);
  smallest_ = state.smallest;
  distinct_ = distinct;
  single_ = single;
  kernels_ = &kernels;
  grow(keys_, padded(room_));
  grow(ranks_, padded(room_));
  grow(entries_, channels * room_);
  grow(sizes_, channels);
  for (Floats* limits : {&limit_, &tie_, &own_limit_, &own_tie_}) grow(*limits, padded(channels));
}

void Candidates::reset(const TopK& state, const float* least) {
  const int64_t channels = static_cast<int64_t>(state.sizes.size());
  std::fill_n(sizes_.begin(), channels, 0);
  current_ = -1;
  for (int64_t c = 0; c < channels; ++c) {
    set_limit(c, state.sizes[c] == k_ ? state.last[c] : Entry{least[c], 0, INT64_MAX});
  }
  for (Floats* limits : {&limit_, &tie_, &own_limit_, &own_tie_}) {
    std::fill(limits->begin() + channels, limits->begin() + padded(channels), 0.0f);
  }
}

void Candidates::cut(int64_t c) {
  Entry* const list = entries_.data() + c * room_;
  if (distinct_) {
    if (room_ > kMaxRanked || !cut_by_rank(list)) {
      std::nth_element(list, list + k_ - 1, list + sizes_[c], before);
    }
    sizes_[c] = k_;
  } else {
    sizes_[c] = keep_best_of_images(list, sizes_[c], k_);
    if (sizes_[c] < k_) return;
  }
  set_limit(c, list[k_ - 1]);
}

// Moves the best k of a full list to its front, the worst of them to place k - 1. False, and
// nothing moved, where equal keys leave the choice to the ids.
bool Candidates::cut_by_rank(Entry* list) {
  for (int i = 0; i < room_; ++i) keys_[i] = list[i].key;
  kernels_->rank(keys_.data(), room_, ranks_.data());
  const float last = static_cast<float>(k_ - 1);
  int kept = 0, worst = -1;
  for (int i = 0; i < room_; ++i) {
    kept += ranks_[i] <= last;
    if (ranks_[i] == last) worst = i;
  }
  if (kept != k_ || worst < 0) return false;
  const Entry at_limit = list[worst];
  for (int i = 0, to = 0; i < room_; ++i) {
    list[to] = list[i];
    to += ranks_[i] < last;
  }
  list[k_ - 1] = at_limit;
  return true;
}

int keep_best_of_images(Entry* entries, int size, int k) {
  if (size > kMaxRanked) {  // too many to look each image up among those kept
    std::sort(entries, entries + size, [](const Entry& a, const Entry& b) {
      return a.id != b.id ? a.id < b.id : better(a, b);
    });
    const auto same = [](const Entry& a, const Entry& b) { return a.id == b.id; };
    size = static_cast<int>(std::unique(entries, entries + size, same) - entries);
    k = std::min(k, size);
    std::partial_sort(entries, entries + k, entries + size, before);
    return k;
  }
  std::sort(entries, entries + size, before);
  int kept = 0;
  for (int i = 0; i < size && kept < k; ++i) {
    const int64_t id = entries[i].id;
    const auto same = [id](const Entry& e) { return e.id == id; };
    if (std::none_of(entries, entries + kept, same)) entries[kept++] = entries[i];
  }
  return kept;
}

void Joiner::reserve(int64_t most) {
  all_.reserve(most);
  grow(keys_, padded(std::min<int64_t>(most, kMaxRanked)));
  grow(ranks_, padded(std::min<int64_t>(most, kMaxRanked)));
}

void Joiner::begin(const TopK& state, int64_t c) {
  known_ = state.sizes[c];
  all_.assign(state.list(c), state.list(c) + known_);
  distinct_ = true;
}

void Joiner::add(const Candidates& from, int64_t c) {
  all_.insert(all_.end(), from.list(c), from.list(c) + from.size(c));
  distinct_ = distinct_ && from.distinct();
}

void Joiner::finish(const Kernels& kernels, TopK& state, int64_t c) {
  const int size = static_cast<int>(all_.size());
  if (size == known_) return;
  if (distinct_ && size <= kMaxRanked && !images_repeat()) return place_by_rank(kernels, state, c);
  const int kept = keep_best_of_images(all_.data(), size, state.k);
  std::copy_n(all_.begin(), kept, state.list(c));
  state.resize(c, kept);
}

// Whether a candidate's image is in the list already.
bool Joiner::images_repeat() const {
  for (size_t i = known_; i < all_.size(); ++i) {
    int same = 0;
    for (int k = 0; k < known_; ++k) same += all_[k].id == all_[i].id;
    if (same > 0) return true;
  }
  return false;
}

// An entry's place is the number of larger keys; of equal keys, which follow each other, the better
// entry comes first.
void Joiner::place_by_rank(const Kernels& kernels, TopK& state, int64_t c) {
  const int size = static_cast<int>(all_.size());
  for (int i = 0; i < size; ++i) keys_[i] = all_[i].key;
  kernels.rank(keys_.data(), size, ranks_.data());
  Entry* const list = state.list(c);
  const int filled = std::min(size, state.k);
  for (int i = 0; i < filled; ++i) list[i].id = -1;  // ids are not negative
  for (int i = 0; i < size; ++i) {
    Entry e = all_[i];
    int at = static_cast<int>(ranks_[i]);
    for (; at < filled && list[at].id >= 0; ++at) {
      if (better(e, list[at])) std::swap(e, list[at]);
    }
    if (at < filled) list[at] = e;
  }
  state.resize(c, filled);
}

}  // namespace tuiprobe::cpu
