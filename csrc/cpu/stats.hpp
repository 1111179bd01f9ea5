// The accumulator behind every class of tuiprobe.stats: any of channel moments, the largest and
// smallest entries of each channel, and per-image figures, from one pass over memory.
#pragma once

#include <cstdint>
#include <mutex>
#include <vector>

#include "../fields.hpp"
#include "../layout.hpp"
#include "growing.hpp"

namespace tuiprobe::cpu {

// Best-first lists, one a channel.
struct TopK {
  int k = 0;
  bool smallest = false;
  std::vector<Entry> entries;  // [channels, k]
  std::vector<int32_t> sizes;  // [channels]
  std::vector<Entry> last;     // [channels] entry k - 1 of full lists, near each other for updates

  TopK() = default;
  TopK(int64_t channels, int k, bool smallest)
      : k(k), smallest(smallest), entries(channels * k), sizes(channels), last(channels) {}
  Entry* list(int64_t c) { return entries.data() + c * k; }
  const Entry* list(int64_t c) const { return entries.data() + c * k; }
  void offer(int64_t c, const Entry& e) { resize(c, insert(list(c), sizes[c], k, e)); }
  // After the list of a channel has changed.
  void resize(int64_t c, int size) {
    sizes[c] = size;
    if (size == k) last[c] = list(c)[k - 1];
  }
  void merge(const TopK& other);
  // Makes lists of `entries` as a state stores them: values, not keys, and ids below 0 for none.
  // False if a value is not finite.
  bool settle();
};

// Per-image figures; what each field means is said in fields.hpp.
struct Samples {
  Growing<int64_t> id;
  Growing<double> kurtosis;
  Growing<double> self_share;
  Growing<int32_t> leading;
  std::vector<double> share_sum;
  std::vector<int64_t> leading_count;
  std::vector<int64_t> norm_histogram;
  double share_square_sum = 0;
  int64_t rows = 0;
  int64_t degenerate = 0;

  Samples() = default;
  explicit Samples(int64_t channels);
  void merge(const Samples& other);
};

// Everything an accumulator knows; a value, so that it can be copied out, stored and merged.
struct State {
  Options options;
  int64_t images = 0;  // seen so far: the next default sample id
  std::vector<Moments> moments;
  TopK largest;
  TopK smallest;
  Samples samples;

  State() = default;
  explicit State(const Options& options);
  void merge(const State& other);
};

// Adds the images of `x` to `state`. `ids` holds one id an image, or is null for running numbers.
// The result depends neither on `threads` nor on timing. Strong guarantee: on an exception the
// state is as before.
void update(State& state, const View& x, const int64_t* ids, int threads);

}  // namespace tuiprobe::cpu
