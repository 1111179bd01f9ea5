// What the best k of each channel need.
// Included by kernels_impl.hpp alone, once for each instruction set.
#pragma once

#include "kernels.hpp"
#include "simd.hpp"

namespace tuiprobe::cpu {
namespace {

// The rows that pass of one vector of channels, as bits: row by row, kWidth lanes each.
constexpr int kWords = kGroup * kWidth / 64;

template <class Passes>
inline void passing_rows(int rows, Passes passes, uint64_t (&bits)[kWords]) {
  for (uint64_t& word : bits) word = 0;
  for (int r = 0; r < rows; ++r) {
    bits[r * kWidth / 64] |= static_cast<uint64_t>(passes(r)) << r * kWidth % 64;
  }
}

template <class T>
inline int64_t passing_of(const Group& g, const float* extreme, const Limits& limits, int64_t* from,
                          Hit* out) {
  const Vec id = broadcast(limits.first_id), huge = broadcast(kHuge);
  const auto passes = [&](Vec x, Vec limit) {
    return limits.smallest ? at_least(limit, x) : at_least(x, limit);
  };
  int64_t hits = 0, c = *from;
  for (; c < g.channels && hits + kWidth * kGroup <= kHits; c += kWidth) {
    const Vec x = load(extreme + c), limit = load(limits.value + c);
    unsigned reached = passes(x, limit);
    if (!reached) continue;
    reached &= ~equal(x, limit) | at_least(load(limits.tie + c), id);
    const bool whole = c + kWidth <= g.channels;
    if (!whole) reached &= (1u << (g.channels - c)) - 1;
    if (!reached) continue;
    // An infinite extreme hides the best value: then all that reach the limit are listed.
    const bool best_only = limits.one_image && at_least(huge, absolute(x)) == kAllLanes;
    const Vec least = best_only ? x : limit;
    const auto row = [&](int r) { return static_cast<const T*>(g.rows[r]); };
    uint64_t bits[kWords];
    if (whole) {
      passing_rows(g.size, [&](int r) { return passes(load(row(r) + c), least) & reached; }, bits);
    } else {
      passing_rows(
          g.size,
          [&](int r) { return passes(load_padded(row(r), c, g.channels), least) & reached; }, bits);
    }
    for (int w = 0; w < kWords; ++w) {
      for (uint64_t left = bits[w]; left; left &= left - 1) {
        const int bit = w * 64 + __builtin_ctzll(left);
        const int r = bit / kWidth, lane = bit % kWidth;
        out[hits++] = {to_float(row(r)[c + lane]), r, c + lane};
      }
    }
  }
  *from = c;
  return hits;
}

template <class T>
inline void extremes_of(const T* row, int64_t channels, float* high, float* low) {
  const auto raise = [&](int64_t c, Vec x) {
    store(high + c, max(x, load(high + c)));
    store(low + c, max(sub(broadcast(0), x), load(low + c)));
  };
  int64_t c = 0;
  for (; c + kWidth <= channels; c += kWidth) raise(c, load(row + c));
  if (c < channels) raise(c, load_part(row + c, static_cast<int>(channels - c)));
}

// Halves the distance between the smallest and the largest value a few times.
void reached(const float* rows, int64_t width, int64_t channels, int count, int k, float* out) {
  constexpr int kSteps = 8;
  for (int64_t c = 0; c < channels; c += kWidth) {
    const auto row = [&](int i) { return load(rows + i * width + c); };
    Vec least = row(0), most = least;
    for (int i = 1; i < count; ++i) {
      least = min(row(i), least);
      most = max(row(i), most);
    }
    const unsigned finite = at_least(broadcast(kHuge), most);
    float low[kWidth], high[kWidth], middle[kWidth], above[kWidth];
    store(low, least);
    store(high, most);
    for (int step = 0; step < kSteps; ++step) {
      for (int i = 0; i < kWidth; ++i) middle[i] = low[i] / 2 + high[i] / 2;
      const Vec bound = load(middle);
      Vec larger = broadcast(0);
      for (int i = 0; i < count; ++i) larger = count_greater(larger, row(i), bound);
      store(above, larger);
      for (int i = 0; i < kWidth; ++i) {
        const bool enough = above[i] >= static_cast<float>(k);
        low[i] = enough ? middle[i] : low[i];
        high[i] = enough ? high[i] : middle[i];
      }
    }
    for (int i = 0; i < kWidth; ++i) out[c + i] = finite >> i & 1 ? low[i] : -__builtin_inff();
  }
}

void rank(const float* keys, int count, float* ranks) {
  for (int i = 0; i < count; i += kWidth) {
    const Vec mine = load(keys + i);
    Vec before = broadcast(0);
    for (int k = 0; k < count; ++k) before = count_greater(before, broadcast(keys[k]), mine);
    store(ranks + i, before);
  }
}

}  // namespace
}  // namespace tuiprobe::cpu
