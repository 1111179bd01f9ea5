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

// Cuts [first, last) into groups; a group never crosses an image where images have many positions
// and per-image figures are wanted.
class Groups {
 public:
  Groups(const View& x, int64_t first, int64_t last, bool by_image, float* tile)
      : x_(x), image_(first), last_(last), by_image_(by_image), tile_(tile) {}

  bool next(Rows& out) {
    out.size = 0;
    out.channels = x_.channels;
    while (out.size < kGroup && image_ < last_) {
      out.image[out.size] = image_;
      out.position[out.size] = static_cast<int32_t>(position_);
      out.rows[out.size++] = row_address(x_, image_, position_);
      if (++position_ < positions(x_)) continue;
      position_ = 0;
      ++image_;
      if (by_image_) break;
    }
    out.dtype = x_.dtype;
    if (out.size > 0 && x_.channel_stride != 1) pack(out);
    return out.size > 0;
  }

 private:
  // Turns a group whose channels are apart in memory into contiguous float32 rows.
  void pack(Rows& out) {
    const int64_t width = padded(x_.channels);
    float* tile = tile_ + (odd_ ? kGroup * width : 0);
    odd_ = !odd_;
    for (int64_t c = 0; c < x_.channels; ++c) {
      for (int r = 0; r < out.size; ++r) {
        tile[r * width + c] = load(out.rows[r], c * x_.channel_stride, x_.dtype);
      }
    }
    for (int r = 0; r < out.size; ++r) out.rows[r] = tile + r * width;
    out.dtype = DType::f32;
  }

  const View& x_;
  int64_t image_;
  int64_t last_;
  int64_t position_ = 0;
  bool by_image_;
  float* tile_;  // two tiles: the group at work and the one ahead
  bool odd_ = false;
};

// The images of one block: accumulates rows into images, images into the block.
class ImageSums {
 public:
  ImageSums(const Walk& walk, Worker& worker, BlockSums& sums)
      : walk_(walk), w_(worker), sums_(sums), per_image_(positions(walk.x)) {
    std::fill(w_.shares.begin(), w_.shares.end(), 0.0f);
    std::fill(w_.image_shares.begin(), w_.image_shares.end(), 0.0);
  }

  void take(const Rows& g) {
    for (int r = 0; r < g.size; ++r) take_row(g, r);
    if (per_image_ == 1) {
      walk_.kernels.flush(w_.shares.data(), sums_.shares.data(), g.channels);
      return;
    }
    walk_.kernels.flush(w_.shares.data(), w_.image_shares.data(), g.channels);
    if (g.position[g.size - 1] + 1 == per_image_) finish_image(g.image[0]);
  }

 private:
  void count_norm(double square_norm) {
    if (std::isfinite(square_norm)) ++sums_.norms[norm_bin(square_norm)];
  }

  // Float32 sums about a rounded mean serve if the mean was good and nothing left the range.
  static bool trustworthy(const RowSums& s, int64_t channels) {
    if (!std::isfinite(s.s1) || !(s.s4 < 1e30)) return false;
    const double m = s.s1 / static_cast<double>(channels);
    const double v = s.s2 / static_cast<double>(channels) - m * m;
    return v > 0x1p-24 && v < 0x1p24 && m * m <= 1e-12 * v;
  }

  void take_row(const Rows& g, int r) {
    const float scale = walk_.scaling.row_scale;
    RowSums s;
    walk_.kernels.row_sums(g.rows[r], g.channels, g.dtype, scale, &s);
    if (!trustworthy(s, g.channels)) return take_exact(g, r);
    const RowSummary row = summarize_row({s.s1, s.s2, s.s3, s.s4}, g.channels,
                                         static_cast<double>(s.shift), static_cast<double>(scale));
    count_norm(row.square_norm);
    const float inverse = static_cast<float>(1 / (s.s4 * static_cast<double>(per_image_)));
    RowShare share;
    if (per_image_ > 1 && degenerate_) return;
    walk_.kernels.row_share(g.rows[r], g.channels, g.dtype, s.shift, scale, inverse,
                            w_.shares.data(), &share);
    if (per_image_ > 1) {
      kurtosis_ += row.kurtosis;
      return;
    }
    const int64_t image = g.image[r];
    walk_.images.kurtosis[image] = row.kurtosis;
    walk_.images.self_share[image] = share.square_sum;
    walk_.images.leading[image] = static_cast<int32_t>(
        walk_.kernels.find_peak(g.rows[r], g.channels, g.dtype, s.shift, scale, share.peak));
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
      const double weight = 1 / static_cast<double>(per_image_);
      for (int64_t c = 0; c < g.channels; ++c) w_.image_shares[c] += shares[c] * weight;
    } else if (valid) {
      finish(g.image[r], shares, row.kurtosis);
    }
  }

  void finish_image(int64_t image) {
    if (!degenerate_) {
      finish(image, w_.image_shares.data(), kurtosis_ / static_cast<double>(per_image_));
    }
    std::fill(w_.image_shares.begin(), w_.image_shares.end(), 0.0);
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
  int64_t per_image_;
  double kurtosis_ = 0;
  bool degenerate_ = false;
};

void offer_rows(const Rows& g, const Walk& walk, int64_t n, const int32_t* channels,
                Candidates& to) {
  for (int64_t i = 0; i < n; ++i) {
    const int64_t c = channels[i];
    for (int r = 0; r < g.size; ++r) {
      const float value = load(g.rows[r], c, g.dtype);
      if (!is_finite(value)) continue;
      if (to.best.smallest ? value > to.limit[c] : value < to.limit[c]) continue;
      const int64_t id = walk.ids ? walk.ids[g.image[r]] : walk.state.images + g.image[r];
      to.offer(c, {Candidates::key(value, to.best.smallest), g.position[r], id});
    }
  }
}

}  // namespace

void Walk::block(int64_t first, int64_t last, Worker& w, BlockSums& sums) const {
  const bool by_image = state.options.samples && positions(x) > 1;
  Groups groups(x, first, last, by_image, w.tile.data());
  const MomentArrays arrays{scaling.scale.data(), scaling.bias.data(),  sums.power[0].data(),
                            sums.power[1].data(), sums.power[2].data(), sums.power[3].data(),
                            sums.min.data(),      sums.max.data(),      w.group_min.data(),
                            w.group_max.data()};
  // Only built where wanted: it clears its part of the worker.
  ImageSums image_sums(*this, w, sums);
  Rows at, ahead;
  bool more = groups.next(at);
  while (more) {
    more = groups.next(ahead);
    for (int r = 0; r < at.size; ++r)
      at.next[r] = more && r < ahead.size ? ahead.rows[r] : at.rows[r];
    kernels.moments(at, at.dtype, arrays);
    if (state.options.largest) {
      const int64_t n =
          kernels.reaches(w.group_max.data(), w.largest.limit.data(), x.channels, w.found.data());
      offer_rows(at, *this, n, w.found.data(), w.largest);
    }
    if (state.options.smallest) {
      const int64_t n =
          kernels.reaches(w.smallest.limit.data(), w.group_min.data(), x.channels, w.found.data());
      offer_rows(at, *this, n, w.found.data(), w.smallest);
    }
    if (state.options.samples) {
      kernels.exceed(at, at.dtype, w.group_min.data(), w.group_max.data(), kExceedance,
                     sums.exceed.data());
      image_sums.take(at);
    }
    at = ahead;
  }
}

}  // namespace tuiprobe::cpu
