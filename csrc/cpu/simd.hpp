// Vectors of floats for the instruction set this file is compiled for. Anonymous namespace and no
// std: see kernels_impl.hpp.
#pragma once

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "../dtype.hpp"

namespace tuiprobe::cpu {
namespace {

#if defined(__AVX512F__)

using Vec = __m512;
constexpr int kWidth = 16;
inline Vec broadcast(float x) { return _mm512_set1_ps(x); }
inline Vec load(const float* p) { return _mm512_loadu_ps(p); }
inline Vec load(const Half* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
inline Vec load(const BFloat16* p) {
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}
// The first `count` elements, 0 after them; reads nothing beyond.
inline Vec load_part(const float* p, int count) {
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), p);
}
inline Vec load_part(const Half* p, int count) {
  return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(static_cast<__mmask16>((1u << count) - 1), p));
}
inline Vec load_part(const BFloat16* p, int count) {
  const __m256i bits = _mm256_maskz_loadu_epi16(static_cast<__mmask16>((1u << count) - 1), p);
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}
inline Vec first_lanes(Vec v, int count) {
  return _mm512_maskz_mov_ps(static_cast<__mmask16>((1u << count) - 1), v);
}
inline void store(float* p, Vec v) { _mm512_storeu_ps(p, v); }
inline Vec add(Vec a, Vec b) { return _mm512_add_ps(a, b); }
inline Vec sub(Vec a, Vec b) { return _mm512_sub_ps(a, b); }
inline Vec mul(Vec a, Vec b) { return _mm512_mul_ps(a, b); }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
inline Vec min(Vec a, Vec b) { return _mm512_min_ps(a, b); }  // b where a is NaN
inline Vec max(Vec a, Vec b) { return _mm512_max_ps(a, b); }
inline Vec absolute(Vec a) { return _mm512_abs_ps(a); }
inline unsigned at_least(Vec a, Vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ); }
inline unsigned equal(Vec a, Vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
// count + 1 where a > b.
inline Vec count_greater(Vec count, Vec a, Vec b) {
  return _mm512_mask_add_ps(count, _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ), count, broadcast(1));
}
inline void add_to(double* p, Vec v) {
  const __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(v), 1));
  _mm512_storeu_pd(p,
                   _mm512_add_pd(_mm512_loadu_pd(p), _mm512_cvtps_pd(_mm512_castps512_ps256(v))));
  _mm512_storeu_pd(p + 8, _mm512_add_pd(_mm512_loadu_pd(p + 8), _mm512_cvtps_pd(high)));
}

#elif defined(__AVX2__)

using Vec = __m256;
constexpr int kWidth = 8;
inline Vec broadcast(float x) { return _mm256_set1_ps(x); }
inline Vec load(const float* p) { return _mm256_loadu_ps(p); }
inline Vec load(const Half* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
inline Vec load(const BFloat16* p) {
  const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}
inline void store(float* p, Vec v) { _mm256_storeu_ps(p, v); }
inline Vec add(Vec a, Vec b) { return _mm256_add_ps(a, b); }
inline Vec sub(Vec a, Vec b) { return _mm256_sub_ps(a, b); }
inline Vec mul(Vec a, Vec b) { return _mm256_mul_ps(a, b); }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
inline Vec min(Vec a, Vec b) { return _mm256_min_ps(a, b); }
inline Vec max(Vec a, Vec b) { return _mm256_max_ps(a, b); }
inline Vec absolute(Vec a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
inline unsigned at_least(Vec a, Vec b) {
  return static_cast<unsigned>(_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_GE_OQ)));
}
inline unsigned equal(Vec a, Vec b) {
  return static_cast<unsigned>(_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_EQ_OQ)));
}
inline Vec count_greater(Vec count, Vec a, Vec b) {
  return add(count, _mm256_and_ps(_mm256_cmp_ps(a, b, _CMP_GT_OQ), broadcast(1)));
}
inline void add_to(double* p, Vec v) {
  const __m256d low = _mm256_cvtps_pd(_mm256_castps256_ps128(v));
  const __m256d high = _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1));
  _mm256_storeu_pd(p, _mm256_add_pd(_mm256_loadu_pd(p), low));
  _mm256_storeu_pd(p + 4, _mm256_add_pd(_mm256_loadu_pd(p + 4), high));
}

#else

// Vector extensions of GCC and Clang: SSE2 on x86-64, NEON on aarch64.
typedef float Vec __attribute__((vector_size(16)));
typedef int32_t IntVec __attribute__((vector_size(16)));
constexpr int kWidth = 4;
inline Vec broadcast(float x) { return Vec{x, x, x, x}; }
inline Vec load(const float* p) {
  Vec v;
  memcpy(&v, p, sizeof v);
  return v;
}
inline void store(float* p, Vec v) { memcpy(p, &v, sizeof v); }
inline Vec add(Vec a, Vec b) { return a + b; }
inline Vec sub(Vec a, Vec b) { return a - b; }
inline Vec mul(Vec a, Vec b) { return a * b; }
inline Vec min(Vec a, Vec b) { return a < b ? a : b; }
inline Vec max(Vec a, Vec b) { return a > b ? a : b; }
inline Vec absolute(Vec a) {
  return reinterpret_cast<Vec>(reinterpret_cast<IntVec>(a) & 0x7fffffff);
}
#if defined(__aarch64__)
// What the compiler does not find by itself: conversions of 16 bits, masks, float64 sums.
inline Vec load(const Half* p) {
  const uint16x4_t bits = vld1_u16(reinterpret_cast<const uint16_t*>(p));
  return reinterpret_cast<Vec>(vcvt_f32_f16(vreinterpret_f16_u16(bits)));
}
inline Vec load(const BFloat16* p) {
  const uint16x4_t bits = vld1_u16(reinterpret_cast<const uint16_t*>(p));
  return reinterpret_cast<Vec>(vshll_n_u16(bits, 16));
}
inline Vec fma(Vec a, Vec b, Vec c) {
  const auto neon = [](Vec v) { return reinterpret_cast<float32x4_t>(v); };
  return reinterpret_cast<Vec>(vfmaq_f32(neon(c), neon(a), neon(b)));
}
inline unsigned mask_of(IntVec m) {
  const uint32x4_t bits = {1, 2, 4, 8};
  return vaddvq_u32(vandq_u32(reinterpret_cast<uint32x4_t>(m), bits));
}
inline void add_to(double* p, Vec v) {
  const float32x4_t x = reinterpret_cast<float32x4_t>(v);
  vst1q_f64(p, vaddq_f64(vld1q_f64(p), vcvt_f64_f32(vget_low_f32(x))));
  vst1q_f64(p + 2, vaddq_f64(vld1q_f64(p + 2), vcvt_high_f64_f32(x)));
}
#else
inline Vec load(const Half* p) {
  return Vec{to_float(p[0]), to_float(p[1]), to_float(p[2]), to_float(p[3])};
}
inline Vec load(const BFloat16* p) {
  return Vec{to_float(p[0]), to_float(p[1]), to_float(p[2]), to_float(p[3])};
}
inline Vec fma(Vec a, Vec b, Vec c) { return a * b + c; }
inline unsigned mask_of(IntVec m) {
  return static_cast<unsigned>((m[0] & 1) | (m[1] & 2) | (m[2] & 4) | (m[3] & 8));
}
inline void add_to(double* p, Vec v) {
  for (int i = 0; i < kWidth; ++i) p[i] += static_cast<double>(v[i]);
}
#endif
inline unsigned at_least(Vec a, Vec b) { return mask_of(a >= b); }
inline unsigned equal(Vec a, Vec b) { return mask_of(a == b); }
inline Vec count_greater(Vec count, Vec a, Vec b) {
  return count + (a > b ? broadcast(1) : broadcast(0));
}

#endif

#if !defined(__AVX512F__)
template <class T>
inline Vec load_part(const T* p, int count) {
  float out[kWidth];
  for (int i = 0; i < kWidth; ++i) out[i] = i < count ? to_float(p[i]) : 0.0f;
  return load(out);
}
inline Vec first_lanes(Vec v, int count) {
  float all[kWidth];
  store(all, v);
  return load_part(all, count);
}
#endif

// Doubles of as many bytes, by the vector extensions of compilers.
typedef double Wide __attribute__((vector_size(sizeof(Vec))));
constexpr int kWide = kWidth / 2;
inline Wide load_wide(const double* p) {
  Wide v;
  memcpy(&v, p, sizeof v);
  return v;
}
inline Wide load_wide(const float* p) {
  typedef float Narrow __attribute__((vector_size(sizeof(Vec) / 2)));
  Narrow v;
  memcpy(&v, p, sizeof v);
  return __builtin_convertvector(v, Wide);
}
inline void store(double* p, Wide v) { memcpy(p, &v, sizeof v); }

struct Sum {
  static inline float of(float a, float b) { return a + b; }
  static inline Vec of(Vec a, Vec b) { return add(a, b); }
#if defined(__AVX2__)
  static inline __m128 of(__m128 a, __m128 b) { return _mm_add_ps(a, b); }
#endif
};

struct Largest {
  static inline float of(float a, float b) { return a > b ? a : b; }
  static inline Vec of(Vec a, Vec b) { return max(a, b); }
#if defined(__AVX2__)
  static inline __m128 of(__m128 a, __m128 b) { return _mm_max_ps(a, b); }
#endif
};

#if defined(__AVX2__)
// In each quarter (half) of the vectors: lanes 0 with 2 and 1 with 3, in the order a b a b; then
// those of four vectors, in the order a b c d.
template <class Op>
inline Vec interleaved(Vec a, Vec b) {
#if defined(__AVX512F__)
  return Op::of(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
#else
  return Op::of(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
#endif
}

template <class Op>
inline Vec paired(Vec a, Vec b) {
#if defined(__AVX512F__)
  return Op::of(_mm512_shuffle_ps(a, b, 0x44), _mm512_shuffle_ps(a, b, 0xee));
#else
  return Op::of(_mm256_shuffle_ps(a, b, 0x44), _mm256_shuffle_ps(a, b, 0xee));
#endif
}
#endif

// All lanes of four vectors folded, each into one of `out`, in a fixed order.
template <class Op>
inline void fold(Vec a, Vec b, Vec c, Vec d, float (&out)[4]) {
#if defined(__AVX2__)
  const Vec v = paired<Op>(interleaved<Op>(a, b), interleaved<Op>(c, d));
#if defined(__AVX512F__)
  const Vec halves = Op::of(v, _mm512_shuffle_f32x4(v, v, 0x4e));
  const __m512 quarters = Op::of(halves, _mm512_shuffle_f32x4(halves, halves, 0xb1));
  _mm_storeu_ps(out, _mm512_castps512_ps128(quarters));
#else
  _mm_storeu_ps(out, Op::of(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1)));
#endif
#else
  const Vec all[4] = {a, b, c, d};
  for (int i = 0; i < 4; ++i) {
    out[i] = Op::of(Op::of(all[i][0], all[i][1]), Op::of(all[i][2], all[i][3]));
  }
#endif
}

// Transposes a square of kWidth vectors.
inline void transpose(Vec (&v)[kWidth]) {
#if defined(__AVX512F__)
  Vec a[16], b[16];
  for (int i = 0; i < 16; i += 2) {
    a[i] = _mm512_unpacklo_ps(v[i], v[i + 1]);
    a[i + 1] = _mm512_unpackhi_ps(v[i], v[i + 1]);
  }
  const auto low = [](Vec x, Vec y) {
    return _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(x), _mm512_castps_pd(y)));
  };
  const auto high = [](Vec x, Vec y) {
    return _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(x), _mm512_castps_pd(y)));
  };
  for (int i = 0; i < 16; i += 4) {
    b[i] = low(a[i], a[i + 2]);
    b[i + 1] = high(a[i], a[i + 2]);
    b[i + 2] = low(a[i + 1], a[i + 3]);
    b[i + 3] = high(a[i + 1], a[i + 3]);
  }
  for (int i = 0; i < 4; ++i) {
    a[i] = _mm512_shuffle_f32x4(b[i], b[i + 4], 0x88);
    a[i + 4] = _mm512_shuffle_f32x4(b[i], b[i + 4], 0xdd);
    a[i + 8] = _mm512_shuffle_f32x4(b[i + 8], b[i + 12], 0x88);
    a[i + 12] = _mm512_shuffle_f32x4(b[i + 8], b[i + 12], 0xdd);
  }
  for (int i = 0; i < 4; ++i) {
    v[i] = _mm512_shuffle_f32x4(a[i], a[i + 8], 0x88);
    v[i + 8] = _mm512_shuffle_f32x4(a[i], a[i + 8], 0xdd);
    v[i + 4] = _mm512_shuffle_f32x4(a[i + 4], a[i + 12], 0x88);
    v[i + 12] = _mm512_shuffle_f32x4(a[i + 4], a[i + 12], 0xdd);
  }
#elif defined(__AVX2__)
  Vec a[8], b[8];
  for (int i = 0; i < 8; i += 2) {
    a[i] = _mm256_unpacklo_ps(v[i], v[i + 1]);
    a[i + 1] = _mm256_unpackhi_ps(v[i], v[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    b[i] = _mm256_shuffle_ps(a[i], a[i + 2], 0x44);
    b[i + 1] = _mm256_shuffle_ps(a[i], a[i + 2], 0xee);
    b[i + 2] = _mm256_shuffle_ps(a[i + 1], a[i + 3], 0x44);
    b[i + 3] = _mm256_shuffle_ps(a[i + 1], a[i + 3], 0xee);
  }
  for (int i = 0; i < 4; ++i) {
    v[i] = _mm256_permute2f128_ps(b[i], b[i + 4], 0x20);
    v[i + 4] = _mm256_permute2f128_ps(b[i], b[i + 4], 0x31);
  }
#else
  for (int i = 0; i < kWidth; ++i) {
    for (int j = 0; j < i; ++j) {
      const float swapped = v[i][j];
      v[i][j] = v[j][i];
      v[j][i] = swapped;
    }
  }
#endif
}

}  // namespace
}  // namespace tuiprobe::cpu
