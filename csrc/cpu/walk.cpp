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
  Groups(const View& x, const Kernels& kernels, int64_t first, int64_t last, bool by_image,
         float* tile)
      : x_(x),
        kernels_(kernels),
        image_(first),
        last_(last),
        at_(static_cast<const char*>(row_address(x, first, 0))),
        by_image_(by_image),
        tile_(tile) {}

  bool next(Rows& out) {
    out.size = 0;
    out.channels = x_.channels;
    while (out.size < kGroup && image_ < last_) {
      out.image[out.size] = image_;
      out.position[out.size] = static_cast<int32_t>(row_ * x_.width + column_);
      out.rows[out.size++] = at_;
      if (step() && by_image_) break;
    }
    out.dtype = x_.dtype;
    if (out.size > 0 && x_.channel_stride != 1) pack(out);
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

  // Turns a group whose channels are apart in memory into contiguous float32 rows.
  void pack(Rows& out) {
    const int64_t width = padded(x_.channels);
    float* tile = tile_ + (odd_ ? kGroup * width : 0);
    odd_ = !odd_;
    for (int r = 0; r < out.size;) {
      const int run = neighbours(out, r);
      kernels_.pack(out.rows[r], x_.channel_stride, x_.channels, x_.dtype, run, tile + r * width,
                    width);
      r += run;
    }
    for (int r = 0; r < out.size; ++r) out.rows[r] = tile + r * width;
    out.dtype = DType::f32;
  }

  // How many rows from r on lie next to each other in memory.
  int neighbours(const Rows& g, int r) const {
    int run = 1;
    const char* at = static_cast<const char*>(g.rows[r]);
    while (r + run < g.size && g.rows[r + run] == at + run * item_size(x_.dtype)) ++run;
    return run;
  }

  const View& x_;
  const Kernels& kernels_;
  int64_t image_;
  int64_t last_;
  int64_t row_ = 0;
  int64_t column_ = 0;
  const int64_t bytes_ = item_size(x_.dtype);
  const char* at_;
  bool by_image_;
  float* tile_;  // two tiles: the group at work and the one ahead
  bool odd_ = false;
};

// The images of one block: accumulates rows into images, images into the block.
class ImageSums {
 public:
  ImageSums(const Walk& walk, Worker& worker, BlockSums& sums)
      : walk_(walk),
        w_(worker),
        sums_(sums),
        per_image_(positions(walk.x)),
        channels_(static_cast<double>(walk.x.channels)),
        scale_(static_cast<double>(walk.scaling.row_scale)) {}

  void take(const Rows& g) {
    trusted_.size = 0;
    for (int r = 0; r < g.size; ++r) take_row(g, r);
    walk_.kernels.row_shares(trusted_, g.channels, g.dtype, walk_.scaling.row_scale,
                             w_.shares.data());
    if (per_image_ == 1) {
      for (int i = 0; i < trusted_.size; ++i) finish_row(g, i);
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

  // Float32 sums serve if nothing left their range, the shift was near the mean, and the mean as a
  // float32 is as good as the mean.
  bool trustworthy(const RowSums& s, const RowSummary& row) const {
    if (!std::isfinite(s.s1) || !(s.s4 < 1e30)) return false;
    if (!(row.variance > 0x1p-24 && row.variance < 0x1p24)) return false;
    const double m = s.s1 / channels_;
    const double rounding = (static_cast<double>(static_cast<float>(row.mean)) - row.mean) * scale_;
    return m * m <= 0.0625 * row.variance && rounding * rounding <= 1e-12 * row.variance;
  }

  // Sums about `shift` into `row`; whether they serve.
  bool summarize(const Rows& g, int r, float shift, RowSummary& row) const {
    RowSums s;
    walk_.kernels.row_sums(g.rows[r], g.next[r], g.channels, g.dtype, shift,
                           walk_.scaling.row_scale, &s);
    row = summarize_row({s.s1, s.s2, s.s3, s.s4}, channels_, static_cast<double>(shift), scale_);
    return trustworthy(s, row);
  }

  void take_row(const Rows& g, int r) {
    RowSummary row;
    // The mean of the row before is nearly always near enough.
    if (!summarize(g, r, shift_, row)) {
      const float mean = walk_.kernels.row_mean(g.rows[r], g.channels, g.dtype);
      if (!is_finite(mean) || !summarize(g, r, mean, row)) return take_exact(g, r);
    }
    shift_ = static_cast<float>(row.mean);
    count_norm(row.square_norm);
    if (per_image_ > 1 && degenerate_) return;
    const int i = trusted_.size++;
    trusted_.rows[i] = g.rows[r];
    trusted_.shift[i] = shift_;
    trusted_.inverse[i] = static_cast<float>(1 / (row.fourth * static_cast<double>(per_image_)));
    if (per_image_ == 1) {
      image_[i] = g.image[r];
      walk_.images.kurtosis[g.image[r]] = row.kurtosis;
    } else {
      kurtosis_ += row.kurtosis;
    }
  }

  // The only position of its image.
  void finish_row(const Rows& g, int i) {
    walk_.images.self_share[image_[i]] = trusted_.square_sum[i];
    walk_.images.leading[image_[i]] = static_cast<int32_t>(
        walk_.kernels.find_peak(trusted_.rows[i], g.channels, g.dtype, trusted_.shift[i],
                                walk_.scaling.row_scale, trusted_.peak[i]));
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
  double channels_;
  double scale_;
  float shift_ = 0;
  ShareRows trusted_;      // rows of the group whose float32 sums serve
  int64_t image_[kGroup];  // and their images
  double kurtosis_ = 0;
  bool degenerate_ = false;
};

template <class T>
void offer_rows(const Rows& g, const Walk& walk, int64_t n, const int32_t* channels,
                Candidates& to) {
  for (int64_t i = 0; i < n; ++i) {
    const int64_t c = channels[i];
    for (int r = 0; r < g.size; ++r) {
      const float value = to_float(static_cast<const T*>(g.rows[r])[c]);
      if (to.best.smallest ? value > to.limit[c] : value < to.limit[c]) continue;
      if (!is_finite(value)) continue;
      to.offer(c, {Candidates::key(value, to.best.smallest), g.position[r], walk.id(g.image[r])});
    }
  }
}

void collect(const Rows& g, const Walk& walk, Worker& w, Candidates& to) {
  int64_t first_id = INT64_MAX;
  for (int r = 0; r < g.size; ++r) first_id = std::min(first_id, walk.id(g.image[r]));
  const bool smallest = to.best.smallest;
  const Limits limits{to.limit.data(), to.tie.data(), Candidates::below(first_id), smallest};
  const int64_t n = walk.kernels.reaches(smallest ? w.group_min.data() : w.group_max.data(), limits,
                                         g.channels, w.found.data());
  if (g.dtype == DType::f32) return offer_rows<float>(g, walk, n, w.found.data(), to);
  if (g.dtype == DType::f16) return offer_rows<Half>(g, walk, n, w.found.data(), to);
  offer_rows<BFloat16>(g, walk, n, w.found.data(), to);
}

}  // namespace

void Walk::block(int64_t first, int64_t last, Worker& w, BlockSums& sums) const {
  const bool by_image = state.options.samples && positions(x) > 1;
  Groups groups(x, kernels, first, last, by_image, w.tile.data());
  const MomentArrays arrays{scaling.scale.data(), scaling.bias.data(), w.power[0].data(),
                            w.power[1].data(),    w.power[2].data(),   w.power[3].data(),
                            sums.min.data(),      sums.max.data(),     w.group_min.data(),
                            w.group_max.data()};
  const auto flush = [&] {
    for (int i = 0; i < 4; ++i) kernels.flush(w.power[i].data(), sums.power[i].data(), x.channels);
  };
  int groups_added = 0;
  ImageSums image_sums(*this, w, sums);
  Rows pair[2];
  bool more = groups.next(pair[0]);
  for (int turn = 0; more; turn ^= 1) {
    Rows &at = pair[turn], &ahead = pair[turn ^ 1];
    more = groups.next(ahead);
    for (int r = 0; r < at.size; ++r)
      at.next[r] = more && r < ahead.size ? ahead.rows[r] : at.rows[r];
    at.prefetch = !state.options.samples;
    kernels.moments(at, at.dtype, arrays);
    if (++groups_added % kFlush == 0) flush();
    if (state.options.largest) collect(at, *this, w, w.largest);
    if (state.options.smallest) collect(at, *this, w, w.smallest);
    if (state.options.samples) {
      kernels.exceed(at, at.dtype, w.group_min.data(), w.group_max.data(), kExceedance,
                     sums.exceed.data());
      image_sums.take(at);
    }
  }
  flush();
}

}  // namespace tuiprobe::cpu
