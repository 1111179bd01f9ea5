// A vector of plain values that grows where it lies: what is long gets more pages, nothing is
// copied and nothing new is cleared.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <type_traits>
#include <utility>

namespace tuiprobe::cpu {

template <class T>
class Growing {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  using value_type = T;

  Growing() = default;
  Growing(const Growing& other) { append(other.begin(), other.end()); }
  Growing(Growing&& other) noexcept { swap(other); }
  Growing& operator=(Growing other) noexcept {
    swap(other);
    return *this;
  }
  ~Growing() { std::free(data_); }

  size_t size() const { return size_; }
  T* data() { return data_; }
  const T* data() const { return data_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }

  // Makes room for `n` values in all, with some to spare; on an exception nothing has changed.
  void reserve(size_t n) {
    if (n <= capacity_) return;
    const size_t capacity = std::max(n, 2 * capacity_);
    if (capacity > PTRDIFF_MAX / sizeof(T)) throw std::bad_alloc();
    void* const more = std::realloc(data_, capacity * sizeof(T));
    if (more == nullptr) throw std::bad_alloc();
    data_ = static_cast<T*>(more);
    capacity_ = capacity;
  }

  // New values are whatever was written behind the end since room was made.
  void resize(size_t n) {
    reserve(n);
    size_ = n;
  }

  void append(const T* first, const T* last) {
    const size_t before = size_;
    resize(before + static_cast<size_t>(last - first));
    std::copy(first, last, data_ + before);
  }
  void assign(const T* first, const T* last) {
    size_ = 0;
    append(first, last);
  }
  void push_back(T value) { append(&value, &value + 1); }

 private:
  void swap(Growing& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
  }

  T* data_ = nullptr;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

}  // namespace tuiprobe::cpu
