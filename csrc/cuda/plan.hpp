// How a batch is cut, and the scratch memory of one update. All of it follows from shapes and
// options alone, so that no result depends on the device or on timing.
#pragma once

#include "context.hpp"
#include "state.hpp"

namespace tuiprobe::cuda {

constexpr int kColumnWarps = 4;  // each at a unit of its own
constexpr int kMaxRowWarps = 8;
constexpr int kFinishWarps = 8;  // each at a run of partial results
constexpr int kSegment = 32;     // rows that share one maximum, where images have one row
constexpr int kBatch = 16;       // rows that a thread loads before it uses the first, at most
constexpr int kSharedBytes = 96 << 10;  // of a block, at most

// Channels next to each other in memory that a thread takes, where rows are aligned.
constexpr int kColumnVector = 2;

// A batch as units of work: runs of whole images, or pieces of one image. Counts of images, rows
// and units fit 32 bits, in which division is much cheaper.
struct Cut {
  int pieces;  // of an image
  int rows;    // of a piece, at most
  int images;  // of a unit, where images are not cut
  int units;
  int segments;  // of a unit
};

// About `wanted` units, but none of fewer than `least` rows where it can be helped.
TP_HD static inline Cut make_cut(const View& x, int64_t wanted, int64_t least) {
  const int64_t per_image = positions(x);
  int64_t pieces = 1, rows = per_image, images = 1;
  if (wanted < 1) wanted = 1;
  if (x.images < wanted && per_image >= 2 * least) {
    const int64_t most = per_image / least;
    pieces = (wanted + x.images - 1) / x.images;
    if (pieces > most) pieces = most;
    rows = (per_image + pieces - 1) / pieces;
    pieces = (per_image + rows - 1) / rows;
  }
  if (pieces == 1) {
    const int64_t enough = (least + per_image - 1) / per_image;
    images = (x.images + wanted - 1) / wanted;
    if (images < enough) images = enough;
    if (images > x.images) images = x.images;
  }
  const int64_t units = pieces > 1 ? x.images * pieces : (x.images + images - 1) / images;
  const int64_t segments = per_image == 1 ? (images + kSegment - 1) / kSegment : images;
  return {static_cast<int>(pieces), static_cast<int>(rows), static_cast<int>(images),
          static_cast<int>(units), static_cast<int>(segments)};
}

// The images of a unit, and its piece of each.
struct Unit {
  int first_image;
  int last_image;
  int position;
  int rows;  // of the piece

  TP_HD static Unit at(const View& x, const Cut& cut, int unit) {
    const int first = cut.pieces > 1 ? unit / cut.pieces : unit * cut.images;
    const int begin = cut.pieces > 1 ? (unit - first * cut.pieces) * cut.rows : 0;
    const int images = static_cast<int>(x.images), left = static_cast<int>(positions(x)) - begin;
    const int last = images - first < cut.images ? images : first + cut.images;
    return {first, last, begin, left < cut.rows ? left : cut.rows};
  }

  TP_HD int64_t all_rows() const { return int64_t{rows} * (last_image - first_image); }
};

// A run of rows a fixed stride apart: positions of one image, or images of one position.
struct Run {
  int image;
  int position;
  int rows;
};

// A segment is what one maximum of every channel is kept of: a piece of an image, or up to kSegment
// images of one row. Unit u has segments [u * cut.segments, (u + 1) * cut.segments), some empty.
TP_HD static inline Run segment_run(const View& x, const Unit& unit, int number) {
  if (positions(x) > 1) {
    const int image = unit.first_image + number;
    return {image, unit.position, image < unit.last_image ? unit.rows : 0};
  }
  const int first = unit.first_image + number * kSegment, left = unit.last_image - first;
  return {first, 0, left < 0 ? 0 : left < kSegment ? left : kSegment};
}

TP_HD static inline Run segment_run(const View& x, const Cut& cut, int64_t segment) {
  const int unit = static_cast<int>(segment / cut.segments);
  return segment_run(x, Unit::at(x, cut, unit),
                     static_cast<int>(segment - int64_t{unit} * cut.segments));
}

// The extremes of the finite values of a segment. For images of many rows, the first position that
// has the value is one of the kBatch from `where`.
struct Extremes {
  float* value[2];    // [segments, channels] largest, smallest
  int32_t* where[2];  // null for images of one row
};

struct Scratch {
  Moments* parts;  // [column blocks, channels]
  Extremes extremes;
  float* shares;     // [share vectors, channels]; a vector a unit, or a piece of an image
  double* kurtosis;  // [images, pieces] sums over the rows; NaN: degenerate
  double* self;      // [images] sum of squared shares; 0 for a degenerate one
};

// One update, as the kernels see it: channels are neighbours, positions one stride apart.
struct Job {
  View x;
  const int64_t* ids;  // [images] in device memory; null: running numbers
  State state;
  Cut columns;
  Cut rows;
  int row_warps;
  Scratch scratch;

  TP_HD int column_blocks() const { return (columns.units + kColumnWarps - 1) / kColumnWarps; }
  TP_HD int64_t segments() const { return int64_t{columns.units} * columns.segments; }
  TP_HD bool many_rows() const { return positions(x) > 1; }
  TP_HD bool wants_top() const { return state.top[0].k > 0 || state.top[1].k > 0; }
  TP_HD int64_t share_vectors() const {
    return many_rows() ? x.images * rows.pieces : int64_t{rows.units};
  }
  TP_HD int64_t id_of(int64_t image) const {
    return ids != nullptr ? ids[image] : state.progress->images + image;
  }
  TP_HD int64_t run_stride() const { return many_rows() ? x.column_stride : x.image_stride; }

  // Channel 0 of the first row of a run.
  template <class T>
  TP_HD const T* row(int image, int position) const {
    return static_cast<const T*>(x.data) + image * x.image_stride + position * x.column_stride;
  }
};

static inline Job make_job(const View& x, const int64_t* ids, const State& state) {
  constexpr int64_t kColumnUnits = 8192, kRowBlocks = 1056;
  Job job{x, ids, state, {}, {}, 0, {}};
  constexpr int64_t kTile = kLanes * kColumnVector;
  job.columns = make_cut(x, kColumnUnits / ((x.channels + kTile - 1) / kTile), 8);
  const int64_t fit = (kSharedBytes - 4096) / (4 * x.channels) - 1;
  job.row_warps = static_cast<int>(fit < 1 ? 1 : fit < kMaxRowWarps ? fit : kMaxRowWarps);
  job.rows = make_cut(x, kRowBlocks, 4 * job.row_warps);
  return job;
}

// Finds the parts of the scratch in `memory`; returns how many bytes they take.
static inline int64_t place_scratch(const Job& job, void* memory, Scratch* out) {
  Carver carver(memory);
  const int64_t c = job.x.channels;
  *out = {};
  if (job.state.moments != nullptr) out->parts = carver.take<Moments>(job.column_blocks() * c);
  for (int end = 0; end < 2 && job.wants_top(); ++end) {
    out->extremes.value[end] = carver.take<float>(job.segments() * c);
    if (job.many_rows()) out->extremes.where[end] = carver.take<int32_t>(job.segments() * c);
  }
  if (job.state.samples.rows != nullptr) {
    out->shares = carver.take<float>(job.share_vectors() * c);
    out->kurtosis = carver.take<double>(job.many_rows() ? job.x.images * job.rows.pieces : 0);
    out->self = carver.take<double>(job.x.images);
  }
  return carver.used();
}

// Whether the kernels can read `x` as it is.
static inline bool regular(const View& x) {
  return x.channel_stride == 1 &&
         (x.height == 1 || x.width == 1 || x.row_stride == x.width * x.column_stride);
}

// The same view with one stride between positions.
static inline View flat(const View& x) {
  View out = x;
  if (x.width == 1) out.column_stride = x.row_stride;
  out.width = positions(x);
  out.height = 1;
  return out;
}

// Other views are packed into scratch first, in slabs of whole images that a cache can hold.
static inline int64_t images_of_slab(const View& x) {
  constexpr int64_t kSlabBytes = 32 << 20, kMost = 65535;  // as many as a grid has in depth
  const int64_t image = positions(x) * x.channels * item_size(x.dtype), fit = kSlabBytes / image;
  const int64_t most = positions(x) == 1 || fit < kMost ? fit : kMost;
  return most < 1 ? 1 : most < x.images ? most : x.images;
}

static inline int64_t packed_bytes(const View& x) {
  if (regular(x)) return 0;
  const int64_t bytes = images_of_slab(x) * positions(x) * x.channels * item_size(x.dtype);
  return (bytes + 15) / 16 * 16;
}

static inline View packed_view(const View& x, const void* memory) {
  const int64_t places = positions(x), c = x.channels;
  return {memory, x.dtype, x.images, 1, places, c, places * c, places * c, c, 1};
}

// Whether every row starts on 16 bytes and is a whole number of 16-byte vectors.
static inline bool aligned(const View& x) {
  const int64_t vector = 16 / item_size(x.dtype);
  return x.channels % vector == 0 && reinterpret_cast<uintptr_t>(x.data) % 16 == 0 &&
         x.image_stride % vector == 0 && (positions(x) == 1 || x.column_stride % vector == 0);
}

}  // namespace tuiprobe::cuda
