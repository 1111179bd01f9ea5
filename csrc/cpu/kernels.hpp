// The hot loops, once for each instruction set; chosen at run time by `kernels()`.
//
// Every loop works on a group of up to 16 rows whose channels are contiguous. Arrays indexed by
// channel are padded to a multiple of kLane, so loops may read and write whole vectors.
#pragma once

#include "../dtype.hpp"

namespace tuiprobe::cpu {

constexpr int kGroup = 16;  // rows a group: bounds the length of float32 chains
constexpr int kLane = 16;   // channels; a multiple of every vector width

static inline int64_t padded(int64_t channels) { return (channels + kLane - 1) / kLane * kLane; }

struct Group {
  const void* rows[kGroup];
  const void* next[kGroup];  // rows to prefetch
  int size;
  int64_t channels;
};

struct MomentArrays {
  const float* scale;  // d = x * scale + bias
  const float* bias;
  double* s1;
  double* s2;
  double* s3;
  double* s4;
  float* min;
  float* max;
  float* group_min;  // of this group alone
  float* group_max;
};

struct RowSums {
  float shift;
  double s1, s2, s3, s4;
};

struct RowShare {
  double square_sum;  // sum of squared shares
  float peak;         // largest |x - mean| * scale
};

struct Kernels {
  const char* name;
  // Adds the group to the power sums, minima and maxima of each channel.
  void (*moments)(const Group&, DType, const MomentArrays&);
  // Power sums of one row about its own (rounded) mean.
  void (*row_sums)(const void* row, int64_t channels, DType, float scale, RowSums* out);
  // acc[c] += ((x - shift) * scale)^4 * inverse for one row.
  void (*row_share)(const void* row, int64_t channels, DType, float shift, float scale,
                    float inverse, float* acc, RowShare* out);
  // First channel whose |x - shift| * scale equals peak.
  int64_t (*find_peak)(const void* row, int64_t channels, DType, float shift, float scale,
                       float peak);
  // sum[c] += part[c]; part[c] = 0.
  void (*flush)(float* part, double* sum, int64_t channels);
  // Lists the channels with value[c] >= limit[c] (finite or not); returns how many.
  int64_t (*reaches)(const float* value, const float* limit, int64_t channels, int32_t* out);
  // counts[c] += rows with |x| >= limit, x finite; looks only where the group's extremes reach it.
  void (*exceed)(const Group&, DType, const float* group_min, const float* group_max, float limit,
                 int32_t* counts);
};

// The set for this machine, or the one named by TUIPROBE_ISA (generic, avx2, avx512).
// Null, with a message, where that one cannot run here.
const Kernels* kernels(const char** error);

// Null where the set is not built or this machine lacks it.
const Kernels* find_kernels(const char* name);

extern const Kernels kGeneric;
#if defined(TUIPROBE_X86)
extern const Kernels kAvx2;
extern const Kernels kAvx512;
#endif

}  // namespace tuiprobe::cpu
