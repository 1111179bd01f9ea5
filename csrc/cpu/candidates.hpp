// Candidates one worker has found for one end, and the limits a value must reach to be one.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels.hpp"
#include "stats.hpp"

namespace tuiprobe::cpu {

// They gather in no order and are cut back to the best k whenever a channel's room is used up.
// Keys lie apart from the rest, because cutting reads nothing else.
struct Candidates {
  struct Origin {
    int64_t id;
    int32_t position;
  };

  int k = 0;
  int room = 0;
  bool smallest = false;
  bool unique = false;  // no image comes twice
  const Kernels* kernels = nullptr;
  std::vector<float> keys;      // [channels, room]
  std::vector<Origin> origins;  // [channels, room]
  std::vector<int32_t> sizes;   // [channels]
  std::vector<float> limit;     // [padded channels] values, not keys
  std::vector<float> tie;       // [padded channels] largest sample id that may win at the limit
  std::vector<Entry> scratch;   // [room]

  // What the state would refuse, or what lies below the floor (a key), is no candidate.
  void reset(const TopK& state, const std::vector<float>& floors, int64_t channels, bool once,
             const Kernels& loops) {
    k = state.k;
    room = (k + std::clamp(k, 16, 64) + kLane - 1) / kLane * kLane;
    smallest = state.smallest;
    unique = once;
    kernels = &loops;
    keys.resize(channels * room);
    origins.resize(channels * room);
    sizes.assign(channels, 0);
    limit.resize(padded(channels));
    tie.resize(padded(channels));
    scratch.resize(room);
    for (int64_t c = 0; c < channels; ++c) {
      const Entry floor{floors[c], 0, INT64_MAX};
      const bool full = state.sizes[c] == k;
      set_limit(c, full && better(state.list(c)[k - 1], floor) ? state.list(c)[k - 1] : floor);
    }
  }

  static float key(float value, bool smallest) { return (smallest ? -value : value) + 0.0f; }

  // A float no smaller than the id, and one no larger.
  static float above(int64_t id) {
    const float f = static_cast<float>(id);
    return id < (int64_t{1} << 24) ? f : std::nextafter(f, INFINITY);
  }
  static float below(int64_t id) {
    const float f = static_cast<float>(id);
    return id < (int64_t{1} << 24) ? f : std::nextafter(f, -INFINITY);
  }

  Entry entry(int64_t c, int i) const {
    const Origin& from = origins[c * room + i];
    return {keys[c * room + i], from.position, from.id};
  }

  void offer(int64_t c, float value, int32_t position, int64_t id) {
    if (value == limit[c] && below(id) > tie[c]) return;
    const int64_t at = c * room + sizes[c]++;
    keys[at] = key(value, smallest);
    origins[at] = {id, position};
    if (sizes[c] == room) cut(c);
  }

  // Down to the best k. The limit only ever tightens: all that came later had passed it.
  void cut(int64_t c) {
    if (!unique || room > kMaxSelect || !cut_by_keys(c)) cut_by_sorting(c);
    if (sizes[c] < k) return;
    Entry worst = entry(c, 0);
    for (int i = 1; i < k; ++i) {
      if (better(worst, entry(c, i))) worst = entry(c, i);
    }
    set_limit(c, worst);
  }

 private:
  // False where ties at the k-th key leave the choice to the ids.
  bool cut_by_keys(int64_t c) {
    int32_t kept[kMaxSelect];
    float* const all = keys.data() + c * room;
    Origin* const from = origins.data() + c * room;
    const int n = kernels->select(all, sizes[c], k, kept);
    if (n != k) return false;
    for (int i = 0; i < n; ++i) {
      all[i] = all[kept[i]];
      from[i] = from[kept[i]];
    }
    sizes[c] = n;
    return true;
  }

  void cut_by_sorting(int64_t c) {
    const auto first = scratch.begin(), last = first + sizes[c];
    for (int i = 0; i < sizes[c]; ++i) scratch[i] = entry(c, i);
    const auto before = [](const Entry& a, const Entry& b) { return better(a, b); };
    unique ? std::nth_element(first, first + k - 1, last, before) : std::sort(first, last, before);
    int kept = 0;
    for (auto e = first; e != last && kept < k; ++e) {
      const auto same = [&e](const Entry& other) { return other.id == e->id; };
      if (!unique && std::any_of(first, first + kept, same)) continue;
      scratch[kept] = *e;
      keys[c * room + kept] = e->key;
      origins[c * room + kept++] = {e->id, e->position};
    }
    sizes[c] = kept;
  }

  void set_limit(int64_t c, const Entry& worst) {
    limit[c] = smallest ? -worst.key : worst.key;
    tie[c] = above(worst.id);
  }
};

}  // namespace tuiprobe::cpu
