// How a batch is cut, and the scratch memory of one update. All of it follows from shapes and
// options alone, so that no result depends on the device or on timing.
#pragma once

#include "context.hpp"
#include "state.hpp"

namespace tuiprobe::cuda {

constexpr int kColumnWarps = 4;
constexpr int kMaxRowWarps = 8;
constexpr int kBatch = 16;  // rows that a thread loads before it uses the first, at most
constexpr int kSharedBytes = 97 << 10;  // of a block, at most

// Channels next to each other in memory that a thread takes, where rows are aligned.
constexpr int kColumnVector = 2;

TP_HD static inline int64_t tiles(int64_t count, int64_t each) { return (count + each - 1) / each; }

// Rows [first, first + rows) of a line.
struct Run {
  int line;
  int first;
  int rows;
};

// A batch is lines of rows a fixed stride apart: the positions of an image each, or one line of all
// images that have one row. Lines are cut into runs, and a block takes a unit of `each` runs.
// Numbers of runs fit 32 bits, in which division is much cheaper.
struct Cut {
  int length;    // of a line
  int rows;      // of a run, at most
  int per_line;  // runs
  int runs;      // of all lines
  int each;
  int units;

  TP_HD Run run(int number) const {
    const int line = number / per_line, first = (number - line * per_line) * rows;
    return {line, first, length - first < rows ? length - first : rows};
  }
  TP_HD int begin(int64_t unit) const { return static_cast<int>(unit) * each; }
  TP_HD int end(int64_t unit) const {
    return runs - begin(unit) < each ? runs : begin(unit) + each;
  }
};

// A unit is for `workers` that share its runs. There are about `worker_count` workers, with `grain`
// rows at least; runs have a multiple of `grain` rows, about `most` at most, and the rest of a
// line.
static inline Cut make_cut(int64_t lines, int64_t length, int64_t worker_count, int64_t grain,
                           int64_t most, int workers) {
  const int64_t all = tiles(lines * length, worker_count), share = all < grain ? grain : all;
  int64_t run = tiles(share < most ? share : most, grain) * grain;
  if (run > length) run = length;
  const int64_t per_line = tiles(length, run), runs = lines * per_line;
  const int64_t each = (share < run ? 1 : share / run) * workers;
  return {static_cast<int>(length), static_cast<int>(run),  static_cast<int>(per_line),
          static_cast<int>(runs),   static_cast<int>(each), static_cast<int>(tiles(runs, each))};
}

// Where float32 powers of values are centred: d = x scale + bias, scale a power of two.
struct Centre {
  float scale = 1;
  float bias = 0;

  // 1 / scale
  TP_HD double unit() const {
    uint32_t bits;
    memcpy(&bits, &scale, sizeof bits);
    return static_cast<double>(float_from_bits(0x7f000000u - bits));
  }
  TP_HD double shift() const { return -static_cast<double>(bias) * unit(); }
  TP_HD Centre unscaled() const { return {1, -static_cast<float>(shift())}; }
};

TP_HD static inline Centre make_centre(double mean, double variance) {
  const float scale = scale_for(variance);
  const float bias = -static_cast<float>(mean * static_cast<double>(scale));
  return is_finite(bias) ? Centre{scale, bias} : Centre();
}

struct Scratch {
  Moments* parts;      // [column units, channels]
  float* extremes[2];  // [column runs, channels] largest, smallest; infinite ones count
  float* shares;       // [row runs, channels]
  double* kurtosis;    // [row runs] sums over the rows; NaN: one is degenerate
  double* self;        // [images] sum of squared shares; 0 for a degenerate one
};

// One update, as the kernels see it: channels are neighbours, rows one stride apart.
struct Job {
  Options options;
  View x;              // `images` lines of `width` rows
  bool many_rows;      // whether each line is an image
  const int64_t* ids;  // [images] in device memory; null: running numbers
  State state;
  Cut columns;
  Cut rows;
  int row_warps;
  Scratch scratch;

  TP_HD int64_t images() const { return many_rows ? x.images : x.width; }
  TP_HD int64_t positions() const { return many_rows ? x.width : 1; }
  TP_HD bool wants_top() const { return options.largest > 0 || options.smallest > 0; }
  TP_HD int64_t id_of(int64_t image) const {
    return ids != nullptr ? ids[image] : state.progress->images + image;
  }

  // Of channel 0 of a row, in elements.
  TP_HD int64_t offset(int64_t line, int64_t row) const {
    return line * x.image_stride + row * x.column_stride;
  }
  template <class T>
  TP_HD const T* row(int64_t line, int64_t number) const {
    return static_cast<const T*>(x.data) + offset(line, number);
  }
};

// The job for a view with one stride between positions, with its parts of `memory`, if that is not
// null; `bytes` is how many of it they take.
static inline Job make_job(const Options& options, const View& x, const int64_t* ids, void* state,
                           void* memory, int64_t* bytes) {
  constexpr int64_t kColumnShares = 8192, kRowBlocks = 1056, kLongestRun = 64;
  Job job{options, x, positions(x) > 1, ids, {}, {}, {}, 0, {}};
  place(options, state, &job.state);
  if (!job.many_rows) {
    job.x.width = x.images;
    job.x.images = 1;
    job.x.column_stride = x.image_stride;
  }
  const int64_t c = x.channels, lines = job.x.images, length = job.x.width;
  job.columns = make_cut(lines, length, kColumnShares / tiles(c, kLanes * kColumnVector), kBatch,
                         kLongestRun, kColumnWarps);
  const int64_t fit = (kSharedBytes - 512) / (4 * c);
  job.row_warps = static_cast<int>(fit < kMaxRowWarps ? fit : kMaxRowWarps);
  job.rows = make_cut(lines, length, kRowBlocks, 2 * job.row_warps, length, 1);
  Carver carver(memory);
  if (options.moments) job.scratch.parts = carver.allocate<Moments>(job.columns.units * c);
  for (int end = 0; end < 2 && job.wants_top(); ++end) {
    job.scratch.extremes[end] = carver.allocate<float>(job.columns.runs * c);
  }
  if (options.samples) {
    job.scratch.shares = carver.allocate<float>(job.rows.runs * c);
    job.scratch.kurtosis = carver.allocate<double>(job.rows.runs);
    job.scratch.self = carver.allocate<double>(job.images());
  }
  *bytes = carver.used();
  return job;
}

}  // namespace tuiprobe::cuda
