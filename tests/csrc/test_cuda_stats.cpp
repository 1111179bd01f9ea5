// The CUDA kernels of top-k lists and per-image figures on the host, against straightforward
// computations. An argument sows a bug, which must not go unnoticed: a number leaves out that
// barrier; the others are named in `sow`.
#include <algorithm>
#include <map>
#include <string>

#include "../../csrc/cuda/stats_kernels.hpp"
#include "../../csrc/cuda/topk_kernels.hpp"
#include "check.hpp"
#include "encode.hpp"
#include "host_context.hpp"

using namespace tuiprobe;
using namespace tuiprobe::cuda;

namespace {

Seed seed;
bool ignore_overflow = false, trust_floors = false;

void sow(const std::string& bug) {
  if (bug == "wait") {
    seed.wait = true;
  } else if (bug == "exchange") {
    seed.exchange = true;
  } else if (bug == "atomic") {
    seed.atomic = true;
  } else if (bug == "overflow") {
    ignore_overflow = true;
  } else if (bug == "floor") {
    trust_floors = true;
  } else {
    seed.barrier = std::atoi(bug.c_str());
  }
}

// How an update may be bent to reach its rarer paths.
struct Bend {
  int64_t room = 0;  // candidates; 0: as planned
  int samples = 0;   // with `depth`, a floor where none would be guessed
  int depth = 0;
  int group = 0;  // rows
  bool in_place = false;
  bool sums_in_shared = true;
  float offset = 0;  // added to every value, then all is multiplied by
  float scale = 1;
};

// State in plain memory, and all that was put in.
class Run {
 public:
  Run(const Wanted& wanted, int64_t room_for)
      : wanted_(wanted),
        records_(static_cast<size_t>(room_for)),
        memory_(static_cast<size_t>(place(wanted, nullptr, &state_) / 16)) {
    std::memset(memory_.data(), 0, memory_.size() * 16);
    place(wanted, memory_.data(), &state_);
    *state_.progress = {100, 0, 0, records_.data(), room_for};
    for (int64_t c = 0; wanted.moments && c < wanted.channels; ++c) state_.moments[c] = Moments();
  }

  const State& state() const { return state_; }
  const std::vector<ImageRecord>& records() const { return records_; }

  template <class T>
  void update(const View& x, const int64_t* ids, const Bend& bend) {
    Job job{};
    job.x = x;
    job.ids = ids;
    job.state = state_;
    job.plan = make_plan(x);
    bend_plan(bend, job);
    std::vector<Unit> scratch(static_cast<size_t>(place_scratch(job, nullptr, &job.scratch) / 16));
    std::memset(scratch.data(), 0xcd, scratch.size() * 16);
    place_scratch(job, scratch.data(), &job.scratch);
    const bool top = wanted_.largest > 0 || wanted_.smallest > 0;
    if (top) {
      run_grid(x.channels, 2, limits_shared_bytes(job), seed,
               [&](HostContext& ctx) { limits_kernel(ctx, job); });
    }
    run_grid(job.plan.chunks, 1, job.plan.shared_bytes, seed, [&](HostContext& ctx) {
      if (job.plan.staged) {
        stats_kernel<T, true>(ctx, job);
      } else {
        stats_kernel<T, false>(ctx, job);
      }
    });
    if (top) {
      sow_into(job);
      run_grid(x.channels, 2, select_shared_bytes(job), seed,
               [&](HostContext& ctx) { select_kernel(ctx, job); });
    }
    run_grid((x.channels + kDepth - 1) / kDepth, 1, kMomentsSharedBytes, seed,
             [&](HostContext& ctx) { finish_kernel(ctx, job, job.plan.chunks); });
  }

 private:
  struct alignas(16) Unit {
    char bytes[16];
  };

  void bend_plan(const Bend& bend, Job& job) const {
    for (int end = 0; end < 2; ++end) {
      job.top[end] = make_top_plan(job.x, state_.top[end].k);
      if (bend.room > 0) job.top[end].room = bend.room;
      if (bend.depth > 0) {
        job.top[end].samples = bend.samples;
        job.top[end].depth = bend.depth;
      }
    }
    Plan& plan = job.plan;
    if (bend.group > 0) plan.group = bend.group;
    if (bend.in_place) plan.staged = false;
    plan.in_shared = bend.sums_in_shared;
    Carver carver(nullptr);
    place_block(carver, plan, job.x.channels);
    plan.shared_bytes = static_cast<int>(carver.used());
  }

  static void sow_into(Job& job) {
    for (int end = 0; end < 2; ++end) {
      for (int64_t c = 0; job.state.top[end].k > 0 && c < job.x.channels; ++c) {
        int& count = job.scratch.top[end].counts[c];
        const int room = static_cast<int>(job.top[end].room);
        if (ignore_overflow && count > room) count = room;
        if (trust_floors) job.scratch.top[end].limits[c].id = 0;
      }
    }
  }

  Wanted wanted_;
  std::vector<ImageRecord> records_;
  State state_;
  std::vector<Unit> memory_;
};

// What was seen, and what follows from it by definition.
class Oracle {
 public:
  explicit Oracle(int64_t channels)
      : moments_(static_cast<size_t>(channels)),
        shares_(static_cast<size_t>(channels)),
        exceed_(static_cast<size_t>(channels)),
        norms_(kNormBins) {
    for (auto& end : best_) end.resize(static_cast<size_t>(channels));
  }

  void add(const View& x, const int64_t* ids, int64_t first_id) {
    for (int64_t i = 0; i < x.images; ++i) {
      add_image(x, i, ids != nullptr ? ids[i] : first_id + i);
    }
    rows_ += x.images * positions(x);
  }

  void check(const Run& run) const {
    const State& s = run.state();
    CHECK(s.progress->images == static_cast<int64_t>(images_.size()));
    CHECK(s.progress->rows == rows_);
    for (int end = 0; end < 2; ++end) check_top(s.top[end], best_[end]);
    for (size_t c = 0; s.moments != nullptr && c < moments_.size(); ++c) {
      const Moments &a = s.moments[c], &b = moments_[c];
      CHECK(a.count == b.count && a.nonfinite == b.nonfinite);
      CHECK(near(a.mean, b.mean, 1e-9) && near(a.m2, b.m2, 1e-9 * b.m2));
      CHECK(near(a.m3, b.m3, 1e-9 * b.m4) && near(a.m4, b.m4, 1e-9 * b.m4));
      CHECK(a.min == b.min && a.max == b.max);
    }
    if (s.share_sum == nullptr) return;
    for (size_t c = 0; c < shares_.size(); ++c) {
      CHECK(near(s.share_sum[c], shares_[c], 2e-5 * shares_[c]));
      CHECK(s.exceed[c] == exceed_[c]);
    }
    for (size_t b = 0; b < norms_.size(); ++b) CHECK(s.norms[b] == norms_[b]);
    const auto there = std::min(images_.size(), static_cast<size_t>(s.progress->capacity));
    for (size_t i = 0; i < there; ++i) {
      const ImageRecord &a = run.records()[i], &b = images_[i];
      CHECK(a.id == b.id && a.leading == b.leading);
      CHECK(near(a.kurtosis, b.kurtosis, 1e-5 * b.kurtosis));
      CHECK(near(a.self_share, b.self_share, 2e-5 * b.self_share));
    }
  }

 private:
  using Best = std::map<int64_t, Entry>;  // of each image

  void add_image(const View& x, int64_t image, int64_t id) {
    const size_t channels = static_cast<size_t>(x.channels);
    const double per_image = static_cast<double>(positions(x));
    std::vector<double> shares(channels);
    double kurtosis = 0;
    bool valid = true;
    for (int64_t p = 0; p < positions(x); ++p) {
      std::vector<double> row(channels);
      double sum = 0, square = 0, m2 = 0, m4 = 0;
      for (size_t c = 0; c < channels; ++c) {
        const int64_t k = static_cast<int64_t>(c);
        const float value = load(row_address(x, image, p), k * x.channel_stride, x.dtype);
        add_value(c, value, id, static_cast<int32_t>(p));
        row[c] = static_cast<double>(value);
        sum += row[c];
        square += row[c] * row[c];
      }
      const auto [low, high] = std::minmax_element(row.begin(), row.end());
      if (!std::isfinite(square)) {
        valid = false;
        continue;
      }
      ++norms_[static_cast<size_t>(norm_bin(square))];
      valid = valid && *low < *high;
      for (double& d : row) {
        d -= sum / static_cast<double>(channels);
        m2 += d * d;
        m4 += d * d * d * d;
      }
      kurtosis += static_cast<double>(channels) * m4 / (m2 * m2) / per_image;
      for (size_t c = 0; c < channels; ++c) {
        shares[c] += row[c] * row[c] * row[c] * row[c] / m4 / per_image;
      }
    }
    if (!valid) return images_.push_back({id, NAN, NAN, -1});
    double self = 0;
    size_t leading = 0;
    for (size_t c = 0; c < channels; ++c) {
      self += shares[c] * shares[c];
      shares_[c] += shares[c];
      if (shares[c] > shares[leading] * (1 + 1e-6)) leading = c;
    }
    images_.push_back({id, kurtosis, self, static_cast<int64_t>(leading)});
  }

  void add_value(size_t c, float value, int64_t id, int32_t position) {
    moments_[c] = merge(moments_[c], lift(static_cast<double>(value)));
    exceed_[c] += std::isfinite(value) && std::fabs(value) >= 6;
    if (!std::isfinite(value)) return;
    for (int end = 0; end < 2; ++end) {
      const Entry e{(end ? -value : value) + 0.0f, position, id};
      const auto [at, fresh] = best_[end][c].emplace(id, e);
      if (!fresh && better(e, at->second)) at->second = e;
    }
  }

  static void check_top(const TopState& top, const std::vector<Best>& best) {
    for (size_t c = 0; top.k > 0 && c < best.size(); ++c) {
      std::vector<Entry> wanted;
      for (const auto& [id, e] : best[c]) wanted.push_back(e);
      std::sort(wanted.begin(), wanted.end(), better);
      if (wanted.size() > static_cast<size_t>(top.k)) wanted.resize(static_cast<size_t>(top.k));
      CHECK(static_cast<size_t>(top.sizes[c]) == wanted.size());
      const Entry* got = top.list(static_cast<int64_t>(c));
      for (size_t i = 0; i < wanted.size() && top.sizes[c] == static_cast<int>(wanted.size());
           ++i) {
        CHECK(got[i].key == wanted[i].key);
        CHECK(std::signbit(got[i].key) == std::signbit(wanted[i].key));
        CHECK(got[i].id == wanted[i].id && got[i].position == wanted[i].position);
      }
    }
  }

  std::vector<Moments> moments_;
  std::vector<double> shares_;
  std::vector<int64_t> exceed_, norms_;
  std::vector<ImageRecord> images_;
  std::vector<Best> best_[2];
  int64_t rows_ = 0;
};

struct Shape {
  int64_t images, height, width, channels;
};

enum class Layout { last, last_unaligned, second };

// Two updates, the second from a warm state, with running numbers or ids that repeat.
template <class T>
void check(const Shape& shape, const Wanted& wanted, Layout layout, bool repeated_ids,
           const Bend& bend = {}, unsigned rarity = 100, int64_t room_for = 1 << 10) {
  if (failures() > 0) return;  // a sown bug is found
  Run run(wanted, room_for);
  Oracle oracle(wanted.channels);
  const auto [n, h, w, c] = shape;
  for (unsigned round = 0; round < 2; ++round) {
    std::vector<T> data = values<T>(n * h * w * c, round + 7, rarity);
    if (bend.offset != 0 || bend.scale != 1) {
      for (T& x : data) x = encode<T>((to_float(x) + bend.offset) * bend.scale);
    }
    if (n > 3) std::fill_n(data.begin() + 2 * h * w * c, c, encode<T>(2.5f));  // no variance
    View x{data.data(), kType<T>, n, h, w, c, h * w * c, w * c, c, 1};
    if (layout == Layout::second) {
      data = channels_second(data, n, h * w, c);
      x = {data.data(), kType<T>, n, h, w, c, c * h * w, w, 1, h * w};
    } else if (layout == Layout::last_unaligned) {
      data.insert(data.begin(), T{});
      x.data = data.data() + 1;
    }
    std::vector<int64_t> ids;
    for (int64_t i = 0; repeated_ids && i < n; ++i) ids.push_back((i * 7 + round) % (n / 2 + 1));
    const int64_t* given = repeated_ids ? ids.data() : nullptr;
    oracle.add(x, given, 100 + static_cast<int64_t>(round) * n);
    run.update<T>(x, given, bend);
  }
  oracle.check(run);
}

Wanted everything(int64_t channels, int k) { return {channels, true, k, k, true}; }

void shapes_layouts_and_types() {
  check<float>({1, 1, 1, 1}, everything(1, 1), Layout::last, false);
  check<float>({67, 1, 1, 4}, everything(4, 3), Layout::last, false);
  check<float>({3, 3, 5, 6}, everything(6, 2), Layout::second, false);
  check<Half>({9, 1, 5, 8}, everything(8, 4), Layout::last, true, {.group = 4});
  check<Half>({5, 2, 3, 3}, everything(3, 2), Layout::second, true, {.sums_in_shared = false});
  check<BFloat16>({40, 1, 1, 5}, everything(5, 5), Layout::last_unaligned, true);
  check<BFloat16>({3, 1, 40, 4}, everything(4, 2), Layout::last, false, {.in_place = true});
}

void more_channels_than_threads() {
  check<float>({2, 1, 1, 300}, {300, false, 0, 0, true}, Layout::last, false);
}

void rows_at_extreme_scales_and_means() {
  for (const float scale : {1e-42f, 1e-30f, 1e37f}) {
    check<float>({12, 1, 2, 8}, {8, false, 0, 0, true}, Layout::last, false, {.scale = scale},
                 1000);
  }
  check<float>({12, 1, 1, 8}, {8, false, 0, 0, true}, Layout::last, false,
               {.offset = 40000, .scale = 1e-12f}, 1000);
}

void single_statistics() {
  check<float>({20, 1, 3, 5}, {5, false, 0, 0, true}, Layout::last, false, {}, 1000);
  check<float>({30, 1, 1, 4}, {4, false, 6, 0, false}, Layout::last, true);
  check<float>({30, 1, 2, 4}, {4, false, 0, 6, false}, Layout::last_unaligned, true);
}

void no_room_for_all_candidates() {
  check<float>({300, 1, 1, 2}, {2, false, 4, 3, false}, Layout::last, true, {.room = 8});
  check<float>({9, 1, 70, 2}, {2, false, 3, 3, false}, Layout::last, false, {.room = 2});
}

void guessed_floors() {
  // Deep enough a sample: the floor serves. Far too shallow: it is found wanting.
  check<float>({300, 1, 1, 2}, {2, false, 4, 0, false}, Layout::last, false,
               {.room = 290, .samples = 32, .depth = 8});
  check<float>({80, 1, 2, 2}, {2, false, 30, 30, false}, Layout::last, true,
               {.samples = 64, .depth = 1});
}

void plans() {
  View x{nullptr, DType::f32, 2048, 1, 1, 768, 768, 768, 768, 1};
  CHECK(make_top_plan(x, 32).room == 2048 && make_top_plan(x, 32).depth == 0);
  x.images = 50432;
  const TopPlan plan = make_top_plan(x, 32);
  CHECK(plan.room == 2048 && plan.samples == kMaxSamples && plan.depth == 5);
  CHECK(make_top_plan(x, kMaxK).depth > 21);
  x.width = 1000;  // too many positions to sample
  CHECK(make_top_plan(x, 32).depth == 0);
  CHECK(make_plan(x).images_per_chunk * make_plan(x).chunks >= x.images);
  CHECK(make_plan(x).staged && make_plan(x).in_shared && make_plan(x).group == 8);
  x.channels = 30000;
  CHECK(!make_plan(x).staged && !make_plan(x).in_shared);
}

void images_beyond_the_room_for_records() {
  check<float>({20, 1, 1, 8}, {8, false, 0, 0, true}, Layout::last, false, {}, 100, 30);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) sow(argv[1]);
  plans();
  no_room_for_all_candidates();
  guessed_floors();
  shapes_layouts_and_types();
  more_channels_than_threads();
  single_statistics();
  rows_at_extreme_scales_and_means();
  images_beyond_the_room_for_records();
  return report();
}
