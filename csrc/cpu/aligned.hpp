// Vectors that start on a cache line, so that no vector store of the loops crosses one.
#pragma once

#include <cstddef>
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

}  // namespace tuiprobe::cpu
