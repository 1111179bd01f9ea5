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
  bool prefetch;             // all of them by `moments`; else half, the quads the others: spread
                             // evenly over the work, so that few loads wait
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

constexpr int kMaxSelect = 256;
constexpr int64_t kFilterWidth = 1024;  // channels filtered together; a multiple of kLane
constexpr int kQuad = 4;  // rows whose figures are taken together, small enough for the L1 cache

struct RowSums {
  double s1, s2, s3, s4;
};

// A few rows (all channels at one position each) on their way to figures of their own.
struct Quad {
  const void* rows[kQuad];
  const void* next[kQuad];  // rows to come, to be prefetched
  int size;
  RowSums sums[kQuad];       // out of row_sums
  float shift[kQuad];        // for row_shares: the rows' means
  float inverse[kQuad];      // and 1 / (sum of fourth powers * positions an image)
  double square_sum[kQuad];  // out of row_shares: sum over the channels of the eighth powers
  float peak[kQuad];         // and the largest squared distance
};

// What a value must reach to matter for the top k of one end.
struct Limits {
  const float* value;  // [channels]
  const float* tie;    // an equal value matters only from sample ids up to this one
  bool smallest;
};

// Values that passed, with the row and the channel they stand in.
struct Hit {
  float value;
  int32_t row;
  int64_t channel;
};

struct Kernels {
  const char* name;
  // Adds the group to the power sums, minima and maxima of each channel.
  void (*moments)(const Group&, DType, const MomentArrays&);
  float (*row_mean)(const void* row, int64_t channels, DType);
  // Power sums of each row about one `shift`.
  void (*row_sums)(Quad&, int64_t channels, DType, float shift, float scale);
  // With d = (x - shift) * scale: acc[c] += d^4 * inverse over the rows; the sum of d^8 and the
  // largest d^2 of each row only where `figures`.
  void (*row_shares)(Quad&, int64_t channels, DType, float scale, bool figures, float* acc);
  // First channel whose d^2 equals peak.
  int64_t (*find_peak)(const void* row, int64_t channels, DType, float shift, float scale,
                       float peak);
  // sum[c] += part[c]; part[c] = 0.
  void (*flush)(float* part, double* sum, int64_t channels);
  // Lists the values of channels [first, first + count), at most kFilterWidth, that pass the limits
  // (finite or not); looks only where the group's extreme does. ids[r] is no larger than the sample
  // id of row r.
  int64_t (*filter)(const Group&, DType, const float* extreme, const Limits&, const float* ids,
                    int64_t first, int64_t count, Hit* out);
  // Lists the indices of the keys that fewer than k others exceed; count at most kMaxSelect, `keys`
  // readable up to a multiple of kLane. More than k of them: ties at the k-th.
  int (*select)(const float* keys, int count, int k, int32_t* out);
  // Takes a group's extremes into those of its image, or begins with them.
  void (*extremes)(const float* group_min, const float* group_max, int64_t channels, bool begin,
                   float* image_min, float* image_max);
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
