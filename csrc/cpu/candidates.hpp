// Candidates for the best k of each channel, and how they join what is known.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <vector>

#include "aligned.hpp"
#include "kernels.hpp"
#include "stats.hpp"

namespace tuiprobe::cpu {

static inline float key_of(float value, bool smallest) {
  return (smallest ? -value : value) + 0.0f;
}

// The candidates of one worker for one end. A channel whose list is full is cut back to its best k,
// which raises the limit that a value must pass.
class Candidates {
 public:
  // Allocates, so that nothing that follows does. `distinct`: no two images share an id; `single`:
  // images have one position.
  void reserve(const TopK& state, bool distinct, bool single, const Kernels& kernels);

  // What the state would refuse is no candidate. Where its list is not full, what is worse than the
  // key in `least`, which k images of the batch reach.
  void reset(const TopK& state, const float* least);

  // Before a group of rows of the images [first, last], by index. While all rows are of one image,
  // its own best entry is the limit too: of its many positions, few are then candidates.
  void begin_group(int64_t first, int64_t last) {
    if (single_ || (first == last && first == current_)) return;
    if (current_ >= 0) {
      const size_t bytes = static_cast<size_t>(channels_) * sizeof(float);
      std::memcpy(own_limit_.data(), limit_.data(), bytes);
      std::memcpy(own_tie_.data(), tie_.data(), bytes);
    }
    current_ = first == last ? first : -1;
  }

  // A value of images that come one after the other.
  void offer(int64_t c, float value, int32_t position, int64_t id) {
    const float at = own_limit_[c];
    if (smallest_ ? value > at : value < at) return;
    if ((value == at && below(id) > own_tie_[c]) || !is_finite(value)) return;
    Entry* const list = entries_.data() + c * room_;
    int32_t& size = sizes_[c];
    const Entry e{key_of(value, smallest_), position, id};
    if (!(single_ && distinct_) && size > 0 && list[size - 1].id == id) {
      if (!better(e, list[size - 1])) return;
      list[size - 1] = e;
    } else {
      // Not earlier: cutting moves entries, and the image that is offered must stay the last.
      if (size == room_) cut(c);
      list[size++] = e;
    }
    if (current_ < 0 || (smallest_ ? value > own_limit_[c] : value < own_limit_[c])) return;
    own_limit_[c] = value;
    own_tie_[c] = -1;  // an equal value comes later in the image
  }

  Limits limits(int64_t first_id) const {
    return {own_limit_.data(), own_tie_.data(), below(first_id), smallest_, current_ >= 0};
  }

  const Entry* list(int64_t c) const { return entries_.data() + c * room_; }
  int size(int64_t c) const { return sizes_[c]; }
  int64_t total() const {
    return std::accumulate(sizes_.begin(), sizes_.begin() + channels_, int64_t{0});
  }
  int room() const { return room_; }
  bool distinct() const { return distinct_; }

 private:
  // A float no smaller than the id, and one no larger.
  static float above(int64_t id) {
    const float f = static_cast<float>(id);
    return id < (int64_t{1} << 24) ? f : std::nextafter(f, INFINITY);
  }
  static float below(int64_t id) {
    const float f = static_cast<float>(id);
    return id < (int64_t{1} << 24) ? f : std::nextafter(f, -INFINITY);
  }

  void cut(int64_t c);
  bool cut_by_rank(Entry* list);

  void set_limit(int64_t c, const Entry& worst) {
    limit_[c] = own_limit_[c] = smallest_ ? -worst.key : worst.key;
    tie_[c] = own_tie_[c] = above(worst.id);
  }

  int64_t channels_ = 0;
  int k_ = 0;
  int room_ = 0;
  bool smallest_ = false;
  bool distinct_ = false;
  bool single_ = false;
  const Kernels* kernels_ = nullptr;
  // [channels, room], of which each channel uses the first `sizes_`, in no order. Invariant: a
  // value that was offered and is no entry is worse than an entry of its image, or than k entries
  // of other images. The image that is offered has one entry, the last; an image that is offered
  // again after others may have several until the list is cut.
  std::vector<Entry> entries_;
  std::vector<int32_t> sizes_;  // [channels]
  Floats limit_;                // [padded channels] values, not keys
  Floats tie_;                  // [padded channels] largest sample id that may win at the limit
  Floats own_limit_, own_tie_;  // the same, and what the current image has found itself
  int64_t current_ = -1;        // index of the image whose rows come, if it is one
  Floats keys_, ranks_;         // of the list that is cut
};

// Sorts entries[0, size) best first and leaves out all but the best entry of each image; returns
// how many remain, at most k.
int keep_best_of_images(Entry* entries, int size, int k);

// Joins entries of one channel with its list in the state.
class Joiner {
 public:
  // Room for `most` entries of a channel; nothing after this allocates.
  void reserve(int64_t most);

  void begin(const TopK& state, int64_t c);
  void add(const Candidates& from, int64_t c);
  void finish(const Kernels& kernels, TopK& state, int64_t c);

 private:
  bool images_repeat() const;
  void place_by_rank(const Kernels& kernels, TopK& state, int64_t c);

  std::vector<Entry> all_;  // those of the state first
  Floats keys_, ranks_;
  int known_ = 0;
  bool distinct_ = true;
};

}  // namespace tuiprobe::cpu
