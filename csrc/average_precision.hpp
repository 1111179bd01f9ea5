// Average precision of one direction for many concepts at once: one sort, one sweep.
//
// AP = sum over thresholds of (R_n - R_{n-1}) P_n, where equal scores share a threshold, as in
// scikit-learn's average_precision_score. Images come in the order of the direction's scores; the
// sweep keeps, for each concept, the positives passed, and for each candidate group the images.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "dtype.hpp"

namespace tuiprobe {

// Positives of each image as compressed rows: concepts[starts[i], starts[i + 1]).
struct Labels {
  const int64_t* starts;  // [images + 1]
  const int32_t* concepts;
  int64_t images;
  int64_t concept_count;
  const uint64_t* groups;        // [images] bit g: candidate of group g; null: all are candidates
  const int32_t* concept_group;  // [concepts]; null with `groups`
};

constexpr int kMaxGroups = 64;

// Sorts images by descending score: order[rank] = image, and same[rank] = 1 where the score equals
// the one before. Least significant digit first, 11 bits a pass.
class RankSort {
 public:
  explicit RankSort(int64_t n) : from_(n), to_(n), order(n), same(n) {}

  // False if a score is NaN.
  bool sort(const float* scores) {
    constexpr int kBits = 11, kPasses = 3, kBins = 1 << kBits;
    const int64_t n = static_cast<int64_t>(from_.size());
    std::vector<uint32_t>& count = count_;
    count.assign(kPasses * kBins, 0);
    for (int64_t i = 0; i < n; ++i) {
      if (scores[i] != scores[i]) return false;
      const uint32_t key = descending(scores[i]);
      from_[i] = static_cast<uint64_t>(key) << 32 | static_cast<uint32_t>(i);
      for (int p = 0; p < kPasses; ++p) ++count[p * kBins + (key >> (p * kBits)) % kBins];
    }
    for (int p = 0; p < kPasses; ++p) {
      uint32_t* at = &count[p * kBins];
      uint32_t sum = 0;
      for (int b = 0; b < kBins; ++b) {
        const uint32_t here = at[b];
        at[b] = sum;
        sum += here;
      }
      const int shift = 32 + p * kBits;
      for (const uint64_t item : from_) to_[at[(item >> shift) % kBins]++] = item;
      from_.swap(to_);
    }
    for (int64_t r = 0; r < n; ++r) {
      order[r] = static_cast<uint32_t>(from_[r]);
      same[r] = r > 0 && from_[r] >> 32 == from_[r - 1] >> 32;
    }
    return true;
  }

 private:
  // Unsigned order of the result is the descending order of the scores; -0 equals +0.
  static uint32_t descending(float score) {
    uint32_t bits;
    score += 0.0f;
    memcpy(&bits, &score, sizeof bits);
    return bits & 0x80000000u ? bits : ~bits & 0x7fffffffu;
  }

  std::vector<uint64_t> from_, to_;
  std::vector<uint32_t> count_;

 public:
  std::vector<uint32_t> order;
  std::vector<uint8_t> same;
};

// Adds up every concept's AP along one direction, forwards or backwards (scores negated).
class PrecisionSweep {
 public:
  // `false_weight[c]` weighs a false positive against a true one: 1 counts images as they are.
  PrecisionSweep(const Labels& labels, const double* positives, const double* false_weight)
      : labels_(labels), positives_(positives), weight_(false_weight) {}

  void run(const RankSort& ranks, bool backwards, double* out) {
    sums_.assign(static_cast<size_t>(labels_.concept_count), Sum{});
    for (int64_t c = 0; c < labels_.concept_count; ++c) {
      sums_[c].weight = weight_[c];
      sums_[c].group = labels_.groups ? labels_.concept_group[c] : 0;
    }
    std::fill(passed_, passed_ + kMaxGroups, 0);
    const int64_t n = labels_.images;
    const auto image = [&](int64_t r) { return ranks.order[backwards ? n - 1 - r : r]; };
    const auto tied = [&](int64_t r) { return ranks.same[backwards ? n - r : r] != 0; };
    for (int64_t r = 0; r < n;) {
      int64_t end = r + 1;
      while (end < n && tied(end)) ++end;
      if (end + kAhead < n) {
        __builtin_prefetch(labels_.starts + image(end + kAhead));
        __builtin_prefetch(labels_.concepts + labels_.starts[image(end + kAhead / 2)]);
      }
      if (end == r + 1) {
        single(image(r));
      } else {
        for (int64_t i = r; i < end; ++i) enter(image(i));
        for (int64_t i = r; i < end; ++i) score(image(i));
      }
      r = end;
    }
    for (int64_t c = 0; c < labels_.concept_count; ++c) {
      out[c] = positives_[c] > 0 ? sums_[c].precision / positives_[c] : 0;
    }
  }

 private:
  static constexpr int64_t kAhead = 16;

  struct Sum {
    double precision = 0;
    double hits = 0;
    double weight = 1;
    int64_t group = 0;
  };

  void pass(uint32_t image) {
    if (labels_.groups == nullptr) {
      passed_[0] += 1;
      return;
    }
    for (uint64_t g = labels_.groups[image]; g; g &= g - 1) passed_[__builtin_ctzll(g)] += 1;
  }

  void add(Sum& s) const {
    s.precision += s.hits / (s.hits + s.weight * (passed_[s.group] - s.hits));
  }

  void single(uint32_t image) {
    pass(image);
    for (int64_t l = labels_.starts[image]; l < labels_.starts[image + 1]; ++l) {
      Sum& s = sums_[labels_.concepts[l]];
      s.hits += 1;
      add(s);
    }
  }

  void enter(uint32_t image) {
    pass(image);
    for (int64_t l = labels_.starts[image]; l < labels_.starts[image + 1]; ++l) {
      sums_[labels_.concepts[l]].hits += 1;
    }
  }

  void score(uint32_t image) {
    for (int64_t l = labels_.starts[image]; l < labels_.starts[image + 1]; ++l) {
      add(sums_[labels_.concepts[l]]);
    }
  }

  const Labels& labels_;
  const double* positives_;
  const double* weight_;
  std::vector<Sum> sums_;
  double passed_[kMaxGroups] = {};
};

}  // namespace tuiprobe
