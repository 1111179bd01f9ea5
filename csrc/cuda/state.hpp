// What an accumulator keeps in device memory, and where it lies in its one block of bytes.
#pragma once

#include <type_traits>

#include "../fields.hpp"

namespace tuiprobe::cuda {

// More entries a channel, or more channels, take the torch path.
constexpr int kMaxK = 1024;
constexpr int64_t kMaxChannels = 12288;

struct ImageRecord {
  int64_t id;
  double kurtosis;
  double self_share;
  int64_t leading;
};

// How far the accumulator has come. In device memory, so that each replay of a captured update goes
// on where the one before ended; so is the address of the records, whose buffer may be replaced.
struct Progress {
  int64_t images;        // the next running number
  int64_t recorded;      // images that asked for a record
  int64_t negative_ids;  // found among ids that were given on the device
  ImageRecord* records;
  int64_t capacity;  // records there is room for; images beyond are in every sum, but leave none
};

struct TopState {
  int k;
  Entry* lists;    // [channels, k], best first
  int32_t* sizes;  // [channels]
};

struct SampleSums {
  double* share_sum;
  double* share_square_sum;
  int64_t* leading_count;
  int64_t* norm_histogram;
  int64_t* rows;
  int64_t* degenerate;
};

struct State {
  Progress* progress;
  Moments* moments;    // [channels]; null where not wanted
  TopState top[2];     // largest, smallest; k is 0 where not wanted
  SampleSums samples;  // null where not wanted
};

// Hands out pieces of one block of memory, each on 16 bytes; from null, it only counts.
class Carver {
 public:
  explicit Carver(void* memory) : memory_(static_cast<char*>(memory)) {}

  template <class V>
  V* allocate(int64_t count) {
    V* at = memory_ == nullptr ? nullptr : reinterpret_cast<V*>(memory_ + used_);
    used_ += (count * static_cast<int64_t>(sizeof(V)) + 15) / 16 * 16;
    return at;
  }

  int64_t used() const { return used_; }

 private:
  char* memory_;
  int64_t used_ = 0;
};

// Finds the parts of the state in `memory`; returns how many bytes they take.
static inline int64_t place(const Options& w, void* memory, State* out) {
  Carver carver(memory);
  *out = {carver.allocate<Progress>(1), nullptr, {}, {}};
  if (w.moments) out->moments = carver.allocate<Moments>(w.channels);
  const int k[2] = {w.largest, w.smallest};
  for (int end = 0; end < 2; ++end) {
    out->top[end] = {k[end], nullptr, nullptr};
    if (k[end] == 0) continue;
    out->top[end].lists = carver.allocate<Entry>(w.channels * k[end]);
    out->top[end].sizes = carver.allocate<int32_t>(w.channels);
  }
  if (w.samples) {
    visit_sum_fields(
        [&](const char*, Extent extent, auto*& field) {
          using T = std::remove_reference_t<decltype(*field)>;
          field = carver.allocate<T>(entries(extent, w.channels));
        },
        out->samples);
  }
  return carver.used();
}

}  // namespace tuiprobe::cuda
