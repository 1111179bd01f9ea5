// The hot loops, once for each instruction set; chosen at run time by `kernels()`.
//
// Every loop works on a group of up to 16 rows whose channels are contiguous. Arrays indexed by
// channel are padded to a multiple of kLane, so loops may read and write whole vectors.
#pragma once

#include "../dtype.hpp"
#include "../moments.hpp"
#include "../rows.hpp"

namespace tuiprobe::cpu {

constexpr int kGroup = 16;  // rows a group: bounds the length of float32 chains
constexpr int kStep = 4;    // rows that are added before they join the sums of their group
constexpr int kFlush = 4;   // groups whose sums are added in float32: bounds its error likewise
constexpr int kLane = 16;   // channels; a multiple of every vector width

static inline int64_t padded(int64_t channels) { return (channels + kLane - 1) / kLane * kLane; }

struct Group {
  const void* rows[kGroup];
  const void* next;  // where the group after it begins: prefetched while this one is worked on
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
  // Only where figures of rows are wanted too; else null.
  float* row_means;       // [kGroup], as float32
  float* mean_residuals;  // [kGroup] exact means less those float32 values, as far as known
  int32_t* exceed;        // rows with |x| >= kExceedance, x finite
  float centre;           // near the means, or 0
};

constexpr int64_t kBeyond = 16 * kLane;  // floats readable from any of a row's fourth powers on

// Rows (all channels at one position each) that are given figures of their own.
struct RowBatch {
  const void* rows[kGroup];
  float shift[kGroup];  // their means, to about float32
  const void* next;     // prefetched meanwhile: half as much as the rows themselves
  int size;
  int64_t channels;
  float scale;             // d = (x - shift) * scale - residual
  float residual[kGroup];  // means less the shifts, scaled
  bool off_centre;         // whether any residual is not 0
  float* fourths;          // d^4 goes to fourths[row * width + c], 0 beyond the channels
  int64_t width;
};

struct RowFigures {
  float kurtosis[kGroup];    // Pearson's
  float inverse[kGroup];     // 1 / (sum over the channels of d^4)
  float self_share[kGroup];  // sum of the squares of d^4 * inverse; only for `leaders`
  int64_t leading[kGroup];   // first channel of the largest d^4; only for `leaders`
  int32_t norm[kGroup];      // bin of the norm
  // Whether float32 sums served: nothing left their range, and what was subtracted is the mean but
  // for a millionth of the spread. Where only that was wrong, `residual` is what serves; else it is
  // 0.
  int32_t accurate[kGroup];
  float residual[kGroup];
};

// Fourth powers of rows, and what makes shares of them.
struct Fourths {
  const float* rows[kGroup];
  float inverse[kGroup];  // 1 / (sum over the channels * positions an image)
  int size;
};

// What a value must reach to matter for the top k of one end.
struct Limits {
  const float* value;  // [padded channels]
  const float* tie;    // an equal value matters only from sample ids up to this one
  float first_id;      // no larger than the smallest id of the group
  bool smallest;
  bool one_image;  // all rows of the group: of its values, only the best can matter
};

// A value that does.
struct Hit {
  float value;
  int32_t row;  // of its group
  int64_t channel;
};

constexpr int64_t kHits = 1024;  // that `passing` lists at once; at least kLane * kGroup

// What a batch adds to channels: float32 sums and what they are about, padded to kLane.
struct BatchSums {
  const double* power[4];
  const float* low;
  const float* high;
  const float* shift;
  const float* scale;
  int64_t rows;
};

constexpr int64_t kCombined = 64;  // channels that `combine` takes at once

struct Kernels {
  const char* name;
  // Adds the group to the power sums, minima and maxima of each channel. Where figures of its rows
  // are wanted too, `row_figures` will follow, and only the first half of the next group is
  // prefetched.
  void (*moments)(const Group&, DType, const MomentArrays&);
  void (*row_figures)(const RowBatch&, DType, bool leaders, RowFigures&);
  // acc[c] += the shares of the rows.
  void (*row_shares)(const Fourths&, int64_t channels, float* acc);
  // sum[c] += part[c]; part[c] = 0.
  void (*flush)(float* part, double* sum, int64_t channels);
  // Adds the distances of the finite values of a row from `shift`, their squares, and ones.
  void (*add_distances)(const float* row, int64_t channels, const double* shift, double* sum,
                        double* square, double* count);
  // merged[c] = known[c] with the batch; doubtful[c]: float32 sums do not serve (`trustworthy`).
  void (*combine)(const BatchSums&, int64_t channels, const Moments* known, Moments* merged,
                  char* doubtful);
  // Lists the values (finite or not) that pass their channel's limit, row by row, from channel
  // *from (a multiple of kLane) on; looks only where the group's extreme passes. Ends before more
  // than kHits, *from then says where to go on. Returns how many.
  int64_t (*passing)(const Group&, DType, const float* extreme, const Limits&, int64_t* from,
                     Hit* out);
  // Raises `high` to the values of a row, and `low` to their negatives, by channel.
  void (*extremes)(const void* row, DType, int64_t channels, float* high, float* low);
  // By channel, a value that at least k of `count` rows reach, near the largest such; -inf where a
  // row holds inf.
  void (*reached)(const float* rows, int64_t width, int64_t channels, int count, int k, float* out);
  // ranks[i] = how many keys exceed keys[i]; both readable and writable up to a multiple of kLane.
  void (*rank)(const float* keys, int count, float* ranks);
  // Turns `count` neighbouring positions, whose channels are `stride` elements apart, into rows of
  // floats `width` apart.
  void (*pack)(const void* first, int64_t stride, int64_t channels, DType, int64_t count,
               float* rows, int64_t width);
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
