#include "walk.hpp"

#include <algorithm>

#include "exact.hpp"

namespace tuiprobe::cpu {
namespace {

struct Rows : Group {
  int64_t image[kGroup];
  int32_t position[kGroup];
  DType dtype;
};

// A run of rows that may lie next to each other in memory: the positions of an image or, where each
// image is one row, the images.
struct Line {
  const View& x;
  bool of_images;

  explicit Line(const View& view) : x(view), of_images(positions(view) == 1) {}

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

// Rows whose channels are apart in memory, packed into contiguous float32: as many of a line at
// once as a tile holds. Two tiles take turns, so that the group at work stays while the next is
// made.
class Tiles {
 public:
  Tiles(const View& x, const Kernels& kernels, int64_t last_image, Worker& w)
      : line_(x),
        kernels_(kernels),
        end_(line_.of_images ? last_image : line_.rows()),
        tiles_(w.tiles),
        stride_(row_stride(x.channels)) {}

  // Whether a position lies beyond the tile at hand.
  bool ends(int64_t image, int64_t position) const {
    return line_.of_images ? image >= last_ : image != image_ || position >= last_;
  }

  // The packed row of a position; positions are asked for in order.
  const float* row(int64_t image, int64_t position) {
    const int64_t row = line_.of_images ? image : position;
    if (ends(image, position)) pack(image, row);
    return tiles_[turn_].data() + (row - first_) * stride_;
  }

 private:
  void pack(int64_t image, int64_t row) {
    const View& x = line_.x;
    turn_ ^= 1;
    image_ = image;
    first_ = row;
    last_ = std::min(row + Worker::tile_rows(x), end_);
    float* to = tiles_[turn_].data();
    for (int64_t p = first_, run; p < last_; p += run) {
      run = line_.neighbours(p, last_);
      kernels_.pack(line_.address(image, p), x.channel_stride, x.channels, x.dtype, run,
                    to + (p - first_) * stride_, stride_);
    }
  }

  Line line_;
  const Kernels& kernels_;
  int64_t end_;
  Floats* tiles_;
  int64_t stride_;
  int64_t image_ = -1, first_ = 0, last_ = 0;
  int turn_ = 0;
};

// Cuts [first, last) into groups; a group never crosses an image where images have many positions
// and per-image figures are wanted.
class Groups {
 public:
  Groups(const View& x, const Kernels& kernels, int64_t first, int64_t last, bool by_image,
         Worker& w)
      : x_(x),
        tiles_(x, kernels, last, w),
        image_(first),
        last_(last),
        at_(static_cast<const char*>(row_address(x, first, 0))),
        by_image_(by_image),
        packed_(x.channel_stride != 1) {}

  bool next(Rows& out) {
    out.size = 0;
    out.channels = x_.channels;
    out.dtype = packed_ ? DType::f32 : x_.dtype;
    while (out.size < kGroup && image_ < last_) {
      const int64_t position = row_ * x_.width + column_;
      // A group lies in one tile: the one before may be packed anew for the group after it.
      if (packed_ && out.size > 0 && tiles_.ends(image_, position)) break;
      out.image[out.size] = image_;
      out.position[out.size] = static_cast<int32_t>(position);
      out.rows[out.size++] = packed_ ? static_cast<const void*>(tiles_.row(image_, position)) : at_;
      if (step() && by_image_) break;
    }
    return out.size > 0;
  }

 private:
  // To the next position; true if it is the first of another image.
  bool step() {
    at_ += x_.column_stride * bytes_;
    if (++column_ < x_.width) return false;
    column_ = 0;
    at_ += (x_.row_stride - x_.width * x_.column_stride) * bytes_;
    if (++row_ < x_.height) return false;
    row_ = 0;
    at_ += (x_.image_stride - x_.height * x_.row_stride) * bytes_;
    ++image_;
    return true;
  }

  const View& x_;
  Tiles tiles_;
  int64_t image_;
  int64_t last_;
  int64_t row_ = 0;
  int64_t column_ = 0;
  const int64_t bytes_ = item_size(x_.dtype);
  const char* at_;
  bool by_image_;
  bool packed_;
};

struct RowSummary {
  double mean;         // over the channels
  double variance;     // of (x - mean) * scale
  double fourth;       // sum over the channels of ((x - mean) * scale)^4
  double kurtosis;     // Pearson's
  double square_norm;  // sum over the channels of x^2
};

// The images of one block: accumulates rows into images, images into the block.
class ImageSums {
 public:
  ImageSums(const Walk& walk, Worker& worker, BlockSums& sums)
      : walk_(walk),
        w_(worker),
        sums_(sums),
        width_(padded(walk.x.channels)),
        stride_(row_stride(walk.x.channels)),
        per_image_(positions(walk.x)),
        channels_(static_cast<double>(walk.x.channels)),
        each_(1 / channels_),
        unit_(1 / static_cast<double>(walk.scaling.row_scale)),
        weight_(1 / static_cast<double>(per_image_)) {}

  void take(const Rows& g) {
    for (int r = 0; r < g.size; r += kQuad) take_quad(g, r);
    if (per_image_ > 1 && g.position[g.size - 1] + 1 == per_image_) finish_image(g.image[0]);
  }

  // Float32 sums of shares into float64.
  void flush() {
    walk_.kernels.flush(w_.shares.data(),
                        per_image_ == 1 ? sums_.shares.data() : w_.image_shares.data(), width_);
  }

 private:
  void count_norm(double square_norm) {
    if (std::isfinite(square_norm)) ++sums_.norms[norm_bin(square_norm)];
  }

  // Whether float32 sums serve: nothing left their range, and the shift was the mean but for a
  // millionth of the spread.
  bool trustworthy(const RowPowers& p, double m, double variance) const {
    return std::isfinite(p.s8) && variance > 0x1p-24 && variance < 0x1p24 &&
           m * m <= 1e-12 * variance;
  }

  // From the powers of row r to its figures; whether they serve. Puts the true mean into the shift.
  bool summarize(Quad& quad, int r, RowSummary& row) const {
    const RowPowers& p = quad.powers[r];
    const double shift = static_cast<double>(quad.shift[r]);
    const double m = p.s1 * each_;
    row.mean = shift + m * unit_;
    row.variance = p.s2 * each_ - m * m;
    row.fourth = p.s4;
    row.kurtosis = channels_ * p.s4 / (p.s2 * p.s2);
    row.square_norm = (p.s2 * unit_ + 2 * shift * p.s1) * unit_ + channels_ * shift * shift;
    quad.shift[r] = static_cast<float>(row.mean);
    return trustworthy(p, m, row.variance);
  }

  // The same about the mean that the first time brought out.
  bool summarize_again(Quad& quad, int r, RowSummary& row) {
    if (!is_finite(quad.shift[r])) return false;
    Quad one;
    one.size = 1;
    one.rows[0] = quad.rows[r];
    one.shift[0] = quad.shift[r];
    powers(one, w_.fourths.data() + r * stride_);
    quad.powers[r] = one.powers[0];
    return summarize(one, 0, row);
  }

  void powers(Quad& quad, float* fourths) const {
    walk_.kernels.row_powers(quad, walk_.x.channels, dtype_, walk_.scaling.row_scale,
                             per_image_ == 1, fourths, stride_);
  }

  // Rows [from, from + kQuad) of the group, or what there is of them.
  void take_quad(const Rows& g, int from) {
    Quad quad;
    quad.size = std::min(kQuad, g.size - from);
    for (int r = 0; r < quad.size; ++r) {
      quad.rows[r] = g.rows[from + r];
      quad.shift[r] = w_.row_means[from + r];
    }
    dtype_ = g.dtype;
    powers(quad, w_.fourths.data());
    Fourths shares;
    shares.size = 0;
    for (int r = 0; r < quad.size; ++r) {
      RowSummary row;
      if (!summarize(quad, r, row) && !summarize_again(quad, r, row)) {
        take_exact(g, from + r);
        continue;
      }
      count_norm(row.square_norm);
      if (per_image_ > 1 && degenerate_) continue;
      const float* fourth = w_.fourths.data() + r * stride_;
      const double inverse = 1 / row.fourth;
      if (per_image_ == 1) {
        const int64_t image = g.image[from + r];
        walk_.images.kurtosis[image] = row.kurtosis;
        walk_.images.self_share[image] = quad.powers[r].s8 * inverse * inverse;
        walk_.images.leading[image] = static_cast<int32_t>(quad.powers[r].leading);
      } else {
        kurtosis_ += row.kurtosis;
      }
      shares.rows[shares.size] = fourth;
      shares.inverse[shares.size++] = static_cast<float>(inverse * weight_);
    }
    walk_.kernels.row_shares(shares, g.channels, w_.shares.data());
  }

  void take_exact(const Rows& g, int r) {
    ExactRow row;
    double* shares = w_.row_shares.data();
    const bool valid = exact_row(g.rows[r], g.channels, 1, g.dtype, shares, &row);
    count_norm(row.square_norm);
    if (per_image_ > 1) {
      degenerate_ = degenerate_ || !valid;
      if (degenerate_) return;
      kurtosis_ += row.kurtosis;
      for (int64_t c = 0; c < g.channels; ++c) w_.image_shares[c] += shares[c] * weight_;
    } else if (valid) {
      finish(g.image[r], shares, row.kurtosis);
    }
  }

  void finish_image(int64_t image) {
    flush();
    if (!degenerate_) {
      finish(image, w_.image_shares.data(), kurtosis_ * weight_);
    }
    std::fill_n(w_.image_shares.begin(), width_, 0.0);
    kurtosis_ = 0;
    degenerate_ = false;
  }

  void finish(int64_t image, const double* shares, double kurtosis) {
    double self = 0;
    int64_t leading = 0;
    for (int64_t c = 0; c < walk_.x.channels; ++c) {
      self += shares[c] * shares[c];
      sums_.shares[c] += shares[c];
      if (shares[c] > shares[leading]) leading = c;
    }
    walk_.images.kurtosis[image] = kurtosis;
    walk_.images.self_share[image] = self;
    walk_.images.leading[image] = static_cast<int32_t>(leading);
  }

  const Walk& walk_;
  Worker& w_;
  BlockSums& sums_;
  int64_t width_;
  int64_t stride_;
  int64_t per_image_;
  double channels_;
  double each_;               // 1 / channels
  double unit_;               // 1 / scale of the rows
  double weight_;             // of a position in its image
  DType dtype_ = DType::f32;  // of the rows at work
  double kurtosis_ = 0;
  bool degenerate_ = false;
};

void collect(const Rows& g, const Walk& walk, Worker& w, const Floats& extreme, Candidates& to) {
  int64_t first_id = INT64_MAX;
  for (int r = 0; r < g.size; ++r) first_id = std::min(first_id, walk.id(g.image[r]));
  to.begin_group(g.image[0], g.image[g.size - 1]);
  const Limits limits = to.limits(first_id);
  for (int64_t from = 0; from < g.channels;) {
    const int64_t n =
        walk.kernels.passing(g, g.dtype, extreme.data(), limits, &from, w.hits.data());
    for (int64_t i = 0; i < n; ++i) {
      const Hit& hit = w.hits[i];
      to.offer(hit.channel, hit.value, g.position[hit.row], walk.id(g.image[hit.row]));
    }
  }
}

}  // namespace

MomentArrays Walk::arrays(Worker& w, BlockSums& sums, int64_t c) const {
  return {scaling.scale.data() + c,
          scaling.bias.data() + c,
          w.power[0].data() + c,
          w.power[1].data() + c,
          w.power[2].data() + c,
          w.power[3].data() + c,
          sums.min.data() + c,
          sums.max.data() + c,
          w.group_min.data() + c,
          w.group_max.data() + c,
          state.options.samples ? w.row_means : nullptr};
}

void Walk::flush_moments(Worker& w, BlockSums& sums) const {
  for (int i = 0; i < 4; ++i) kernels.flush(w.power[i].data(), sums.power[i].data(), x.channels);
}

// Channels apart in memory, and nothing wanted of whole rows: a few channels at a time, so that
// what is packed never leaves the L1 cache.
void Walk::lines_by_channels(int64_t first, int64_t last, Worker& w, BlockSums& sums) const {
  constexpr int64_t kRows = 4 * kGroup;
  alignas(64) float tile[kRows * kLane];
  const Line line(x);
  int groups_added = 0;
  const auto take = [&](int64_t image, int64_t row, int64_t count) {
    const char* at = static_cast<const char*>(line.address(image, row));
    for (int64_t c = 0; c < x.channels; c += kLane) {
      const int64_t channels = std::min<int64_t>(kLane, x.channels - c);
      kernels.pack(at + c * x.channel_stride * item_size(x.dtype), x.channel_stride, channels,
                   x.dtype, count, tile, kLane);
      const MomentArrays to = arrays(w, sums, c);
      for (int64_t r = 0; r < count; r += kGroup) {
        Group g;
        g.size = static_cast<int>(std::min<int64_t>(kGroup, count - r));
        g.channels = channels;
        for (int k = 0; k < g.size; ++k) g.rows[k] = g.next[k] = tile + (r + k) * kLane;
        kernels.moments(g, DType::f32, to);
      }
    }
    groups_added += static_cast<int>((count + kGroup - 1) / kGroup);
    if (groups_added < kFlush) return;
    groups_added = 0;
    flush_moments(w, sums);
  };
  for (int64_t image = first; image < last; image = line.of_images ? last : image + 1) {
    const int64_t end = line.of_images ? last : line.rows();
    for (int64_t row = line.of_images ? first : 0, run; row < end; row += run) {
      run = line.neighbours(row, std::min(row + kRows, end));
      take(image, row, run);
    }
  }
  flush_moments(w, sums);
}

void Walk::block(int64_t first, int64_t last, Worker& w, BlockSums& sums) const {
  const bool samples = state.options.samples;
  if (x.channel_stride != 1 && !samples && !state.options.largest && !state.options.smallest) {
    return lines_by_channels(first, last, w, sums);
  }
  Groups groups(x, kernels, first, last, samples && positions(x) > 1, w);
  const MomentArrays to = arrays(w, sums, 0);
  ImageSums image_sums(*this, w, sums);
  const auto flush = [&] {
    flush_moments(w, sums);
    if (samples) image_sums.flush();
  };
  int groups_added = 0;
  Rows pair[2];
  bool more = groups.next(pair[0]);
  for (int turn = 0; more; turn ^= 1) {
    Rows &at = pair[turn], &ahead = pair[turn ^ 1];
    more = groups.next(ahead);
    for (int r = 0; r < at.size; ++r)
      at.next[r] = more && r < ahead.size ? ahead.rows[r] : at.rows[r];
    kernels.moments(at, at.dtype, to);
    if (state.options.largest) collect(at, *this, w, w.group_max, w.largest);
    if (state.options.smallest) collect(at, *this, w, w.group_min, w.smallest);
    if (samples) {
      kernels.exceed(at, at.dtype, w.group_min.data(), w.group_max.data(), kExceedance,
                     sums.exceed.data());
      image_sums.take(at);
    }
    if (++groups_added % kFlush == 0) flush();
  }
  flush();
}

}  // namespace tuiprobe::cpu
