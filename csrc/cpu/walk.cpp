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
        inverse_(1 / static_cast<double>(walk.x.channels)),
        scale_(static_cast<double>(walk.scaling.row_scale)),
        unit_(1 / scale_) {}

  void take(const Rows& g) {
    for (int r = 0; r < g.size; r += kQuad) take_quad(g, r);
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

  // Float32 sums serve if nothing left their range (eighth powers included), the shift was near the
  // mean, and the mean as a float32 is as good as the mean.
  bool trustworthy(const RowSums& s, const RowSummary& row) const {
    if (!std::isfinite(s.s1) || !(s.s4 < 1e18)) return false;
    if (!(row.variance > 0x1p-24 && row.variance < 0x1p24)) return false;
    const double m = s.s1 * inverse_;
    const double rounding = (static_cast<double>(static_cast<float>(row.mean)) - row.mean) * scale_;
    return m * m <= 0.0625 * row.variance && rounding * rounding <= 1e-12 * row.variance;
  }

  // From sums about `shift` to `row`; whether they serve.
  bool summarize(const RowSums& s, float shift, RowSummary& row) const {
    row = summarize_row({s.s1, s.s2, s.s3, s.s4}, inverse_, static_cast<double>(shift), unit_);
    return trustworthy(s, row);
  }

  // The same with sums about the row's own mean.
  bool summarize_again(const Rows& g, int r, RowSummary& row) const {
    const float mean = walk_.kernels.row_mean(g.rows[r], g.channels, g.dtype);
    if (!is_finite(mean)) return false;
    Quad one;
    one.size = 1;
    one.rows[0] = one.next[0] = g.rows[r];
    walk_.kernels.row_sums(one, g.channels, g.dtype, mean, walk_.scaling.row_scale);
    return summarize(one.sums[0], mean, row);
  }

  // Rows [from, from + kQuad) of the group, or what there is of them.
  void take_quad(const Rows& g, int from) {
    const float scale = walk_.scaling.row_scale;
    Quad quad;
    quad.size = std::min(kQuad, g.size - from);
    for (int r = 0; r < quad.size; ++r) {
      quad.rows[r] = g.rows[from + r];
      quad.next[r] = g.next[from + r];
    }
    walk_.kernels.row_sums(quad, g.channels, g.dtype, shift_, scale);
    const float shift = shift_;  // the mean of an earlier row is nearly always near enough
    int trusted = 0;
    for (int r = 0; r < quad.size; ++r) {
      RowSummary row;
      if (!summarize(quad.sums[r], shift, row) && !summarize_again(g, from + r, row)) {
        take_exact(g, from + r);
        continue;
      }
      shift_ = static_cast<float>(row.mean);
      count_norm(row.square_norm);
      if (per_image_ > 1) {
        if (degenerate_) continue;
        kurtosis_ += row.kurtosis;
      } else {
        walk_.images.kurtosis[g.image[from + r]] = row.kurtosis;
      }
      image_[trusted] = g.image[from + r];
      fourth_[trusted] = row.fourth;
      quad.rows[trusted] = quad.rows[r];
      quad.next[trusted] = quad.next[r];
      quad.shift[trusted] = shift_;
      quad.inverse[trusted++] =
          static_cast<float>(1 / (row.fourth * static_cast<double>(per_image_)));
    }
    quad.size = trusted;
    walk_.kernels.row_shares(quad, g.channels, g.dtype, scale, per_image_ == 1, w_.shares.data());
    if (per_image_ > 1) return;
    for (int i = 0; i < trusted; ++i) {
      walk_.images.self_share[image_[i]] = quad.square_sum[i] / (fourth_[i] * fourth_[i]);
      walk_.images.leading[image_[i]] = static_cast<int32_t>(walk_.kernels.find_peak(
          quad.rows[i], g.channels, g.dtype, quad.shift[i], scale, quad.peak[i]));
    }
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
  double inverse_;  // 1 / channels
  double scale_;
  double unit_;  // 1 / scale
  float shift_ = 0;
  int64_t image_[kQuad];  // of the quad's rows whose float32 sums serve
  double fourth_[kQuad];  // and their sums of fourth powers
  double kurtosis_ = 0;
  bool degenerate_ = false;
};

// Feeds the largest or the smallest values to the candidates of one end.
class Collector {
 public:
  Collector(const Walk& walk, Worker& worker, Candidates& to)
      : walk_(walk), w_(worker), to_(to), extreme_(extremes(worker.group_min, worker.group_max)) {}

  // A group of images of one position each.
  void take_rows(const Rows& g) {
    float ids[kGroup];
    for (int r = 0; r < g.size; ++r) ids[r] = Candidates::below(walk_.id(g.image[r]));
    filter(g, g.dtype, extreme_, ids, [&](const Hit& hit) {
      if (is_finite(hit.value)) to_.offer(hit.channel, hit.value, 0, walk_.id(g.image[hit.row]));
    });
  }

  // An image whose extremes are complete.
  void take_image(int64_t image) {
    const float* const extreme = extremes(w_.image_min, w_.image_max);
    const int64_t id = walk_.id(image);
    const float below = Candidates::below(id);
    Group one;
    one.rows[0] = extreme;
    one.size = 1;
    one.channels = walk_.x.channels;
    filter(one, DType::f32, extreme, &below, [&](const Hit& hit) {
      float value = hit.value;
      const int64_t position = find(image, hit.channel, value);
      if (position >= 0) {
        to_.offer(hit.channel, value, static_cast<int32_t>(position), id);
      }
    });
  }

 private:
  const float* extremes(const std::vector<float>& low, const std::vector<float>& high) const {
    return to_.smallest ? low.data() : high.data();
  }

  template <class Take>
  void filter(const Group& g, DType dtype, const float* extreme, const float* ids, Take&& take) {
    const Limits limits{to_.limit.data(), to_.tie.data(), to_.smallest};
    for (int64_t first = 0; first < g.channels; first += kFilterWidth) {
      const int64_t count = std::min(kFilterWidth, g.channels - first);
      const int64_t n =
          walk_.kernels.filter(g, dtype, extreme, limits, ids, first, count, w_.hits.data());
      for (int64_t i = 0; i < n; ++i) take(w_.hits[i]);
    }
  }

  // First position that holds the best finite value of a channel, which is nearly always `value`;
  // -1 where there is none.
  int64_t find(int64_t image, int64_t c, float& value) const {
    const View& x = walk_.x;
    const bool finite = is_finite(value);
    int64_t best = -1;
    for (int64_t p = 0; p < positions(x); ++p) {
      const float here = load(row_address(x, image, p), c * x.channel_stride, x.dtype);
      if (finite ? here != value : !is_finite(here)) continue;
      if (finite) return p;
      if (best >= 0 && !(to_.smallest ? here < value : here > value)) continue;
      best = p;
      value = here;
    }
    return best;
  }

  const Walk& walk_;
  Worker& w_;
  Candidates& to_;
  const float* extreme_;
};

}  // namespace

void Walk::block(int64_t first, int64_t last, Worker& w, BlockSums& sums) const {
  const bool top = state.options.largest || state.options.smallest;
  const bool maps = positions(x) > 1;
  Groups groups(x, kernels, first, last, maps && (top || state.options.samples), w.tile.data());
  const MomentArrays arrays{scaling.scale.data(), scaling.bias.data(), w.power[0].data(),
                            w.power[1].data(),    w.power[2].data(),   w.power[3].data(),
                            sums.min.data(),      sums.max.data(),     w.group_min.data(),
                            w.group_max.data()};
  const auto flush = [&] {
    for (int i = 0; i < 4; ++i) kernels.flush(w.power[i].data(), sums.power[i].data(), x.channels);
  };
  int groups_added = 0;
  ImageSums image_sums(*this, w, sums);
  Collector largest(*this, w, w.largest), smallest(*this, w, w.smallest);
  const auto collect_image = [&](const Rows& g) {
    const bool starts = g.position[0] == 0;
    kernels.extremes(w.group_min.data(), w.group_max.data(), x.channels, starts, w.image_min.data(),
                     w.image_max.data());
    if (g.position[g.size - 1] + 1 < positions(x)) return;
    if (state.options.largest) largest.take_image(g.image[0]);
    if (state.options.smallest) smallest.take_image(g.image[0]);
  };
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
    if (maps && top) {
      collect_image(at);
    } else {
      if (state.options.largest) largest.take_rows(at);
      if (state.options.smallest) smallest.take_rows(at);
    }
    if (state.options.samples) {
      kernels.exceed(at, at.dtype, w.group_min.data(), w.group_max.data(), kExceedance,
                     sums.exceed.data());
      image_sums.take(at);
    }
  }
  flush();
}

}  // namespace tuiprobe::cpu
