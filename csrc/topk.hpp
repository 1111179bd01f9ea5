// The best k entries of a channel under a total order, at most one an image.
#pragma once

#include "dtype.hpp"

namespace tuiprobe {

// `key` is the value, or its negative where the smallest are wanted; never NaN, never -0.
struct Entry {
  float key;
  int32_t position;
  int64_t id;
};

// Key descending, then id ascending, then position ascending.
TP_HD static inline bool better(const Entry& a, const Entry& b) {
  if (a.key != b.key) return a.key > b.key;
  if (a.id != b.id) return a.id < b.id;
  return a.position < b.position;
}

// Inserts into entries[0, size), best first. Returns the new size, at most k.
// An image that is already there keeps its better entry.
TP_HD static inline int insert(Entry* entries, int size, int k, const Entry& e) {
  if (size == k && !better(e, entries[k - 1])) return size;
  int end = size;
  for (int i = 0; i < size; ++i) {
    if (entries[i].id != e.id) continue;
    if (!better(e, entries[i])) return size;
    end = i;  // the old entry of this image gives up its place
    break;
  }
  if (end == size) {
    if (size == k) {
      end = k - 1;
    } else {
      ++size;
    }
  }
  int at = end;
  for (; at > 0 && better(e, entries[at - 1]); --at) entries[at] = entries[at - 1];
  entries[at] = e;
  return size;
}

}  // namespace tuiprobe
