// What an accumulator keeps in device memory, and where it lies in its one block of bytes.
#pragma once

#include "../moments.hpp"
#include "../rows.hpp"
#include "../topk.hpp"

namespace tuiprobe::cuda {

// Entries a channel that the kernels can keep; longer lists take the torch path.
constexpr int kMaxK = 1024;

struct Wanted {
  int64_t channels;
  bool moments;
  int largest;   // entries a channel; 0: not wanted
  int smallest;  // likewise
  bool samples;
};

// Figures of one image, in order of arrival; not a number and -1 for a degenerate one.
struct ImageRecord {
  int64_t id;
  double kurtosis;
  double self_share;
  int64_t leading;
};

// How far the accumulator has come. In device memory, so that each replay of a captured update goes
// on where the one before ended; so is the address of the records, whose buffer may be replaced.
struct Progress {
  int64_t base;    // id of the first image where ids are running numbers
  int64_t images;  // taken since
  int64_t rows;    // positions of these
  ImageRecord* records;
  int64_t capacity;  // records there is room for; images beyond it leave none
};

struct TopState {
  int k;
  bool smallest;
  Entry* lists;    // [channels, k], best first
  int32_t* sizes;  // [channels]
  TP_HD Entry* list(int64_t c) const { return lists + c * k; }
};

struct State {
  int64_t channels;
  Progress* progress;
  Moments* moments;  // [channels]; null where not wanted, as all that follow
  TopState top[2];   // largest, smallest; k is 0 where not wanted
  double* share_sum;
  int64_t* exceed;
  int64_t* norms;
};

// Hands out pieces of one block of memory, each on 16 bytes; from null, it only counts.
class Carver {
 public:
  TP_HD explicit Carver(void* memory) : memory_(static_cast<char*>(memory)) {}

  template <class V>
  TP_HD V* take(int64_t count) {
    V* at = memory_ == nullptr ? nullptr : reinterpret_cast<V*>(memory_ + used_);
    used_ += (count * static_cast<int64_t>(sizeof(V)) + 15) / 16 * 16;
    return at;
  }

  TP_HD int64_t used() const { return used_; }

 private:
  char* memory_;
  int64_t used_ = 0;
};

// Finds the parts of the state in `memory`; returns how many bytes they take.
static inline int64_t place(const Wanted& w, void* memory, State* out) {
  Carver carver(memory);
  const int64_t c = w.channels;
  *out = {c, carver.take<Progress>(1), nullptr, {}, nullptr, nullptr, nullptr};
  if (w.moments) out->moments = carver.take<Moments>(c);
  const int k[2] = {w.largest, w.smallest};
  for (int end = 0; end < 2; ++end) {
    out->top[end] = {k[end], end == 1, nullptr, nullptr};
    if (k[end] == 0) continue;
    out->top[end].lists = carver.take<Entry>(c * k[end]);
    out->top[end].sizes = carver.take<int32_t>(c);
  }
  if (w.samples) {
    out->share_sum = carver.take<double>(c);
    out->exceed = carver.take<int64_t>(c);
    out->norms = carver.take<int64_t>(kNormBins);
  }
  return carver.used();
}

}  // namespace tuiprobe::cuda
