// The CUDA kernels of channel moments on the host, over odd shapes, element types and layouts. With
// an argument k the k-th barrier is left out, which must not go unnoticed.
#include <random>

#include "../../csrc/cuda/moments_kernels.hpp"
#include "check.hpp"
#include "encode.hpp"
#include "host_context.hpp"

using namespace tuiprobe;
using namespace tuiprobe::cuda;

namespace {

Seed seed;

template <class T>
void update(const View& x, std::vector<Moments>& state, bool vectors) {
  const ChunkPlan plan = plan_chunks(x);
  std::vector<Moments> parts(static_cast<size_t>(plan.chunks * x.channels));
  constexpr int kVector = 16 / sizeof(T);
  const auto tiles = [&](int64_t each) { return (x.channels + each - 1) / each; };
  if (x.channel_stride != 1) {
    run_grid(x.channels, plan.chunks, kMomentsSharedBytes, seed, [&](HostContext& ctx) {
      strided_moments_kernel<T>(ctx, x, plan, state.data(), parts.data());
    });
  } else if (vectors) {
    run_grid(tiles(kLanes * kVector), plan.chunks, kMomentsSharedBytes, seed,
             [&](HostContext& ctx) {
               moments_kernel<T, kVector>(ctx, x, plan, state.data(), parts.data());
             });
  } else {
    run_grid(tiles(kLanes), plan.chunks, kMomentsSharedBytes, seed, [&](HostContext& ctx) {
      moments_kernel<T, 1>(ctx, x, plan, state.data(), parts.data());
    });
  }
  run_grid(tiles(kDepth), 1, kMomentsSharedBytes, seed, [&](HostContext& ctx) {
    merge_moments_kernel(ctx, parts.data(), x.channels, plan.chunks, state.data());
  });
}

void add_slowly(const View& x, std::vector<Moments>& state) {
  for (int64_t c = 0; c < x.channels; ++c) {
    Moments& m = state[static_cast<size_t>(c)];
    for (int64_t i = 0; i < x.images; ++i) {
      for (int64_t p = 0; p < positions(x); ++p) {
        const float value = load(row_address(x, i, p), c * x.channel_stride, x.dtype);
        m = merge(m, lift(static_cast<double>(value)));
      }
    }
  }
}

void compare(const std::vector<Moments>& got, const std::vector<Moments>& wanted) {
  for (size_t c = 0; c < got.size(); ++c) {
    const Moments &a = got[c], &b = wanted[c];
    CHECK(a.count == b.count);
    CHECK(a.nonfinite == b.nonfinite);
    CHECK(near(a.mean, b.mean, 1e-9));
    CHECK(near(a.m2, b.m2, 1e-9 * b.m2));
    CHECK(near(a.m3, b.m3, 1e-9 * b.m4));
    CHECK(near(a.m4, b.m4, 1e-9 * b.m4));
    CHECK(a.min == b.min && a.max == b.max);
  }
}

template <class T>
void check_shape(int64_t images, int64_t h, int64_t w, int64_t c) {
  constexpr int64_t kVector = 16 / sizeof(T);
  std::vector<Moments> state[3], wanted(static_cast<size_t>(c));
  for (auto& s : state) s.resize(static_cast<size_t>(c));
  for (unsigned round = 0; round < 2; ++round) {  // the second update starts from a state
    const std::vector<T> data = values<T>(images * h * w * c, round);
    const View last{data.data(), kType<T>, images, h, w, c, h * w * c, w * c, c, 1};
    add_slowly(last, wanted);
    if (c % kVector == 0) update<T>(last, state[0], true);
    update<T>(last, state[1], false);
    const std::vector<T> turned = channels_second(data, images, h * w, c);
    const View first{turned.data(), kType<T>, images, h, w, c, c * h * w, w, 1, h * w};
    update<T>(first, state[2], false);
  }
  if (c % kVector == 0) compare(state[0], wanted);
  compare(state[1], wanted);
  compare(state[2], wanted);
}

// A first value that is not finite says nothing of where the others lie.
void check_a_first_nan() {
  std::vector<float> data(300);
  std::mt19937 random(5);
  for (float& x : data) x = 10000.0f + static_cast<float>(random() % 1000) / 512;
  data[0] = NAN;
  const View x{data.data(), DType::f32, 300, 1, 1, 1, 1, 1, 1, 1};
  std::vector<Moments> state(1);
  update<float>(x, state, false);
  double mean = 0, m2 = 0, m4 = 0;
  for (size_t i = 1; i < 300; ++i) mean += static_cast<double>(data[i]) / 299;
  for (size_t i = 1; i < 300; ++i) {
    const double d = static_cast<double>(data[i]) - mean;
    m2 += d * d;
    m4 += d * d * d * d;
  }
  CHECK(state[0].count == 299 && state[0].nonfinite == 1);
  CHECK(near(state[0].m2, m2, 1e-9 * m2));
  CHECK(near(state[0].m4, m4, 1e-7 * m4));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) seed.barrier = std::atoi(argv[1]);
  check_shape<float>(1, 1, 1, 1);
  check_shape<float>(70, 1, 1, 5);
  check_shape<float>(3, 3, 7, 8);
  check_shape<Half>(130, 1, 1, 16);
  check_shape<Half>(9, 1, 3, 3);
  check_shape<BFloat16>(33, 2, 1, 8);
  check_a_first_nan();
  return report();
}
