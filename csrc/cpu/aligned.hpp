// Vectors that start on a cache line, so that no vector store of the loops crosses one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <vector>

namespace tuiprobe::cpu {

template <class T>
struct LineAllocator {
  using value_type = T;
  static constexpr std::align_val_t kLine{64};

  LineAllocator() = default;
  template <class U>
  LineAllocator(const LineAllocator<U>&) {}

  T* allocate(std::size_t n) { return static_cast<T*>(::operator new(n * sizeof(T), kLine)); }
  void deallocate(T* p, std::size_t) { ::operator delete(p, kLine); }
  friend bool operator==(const LineAllocator&, const LineAllocator&) { return true; }
  friend bool operator!=(const LineAllocator&, const LineAllocator&) { return false; }
};

using Floats = std::vector<float, LineAllocator<float>>;
using Doubles = std::vector<double, LineAllocator<double>>;

// Makes room without giving any up: accumulators of several shapes that take turns would otherwise
// clear their memory again and again.
template <class Vector>
void grow(Vector& v, int64_t size) {
  if (static_cast<int64_t>(v.size()) < size) v.resize(static_cast<std::size_t>(size));
}

}  // namespace tuiprobe::cpu
