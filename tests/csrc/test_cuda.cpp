// The CUDA kernels on host threads, against straightforward computations. An argument sows a bug,
// which must not go unnoticed: bN and wN leave out that barrier of the block or the warp; the
// others are named in `sow`.
#include <algorithm>
#include <map>
#include <string>

#include "check.hpp"
#include "encode.hpp"
#include "host_update.hpp"

using namespace tuiprobe;
using namespace tuiprobe::cuda;

namespace {

Seed seed;

void sow(const std::string& bug) {
  if (bug == "exchange") {
    seed.exchange = true;
  } else if (bug == "atomic") {
    seed.atomic = true;
  } else {
    (bug[0] == 'b' ? seed.barrier : seed.warp_barrier) = std::atoi(bug.c_str() + 1);
  }
}

// State in plain memory, and all that was put in.
class Run {
 public:
  Run(const Options& wanted, int64_t room_for)
      : wanted_(wanted),
        records_(static_cast<size_t>(room_for)),
        memory_(static_cast<size_t>(place(wanted, nullptr, &state_) / 16)) {
    std::memset(static_cast<void*>(memory_.data()), 0, memory_.size() * 16);
    place(wanted, memory_.data(), &state_);
    *state_.progress = {100, 0, 0, records_.data(), room_for};
    for (int64_t c = 0; wanted.moments && c < wanted.channels; ++c) state_.moments[c] = Moments();
  }

  const State& state() const { return state_; }
  const std::vector<ImageRecord>& records() const { return records_; }
  const std::vector<Unit16>& memory() const { return memory_; }

  void update(const View& x, const int64_t* ids) {
    update_on_host(wanted_, x, ids, memory_.data(), seed);
  }

 private:
  Options wanted_;
  std::vector<ImageRecord> records_;
  State state_;
  std::vector<Unit16> memory_;
};

// What was seen, and what follows from it by definition.
class Oracle {
 public:
  explicit Oracle(int64_t channels)
      : moments_(static_cast<size_t>(channels)),
        shares_(static_cast<size_t>(channels)),
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
    CHECK(s.progress->images == 100 + static_cast<int64_t>(images_.size()));
    CHECK(s.progress->recorded == static_cast<int64_t>(images_.size()));
    for (int end = 0; end < 2; ++end) check_top(s.top[end], best_[end]);
    for (size_t c = 0; s.moments != nullptr && c < moments_.size(); ++c) {
      const Moments &a = s.moments[c], &b = moments_[c];
      CHECK(a.count == b.count && a.nonfinite == b.nonfinite);
      const double n = static_cast<double>(b.count), sigma = sqrt(b.m2 / n);
      CHECK(near(a.mean, b.mean, 2e-6 * sigma));
      CHECK(near(a.m2, b.m2, 2e-6 * b.m2) && near(a.m4, b.m4, 1.3e-5 * b.m4));
      CHECK(near(a.m3, b.m3, 9.8e-6 * sqrt(b.m2 * b.m4)));  // at least the sum of |d|^3
      CHECK(a.min == b.min && a.max == b.max);
    }
    const SampleSums& sums = s.samples;
    if (sums.rows == nullptr) return;
    CHECK(*sums.rows == rows_);
    for (size_t c = 0; c < shares_.size(); ++c) {
      CHECK(near(sums.share_sum[c], shares_[c], 2e-5 * shares_[c]));
    }
    for (size_t b = 0; b < norms_.size(); ++b) CHECK(sums.norm_histogram[b] == norms_[b]);
    int64_t degenerate = 0;
    double self = 0;
    std::vector<int64_t> leading(shares_.size());
    for (const ImageRecord& image : images_) {
      if (image.leading < 0) {
        ++degenerate;
      } else {
        ++leading[static_cast<size_t>(image.leading)];
        self += image.self_share;
      }
    }
    CHECK(*sums.degenerate == degenerate);
    CHECK(near(*sums.share_square_sum, self, 2e-5 * self));
    for (size_t c = 0; c < leading.size(); ++c) CHECK(sums.leading_count[c] == leading[c]);
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
      const Entry* got = top.lists + static_cast<int64_t>(c) * top.k;
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
  std::vector<int64_t> norms_;
  std::vector<ImageRecord> images_;
  std::vector<Best> best_[2];
  int64_t rows_ = 0;
};

struct Shape {
  int64_t images, positions, channels;
};

enum class Layout { dense, apart };

// How the values are made.
struct Values {
  float offset = 0;  // added to every value, then all is multiplied by
  float scale = 1;
  unsigned rarity = 100;  // one in so many is infinite or not a number
  float jump = 0;         // added to the second batch
  bool repeated_ids = false;
  int64_t room_for = 1 << 12;
};

// Two updates, the second from a warm state, with running numbers or ids that repeat.
template <class T>
void check(const Shape& shape, const Options& wanted, Layout layout, const Values& made = {}) {
  if (failures() > 0) return;  // a sown bug is found
  Run run(wanted, made.room_for);
  Oracle oracle(wanted.channels);
  const auto [n, w, c] = shape;
  for (unsigned round = 0; round < 2; ++round) {
    std::vector<T> data = values<T>(n * w * c, round + 7, made.rarity);
    const float offset = made.offset + made.jump * static_cast<float>(round);
    if (offset != 0 || made.scale != 1) {
      for (T& x : data) x = encode<T>((to_float(x) + offset) * made.scale);
    }
    if (n > 3) std::fill_n(data.begin() + 2 * w * c, c, encode<T>(2.5f));  // no variance
    View x{data.data(), kType<T>, n, 1, w, c, w * c, w * c, c, 1};
    if (layout == Layout::apart) {  // every row is followed by its copy, backwards
      std::vector<T> wide;
      for (auto at = data.begin(); at != data.end(); at += c) {
        wide.insert(wide.end(), at, at + c);
        wide.insert(wide.end(), std::reverse_iterator(at + c), std::reverse_iterator(at));
      }
      data = std::move(wide);
      x = {data.data(), kType<T>, n, 1, w, c, 2 * w * c, 2 * w * c, 2 * c, 1};
    }
    std::vector<int64_t> ids;
    for (int64_t i = 0; made.repeated_ids && i < n; ++i) {
      ids.push_back((i * 7 + round) % (n / 2 + 1));
    }
    const int64_t* given = made.repeated_ids ? ids.data() : nullptr;
    oracle.add(x, given, 100 + static_cast<int64_t>(round) * n);
    run.update(x, given);
  }
  oracle.check(run);
}

Options everything(int64_t channels, int k) { return {channels, true, k, k, true}; }

void shapes_layouts_and_types() {
  check<float>({1, 1, 1}, everything(1, 1), Layout::dense);
  check<float>({70, 1, 4}, everything(4, 3), Layout::dense);
  check<float>({3, 15, 6}, everything(6, 2), Layout::apart);
  check<float>({5, 6, 8}, everything(8, 2), Layout::apart);
  check<float>({33, 1, 7}, everything(7, 2), Layout::apart);
  check<Half>({9, 5, 8}, everything(8, 4), Layout::dense, {.repeated_ids = true});
  check<Half>({5, 6, 3}, everything(3, 2), Layout::apart);
  check<BFloat16>({40, 1, 5}, everything(5, 5), Layout::apart, {.repeated_ids = true});
  check<BFloat16>({3, 90, 16}, everything(16, 2), Layout::dense, {.rarity = 2000});
}

void wide_and_long() {
  check<float>({2, 70, 300}, everything(300, 2), Layout::dense, {.rarity = 20000});
  check<BFloat16>({300, 1, 72}, everything(72, 3), Layout::dense, {.rarity = 20000});
}

// Float32 sums serve none of these, or only for some channels of some blocks.
void extreme_scales_means_and_jumps() {
  for (const float scale : {1e-42f, 1e-30f, 1e30f, 1e37f}) {
    check<float>({12, 2, 8}, everything(8, 2), Layout::dense, {.scale = scale, .rarity = 1000});
  }
  check<float>({40, 1, 8}, everything(8, 2), Layout::dense,
               {.offset = 40000, .scale = 1e-3f, .rarity = 1000});
  check<float>({40, 1, 8}, everything(8, 2), Layout::dense, {.rarity = 1000, .jump = 3000});
}

void single_statistics() {
  check<float>({20, 3, 5}, {5, false, 0, 0, true}, Layout::dense, {.rarity = 1000});
  check<float>({20, 3, 5}, {5, true, 0, 0, false}, Layout::dense);
  check<float>({90, 1, 4}, {4, false, 6, 0, false}, Layout::dense, {.repeated_ids = true});
  check<float>({30, 2, 4}, {4, false, 0, 6, false}, Layout::apart, {.repeated_ids = true});
}

void lists_longer_than_a_warp_and_full_buffers() {
  check<float>({400, 1, 3}, {3, false, 70, 40, false}, Layout::dense, {.repeated_ids = true});
}

void images_beyond_the_room_for_records() {
  check<float>({20, 1, 8}, {8, false, 0, 0, true}, Layout::dense, {.room_for = 30});
}

// Reading is looking at memory: what follows has the same bits with and without. So has another
// run, whatever the timing of its threads.
void bits_are_repeatable() {
  if (failures() > 0) return;
  std::vector<Unit16> first;
  for (int round = 0; round < 2; ++round) {
    Run run(everything(12, 3), 256);
    for (unsigned part = 0; part < 3; ++part) {
      const std::vector<float> data = values<float>(40 * 2 * 12, part, 1000);
      run.update({data.data(), DType::f32, 40, 1, 2, 12, 24, 24, 12, 1}, nullptr);
    }
    std::vector<Unit16> memory = run.memory();
    State state;
    place(everything(12, 3), memory.data(), &state);
    state.progress->records = nullptr;
    if (round == 0) first = memory;
    CHECK(std::memcmp(first.data(), memory.data(), memory.size() * 16) == 0);
  }
}

void negative_ids_are_counted() {
  if (failures() > 0) return;
  Run run({4, true, 0, 0, false}, 0);
  const std::vector<float> data = values<float>(6 * 4, 0);
  const std::vector<int64_t> ids{0, -1, 2, -3, 4, 5};
  run.update({data.data(), DType::f32, 6, 1, 1, 4, 4, 4, 4, 1}, ids.data());
  CHECK(run.state().progress->negative_ids == 2);
}

// Whatever the shape, runs hold each row once, units each run once, and a grid has room for them.
void cuts_hold_every_row_once() {
  std::mt19937 random(1);
  for (int round = 0; round < 300; ++round) {
    const auto upto = [&](int bits) { return 1 + static_cast<int64_t>(random() % (1u << bits)); };
    const int64_t images = round == 0 ? INT32_MAX - 1 : upto(round % 17);
    const int64_t places = round == 0 ? 1 : upto(round % 7), channels = upto(13);
    const View x{nullptr, DType::f32, images, 1, places, channels, 0, 0, 0, 1};
    int64_t bytes;
    const Job job = make_job(everything(channels, 1), x, nullptr, nullptr, nullptr, &bytes);
    CHECK(job.columns.units <= 65535);
    for (const Cut& cut : {job.columns, job.rows}) {
      CHECK(cut.begin(cut.units - 1) < cut.runs && cut.end(cut.units - 1) == cut.runs);
      int64_t rows = 0;
      for (int unit = 0; unit < cut.units && round > 0; ++unit) {
        CHECK(cut.begin(unit) == (unit == 0 ? 0 : cut.end(unit - 1)));
        for (int i = cut.begin(unit); i < cut.end(unit); ++i) {
          const auto run = cut.run(i);
          CHECK(run.line * int64_t{cut.length} + run.first == rows && run.rows > 0);
          rows += run.rows;
        }
      }
      CHECK(round == 0 || rows == images * places);
    }
  }
}

// Batches as the engine sends them: every multiprocessor of a large GPU has warps, scratch is
// small.
void plans() {
  const auto job_of = [](int64_t images, int64_t places, int64_t channels) {
    const View x{nullptr,           DType::bf16,       images,   1, places, channels,
                 places * channels, places * channels, channels, 1};
    int64_t bytes;
    const Job job = make_job(everything(channels, 32), x, nullptr, nullptr, nullptr, &bytes);
    CHECK(row_shared_bytes(job) <= kSharedBytes && bytes <= 64 << 20);
    return job;
  };
  const auto warps = [](const Job& job) {
    const int64_t runs = job.columns.each / kColumnWarps;  // of a warp
    return tiles(job.columns.runs, runs) * tiles(job.x.channels, kLanes * kColumnVector);
  };
  const Job tokens = job_of(32, 197, 768), vectors = job_of(256, 1, 768);
  CHECK(tokens.columns.per_line > 1 && tokens.rows.per_line > 1);
  CHECK(warps(tokens) > 132 * 8 && tokens.rows.units >= 132);
  CHECK(warps(vectors) >= 132 && vectors.rows.units >= 8);
  const Job large = job_of(50432, 1, 768), maps = job_of(64, 49, 2048), wide = job_of(64, 50, 8192);
  CHECK(warps(large) > 132 * 32 && warps(large) < 132 * 128);
  CHECK(warps(maps) > 132 * 8 && warps(wide) > 132 * 8);
  CHECK(maps.rows.units >= 64 && wide.rows.units >= 64);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) sow(argv[1]);
  cuts_hold_every_row_once();
  plans();
  shapes_layouts_and_types();
  single_statistics();
  lists_longer_than_a_warp_and_full_buffers();
  extreme_scales_means_and_jumps();
  images_beyond_the_room_for_records();
  bits_are_repeatable();
  negative_ids_are_counted();
  wide_and_long();
  return report();
}
