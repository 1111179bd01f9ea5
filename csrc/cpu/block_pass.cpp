// One pass over the rows of a block. update.cpp cuts a batch into blocks (`Plan`), gives them
// to workers, and merges in order what they leave.
//
//   group        16 rows (`Groups`); rows whose channels lie apart are first packed (`Tiles`)
//   moments      power sums and extremes of each channel, sums of each row
//   candidates   `collect`: what beats the limit of its channel, into the worker's lists
//   row figures  `RowMeasure`, four rows at a time: powers about the row's mean; twice where the
//                float32 mean has missed it, in float64 (`exact_row`) where float32 does not serve
//   shares       fourth powers over their sum, by channel
//   flush        every kFlush groups: float32 sums to float64
//
// A `Worker` owns what a group or an image at work needs (tiles, float32 sums, extremes, fourth
// powers) and the candidates, which last from block to block of an update. `BlockSums` owns what a
// block leaves: float64 sums, extremes, counts. Figures of images are written behind the end of
// those that the state has (`Images`), and count only once the update has ended.
#include "block_pass.hpp"

#include <algorithm>
#include <cmath>

#include "exact.hpp"

namespace tuiprobe::cpu {
namespace {

struct Rows : Group {
  Place first;
  DType dtype;

  Place place(int row, int64_t per_image) const {
    const int64_t at = first.position + row;
    if (at < per_image) return {first.image, at};
    if (per_image == 1) return {first.image + at, 0};
    return {first.image + at / per_image, at % per_image};
  }
};

// Whether the rows follow each other in memory.
bool contiguous(const Rows& g) {
  const char* const first = static_cast<const char*>(g.rows[0]);
  return g.rows[g.size - 1] == first + (g.size - 1) * g.channels * item_size(g.dtype);
}

// Rows in their order, some of which are neighbours in memory: the positions of an image or, where
// each image is one row, the images.
struct RowSequence {
  const View& x;
  bool of_images;

  explicit RowSequence(const View& view) : x(view), of_images(positions(view) == 1) {}

  int64_t rows() const { return of_images ? x.images : positions(x); }

  const void* address(int64_t image, int64_t row) const {
    return of_images ? row_address(x, row, 0) : row_address(x, image, row);
  }

  // How many rows of [row, last) are neighbours, from the first on.
  int64_t neighbours(int64_t row, int64_t last) const {
    if ((of_images ? x.image_stride : x.column_stride) != 1) return 1;
    if (of_images || x.row_stride == x.width) return last - row;
    return std::min(last - row, x.width - row % x.width);
  }
};

// Rows whose channels are apart in memory, packed into contiguous float32: as many of a
// sequence at once as a tile holds. Two tiles take turns, so that the group at work stays while the
// next is made.
class Tiles {
 public:
  Tiles(const View& x, const Kernels& kernels, Worker& w)
      : sequence_(x),
        kernels_(kernels),
        end_(sequence_.rows()),
        tiles_(w.tiles),
        stride_(row_stride(x.channels)) {}

  // Whether a position lies beyond the tile at hand.
  bool ends(int64_t image, int64_t position) const {
    return sequence_.of_images ? image >= last_ : image != image_ || position >= last_;
  }

  // The packed row of a position; positions are asked for in order.
  const float* row(int64_t image, int64_t position) {
    const int64_t row = sequence_.of_images ? image : position;
    if (ends(image, position)) pack(image, row);
    return tiles_[turn_].data() + (row - first_) * stride_;
  }

 private:
  void pack(int64_t image, int64_t row) {
    const View& x = sequence_.x;
    turn_ ^= 1;
    image_ = image;
    first_ = row;
    last_ = std::min(row + Worker::tile_rows(x), end_);
    float* to = tiles_[turn_].data();
    for (int64_t p = first_, run; p < last_; p += run) {
      run = sequence_.neighbours(p, last_);
      kernels_.pack(sequence_.address(image, p), x.channel_stride, x.channels, x.dtype, run,
                    to + (p - first_) * stride_, stride_);
    }
  }

  RowSequence sequence_;
  const Kernels& kernels_;
  int64_t end_;
  Floats* tiles_;
  int64_t stride_;
  int64_t image_ = -1, first_ = 0, last_ = 0;
  int turn_ = 0;
};

// Cuts the rows of a block into groups.
class Groups {
 public:
  Groups(const View& x, const Kernels& kernels, Worker& w) : x_(x), tiles_(x, kernels, w) {}

  bool next(Rows& out) {
    const bool packed = x_.channel_stride != 1;
    out.size = 0;
    out.channels = x_.channels;
    out.dtype = packed ? DType::f32 : x_.dtype;
    out.first = at_;
    while (out.size < kGroup && at_.image < x_.images) {
      // Of a group of one image, few values are candidates: long images share none.
      if (out.size > 0 && at_.position == 0 && positions(x_) >= kLong) break;
      // A group lies in one tile: the one before may be packed anew for the group after it.
      if (packed && out.size > 0 && tiles_.ends(at_.image, at_.position)) break;
      packed ? add_packed(out) : add_run(out);
    }
    return out.size > 0;
  }

 private:
  static constexpr int64_t kLong = 2 * kGroup;  // positions

  void add_packed(Rows& out) {
    out.rows[out.size] = tiles_.row(at_.image, at_.position);
    step(out, 1);
  }

  // Rows that are evenly spaced in memory, as many as the group has room for.
  void add_run(Rows& out) {
    const bool of_images = positions(x_) == 1;
    const bool even = x_.row_stride == x_.width * x_.column_stride;
    const int64_t left = of_images ? x_.images - at_.image
                         : even    ? positions(x_) - at_.position
                                   : x_.width - at_.position % x_.width;
    const int count = static_cast<int>(std::min<int64_t>(kGroup - out.size, left));
    const int64_t stride = (of_images ? x_.image_stride : x_.column_stride) * item_size(x_.dtype);
    const void* const at = row_address(x_, at_.image, at_.position);
    for (int i = 0; i < count; ++i) {
      out.rows[out.size + i] = static_cast<const char*>(at) + i * stride;
    }
    step(out, count);
  }

  void step(Rows& out, int rows) {
    out.size += rows;
    at_.position += rows;
    if (at_.position < positions(x_)) return;
    at_.image += at_.position / positions(x_);
    at_.position = 0;
  }

  const View& x_;
  Tiles tiles_;
  Place at_{0, 0};
};

// The figures of the images of a block: by image into `Images`, summed into the block.
class ImageFigures {
 public:
  ImageFigures(const BlockPass& pass, BlockSums& sums) : pass_(pass), sums_(sums) {}

  // An image whose shares of the fourth moment are summed over the channels elsewhere.
  void record(int64_t image, double kurtosis, double self_share, int64_t leading) {
    write(image, kurtosis, self_share, static_cast<int32_t>(leading));
    sums_.share_squares += self_share;
    ++sums_.leading[leading];
  }

  // The same from its shares, which join those of the block.
  void record_shares(int64_t image, double kurtosis, const double* shares) {
    double self = 0;
    int64_t leading = 0;
    for (int64_t c = 0; c < pass_.x.channels; ++c) {
      self += shares[c] * shares[c];
      sums_.shares[c] += shares[c];
      if (shares[c] > shares[leading]) leading = c;
    }
    record(image, kurtosis, self, leading);
  }

  void record_degenerate(int64_t image) {
    write(image, NAN, NAN, -1);
    ++sums_.degenerate;
  }

 private:
  void write(int64_t image, double kurtosis, double self_share, int32_t leading) {
    const Images& to = pass_.images;
    const int64_t at = pass_.first.image + image;
    to.id[at] = pass_.id(image);
    to.kurtosis[at] = kurtosis;
    to.self_share[at] = self_share;
    to.leading[at] = leading;
  }

  const BlockPass& pass_;
  BlockSums& sums_;
};

// The figures of single rows of a group, as many at once as the L1 cache holds.
class RowMeasure {
 public:
  // `weight` of a row in its image; `leaders`: whether the leading channel of each row is wanted.
  RowMeasure(const BlockPass& pass, Worker& worker, BlockSums& sums, float weight, bool leaders)
      : pass_(pass),
        w_(worker),
        sums_(sums),
        weight_(weight),
        leaders_(leaders),
        most_(Worker::rows_at_once(pass.x.channels)) {
    batch_.channels = pass.x.channels;
    batch_.scale = pass.scaling.row_scale;
    batch_.fourths = worker.fourths.data();
    batch_.width = row_stride(pass.x.channels);
  }

  // Measures the rows from this one on; returns how many. Twice where the float32 sum of a row with
  // a large mean has missed it.
  int measure(const Rows& g, int from) {
    batch_.size = std::min(most_, g.size - from);
    batch_.next =
        static_cast<const char*>(g.next) + (g.size + from) / 2 * g.channels * item_size(g.dtype);
    std::copy_n(g.rows + from, batch_.size, batch_.rows);
    std::copy_n(w_.row_means + from, batch_.size, batch_.shift);
    constexpr float kSmall = 2.5e-7f;  // of the spread, as far as that is known
    batch_.off_centre = false;
    for (int r = 0; r < batch_.size; ++r) {
      batch_.residual[r] = w_.mean_residuals[from + r] * batch_.scale;
      batch_.off_centre |= std::abs(batch_.residual[r]) > kSmall;
    }
    if (!batch_.off_centre) std::fill_n(batch_.residual, kGroup, 0.0f);
    pass_.kernels.row_figures(batch_, g.dtype, leaders_, figures_);
    const auto missed = [](float residual) { return residual != 0; };
    if (std::any_of(figures_.residual, figures_.residual + batch_.size, missed)) {
      for (int r = 0; r < batch_.size; ++r) {
        if (missed(figures_.residual[r])) batch_.residual[r] = figures_.residual[r];
      }
      batch_.off_centre = true;
      pass_.kernels.row_figures(batch_, g.dtype, leaders_, figures_);
    }
    return batch_.size;
  }

  // Adds the shares of the accurate ones of the rows [begin, end) that were measured. Returns the
  // sum of their kurtoses, and how many they are.
  std::pair<double, int> add(int begin, int end) {
    Fourths shares;
    shares.size = 0;
    double kurtosis = 0;  // no call in the loop, so that this stays in a register
    for (int r = begin; r < end; ++r) {
      if (!figures_.accurate[r]) continue;
      ++sums_.norms[figures_.norm[r]];
      kurtosis += static_cast<double>(figures_.kurtosis[r]);
      shares.rows[shares.size] = batch_.fourths + r * batch_.width;
      shares.inverse[shares.size++] = figures_.inverse[r] * weight_;
    }
    pass_.kernels.row_shares(shares, batch_.channels, w_.shares.data());
    return {kurtosis, shares.size};
  }

  // A row that is not accurate, in float64; its shares are in the worker's `row_shares`.
  std::pair<ExactRow, bool> exact(const Rows& g, int row) {
    ExactRow figures;
    const bool valid =
        exact_row(g.rows[row], g.channels, 1, g.dtype, w_.row_shares.data(), &figures);
    if (std::isfinite(figures.square_norm)) ++sums_.norms[norm_bin(figures.square_norm)];
    return {figures, valid};
  }

  const RowFigures& figures() const { return figures_; }

 private:
  const BlockPass& pass_;
  Worker& w_;
  BlockSums& sums_;
  float weight_;
  bool leaders_;
  int most_;
  RowBatch batch_{};
  RowFigures figures_;
};

// Images of one row each.
class SingleRows {
 public:
  SingleRows(const BlockPass& pass, Worker& worker, BlockSums& sums)
      : pass_(pass),
        w_(worker),
        sums_(sums),
        rows_(pass, worker, sums, 1, true),
        out_(pass, sums) {}

  void add(const Rows& g) {
    for (int from = 0; from < g.size;) {
      const int count = rows_.measure(g, from);
      rows_.add(0, count);
      const RowFigures& figures = rows_.figures();
      for (int r = 0; r < count; ++r, ++image_) {
        if (figures.accurate[r]) {
          out_.record(image_, static_cast<double>(figures.kurtosis[r]),
                      static_cast<double>(figures.self_share[r]), figures.leading[r]);
        } else {
          add_exactly(g, from + r);
        }
      }
      from += count;
    }
  }

  // Float32 sums of shares into float64.
  void flush() {
    pass_.kernels.flush(w_.shares.data(), sums_.shares.data(), padded(pass_.x.channels));
  }

 private:
  void add_exactly(const Rows& g, int row) {
    const auto [figures, valid] = rows_.exact(g, row);
    if (valid) {
      out_.record_shares(image_, figures.kurtosis, w_.row_shares.data());
    } else {
      out_.record_degenerate(image_);
    }
  }

  const BlockPass& pass_;
  Worker& w_;
  BlockSums& sums_;
  RowMeasure rows_;
  ImageFigures out_;
  int64_t image_ = 0;  // of the row that comes
};

// Images of several positions, whose figures are averages over them.
class PositionMeans {
 public:
  PositionMeans(const BlockPass& pass, Worker& worker, BlockSums& sums)
      : pass_(pass),
        w_(worker),
        per_image_(positions(pass.x)),
        weight_(1 / static_cast<double>(per_image_)),
        rows_(pass, worker, sums, 1 / static_cast<float>(per_image_), false),
        out_(pass, sums) {}

  void add(const Rows& g) {
    for (int from = 0; from < g.size;) {
      const int count = rows_.measure(g, from);
      for (int r = 0; r < count;) {
        const int64_t left = per_image_ - at_.position;
        const int end = static_cast<int>(std::min<int64_t>(count, r + left));
        const auto [kurtosis, accurate] = rows_.add(r, end);
        kurtosis_ += kurtosis;
        for (int i = r; i < end && accurate < end - r; ++i) {
          if (!rows_.figures().accurate[i]) add_exactly(g, from + i);
        }
        at_.position += end - r;
        if (at_.position == per_image_) finish_image();
        r = end;
      }
      from += count;
    }
  }

  // Float32 sums of shares into float64.
  void flush() {
    pass_.kernels.flush(w_.shares.data(), w_.image_shares.data(), padded(pass_.x.channels));
  }

 private:
  void add_exactly(const Rows& g, int row) {
    const auto [figures, valid] = rows_.exact(g, row);
    degenerate_ = degenerate_ || !valid;
    if (degenerate_) return;
    kurtosis_ += figures.kurtosis;
    for (int64_t c = 0; c < g.channels; ++c) w_.image_shares[c] += w_.row_shares[c] * weight_;
  }

  void finish_image() {
    flush();
    if (degenerate_) {
      out_.record_degenerate(at_.image);
    } else {
      const double kurtosis = kurtosis_ / static_cast<double>(per_image_);
      out_.record_shares(at_.image, kurtosis, w_.image_shares.data());
    }
    std::fill_n(w_.image_shares.begin(), padded(pass_.x.channels), 0.0);
    kurtosis_ = 0;
    degenerate_ = false;
    at_ = {at_.image + 1, 0};
  }

  const BlockPass& pass_;
  Worker& w_;
  int64_t per_image_;
  double weight_;  // of a position in its image
  RowMeasure rows_;
  ImageFigures out_;
  Place at_{0, 0};  // of the row that comes
  double kurtosis_ = 0;
  bool degenerate_ = false;
};

// Where no figures of images are wanted.
struct NoImages {
  NoImages(const BlockPass&, Worker&, BlockSums&) {}
  void add(const Rows&) {}
  void flush() {}
};

void collect(const Rows& g, const BlockPass& pass, Worker& w, const Floats& extreme,
             Candidates& to) {
  const int64_t per_image = positions(pass.x);
  const int64_t last = g.place(g.size - 1, per_image).image;
  int64_t first_id = INT64_MAX;
  for (int64_t i = g.first.image; i <= last; ++i) first_id = std::min(first_id, pass.id(i));
  to.begin_group(pass.first.image + g.first.image, pass.first.image + last);
  const Limits limits = to.limits(first_id);
  for (int64_t from = 0; from < g.channels;) {
    const int64_t n =
        pass.kernels.passing(g, g.dtype, extreme.data(), limits, &from, w.hits.data());
    for (int64_t i = 0; i < n; ++i) {
      const Hit& hit = w.hits[i];
      const Place at = g.place(hit.row, per_image);
      const auto position = static_cast<int32_t>(pass.first.position + at.position);
      to.offer(hit.channel, hit.value, position, pass.id(at.image));
    }
  }
}

}  // namespace

MomentArrays BlockPass::arrays(Worker& w, BlockSums& sums, int64_t c) const {
  const bool samples = state.options.samples;
  return {
      .scale = scaling.scale.data() + c,
      .bias = scaling.bias.data() + c,
      .s1 = w.power[0].data() + c,
      .s2 = w.power[1].data() + c,
      .s3 = w.power[2].data() + c,
      .s4 = w.power[3].data() + c,
      .min = sums.min.data() + c,
      .max = sums.max.data() + c,
      .group_min = w.group_min.data() + c,
      .group_max = w.group_max.data() + c,
      .row_means = samples ? w.row_means : nullptr,
      .mean_residuals = w.mean_residuals,
      .centre = 0,
  };
}

void BlockPass::flush_moments(Worker& w, BlockSums& sums, int64_t c, int64_t channels) const {
  for (int i = 0; i < 4; ++i) {
    kernels.flush(w.power[i].data() + c, sums.power[i].data() + c, channels);
  }
}

// Channels apart in memory, and nothing wanted of whole rows: a few channels of several images at a
// time, so that what is packed never leaves the L1 cache.
void BlockPass::by_channels(Worker& w, BlockSums& sums) const {
  constexpr int64_t kGroups = 16, kRows = kGroups * kGroup;
  alignas(64) float tile[kRows * kLane];
  Group groups[kGroups];
  for (int64_t r = 0; r < kRows; ++r) groups[r / kGroup].rows[r % kGroup] = tile + r * kLane;
  for (Group& g : groups) g.next = tile;
  struct {
    const char* at;
    int64_t rows;
  } runs[kRows];  // that the tile is made of
  int64_t count = 0, rows = 0;
  const auto add_tile = [&] {
    for (int64_t c = 0; c < x.channels; c += kLane) {
      const int64_t channels = std::min<int64_t>(kLane, x.channels - c);
      float* to = tile;
      for (int64_t i = 0; i < count; to += runs[i++].rows * kLane) {
        kernels.pack(runs[i].at + c * x.channel_stride * item_size(x.dtype), x.channel_stride,
                     channels, x.dtype, runs[i].rows, to, kLane);
      }
      const MomentArrays arrays = this->arrays(w, sums, c);
      for (int64_t g = 0; g * kGroup < rows; ++g) {
        groups[g].size = static_cast<int>(std::min<int64_t>(kGroup, rows - g * kGroup));
        groups[g].channels = channels;
        kernels.moments(groups[g], DType::f32, arrays);
        if ((g + 1) % kFlush == 0 || (g + 1) * kGroup >= rows) flush_moments(w, sums, c, channels);
      }
    }
    count = rows = 0;
  };
  const RowSequence sequence(x);
  for (int64_t image = 0; image < (sequence.of_images ? 1 : x.images); ++image) {
    for (int64_t row = 0, run; row < sequence.rows(); row += run) {
      run = sequence.neighbours(row, std::min(row + kRows, sequence.rows()));
      if (rows + run > kRows) add_tile();
      runs[count++] = {static_cast<const char*>(sequence.address(image, row)), run};
      rows += run;
    }
  }
  add_tile();
}

template <class ImageSums>
void BlockPass::by_groups(Worker& w, BlockSums& sums) const {
  Groups groups(x, kernels, w);
  MomentArrays to = arrays(w, sums, 0);
  ImageSums image_sums(*this, w, sums);
  const auto flush = [&] {
    flush_moments(w, sums, 0, x.channels);
    image_sums.flush();
  };
  int groups_added = 0;
  Rows pair[2];
  bool more = groups.next(pair[0]);
  for (int turn = 0; more; turn ^= 1) {
    Rows &at = pair[turn], &ahead = pair[turn ^ 1];
    more = groups.next(ahead);
    at.next = more && contiguous(ahead) ? ahead.rows[0] : at.rows[0];
    kernels.moments(at, at.dtype, to);
    if (state.options.largest) collect(at, *this, w, w.group_max, w.largest);
    if (state.options.smallest) collect(at, *this, w, w.group_min, w.smallest);
    image_sums.add(at);
    if (to.row_means != nullptr) {
      // Rows whose mean exceeds a few sigma need it.
      const float mean = w.row_means[0];
      to.centre = is_finite(mean) && std::abs(mean) * scaling.row_scale > 2 ? mean : 0;
    }
    if (++groups_added % kFlush == 0) flush();
  }
  flush();
}

void BlockPass::run(Worker& w, BlockSums& sums) const {
  const Options& wanted = state.options;
  if (wanted.samples) {
    positions(x) == 1 ? by_groups<SingleRows>(w, sums) : by_groups<PositionMeans>(w, sums);
  } else if (x.channel_stride != 1 && !wanted.largest && !wanted.smallest) {
    by_channels(w, sums);
  } else {
    by_groups<NoImages>(w, sums);
  }
}

}  // namespace tuiprobe::cpu
