// How a batch is cut, and the scratch memory of one update. All of it follows from shapes and
// options alone, so that no result depends on the device or on timing.
#pragma once

#include "context.hpp"
#include "state.hpp"

namespace tuiprobe::cuda {

constexpr int kMaxGroup = 32;  // rows that are in shared memory at a time
constexpr int kMaxSamples = 1024;

// Chunks of whole images, one a block; groups of rows within an image, or of images of one row.
struct Plan {
  int64_t images_per_chunk;
  int64_t chunks;
  int group;       // rows, a power of two
  int64_t pitch;   // bytes between the rows of a group in shared memory
  bool staged;     // groups are copied to shared memory; else read in place, twice
  bool in_shared;  // so are the sums of the channels
  int shared_bytes;
};

// The search of one end: candidates a channel there is room for, and how the floor of a list that
// is not full is guessed: the depth-th best of the sampled images; depth 0: there is none.
struct TopPlan {
  int64_t room;
  int samples;
  int depth;
};

// Sums of a block, one entry a channel.
struct Columns {
  double* power[4];
  double* shift;
  double* share;  // of the block's images of one row, or of the image at work
  float* min;
  float* max;
  int* count;
  int* exceed;
  int* slot[2];  // where the image at work stands among the candidates; -1: nowhere
};

// What every group touches, 60 bytes a channel; and what few do, always in device memory.
TP_HD static inline void place_hot(Carver& carver, int64_t channels, Columns& out) {
  for (double*& power : out.power) power = carver.take<double>(channels);
  out.shift = carver.take<double>(channels);
  out.share = carver.take<double>(channels);
  out.min = carver.take<float>(channels);
  out.max = carver.take<float>(channels);
  out.count = carver.take<int>(channels);
}

TP_HD static inline void place_cold(Carver& carver, int64_t channels, Columns& out) {
  out.exceed = carver.take<int>(channels);
  for (int*& slot : out.slot) slot = carver.take<int>(channels);
}

TP_HD static inline int64_t hot_bytes(int64_t channels) {
  Carver carver(nullptr);
  Columns columns;
  place_hot(carver, channels, columns);
  return carver.used();
}

TP_HD static inline int64_t cold_bytes(int64_t channels) {
  Carver carver(nullptr);
  Columns columns;
  place_cold(carver, channels, columns);
  return carver.used();
}

// What is known of a row once its warp has been through it. d = (x scale - shift) - offset are the
// scaled distances from the mean, weight d^4 the shares (weight 0: the row is degenerate).
struct RowFigures {
  float scale;
  float shift;
  float offset;
  float weight;
  double kurtosis;
};

struct Lead {
  double self;  // sum of the squared shares
  double best;  // largest share
  int64_t channel;
};

// The parts of a block's shared memory.
struct BlockMemory {
  char* tile[2];  // the group at work and the one on its way
  RowFigures* rows;
  Lead* leads;  // [kDepth]
  int* norms;
  char* columns;  // null where they are in device memory
};

TP_HD static inline BlockMemory place_block(Carver& carver, const Plan& plan, int64_t channels) {
  BlockMemory out;
  for (char*& tile : out.tile) tile = carver.take<char>(plan.staged ? plan.group * plan.pitch : 0);
  out.rows = carver.take<RowFigures>(kMaxGroup);
  out.leads = carver.take<Lead>(kDepth);
  out.norms = carver.take<int>(kNormBins);
  out.columns = plan.in_shared ? carver.take<char>(hot_bytes(channels)) : nullptr;
  return out;
}

struct TopScratch {
  Entry* candidates;  // [channels, room]
  Entry* limits;      // [channels] a candidate must be better
  int* counts;        // [channels] candidates offered, though there may be no room for all
};

struct Scratch {
  Moments* parts;  // [chunks, channels]
  double* shares;  // [chunks, channels]
  TopScratch top[2];
  char* columns;  // [chunks] what is not in shared memory of the channels' sums
};

// One update, as the kernels see it.
struct Job {
  View x;
  const int64_t* ids;  // [images] in device memory; null: running numbers
  State state;
  Plan plan;
  TopPlan top[2];
  Scratch scratch;
};

TP_HD static inline int64_t id_of(const Job& job, int64_t image) {
  if (job.ids != nullptr) return job.ids[image];
  return job.state.progress->base + job.state.progress->images + image;
}

// Two tiles hold 16 rows of 768 channels in float32, 32 in 16 bits. Two blocks of so many bytes fit
// a multiprocessor of 228 KiB; one fits everywhere.
constexpr int64_t kTileBytes = 25600, kLongestRow = 40960, kBlockBytes = 99328;

static inline Plan make_plan(const View& x) {
  constexpr int64_t kBlocks = 528, kMinRows = 64, kParts = int64_t{1} << 20;
  Plan plan{};
  const int64_t per_image = positions(x);
  int64_t wanted = kParts / x.channels;
  wanted = wanted < 1 ? 1 : wanted < kBlocks ? wanted : kBlocks;
  const int64_t least = (kMinRows + per_image - 1) / per_image;
  plan.images_per_chunk = (x.images + wanted - 1) / wanted;
  if (plan.images_per_chunk < least) plan.images_per_chunk = least;
  plan.chunks = (x.images + plan.images_per_chunk - 1) / plan.images_per_chunk;
  // An odd number of 16 bytes, so that the same channel of other rows lies in another bank.
  plan.pitch = (x.channels * item_size(x.dtype) + 15) / 16;
  plan.pitch = (plan.pitch | 1) * 16;
  plan.group = kMaxGroup;
  while (plan.group > 1 && plan.group * plan.pitch > kTileBytes) plan.group /= 2;
  plan.staged = plan.group * plan.pitch <= kLongestRow;
  if (!plan.staged) plan.group = kMaxGroup;
  Carver carver(nullptr);
  place_block(carver, plan, x.channels);
  plan.in_shared = carver.used() + hot_bytes(x.channels) <= kBlockBytes;
  if (plan.in_shared) {
    Carver all(nullptr);
    place_block(all, plan, x.channels);
    carver = all;
  }
  plan.shared_bytes = static_cast<int>(carver.used());
  return plan;
}

static inline TopPlan make_top_plan(const View& x, int k) {
  constexpr int64_t kMaxRoom = 2048, kMinSamples = 64, kReads = 8192;
  TopPlan plan{x.images < kMaxRoom ? x.images : kMaxRoom, 0, 0};
  // No image is a candidate twice, or nearly: all find room.
  if (k == 0 || x.images <= kMaxRoom) return plan;
  int64_t samples = kReads / positions(x);
  if (samples > kMaxSamples) samples = kMaxSamples;
  if (samples < kMinSamples) return plan;
  // About depth / samples of the images lie above the floor. Fewer than k are unlikely, and cost no
  // more than another search.
  const double rate = static_cast<double>(samples) / static_cast<double>(x.images);
  const double expected = k * rate;
  const double depth = ceil(expected + 2 * sqrt(expected) + 2);
  if (depth >= static_cast<double>(samples) || depth > static_cast<double>(kMaxRoom) * rate) {
    return plan;
  }
  plan.samples = static_cast<int>(samples);
  plan.depth = static_cast<int>(depth);
  return plan;
}

// Finds the parts of the scratch in `memory`; returns how many bytes they take.
static inline int64_t place_scratch(const Job& job, void* memory, Scratch* out) {
  Carver carver(memory);
  const int64_t c = job.x.channels;
  *out = {};
  if (job.state.moments != nullptr) out->parts = carver.take<Moments>(job.plan.chunks * c);
  if (job.state.share_sum != nullptr) out->shares = carver.take<double>(job.plan.chunks * c);
  for (int end = 0; end < 2; ++end) {
    if (job.state.top[end].k == 0) continue;
    out->top[end].candidates = carver.take<Entry>(c * job.top[end].room);
    out->top[end].limits = carver.take<Entry>(c);
    out->top[end].counts = carver.take<int>(c);
  }
  const int64_t columns = cold_bytes(c) + (job.plan.in_shared ? 0 : hot_bytes(c));
  out->columns = carver.take<char>(job.plan.chunks * columns);
  return carver.used();
}

}  // namespace tuiprobe::cuda
