#include "precision.hpp"

#include <atomic>

#include "parallel.hpp"

namespace tuiprobe::cpu {
namespace {

constexpr int64_t kTile = 16;  // directions read together: one cache line of a float32 row

struct Worker {
  std::vector<float> columns;  // [kTile, images]
  RankSort ranks;
  PrecisionSweep sweep;
  std::vector<double> backwards;

  Worker(const Labels& labels, const double* positives, const double* weight)
      : columns(static_cast<size_t>(kTile * labels.images)),
        ranks(labels.images),
        sweep(labels, positives, weight),
        backwards(static_cast<size_t>(labels.concept_count)) {}
};

template <class T>
void read_columns(const Scores& s, int64_t first, int64_t count, float* columns) {
  const T* data = static_cast<const T*>(s.data) + first * s.direction_stride;
  for (int64_t i = 0; i < s.images; ++i) {
    const T* row = data + i * s.image_stride;
    if (i + 8 < s.images) __builtin_prefetch(row + 8 * s.image_stride);
    for (int64_t d = 0; d < count; ++d) {
      columns[d * s.images + i] = to_float(row[d * s.direction_stride]);
    }
  }
}

void read_columns(const Scores& s, int64_t first, int64_t count, float* columns) {
  if (s.dtype == DType::f32) return read_columns<float>(s, first, count, columns);
  if (s.dtype == DType::f16) return read_columns<Half>(s, first, count, columns);
  read_columns<BFloat16>(s, first, count, columns);
}

}  // namespace

int64_t average_precision(const Scores& scores, const Labels& labels, const double* positives,
                          const double* false_weight, bool both_signs, int threads, double* out) {
  const int64_t tiles = (scores.directions + kTile - 1) / kTile;
  threads = static_cast<int>(std::min<int64_t>(std::max(threads, 1), std::max<int64_t>(tiles, 1)));
  std::vector<Worker> workers;
  workers.reserve(threads);
  for (int t = 0; t < threads; ++t) workers.emplace_back(labels, positives, false_weight);
  std::atomic<int64_t> bad{scores.directions};
  parallel_for(threads, tiles, [&](int64_t tile, int number) {
    Worker& w = workers[number];
    const int64_t first = tile * kTile;
    const int64_t count = std::min(kTile, scores.directions - first);
    read_columns(scores, first, count, w.columns.data());
    for (int64_t d = 0; d < count; ++d) {
      if (!w.ranks.sort(w.columns.data() + d * scores.images)) {
        int64_t lowest = bad.load();
        while (first + d < lowest && !bad.compare_exchange_weak(lowest, first + d)) continue;
        return;
      }
      double* row = out + (first + d) * labels.concept_count;
      w.sweep.run(w.ranks, false, row);
      if (!both_signs) continue;
      w.sweep.run(w.ranks, true, w.backwards.data());
      for (int64_t c = 0; c < labels.concept_count; ++c) {
        row[c] = std::max(row[c], w.backwards[c]);
      }
    }
  });
  return bad < scores.directions ? bad.load() : -1;
}

}  // namespace tuiprobe::cpu
