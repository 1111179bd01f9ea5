// Element types of activations, and their exact conversion to float.
//
// Functions here have internal linkage on purpose: this header is also read by the files compiled
// for one instruction set, whose copies must never serve the rest of the program.
#pragma once

#include <stdint.h>
#include <string.h>

#if defined(__CUDACC__)
#define TP_HD __host__ __device__
#else
#define TP_HD
#endif

namespace tuiprobe {

enum class DType : int { f32 = 0, f16 = 1, bf16 = 2 };

// IEEE 754 binary16 and bfloat16 as bits; trivially loadable, never computed with directly.
struct Half {
  uint16_t bits;
};
struct BFloat16 {
  uint16_t bits;
};

TP_HD static inline float float_from_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

TP_HD static inline float to_float(float x) { return x; }

TP_HD static inline float to_float(BFloat16 x) {
  return float_from_bits(static_cast<uint32_t>(x.bits) << 16);
}

TP_HD static inline float to_float(Half x) {
#if defined(__CUDA_ARCH__)
  float converted;
  asm("cvt.f32.f16 %0, %1;" : "=f"(converted) : "h"(x.bits));
  return converted;
#else
  const uint32_t sign = static_cast<uint32_t>(x.bits & 0x8000u) << 16;
  const uint32_t rest = x.bits & 0x7fffu;
  if (rest >= 0x7c00u) return float_from_bits(sign | 0x7f800000u | ((rest & 0x3ffu) << 13));
  if (rest >= 0x0400u) return float_from_bits(sign | ((rest << 13) + 0x38000000u));
  // Subnormal: rest * 2^-24, exact in float.
  const float magnitude = static_cast<float>(rest) * 5.9604644775390625e-8f;
  return sign ? -magnitude : magnitude;
#endif
}

TP_HD static inline bool is_finite(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return (bits & 0x7f800000u) != 0x7f800000u;
}

TP_HD static inline int item_size(DType dtype) { return dtype == DType::f32 ? 4 : 2; }

// Reads one element of a run-time type.
TP_HD static inline float load(const void* base, int64_t offset, DType dtype) {
  switch (dtype) {
    case DType::f32:
      return static_cast<const float*>(base)[offset];
    case DType::f16:
      return to_float(static_cast<const Half*>(base)[offset]);
    default:
      return to_float(static_cast<const BFloat16*>(base)[offset]);
  }
}

}  // namespace tuiprobe
