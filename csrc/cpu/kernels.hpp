// The hot loops, once for each instruction set; chosen at run time by `kernels()`.
//
// Every loop works on a group of up to 16 rows whose channels are contiguous. Arrays indexed by
// channel are padded to a multiple of kLane, so loops may read and write whole vectors.
#pragma once

#include "../dtype.hpp"

namespace tuiprobe::cpu {

constexpr int kGroup = 16;  // rows a group: bounds the length of float32 chains
constexpr int kFlush = 4;   // groups whose sums are added in float32: bounds its error likewise
constexpr int kLane = 16;   // channels; a multiple of every vector width

static inline int64_t padded(int64_t channels) { return (channels + kLane - 1) / kLane * kLane; }

struct Group {
  const void* rows[kGroup];
  const void* next[kGroup];  // rows to come, to be prefetched
  bool prefetch;             // by `moments`; else row_sums does it
  int size;
  int64_t channels;
};

struct MomentArrays {
  const float* scale;  // d = x * scale + bias
  const float* bias;
  float* s1;  // float32 sums, to be flushed to float64 every kFlush groups
  float* s2;
  float* s3;
  float* s4;
  float* min;
  float* max;
  float* group_min;  // of this group alone
  float* group_max;
};

struct RowSums {
  double s1, s2, s3, s4;
};

// Rows whose shares are wanted: all channels at one position each.
struct ShareRows {
  const void* rows[kGroup];
  float shift[kGroup];
  float inverse[kGroup];  // 1 / (sum of fourth powers * positions an image)
  int size;
  double square_sum[kGroup];  // out: sum over the channels of the squared shares
  float peak[kGroup];         // out: largest |x - shift| * scale
};

// Limits a group's extremes must pass to matter for the top k of one end.
struct Limits {
  const float* value;  // [channels]
  const float* tie;    // an equal value matters only from sample ids up to this one
  float first_id;      // no larger than the smallest id of the group
  bool smallest;
};

struct Kernels {
  const char* name;
  // Adds the group to the power sums, minima and maxima of each channel.
  void (*moments)(const Group&, DType, const MomentArrays&);
  float (*row_mean)(const void* row, int64_t channels, DType);
  // Power sums of one row about `shift`; prefetches `next`.
  void (*row_sums)(const void* row, const void* next, int64_t channels, DType, float shift,
                   float scale, RowSums* out);
  // acc[c] += ((x - shift) * scale)^4 * inverse over the rows.
  void (*row_shares)(ShareRows&, int64_t channels, DType, float scale, float* acc);
  // First channel whose |x - shift| * scale equals peak.
  int64_t (*find_peak)(const void* row, int64_t channels, DType, float shift, float scale,
                       float peak);
  // sum[c] += part[c]; part[c] = 0.
  void (*flush)(float* part, double* sum, int64_t channels);
  // Lists the channels whose extreme passes its limit (finite or not); returns how many.
  int64_t (*reaches)(const float* extreme, const Limits&, int64_t channels, int32_t* out);
  // Keeps in best[0..depth) [channels], in order, the largest (smallest) values seen of each.
  void (*keep_best)(const void* row, int64_t channels, DType, bool smallest, int depth, float* best,
                    int64_t stride);
  // Turns `count` <= 16 neighbouring positions, whose channels are `stride` elements apart, into
  // rows of floats `width` apart.
  void (*pack)(const void* first, int64_t stride, int64_t channels, DType, int count, float* rows,
               int64_t width);
  // counts[c] += rows with |x| >= limit, x finite; looks only where the group's extremes reach it.
  void (*exceed)(const Group&, DType, const float* group_min, const float* group_max, float limit,
                 int32_t* counts);
  // Reads every element once and returns something that depends on all: the benchmarks' yardstick.
  // `flavour` 0: sums in order, 1: maxima, 2: sums of four streams.
  float (*read)(const float* data, int64_t count, int flavour);
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
