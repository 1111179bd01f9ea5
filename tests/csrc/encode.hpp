// Values of every element type for the tests of the CUDA kernels.
#pragma once

#include <cstring>
#include <random>
#include <vector>

#include "../../csrc/layout.hpp"

namespace tuiprobe {

template <class T>
T encode(float x);

template <>
inline float encode<float>(float x) {
  return x;
}

template <>
inline BFloat16 encode<BFloat16>(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return {static_cast<uint16_t>(bits >> 16)};
}

template <>
inline Half encode<Half>(float x) {  // small multiples of a quarter, infinity and NaN only
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  const uint32_t sign = bits >> 16 & 0x8000u, rest = bits & 0x7fffffffu;
  if (rest >= 0x7f800000u) {
    return {static_cast<uint16_t>(sign | (rest > 0x7f800000u ? 0x7e00u : 0x7c00u))};
  }
  return {static_cast<uint16_t>(rest == 0 ? sign : sign | (rest - 0x38000000u) >> 13)};
}

template <class T>
constexpr DType kType = sizeof(T) == 4 ? DType::f32 : DType::f16;
template <>
inline constexpr DType kType<BFloat16> = DType::bf16;

// Multiples of a quarter, so that many are equal; one in `rarity` is infinite or not a number.
template <class T>
std::vector<T> values(int64_t n, unsigned seed, unsigned rarity = 100) {
  std::mt19937 random(seed);
  std::vector<T> out;
  for (int64_t i = 0; i < n; ++i) {
    const unsigned draw = random() % (2 * rarity);
    const float x = draw == 0   ? INFINITY
                    : draw == 1 ? NAN
                                : static_cast<float>(static_cast<int>(random() % 61) - 30) / 4;
    out.push_back(encode<T>(x));
  }
  return out;
}

}  // namespace tuiprobe
